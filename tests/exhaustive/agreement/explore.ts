/**
 * Breadth-first search through all states, to the first violation, the end, or a bound; and the question whether every
 * state that was found can still get to where it should.
 *
 * @module
 */
import { pack, unpack, WORDS, type World } from "./state.ts";

/** One step from a state. */
export interface Step {
  /** What happens. */
  readonly what: string;
  /** Clients and faults: nothing that progress may rely on. */
  readonly fault: boolean;
  /** It has cut a session. */
  readonly violation: boolean;
  /** The proxy whose held client leaves in this step; -1 otherwise. */
  readonly leaver: number;
}

/** Calls `emit` with each successor of a state. */
export type Steps = (world: World, emit: (next: World, step: Step) => void) => void;

/** What a search has found. */
export interface Found {
  /** States. */
  readonly states: number;
  /** Steps from the beginning to the farthest state. */
  readonly depth: number;
  /** True if there are no others. */
  readonly complete: boolean;
  /** The shortest way to a violation. */
  readonly trace: readonly string[] | undefined;
  /** The states, for {@link stuck}. */
  readonly space: Space;
}

/** A set of packed states, in the order in which they were found. */
class Space {
  words = new Int32Array(WORDS << 12);
  parents = new Int32Array(1 << 12);
  size = 0;
  #table = new Int32Array(1 << 13);
  readonly #scratch = new Int32Array(WORDS);

  at(i: number): World {
    return unpack(this.words, i * WORDS);
  }

  find(world: World): number {
    pack(world, this.#scratch, 0);
    return this.#table[this.#slot(this.#scratch, 0)]! - 1;
  }

  /** Says whether it is new. */
  add(world: World, parent: number): boolean {
    pack(world, this.#scratch, 0);
    const slot = this.#slot(this.#scratch, 0);
    if (this.#table[slot] !== 0) return false;
    if (this.size === this.parents.length) this.#grow();
    this.words.set(this.#scratch, this.size * WORDS);
    this.parents[this.size] = parent;
    this.#table[slot] = ++this.size;
    if (this.size * 2 > this.#table.length) this.#rehash();
    return true;
  }

  #slot(words: Int32Array, at: number): number {
    let hash = 0;
    for (let i = 0; i < WORDS; i++) hash = Math.imul(hash ^ words[at + i]!, 0x9e3779b1) ^ (hash >>> 15);
    hash = Math.imul(hash ^ (hash >>> 13), 0x85ebca6b);
    const mask = this.#table.length - 1;
    for (let slot = (hash ^ (hash >>> 16)) & mask;; slot = (slot + 1) & mask) {
      const found = this.#table[slot]!;
      if (found === 0 || this.#same(words, at, (found - 1) * WORDS)) return slot;
    }
  }

  #same(words: Int32Array, at: number, own: number): boolean {
    for (let i = 0; i < WORDS; i++) if (words[at + i] !== this.words[own + i]) return false;
    return true;
  }

  #grow(): void {
    const words = new Int32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
    const parents = new Int32Array(this.parents.length * 2);
    parents.set(this.parents);
    this.parents = parents;
  }

  #rehash(): void {
    this.#table = new Int32Array(this.#table.length * 2);
    for (let i = 0; i < this.size; i++) this.#table[this.#slot(this.words, i * WORDS)] = i + 1;
  }
}

/** Searches from `initial`, through at most `limit` states. */
export function explore(initial: World, steps: Steps, limit: number): Found {
  const space = new Space();
  space.add(initial, -1);
  let depth = 0;
  let trace: string[] | undefined;
  let i = 0;
  for (let levelEnd = 1; i < space.size && space.size <= limit && trace === undefined; i++) {
    if (i === levelEnd) {
      depth++;
      levelEnd = space.size;
    }
    steps(space.at(i), (next, { what, violation }) => {
      if (violation) trace ??= [...wayTo(space, i, steps), what];
      else space.add(next, i);
    });
  }
  return { states: space.size, depth, complete: trace === undefined && i === space.size, trace, space };
}

function wayTo(space: Space, to: number, steps: Steps): readonly string[] {
  const chain: number[] = [];
  for (let i = to; i > 0; i = space.parents[i]!) chain.unshift(i);
  let from = 0;
  return chain.map((wanted) => {
    let found: string | undefined;
    steps(space.at(from), (next, { what }) => {
      if (found === undefined && space.find(next) === wanted) found = what;
    });
    from = wanted;
    return found ?? "?";
  });
}

/** The steps without faults and new clients, backwards: who leads to each state. */
export interface Graph {
  readonly heads: Int32Array;
  readonly next: Int32Array;
  readonly from: Int32Array;
  readonly leaver: Int8Array;
}

/** Builds it. */
export function graphOf(space: Space, steps: Steps): Graph {
  const heads = new Int32Array(space.size).fill(-1);
  let next = new Int32Array(space.size * 4);
  let from = new Int32Array(space.size * 4);
  let leavers = new Int8Array(space.size * 4);
  let size = 0;
  for (let i = 0; i < space.size; i++) {
    steps(space.at(i), (world, { fault, leaver }) => {
      if (fault) return;
      const to = space.find(world);
      if (to < 0 || to === i) return;
      if (size === next.length) {
        next = grown(next, new Int32Array(size * 2));
        from = grown(from, new Int32Array(size * 2));
        leavers = grown(leavers, new Int8Array(size * 2));
      }
      next[size] = heads[to]!;
      from[size] = i;
      leavers[size] = leaver;
      heads[to] = size++;
    });
  }
  return { heads, next, from, leaver: leavers };
}

function grown<T extends Int32Array | Int8Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

/** How many states of those asked for cannot get to a goal; the held client of `stays` does not leave meanwhile. */
export function stuck(
  space: Space,
  { heads, next, from, leaver }: Graph,
  asked: (world: World) => boolean,
  goal: (world: World) => boolean,
  stays = -1,
): number {
  const good = new Uint8Array(space.size);
  const queue: number[] = [];
  for (let i = 0; i < space.size; i++) {
    if (!goal(space.at(i))) continue;
    good[i] = 1;
    queue.push(i);
  }
  for (let to = queue.pop(); to !== undefined; to = queue.pop()) {
    for (let edge = heads[to]!; edge >= 0; edge = next[edge]!) {
      const i = from[edge]!;
      if (good[i] === 1 || (stays >= 0 && leaver[edge] === stays)) continue;
      good[i] = 1;
      queue.push(i);
    }
  }
  let count = 0;
  for (let i = 0; i < space.size; i++) if (good[i] === 0 && asked(space.at(i))) count++;
  return count;
}
