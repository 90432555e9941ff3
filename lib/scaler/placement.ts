/**
 * Where sessions go: holds those that wait, and seats them on a pod as soon as the agreement's rules allow. Check, choice
 * and counting are one synchronous step. Which pods there are and may be used is known by `pods.ts`. Never talks to the
 * API and never writes replicas.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import {
  type Agreement,
  blocks,
  closedFrom,
  NOTHING_SEEN,
  placeableBelow,
  promise,
  type ScalePromise,
  see,
  type Seen,
} from "./agreement.ts";
import type { Backend } from "./backends.ts";
import { neededBy } from "./decide.ts";
import { Pods } from "./pods.ts";
import type { ReadinessMode } from "./readiness.ts";
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

interface Waiter {
  readonly id: number;
  readonly seat: (seat: Seat) => void;
}

/** Seats sessions. */
export class Placement {
  /** What is in use. */
  readonly usage = new Usage();
  /** The pods that sessions are seated on. */
  readonly pods: Pods;
  readonly #clock: Clock;
  readonly #gate: Gate;
  readonly #maxReplicas: number;
  readonly #listeners = new Listeners();
  readonly #waiting = new Map<number, Waiter>();
  /** The ordinals that the count was seen to rise above, lowest first; `to` is not among them. */
  #rises: readonly { readonly from: number; readonly to: number; readonly nowMs: number }[] = [];
  #agreement: Agreement = NOTHING_SEEN;

  /** No session is ever placed on an ordinal at or above `maxReplicas`. */
  constructor(clock: Clock, maxReplicas: number, mode: ReadinessMode, gate: Gate = OPEN) {
    this.#clock = clock;
    this.#gate = gate;
    this.#maxReplicas = maxReplicas;
    this.pods = new Pods(clock, mode);
    this.pods.subscribe(() => this.#update());
    gate.subscribe(() => this.#update());
  }

  /** The newest state of the StatefulSet that was seen, and the promises that bind. */
  get agreement(): Agreement {
    return this.#agreement;
  }

  /** Calls `listener` after every change of what can be seen here, and of the pods. It must be quick and must not throw. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
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
    const rise = { from: before.seen?.replicas ?? 0, to: seen.replicas, nowMs: this.#clock.nowMs() };
    this.#rises = [...this.#rises, rise].map((it) => ({ ...it, to: Math.min(it.to, seen.replicas) }))
      .filter(({ from, to }) => from < to);
    this.usage.forget(seen.replicas);
    // This also tells the listeners: the pods report a change, and `#update` follows.
    this.pods.counted(seen.replicas, proof === "watch" ? Infinity : closedFrom(ended));
    return true;
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
    const { highest, needing } = this.usage;
    if (blocks({ highest, needed: neededBy(needing) }, made.below)) return false;
    this.#agreement = promise(this.#agreement, made);
    return true;
  }

  /** Places nothing until a version newer than this is seen: the promise of a proxy that has just joined. */
  bind(version: string): void {
    this.#agreement = promise(this.#agreement, { below: 0, version });
  }

  /** Forgets all promises: this proxy was cut off for so long that no leader relies on them any more. */
  unbind(): void {
    this.#agreement = { ...this.#agreement, promises: [] };
    this.pods.assumeSettled();
    this.#update();
  }

  /**
   * True when held sessions need an ordinal that a promise closes. A claim ends the promise, even if the count stays
   * the same.
   */
  get closedToHeld(): boolean {
    return neededBy(this.usage.needing) > closedFrom(this.#agreement.promises);
  }

  /** Seats the session at once if there is a place. Otherwise it is held; `needs` as in {@link Usage.hold}. */
  open(id: number, needs: boolean): Seat | undefined {
    this.usage.hold(id, needs, this.#clock.nowMs());
    const seat = this.#seat(id, needs);
    this.#notify();
    return seat;
  }

  /**
   * Resolves when the held session has a seat.
   *
   * @throws the reason of `signal`; the session is still held then
   */
  async wait(id: number, signal: AbortSignal): Promise<Seat> {
    signal.throwIfAborted();
    let onAbort = () => {};
    try {
      return await new Promise<Seat>((resolve, reject) => {
        onAbort = () => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        this.#waiting.set(id, { id, seat: resolve });
        this.#seatWaiting();
      });
    } finally {
      this.#waiting.delete(id);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Whether the session still has the seat, and the rules still permit a session there. Call it after the dial and
   * before a byte is forwarded. The pod's readiness does not matter any more: the dial has succeeded.
   */
  isValid({ id, backend }: Seat): boolean {
    const now = this.pods.all.find(({ uid }) => uid === backend.uid);
    return this.usage.ordinalOf(id) === backend.ordinal && now !== undefined && this.#mayPlace(now);
  }

  /** The session gives up its seat, if it has one, and is held again. */
  holdAgain(id: number, needs: boolean): void {
    this.usage.hold(id, needs, this.#clock.nowMs());
    this.#notify();
  }

  /** The client has sent something; see {@link Usage.markUsed}. */
  markUsed(id: number): void {
    this.usage.markUsed(id, this.#clock.nowMs());
    this.#notify();
  }

  /** The session has ended. Harmless when it has ended before. */
  end(id: number): void {
    this.usage.end(id, this.#clock.nowMs());
    this.#notify();
  }

  /** The pod of a seat could not be connected to. */
  failed({ backend }: Seat): void {
    this.pods.dialFailed(backend.uid);
  }

  /** Time has passed: what `Pods.nextVerifiedMs` announced may be true now. */
  lookAgain(): void {
    this.#seatWaiting();
  }

  #update(): void {
    this.#seatWaiting();
    this.#notify();
  }

  #notify(): void {
    this.#listeners.tell();
  }

  #seatWaiting(): void {
    for (const { id, seat } of this.#waiting.values()) {
      const found = this.#seat(id, this.usage.needs(id));
      if (found === undefined) return;
      this.#waiting.delete(id);
      seat(found);
    }
  }

  #seat(id: number, used: boolean): Seat | undefined {
    const backend = this.pods.all.find((pod) => this.pods.isReady(pod) && this.#mayPlace(pod));
    if (backend === undefined) return undefined;
    this.usage.place(id, backend.ordinal, used, this.#clock.nowMs());
    return { id, backend };
  }

  #mayPlace(backend: Backend): boolean {
    const { ordinal, terminating } = backend;
    return this.#gate.open && !terminating &&
      ordinal < Math.min(placeableBelow(this.#agreement), this.#maxReplicas) &&
      !this.pods.isSuspect(backend);
  }
}
