/**
 * Whether projects that wait for the same seats are served in turn, and the clients of a project in their order: from when
 * clients came and who got which seat, without the program's own tags. It is right only where one proxy gives all seats and
 * sees everything. Times in true ms.
 *
 * @module
 */
import type { ClientChoice } from "./client_choice.ts";
import { type BuilderNow, mayHaveRoom, type WaitingClient } from "./prompt_judge.ts";

/** A client that came so much before the seat was given has said by then who it is, in ms. */
const KNOWN_MS = 1_000;

/** Whoever is seated so soon after another has got its seat with it: connecting takes a while, in ms. */
const TOGETHER_MS = 1_000;

/** Of seats that are given so close together nobody sees from outside which was given first, in ms. */
const SAME_MS = 100;

/** Between two seats of a project that waits, no other gets as many as this. */
const TOO_MANY = 3;

/** A seat that was given, and who could have had it. */
interface Turn {
  readonly client: WaitingClient;
  /** Undefined: it was nobody's turn. */
  readonly others: readonly WaitingClient[] | undefined;
  readonly atMs: number;
}

/** Who has had turns that others have waited for. */
export class TurnJudge {
  /** Those that are too young to be looked at, the oldest first. */
  #turns: Turn[] = [];
  /** By the project that waits: when each other one has got seats since its own last seat. */
  readonly #passed = new Map<string, Map<string, number[]>>();
  /** When each project has got its last seat. */
  readonly #servedMs = new Map<string, number>();

  /** Nobody has waited for anything so far. */
  forget(): void {
    this.#turns = [];
    this.#passed.clear();
    this.#servedMs.clear();
  }

  /** A client has got a seat of this builder, above the target or not; `waiting` are the others. */
  seated(
    client: WaitingClient,
    { set, isAbove }: { readonly set: string; readonly isAbove: boolean },
    waiting: Iterable<WaitingClient>,
    builders: ReadonlyMap<string, BuilderNow>,
    atMs: number,
  ): void {
    const others = [...waiting].filter((other) =>
      atMs - other.startedMs >= KNOWN_MS && other.choice.pool === client.choice.pool &&
      competes(other.choice, set, isAbove, builders)
    );
    this.#turns.push({ client, others, atMs });
  }

  /** A client has got a seat beside a sibling: its project has been served, and has taken nothing from others. */
  siblingSeated(client: WaitingClient, atMs: number): void {
    this.#turns.push({ client, others: undefined, atMs });
  }

  /** What is wrong with the seats that were given, if anything is. `waits`: whether a client still has none. */
  look(nowMs: number, waits: (client: WaitingClient) => boolean): string | undefined {
    while (this.#turns.length > 0 && nowMs - this.#turns[0]!.atMs >= TOGETHER_MS) {
      const { client, others, atMs } = this.#turns.shift()!;
      const fault = this.#lookAt(client, others?.filter(waits), atMs);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #lookAt(
    client: WaitingClient,
    others: readonly WaitingClient[] | undefined,
    atMs: number,
  ): string | undefined {
    const own = keyOf(client);
    this.#passed.delete(own);
    this.#servedMs.set(own, atMs);
    if (others === undefined) return undefined;
    const earlier = others.find((other) =>
      keyOf(other) === own && isAlike(other, client) && client.startedMs - other.startedMs >= KNOWN_MS
    );
    if (earlier !== undefined) {
      return `client ${client.progress.plan.id} has a seat, and client ${earlier.progress.plan.id} of the same project ` +
        "came before it and waits";
    }
    const projects = new Set(others.map(keyOf));
    projects.delete(own);
    for (const project of this.#passed.keys()) if (!projects.has(project)) this.#passed.delete(project);
    for (const project of projects) {
      if (this.#isServedAt(project, atMs)) continue;
      const passed = this.#passed.get(project) ?? new Map<string, number[]>();
      this.#passed.set(project, passed);
      const seatsMs = [...passed.get(own) ?? [], atMs];
      passed.set(own, seatsMs);
      // Whoever gives up and comes again begins anew: one client has waited all the time.
      const fromMs = seatsMs.at(-TOO_MANY) ?? -Infinity;
      if (others.some((other) => keyOf(other) === project && other.startedMs + KNOWN_MS <= fromMs)) {
        return `${own} has got ${TOO_MANY} seats in a row that ${project} has waited for`;
      }
    }
    return undefined;
  }

  /** Whether a project has got a seat of its own at the same moment. */
  #isServedAt(project: string, atMs: number): boolean {
    const isSame = (otherMs: number) => Math.abs(otherMs - atMs) < SAME_MS;
    return isSame(this.#servedMs.get(project) ?? -Infinity) ||
      this.#turns.some((turn) => keyOf(turn.client) === project && isSame(turn.atMs));
  }
}

function keyOf({ choice: { pool, project } }: WaitingClient): string {
  return `${project ?? "no project"}${pool.name === "" ? "" : ` in ${pool.name}`}`;
}

/**
 * Whether a client could have had a seat of this builder as well as the one that got it. It waits for a pod that starts
 * rather than take a seat above the target; and one that is patient for what it prefers, unless that is full.
 */
function competes(
  { may, isPatient, target, limit, maxReplicas }: ClientChoice,
  set: string,
  isAbove: boolean,
  builders: ReadonlyMap<string, BuilderNow>,
): boolean {
  if (limit === Infinity || !may.includes(set)) return false;
  const isTaken = (most: number) => (name: string) => {
    const builder = builders.get(name);
    return builder !== undefined && builder.isThere && !mayHaveRoom(builder, most, maxReplicas);
  };
  if (isAbove && !may.every(isTaken(target))) return false;
  return !isPatient || may.slice(0, may.indexOf(set)).every(isTaken(limit));
}

/** Whether two clients of a project wait for the same. */
function isAlike(
  { progress: { plan: a } }: WaitingClient,
  { progress: { plan: b } }: WaitingClient,
): boolean {
  return a.http2 === b.http2 && a.wakesForSeconds === undefined && b.wakesForSeconds === undefined;
}
