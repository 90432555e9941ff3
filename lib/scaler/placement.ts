/**
 * Where sessions go: holds those that wait, and seats them on a backend as soon as the agreement's rules allow. Check,
 * choice and counting are one synchronous step. Never talks to the API and never writes replicas.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import {
  type Agreement,
  closedFrom,
  NOTHING_SEEN,
  placeableBelow,
  promise,
  type ScalePromise,
  see,
  type Seen,
  speaksAgainst,
} from "./agreement.ts";
import type { Backend } from "./backends.ts";
import { Condemned } from "./condemned.ts";
import { neededBy } from "./decide.ts";
import {
  checked,
  doubted,
  fallen,
  type HealthAnswer,
  isReady,
  type PodHealth,
  type ReadinessMode,
  UNCHECKED,
} from "./readiness.ts";
import { Usage } from "./usage.ts";

/** A session's place: it counts for the ordinal from before the dial. */
export interface Seat {
  /** The session. */
  readonly id: number;
  /** The pod. */
  readonly backend: Backend;
}

interface Waiter {
  readonly id: number;
  readonly seat: (seat: Seat) => void;
}

/** Seats sessions. */
export class Placement {
  /** What is in use. */
  readonly usage = new Usage();
  /** What makes a pod ready. */
  readonly mode: ReadinessMode;
  /** Whether this proxy may place at all now: asked at every placing. */
  gate: () => boolean = () => true;
  /** Counts that writes of this proxy may set at any moment: they are under way. */
  readonly writing = new Set<number>();
  readonly #clock: Clock;
  readonly #maxReplicas: number;
  readonly #health = new Map<string, PodHealth>();
  readonly #condemned = new Condemned();
  readonly #listeners = new Set<() => void>();
  readonly #waiting = new Map<number, Waiter>();
  /** The ordinals that the count was seen to rise above, lowest first; `to` is not among them. */
  #rises: readonly { readonly from: number; readonly to: number; readonly nowMs: number }[] = [];
  #agreement: Agreement = NOTHING_SEEN;
  #backends: readonly Backend[] = [];
  /** When the controller had worked off what may have come and gone unseen, monotonic ms; Infinity while it has not. */
  #gapSettledMs = -Infinity;

  /** No session is ever placed on an ordinal at or above `maxReplicas`. */
  constructor(clock: Clock, maxReplicas: number, mode: ReadinessMode) {
    this.mode = mode;
    this.#clock = clock;
    this.#maxReplicas = maxReplicas;
  }

  /** The newest state of the StatefulSet that was seen, and the promises that bind. */
  get agreement(): Agreement {
    return this.#agreement;
  }

  /** The pods as last seen. */
  get backends(): readonly Backend[] {
    return this.#backends;
  }

