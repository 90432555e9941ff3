/**
 * Where sessions go: seats them on a pod if the agreement's rules allow it, and counts those that are held, for which the
 * router asks again. Check, choice and counting are one synchronous step. Which pods there are and may be used is known
 * by `pods.ts`. Never talks to the API and never writes replicas.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import {
  type Agreement,
  blocks,
  closedFrom,
  isNewer,
  NOTHING_SEEN,
  placeableBelow,
  promise,
  type ScalePromise,
  see,
  type Seen,
} from "./agreement.ts";
import type { Backend } from "./backends.ts";
import { type Beyond, type Capacity, choose, type Load, neededBy, type Room, roomOf } from "./capacity.ts";
import { Pods } from "./pods.ts";
import type { ReadinessMode } from "./readiness.ts";
import type { CountChanges } from "./surplus.ts";
import { Usage } from "./usage.ts";

/** A session's place on a pod. The session counts as being on the pod's ordinal from before the dial. */
export interface Seat {
  /** The session. */
  readonly id: number;
  /** The pod. */
  readonly backend: Backend;
}

/** Whether this proxy may place sessions at all, whatever the agreement says. `Standing` of `lib/ha` implements it. */
export interface Gate {
  /** Read at every placing. */
  readonly open: boolean;
  /** Calls `listener` when it may have opened or closed. */
  subscribe(listener: () => void): void;
}

/** Always open: the gate of a proxy that has no others beside it. */
const OPEN: Gate = { open: true, subscribe: () => {} };

/** Seats sessions. */
export class Placement {
  /** What is in use. */
  readonly usage = new Usage();
  /** The pods that sessions are seated on. */
  readonly pods: Pods;
  readonly #clock: Clock;
  readonly #gate: Gate;
  readonly #capacity: Capacity;
  readonly #listeners = new Listeners();
  /** The pod of each session that has a seat. */
  readonly #seats = new Map<number, Backend>();
  /** The ordinals that the count was seen to rise above, lowest first; `to` is not among them. */
  #rises: readonly { readonly from: number; readonly to: number; readonly nowMs: number }[] = [];
  #changes: CountChanges = {};
  #agreement: Agreement = NOTHING_SEEN;
  /** The sessions of other proxies that count, by ordinal. */
  #others: Load = new Map();
  #isGrowthStuck = false;
  /** How many pods the held sessions needed at the last change. */
  #neededBefore = 0;
  /** The ordinals that took sessions at the last change: time alone may add some. */
  #usableBefore = "";
  /** Listeners are being told of a change of numbers alone. */
  #tellsOfLoad = false;
  /** The ordinal that took the last session. */
  #last = -1;

