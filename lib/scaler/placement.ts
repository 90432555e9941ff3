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

/** Whether this proxy may place sessions at all, whatever the agreement says: types only, `lib/ha` brings the real thing. */
export interface Gate {
  /** Read at every placing. */
  readonly open: boolean;
  /** Calls `listener` when it may have opened or closed. */
  subscribe(listener: () => void): void;
}

/** The gate of a proxy that has no others beside it. */
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

  /** When the count was last seen to rise above an ordinal, monotonic ms: of each rise the highest. */
  get roseMs(): ReadonlyMap<number, number> {
    return new Map(this.#rises.map(({ to, nowMs }) => [to - 1, nowMs]));
  }

  /**
   * Takes note of a state of the StatefulSet; see `see` of the agreement. Says whether it was news.
   *
   * The version that ends a promise may come after the scale-down that the promise was made for and a rise: then the count
   * was lower, unseen, and the pods are suspect. `proof` says why that cannot be: `"watch"`, since a watch skips no
   * version, or the version that a write of our own was conditioned on which has succeeded, since then no other write
   * on it has landed. (A conflict proves the opposite.)
   */
  see(seen: Seen, proof?: string): boolean {
    const before = this.#agreement;
    this.#agreement = see(before, seen);
    if (this.#agreement === before) return false;
    const kept = new Set(this.#agreement.promises);
    const ended = before.promises.filter((made) => !kept.has(made) && made.version !== proof);
    const rise = { from: before.seen?.replicas ?? 0, to: seen.replicas, nowMs: this.#clock.nowMs() };
    this.#rises = [...this.#rises, rise].map((it) => ({ ...it, to: Math.min(it.to, seen.replicas) }))
      .filter(({ from, to }) => from < to);
    this.usage.forget(seen.replicas);
    // The pods tell that they have changed, and so all listeners hear of this.
    this.pods.counted(seen.replicas, proof === "watch" ? Infinity : closedFrom(ended));
    return true;
  }

  /** The resourceVersions have regressed: what was seen and promised says nothing about the versions that come now. */
  startAnew(): void {
    this.#agreement = NOTHING_SEEN;
    this.pods.counted(0, 0);
  }

  /**
   * Makes a promise, if nothing speaks against it: no session on an ordinal that it closes, and none held that needs
   * one. False if something does.
   */
  promise(made: ScalePromise): boolean {
    const { highest, needing } = this.usage;
    if (blocks({ highest, needed: neededBy(needing) }, made.below)) return false;
    this.#agreement = promise(this.#agreement, made);
    return true;
  }

  /** Places nothing until a version newer than this is seen: what a proxy promises that has just joined. */
  bind(version: string): void {
    this.#agreement = promise(this.#agreement, { below: 0, version });
  }

  /** Forgets all promises: this proxy was cut off for so long that none of the others reckons with it any more. */
  unbind(): void {
    this.#agreement = { ...this.#agreement, promises: [] };
    this.pods.assumeSettled();
    this.#update();
  }

  /** True when held sessions need an ordinal that a promise closes: only a claim opens it. */
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

  /** Whether the session still has the seat and could be placed there now. Asked after the dial, before a byte is forwarded. */
  isValid({ id, backend }: Seat): boolean {
    const now = this.pods.all.find(({ uid }) => uid === backend.uid);
    return this.usage.ordinalOf(id) === backend.ordinal && now !== undefined && this.#mayPlace(now);
  }

  /** The session gives up its seat, if it has one, and is held again. */
  holdAgain(id: number, needs: boolean): void {
    this.usage.hold(id, needs, this.#clock.nowMs());
    this.#notify();
  }

  /** The session has shown that it is a client's. */
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