  /** Calls `listener` after every change of what can be seen here. It must be quick and must not throw. */
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
   * What ends a promise may have skipped the scale-down that the promise was made for: then the count has fallen and
   * risen unseen, and the pods are condemned. `proof` says why that cannot be: `"watch"`, since a watch skips no
   * version, or the version that a write of our own was conditioned on which has succeeded, since then no other write
   * on it has landed. (A conflict proves the opposite.)
   */
  see(seen: Seen, proof?: string): boolean {
    const before = this.#agreement;
    this.#agreement = see(before, seen);
    if (this.#agreement === before) return false;
    this.#condemned.seen(seen.replicas, this.#backends);
    if (proof !== "watch") {
      const kept = new Set(this.#agreement.promises);
      const ended = before.promises.filter((made) => !kept.has(made) && made.version !== proof);
      this.#condemned.seen(closedFrom(ended), this.#backends);
    }
    const rise = { from: before.seen?.replicas ?? 0, to: seen.replicas, nowMs: this.#clock.nowMs() };
    this.#rises = [...this.#rises, rise].map((it) => ({ ...it, to: Math.min(it.to, seen.replicas) }))
      .filter(({ from, to }) => from < to);
    this.usage.forget(seen.replicas);
    this.#update();
    return true;
  }

  /** Versions have gone back: what was seen and promised means nothing any more, and the pods have to prove themselves. */
  startAnew(): void {
    this.#agreement = NOTHING_SEEN;
    this.#condemned.seen(0, this.#backends);
    this.#update();
  }

  /**
   * Counts may have come and gone unseen: the StatefulSet controller may be taking away any pod that is there, so each has
   * to prove itself once a state that comes from now on is `settled`.
   */
  unsettled(): void {
    this.#gapSettledMs = Infinity;
    this.#condemned.seen(0, this.#backends);
    this.#update();
  }

  /** The StatefulSet controller is known to have worked off the count of the newest version seen. */
  settled(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#gapSettledMs === Infinity) this.#gapSettledMs = nowMs;
    this.#condemned.settled(this.#agreement.seen?.replicas ?? 0, this.#backends, nowMs);
    this.#update();
  }

  /** A pod that is condemned still, although the controller has worked off a count that keeps it: does it live? */
  get inDoubt(): { readonly backend: Backend; readonly settledMs: number } | undefined {
    const nowMs = this.#clock.nowMs();
    for (const backend of this.#backends) {
      const settledMs = this.#condemned.settledAtMs(backend.uid);
      const isTrusted = this.#condemned.trustedAtMs(backend.uid) <= nowMs;
      if (settledMs !== undefined && !isTrusted && !backend.terminating) return { backend, settledMs };
    }
    return undefined;
  }

  /** A pod {@link inDoubt} was seen to live since. */
  spare(uid: string, settledMs: number): void {
    this.#condemned.spare(uid, settledMs);
    this.#update();
  }

  /** A pod was seen to go. */
  condemn(uid: string): void {
    this.#condemned.condemn(uid);
    this.#update();
  }

  /** The pods have changed. `listed` if this may be older than what else was seen, and is no news that a watch brought. */
  setBackends(backends: readonly Backend[], listed = false): void {
    for (const { uid } of this.#backends.filter(({ ready }) => ready)) {
      const now = backends.find((backend) => backend.uid === uid);
      if (now?.ready === false) this.#health.set(uid, fallen(this.healthOf(uid)));
    }
    const known = new Set(this.#backends.map(({ uid }) => uid));
    this.#backends = backends;
    this.#condemned.keepOnly(backends);
    for (const uid of this.#health.keys()) {
      if (!backends.some((backend) => backend.uid === uid)) this.#health.delete(uid);
    }
    const replicas = this.#agreement.seen?.replicas ?? 0;
    this.#condemned.seen(replicas, backends);
    // What lags behind may show a pod that went in the gap: the pod is trusted a while after the end of the gap, if then.
    if (listed) {
      const fresh = backends.filter(({ uid }) => !known.has(uid));
      this.#condemned.seen(0, fresh);
      this.#condemned.settled(replicas, fresh, this.#gapSettledMs);
    }
    this.#update();
  }

  /** What health checks have shown of a pod. */
  healthOf(uid: string): PodHealth {
    return this.#health.get(uid) ?? UNCHECKED;
  }

  /** A health check of a pod has ended. */
  checked(uid: string, answer: HealthAnswer): void {
    this.#setHealth(uid, checked(this.healthOf(uid), answer));
  }

  /** A dial to a pod has failed although it was ready. */
  doubt(uid: string): void {
    this.#setHealth(uid, doubted(this.healthOf(uid)));
  }

  /** May the pod take sessions, as far as it and its daemon say? */
  isReady(backend: Backend): boolean {
    return isReady(this.mode, backend, this.healthOf(backend.uid));
  }

  /**
   * Makes a promise, if nothing speaks against it: no session on an ordinal that it closes, and none held that needs
   * one. False if something does.
   */
  promise(made: ScalePromise): boolean {
    const { highest, needing } = this.usage;
    if (speaksAgainst({ highest, needed: neededBy(needing) }, made.below)) return false;
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
    // Nor will it hear what became of the pods: those that go on looking ready are used.
    if (this.#gapSettledMs === Infinity) this.settled();
    this.#update();
  }

  /** Something outside that decides about placing has changed. */
  gateChanged(): void {
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

  /** The check of placing once more, after the dial and before a byte is forwarded: must the seat be given up? */
  holds({ id, backend }: Seat): boolean {
    const now = this.#backends.find(({ uid }) => uid === backend.uid);
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

  /** When a pod that may not be used yet can be without any further event, monotonic ms; Infinity if none. */
  get nextTrustMs(): number {
    const nowMs = this.#clock.nowMs();
    const times = this.#backends.map(({ uid }) => this.#condemned.trustedAtMs(uid)).filter((ms) =>
      ms > nowMs
    );
    return Math.min(Infinity, ...times);
  }

  /** Time has passed: what `nextTrustMs` announced may be true now. */
  lookAgain(): void {
    this.#seatWaiting();
  }

  #setHealth(uid: string, health: PodHealth): void {
    if (health === this.healthOf(uid) || !this.#backends.some((backend) => backend.uid === uid)) return;
    this.#health.set(uid, health);
    this.#update();
  }

  #update(): void {
    this.#seatWaiting();
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
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
    const backend = this.#backends.find((backend) => this.isReady(backend) && this.#mayPlace(backend));
    if (backend === undefined) return undefined;
    this.usage.place(id, backend.ordinal, used, this.#clock.nowMs());
    return { id, backend };
  }

  #mayPlace({ ordinal, uid, terminating }: Backend): boolean {
    return this.gate() && !terminating &&
      ordinal < Math.min(placeableBelow(this.#agreement), this.#maxReplicas) &&
      this.#condemned.trustedAtMs(uid) <= this.#clock.nowMs();
  }
}