  /** No session is ever placed on an ordinal at or above the `maxReplicas` of `capacity`. */
  constructor(clock: Clock, capacity: Capacity, mode: ReadinessMode, gate: Gate = OPEN) {
    this.#clock = clock;
    this.#gate = gate;
    this.#capacity = capacity;
    this.pods = new Pods(clock, mode);
    this.pods.subscribe(() => this.#notify());
    gate.subscribe(() => this.#notify());
  }

  /** The newest state of the StatefulSet that was seen, and the promises that bind. */
  get agreement(): Agreement {
    return this.#agreement;
  }

  /** Calls `listener` after a change of what can be seen here, and of the pods. It must be quick and must not throw. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * As `subscribe`, but not when only the number of sessions on a pod has changed that has some before and after, while
   * nobody calls for a pod: most sessions change nothing else. Listeners of both kinds are called in the order in which they
   * came.
   */
  subscribeBeyondLoad(listener: () => void): void {
    this.#listeners.add(() => {
      if (!this.#tellsOfLoad) listener();
    });
  }

  /** When the count was last seen to rise, monotonic ms, by the highest ordinal that it rose above. */
  get roseMs(): ReadonlyMap<number, number> {
    return new Map(this.#rises.map(({ to, nowMs }) => [to - 1, nowMs]));
  }

  /**
   * Takes note of a state of the StatefulSet; see `see` of the agreement. Returns whether it was news.
   *
   * Between the state seen before and this one, the count may have been lower without being seen: the scale-down of a
   * promise may have landed, and the count risen again. Then the pods that the promise closed are suspect. `proof`
   * excludes that:
   *
   * - `"watch"`: the state comes from a watch, which skips no version.
   * - A version: a write of our own on condition of that version has succeeded, so no other write on condition of it
   *   has landed. (A conflict proves the opposite.)
   */
  see(seen: Seen, proof?: "watch" | Seen["version"]): boolean {
    const before = this.#agreement;
    this.#agreement = see(before, seen);
    if (this.#agreement === before) return false;
    const kept = new Set(this.#agreement.promises);
    const ended = before.promises.filter((made) => !kept.has(made) && made.version !== proof);
    const from = before.seen?.replicas ?? 0;
    const nowMs = this.#clock.nowMs();
    // Nobody lowers the count by agreement without this proxy's promise.
    if (seen.replicas < from && before.promises.some(({ below }) => below === seen.replicas)) {
      this.#changes = { ...this.#changes, lowered: { to: seen.replicas, atMs: nowMs } };
    }
    const rise = { from, to: seen.replicas, nowMs };
    this.#rises = [...this.#rises, rise].map((it) => ({ ...it, to: Math.min(it.to, seen.replicas) }))
      .filter(({ from, to }) => from < to);
    this.usage.forget(seen.replicas);
    // This also tells the listeners: the pods report a change, and `#notify` follows.
    this.pods.counted(seen.replicas, proof === "watch" ? Infinity : closedFrom(ended));
    return true;
  }

  /** The last changes of the count that say whether somebody else wants a surplus. */
  get changes(): CountChanges {
    return this.#changes;
  }

  /** Somebody who is no proxy has raised the count to this. */
  raisedByOther(to: number): void {
    this.#changes = { ...this.#changes, raised: { to, atMs: this.#clock.nowMs() } };
    this.#notify();
  }

  /** The resourceVersions have regressed: what was seen and promised says nothing about the versions that come now. */
  startAnew(): void {
    this.#agreement = NOTHING_SEEN;
    // The count may have been 0 meanwhile, so all pods are suspect.
    this.pods.counted(0, 0);
  }

  /**
   * Makes a promise, unless it is blocked: a session is on an ordinal that it closes, or a held session needs one.
   * False if it is blocked. Check and promise are one synchronous step.
   */
  promise(made: ScalePromise): boolean {
    const { needed, usage: { highest } } = this;
    if (blocks({ highest, needed }, made.below)) return false;
    this.#agreement = promise(this.#agreement, made);
    return true;
  }

  /** Places nothing until a version newer than this is seen: the promise of a proxy that has just joined. */
  bind(version: string): void {
    this.#agreement = promise(this.#agreement, { below: 0, version });
  }

  /** Nothing that is conditioned on this version or an older one can land any more: ends the promises on those. */
  release(version: string): void {
    const promises = this.#agreement.promises.filter((made) => isNewer(made.version, version));
    this.#agreement = { ...this.#agreement, promises };
    this.#notify();
  }

  /** Forgets all promises: this proxy was cut off for so long that no leader relies on them any more. */
  unbind(): void {
    this.#agreement = { ...this.#agreement, promises: [] };
    this.pods.assumeSettled();
    this.#notify();
  }

  /** The sessions on each ordinal that count, those of other proxies included. */
  get load(): Load {
    if (this.#others.size === 0) return this.usage.load;
    const load = new Map(this.#others);
    for (const [ordinal, count] of this.usage.load) load.set(ordinal, count + (load.get(ordinal) ?? 0));
    return load;
  }

  /** The ordinals that take sessions now, lowest first. */
  get usable(): readonly number[] {
    return ordinalsOf(this.#usablePods);
  }

  /** How many pods the held sessions of this proxy need. */
  get needed(): number {
    return neededBy(this.usage.needing, this.load, this.#capacity);
  }

  /** How many pods the count or the held sessions of this proxy want. A pod that a promise has closed is wanted by nobody. */
  get wanted(): number {
    const wanted = Math.max(placeableBelow(this.#agreement), this.needed);
    return Math.min(wanted, this.#capacity.maxReplicas);
  }

  /** True when the count has to be written for held sessions: to raise it, or to end a promise. */
  get isClaiming(): boolean {
    return this.needed > (this.#agreement.seen?.replicas ?? 0) || this.closedToHeld;
  }

  /** What the builder can take, held sessions not counted. */
  get room(): Room {
    const { usable, load } = this;
    return roomOf({ usable, load, isGrowthStuck: this.#isGrowthStuck && usable.length > 0 }, this.#capacity);
  }

  /** True when the pod that should come next makes no progress: until it does, only those count that are usable. */
  set isGrowthStuck(isStuck: boolean) {
    if (isStuck === this.#isGrowthStuck) return;
    this.#isGrowthStuck = isStuck;
    this.#notify();
  }

  /** The sessions of other proxies that count, by ordinal. */
  set others(load: Load) {
    if (isSame(load, this.#others)) return;
    this.#others = load;
    this.#notify();
  }

  /**
   * True when held sessions need an ordinal that a promise closes. A claim ends the promise, even if the count stays
   * the same.
   */
  get closedToHeld(): boolean {
    return this.needed > closedFrom(this.#agreement.promises);
  }

  /**
   * Seats a session in this step, or changes nothing. `used` is false while it may be no client at all. `beyond`: how far
   * beyond the limits of a pod.
   */
  seat(id: number, used: boolean, beyond: Beyond): Seat | undefined {
    const pods = this.#usablePods;
    const { load } = this;
    const ordinal = choose({ usable: ordinalsOf(pods), load }, this.#capacity, beyond, this.#last);
    const backend = pods.find((pod) => pod.ordinal === ordinal);
    if (backend === undefined) return undefined;
    this.#last = backend.ordinal;
    this.#seats.set(id, backend);
    const isJoined = this.usage.on(backend.ordinal) > 0 && !this.usage.has(id);
    this.usage.place(id, backend.ordinal, used, this.#clock.nowMs());
    this.#used(isJoined);
    return { id, backend };
  }

  /** The session is held, newly or again, and gives up the seat that it may have; `needs` as in {@link Usage.hold}. */
  hold(id: number, needs: boolean): void {
    this.#seats.delete(id);
    if (this.usage.hold(id, needs, this.#clock.nowMs())) this.#notify();
  }

  /** Seats a session that only watches, in this step, or changes nothing. It counts for nothing. */
  seatWatcher(id: number): Seat | undefined {
    const [backend] = this.#usablePods;
    if (backend === undefined) return undefined;
    this.#seats.set(id, backend);
    this.usage.watch(id, backend.ordinal);
    this.#notify();
    return { id, backend };
  }

  /** A seated session only watches: from now on it counts for nothing. */
  watch(id: number): void {
    const backend = this.#seats.get(id);
    if (backend !== undefined && this.usage.watch(id, backend.ordinal)) this.#notify();
  }

  /**
   * A session that only watched makes another call: it counts from now on, if the rules still permit a session on its pod.
   * If they do not, it goes on watching, and false is returned: it must not make that call. Check and counting are one
   * synchronous step.
   */
  watchNoMore(id: number): boolean {
    const backend = this.#seats.get(id);
    if (backend === undefined || !this.isValid({ id, backend })) return false;
    if (!this.usage.watches(id)) return true;
    this.usage.place(id, backend.ordinal, true, this.#clock.nowMs());
    this.#notify();
    return true;
  }

  /** Whether the pod of a seated session is there, not terminating, and within the count last seen. */
  keeps(id: number): boolean {
    const seated = this.#seats.get(id);
    const now = this.pods.all.find(({ uid }) => uid === seated?.uid);
    return now !== undefined && !now.terminating && now.ordinal < (this.#agreement.seen?.replicas ?? 0);
  }

  /** The session has been silent for so long that it is no load on its pod, or is not any more. It uses it either way. */
  silent(id: number, isSilent: boolean): void {
    if (this.usage.silent(id, isSilent)) this.#used(true);
  }

  /**
   * Whether the session still has the seat, and the rules still permit a session there. Call it after the dial and
   * before a byte is forwarded. The pod's readiness does not matter any more: the dial has succeeded.
   */
  isValid({ id, backend }: Seat): boolean {
    const now = this.pods.all.find(({ uid }) => uid === backend.uid);
    return this.usage.ordinalOf(id) === backend.ordinal && now !== undefined && this.#mayPlace(now);
  }

  /** The client has sent something; see {@link Usage.markUsed}. */
  markUsed(id: number): void {
    if (this.usage.markUsed(id, this.#clock.nowMs())) this.#notify();
  }

  /** The session has ended. Harmless when it has ended before. */
  end(id: number): void {
    const backend = this.#seats.get(id);
    this.#seats.delete(id);
    if (!this.usage.end(id, this.#clock.nowMs())) return;
    this.#used(backend !== undefined && this.usage.on(backend.ordinal) > 0);
  }

  /** The pod of a seat could not be connected to. */
  failed({ backend }: Seat): void {
    this.pods.dialFailed(backend.uid);
  }

  /** Time has passed: what `Pods.nextVerifiedMs` announced may be true now. */
  lookAgain(): void {
    if (`${this.usable}` !== this.#usableBefore) this.#notify();
  }

  /** Sessions have come to a pod, or have left it; `isSame`: it had and has others. */
  #used(isSame: boolean): void {
    if (!isSame || this.usage.needing > 0) return this.#notify();
    const before = this.#tellsOfLoad;
    this.#tellsOfLoad = true;
    this.#listeners.tell();
    this.#tellsOfLoad = before;
  }

  #notify(): void {
    const before = this.#tellsOfLoad;
    this.#tellsOfLoad = false;
    this.#usableBefore = `${this.usable}`;
    this.#remember();
    this.#listeners.tell();
    this.#tellsOfLoad = before;
  }

  /** Remembers of the pods above the first that held sessions needed them until now. (Of the first, `Usage` does.) */
  #remember(): void {
    const { needed } = this;
    for (let ordinal = Math.max(1, needed); ordinal < this.#neededBefore; ordinal++) {
      this.usage.needed(ordinal, this.#clock.nowMs());
    }
    this.#neededBefore = needed;
  }

  get #usablePods(): readonly Backend[] {
    return this.pods.all.filter((pod) => this.pods.isReady(pod) && this.#mayPlace(pod));
  }

  #mayPlace(backend: Backend): boolean {
    const { ordinal, terminating } = backend;
    return this.#gate.open && !terminating &&
      ordinal < Math.min(placeableBelow(this.#agreement), this.#capacity.maxReplicas) &&
      !this.pods.isSuspect(backend);
  }
}

function ordinalsOf(pods: readonly Backend[]): readonly number[] {
  return [...new Set(pods.map(({ ordinal }) => ordinal))];
}

function isSame(a: Load, b: Load): boolean {
  return a.size === b.size && [...a].every(([ordinal, count]) => b.get(ordinal) === count);
}
