/**
 * What the records of the other proxies say together, as the scaling decision wants it. It remembers what a proxy said
 * that has left, so that the idle time survives a rolling update. Pure but for that memory.
 *
 * @module
 */
import type { PeerUse } from "../scaler/peers.ts";
import { isExpired, type SeenRecord } from "./records.ts";

/** Folds records. */
export class PeerMemory {
  readonly #lastUsedMs = new Map<number, number>();
  readonly #busy = new Map<string, readonly number[]>();
  #lastNeededMs = -Infinity;
  #knownSinceMs: number;
  #use: PeerUse;

  /** Nothing is known of the time before `startedMs`, unless another proxy knows it. */
  constructor(startedMs: number) {
    this.#knownSinceMs = startedMs;
    this.#use = this.#fold([]);
  }

  /** What is known now. */
  get use(): PeerUse {
    return this.#use;
  }

  /** Takes over the present records of all other proxies. */
  update(others: readonly SeenRecord[], nowMs: number): void {
    const alive = others.filter((record) => !isExpired(record));
    for (const { body, seenMs } of alive) if (body !== undefined) this.#remember(body, seenMs);
    this.#endOfTheGone(alive, nowMs);
    this.#use = this.#fold(alive);
  }

  #remember(body: NonNullable<SeenRecord["body"]>, seenMs: number): void {
    for (const { ordinal, busy, idleMs } of body.inUse) if (!busy) this.#used(ordinal, seenMs - idleMs);
    if (body.neededMs !== null) this.#lastNeededMs = Math.max(this.#lastNeededMs, seenMs - body.neededMs);
    this.#knownSinceMs = Math.min(this.#knownSinceMs, seenMs - body.knowsForMs);
  }

  /** A proxy that was busy when it was last heard of has been so until now, at the latest. */
  #endOfTheGone(alive: readonly SeenRecord[], nowMs: number): void {
    for (const [identity, ordinals] of this.#busy) {
      const still = alive.find((record) => record.identity === identity)?.body;
      for (const ordinal of ordinals) {
        const busy = still?.inUse.some((use) => use.ordinal === ordinal);
        if (!busy) this.#used(ordinal, nowMs);
      }
    }
    this.#busy.clear();
    for (const { identity, body } of alive) {
      this.#busy.set(identity, (body?.inUse ?? []).filter(({ busy }) => busy).map(({ ordinal }) => ordinal));
    }
  }

  #used(ordinal: number, atMs: number): void {
    this.#lastUsedMs.set(ordinal, Math.max(atMs, this.#lastUsedMs.get(ordinal) ?? -Infinity));
  }

  #fold(alive: readonly SeenRecord[]): PeerUse {
    const busy = alive.flatMap(({ body }) =>
      body === undefined ? [Infinity] : body.inUse.filter(({ busy }) => busy).map(({ ordinal }) => ordinal)
    );
    return {
      highestBusy: Math.max(-1, ...busy),
      needing: alive.reduce((sum, { body }) => sum + (body?.needing ?? 0), 0),
      lastNeededMs: this.#lastNeededMs,
      lastUsedMs: this.#lastUsedMs,
      knownSinceMs: this.#knownSinceMs,
    };
  }
}
