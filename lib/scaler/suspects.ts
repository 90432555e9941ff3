/**
 * Which pods may be about to be deleted. Three words are used for this in the whole program:
 *
 * - A pod is **suspect** from the moment in which a count is seen that does not keep it, or in which such a count may
 *   have come and gone unseen. Between that count and the daemon's SIGTERM the pod still looks ready. If the count rises
 *   again in that time, the StatefulSet controller may still delete the pod, so no session is placed on it.
 * - A count is **settled** when the controller has processed it (`status.observedGeneration`). Every deletion that the
 *   controller decided on before has been sent by then.
 * - A suspect pod is **verified** when a settled count keeps it and the API server then shows it without a deletion
 *   (`verification.ts` asks), or when it still looks ready {@link VERIFIED_AFTER_MS} later. From then on it is as any other.
 *
 * A daemon that does not answer is another matter: it is unhealthy, see `readiness.ts`. Pure but for its own memory.
 *
 * @module
 */
import type { Backend } from "./backends.ts";

/**
 * How long after a settled count keeps it a suspect pod must still look ready to count as verified, in ms: time for a
 * deletion to show in the EndpointSlices.
 */
export const VERIFIED_AFTER_MS = 5_000;

/** Remembers suspect pods by uid. */
export class Suspects {
  /** Uids of pods that are being deleted, or are gone. */
  readonly #deleted = new Set<string>();
  /** Uid to the time since which a settled count keeps the pod; Infinity if none does. */
  readonly #settledMs = new Map<string, number>();

  /** A count of `replicas` was seen, or may have been missed: pods at or above it are suspect. */
  add(replicas: number, backends: readonly Backend[]): void {
    for (const { ordinal, uid } of backends) if (ordinal >= replicas) this.#settledMs.set(uid, Infinity);
  }

  /** A count of `replicas` is settled. */
  settled(replicas: number, backends: readonly Backend[], nowMs: number): void {
    for (const { ordinal, uid } of backends) {
      if (this.#deleted.has(uid)) continue;
      if (ordinal < replicas && this.#settledMs.get(uid) === Infinity) this.#settledMs.set(uid, nowMs);
    }
  }

  /** Since when a settled count keeps a suspect pod, monotonic ms; undefined if none does. */
  settledAtMs(uid: string): number | undefined {
    const settledMs = this.#settledMs.get(uid) ?? Infinity;
    return settledMs < Infinity ? settledMs : undefined;
  }

  /** The pod was verified alive after `settledMs`. It stays suspect if a lower count was seen since. */
  verified(uid: string, settledMs: number): void {
    if (this.#settledMs.get(uid) === settledMs) this.#settledMs.delete(uid);
  }

  /** The pod is being deleted, or is gone: it stays suspect for ever. */
  deleted(uid: string): void {
    this.#deleted.add(uid);
    this.#settledMs.set(uid, Infinity);
  }

  /** Forgets the pods that are gone. */
  keepOnly(backends: readonly Backend[]): void {
    for (const uid of this.#deleted) {
      if (!backends.some((backend) => backend.uid === uid)) this.#deleted.delete(uid);
    }
    for (const uid of this.#settledMs.keys()) {
      if (!backends.some((backend) => backend.uid === uid)) this.#settledMs.delete(uid);
    }
  }

  /** When the pod counts as verified, monotonic ms: -Infinity if it is not suspect, Infinity if that is not known yet. */
  verifiedAtMs(uid: string): number {
    const settledMs = this.#settledMs.get(uid);
    return settledMs === undefined ? -Infinity : settledMs + VERIFIED_AFTER_MS;
  }
}
