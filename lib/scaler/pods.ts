/**
 * The pods of the StatefulSet as this proxy sees them, and which of them may be used: what their readiness and their
 * daemons say (`readiness.ts`), and whether they are suspect (`suspects.ts`). Knows neither sessions nor promises, and
 * never talks to the API.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import type { Backend } from "./backends.ts";
import {
  checked,
  dialFailed,
  dialled,
  type HealthAnswer,
  isReady,
  type PodHealth,
  type ReadinessMode,
  UNCHECKED,
  unready,
} from "./readiness.ts";
import { Suspects } from "./suspects.ts";

/** Knows the pods. */
export class Pods {
  /** What makes a pod ready. */
  readonly mode: ReadinessMode;
  readonly #clock: Clock;
  readonly #health = new Map<string, PodHealth>();
  readonly #suspects = new Suspects();
  readonly #listeners = new Listeners();
  #all: readonly Backend[] = [];
  /** The newest count seen. */
  #replicas = 0;
  /** When a count was settled after counts may have been missed, monotonic ms; Infinity until then. */
  #gapSettledMs = -Infinity;

  /** There are none at first. */
  constructor(clock: Clock, mode: ReadinessMode) {
    this.mode = mode;
    this.#clock = clock;
  }

  /** The pods as last seen, lowest ordinal first. */
  get all(): readonly Backend[] {
    return this.#all;
  }

  /** Calls `listener` after every change of what is known. It must be quick and must not throw. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * The pods have changed. `listed` unless a watch has just reported the change: a list may be older than what was
   * seen.
   */
  set(backends: readonly Backend[], listed = false): void {
    for (const { uid } of this.#all.filter(({ ready }) => ready)) {
      const now = backends.find((backend) => backend.uid === uid);
      if (now?.ready === false) this.#health.set(uid, unready(this.healthOf(uid)));
    }
    const known = new Set(this.#all.map(({ uid }) => uid));
    this.#all = backends;
    this.#suspects.keepOnly(backends);
    for (const uid of this.#health.keys()) if (!this.#has(uid)) this.#health.delete(uid);
    this.#suspects.add(this.#replicas, backends);
    // A list may lag, and show a pod that went while counts were missed: such a pod is verified some time after that.
    if (listed) {
      const fresh = backends.filter(({ uid }) => !known.has(uid));
      this.#suspects.add(0, fresh);
      this.#suspects.settled(this.#replicas, fresh, this.#gapSettledMs);
    }
    this.#notify();
  }

  /** A newer count was seen; since the one before, the count may have been as low as `lowest`. */
  counted(replicas: number, lowest: number): void {
    this.#replicas = replicas;
    this.#suspects.add(Math.min(replicas, lowest), this.#all);
    this.#notify();
  }

  /** The newest count seen is settled. */
  settled(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#gapSettledMs === Infinity) this.#gapSettledMs = nowMs;
    this.#suspects.settled(this.#replicas, this.#all, nowMs);
    this.#notify();
  }

  /** Counts may have come and gone unseen: all pods are suspect until a count that is seen from now on is settled. */
  countsMissed(): void {
    this.#gapSettledMs = Infinity;
    this.#suspects.add(0, this.#all);
    this.#notify();
  }

  /**
   * The proxy is cut off, so it cannot see that a count is settled after some were missed: takes the newest one for
   * settled.
   */
  assumeSettled(): void {
    if (this.#gapSettledMs === Infinity) this.settled();
  }

  /** A suspect pod that a settled count keeps: it can be verified now. */
  get toVerify(): { readonly backend: Backend; readonly settledMs: number } | undefined {
    for (const backend of this.#all) {
      const settledMs = this.#suspects.settledAtMs(backend.uid);
      if (settledMs !== undefined && this.isSuspect(backend) && !backend.terminating) {
        return { backend, settledMs };
      }
    }
    return undefined;
  }

  /** A pod {@link toVerify} was verified alive after `settledMs`. */
  verified(uid: string, settledMs: number): void {
    this.#suspects.verified(uid, settledMs);
    this.#notify();
  }

  /** A pod is being deleted, or is gone. */
  deleted(uid: string): void {
    this.#suspects.deleted(uid);
    this.#notify();
  }

  /** May the pod be about to be deleted? */
  isSuspect({ uid }: Backend): boolean {
    return this.#suspects.verifiedAtMs(uid) > this.#clock.nowMs();
  }

  /** When the next suspect pod is verified without any further event, monotonic ms; Infinity if none is. */
  get nextVerifiedMs(): number {
    const nowMs = this.#clock.nowMs();
    const times = this.#all.map(({ uid }) => this.#suspects.verifiedAtMs(uid)).filter((ms) => ms > nowMs);
    return Math.min(Infinity, ...times);
  }

  /** May the pod take sessions, as far as its readiness and its daemon say? */
  isReady(backend: Backend): boolean {
    return isReady(this.mode, backend, this.healthOf(backend.uid));
  }

  /** What health checks and dials have shown of a pod's daemon. */
  healthOf(uid: string): PodHealth {
    return this.#health.get(uid) ?? UNCHECKED;
  }

  /** A health check of a pod has ended. */
  checked(uid: string, answer: HealthAnswer): void {
    this.#setHealth(uid, checked(this.healthOf(uid), answer));
  }

  /** A dial to a pod has failed although it was ready. */
  dialFailed(uid: string): void {
    this.#setHealth(uid, dialFailed(this.healthOf(uid), this.#clock.nowMs()));
  }

  /** A dial to a pod has succeeded. */
  dialled(uid: string): void {
    this.#setHealth(uid, dialled(this.healthOf(uid)));
  }

  #setHealth(uid: string, health: PodHealth): void {
    if (health === this.healthOf(uid) || !this.#has(uid)) return;
    this.#health.set(uid, health);
    this.#notify();
  }

  #has(uid: string): boolean {
    return this.#all.some((backend) => backend.uid === uid);
  }

  #notify(): void {
    this.#listeners.tell();
  }
}
