/**
 * Pods that a lower count has condemned. Between the fall of the count and the daemon's SIGTERM there is a moment in
 * which the pod still looks ready, and if the count rises again in that moment, a session placed there would be cut when
 * the pod goes. So a pod whose ordinal was at or above a count that was seen is not placed on any more, until it is
 * clear that the StatefulSet controller has let it live: `reprieve.ts` asks, and where it cannot, time tells. Pure but
 * for its own memory.
 *
 * @module
 */
import type { Backend } from "./backends.ts";

/**
 * How long after the controller has worked off the higher count a pod must still look ready to be trusted, in ms: time
 * for a deletion to show in the EndpointSlices.
 */
export const TRUST_AFTER_MS = 5_000;

/** Remembers condemned pods by uid. */
export class Condemned {
  /** Uids of pods that are known to go. */
  readonly #going = new Set<string>();
  /** Uid to the time from which the controller is known to have seen a count that keeps the pod. */
  readonly #settledMs = new Map<string, number>();

  /** The count is `replicas`: pods at or above it are condemned. */
  seen(replicas: number, backends: readonly Backend[]): void {
    for (const { ordinal, uid } of backends) if (ordinal >= replicas) this.#settledMs.set(uid, Infinity);
  }

  /** The controller has worked off a count of `replicas` (`observedGeneration` has reached `generation`). */
  settled(replicas: number, backends: readonly Backend[], nowMs: number): void {
    for (const { ordinal, uid } of backends) {
      if (this.#going.has(uid)) continue;
      if (ordinal < replicas && this.#settledMs.get(uid) === Infinity) this.#settledMs.set(uid, nowMs);
    }
  }

  /** Since when the controller has worked off a count that keeps a condemned pod, monotonic ms; undefined if it has not. */
  settledAtMs(uid: string): number | undefined {
    const settledMs = this.#settledMs.get(uid) ?? Infinity;
    return settledMs < Infinity ? settledMs : undefined;
  }

  /** It was seen to live after the controller had worked off that count, at `settledMs`, and not been condemned again since. */
  spare(uid: string, settledMs: number): void {
    if (this.#settledMs.get(uid) === settledMs) this.#settledMs.delete(uid);
  }

  /** It was seen to go, or to be gone: nothing brings it back. */
  condemn(uid: string): void {
    this.#going.add(uid);
    this.#settledMs.set(uid, Infinity);
  }

  /** Pods that are gone need no memory. */
  keepOnly(backends: readonly Backend[]): void {
    for (const uid of this.#going) {
      if (!backends.some((backend) => backend.uid === uid)) this.#going.delete(uid);
    }
    for (const uid of this.#settledMs.keys()) {
      if (!backends.some((backend) => backend.uid === uid)) this.#settledMs.delete(uid);
    }
  }

  /** When the pod may be trusted again, monotonic ms: -Infinity if it never lost trust, Infinity if nobody knows yet. */
  trustedAtMs(uid: string): number {
    const settledMs = this.#settledMs.get(uid);
    return settledMs === undefined ? -Infinity : settledMs + TRUST_AFTER_MS;
  }
}
