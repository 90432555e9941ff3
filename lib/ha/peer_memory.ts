/**
 * What the records of the other proxies say together, as the scaling decision wants it. It remembers what a proxy said
 * that has left, so that the idle time survives a rolling update. Pure but for that memory.
 *
 * @module
 */
import type { PeerUse } from "../scaler/peers.ts";
import { isExpired, type SeenRecord } from "./record_expiry.ts";

/** What one proxy was last heard to have used. */
interface Said {
  /** Where it was said. */
  readonly record: SeenRecord;
  readonly busy: readonly number[];
  readonly usedMs: ReadonlyMap<number, number>;
  readonly neededMs: number;
}

/** When ordinals were last used, and a held session last needed one. */
export interface LastUse {
  /** When the last session on an ordinal ended, monotonic ms. */
  readonly lastUsedMs: ReadonlyMap<number, number>;
  /** When the last held session ceased to call for a pod; -Infinity if there was none. */
  readonly lastNeededMs: number;
}

/** Folds records. */
export class PeerMemory {
  readonly #inheritedMs = new Map<number, number>();
  #inheritedNeedMs = -Infinity;
  #said: ReadonlyMap<string, Said> = new Map();
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

  /**
   * What proxies said that have gone. Only this is passed on: if living ones repeated each other, each round would make
   * the last use seem later by the time that a record takes from one to the other.
   */
  get inherited(): LastUse {
    return { lastUsedMs: this.#inheritedMs, lastNeededMs: this.#inheritedNeedMs };
  }

  /** Takes over the present records of all other proxies. */
  update(others: readonly SeenRecord[], nowMs: number): void {
    const alive = others.filter((record) => !isExpired(record));
    const said = new Map<string, Said>();
    for (const record of alive) {
      const { identity, body, seenMs } = record;
      if (body === undefined) continue;
      const before = this.#said.get(identity);
      if (before?.record === record) {
        said.set(identity, before);
        continue;
      }
      this.#knownSinceMs = Math.min(this.#knownSinceMs, seenMs - body.knowsForMs);
      const idle = body.inUse.filter(({ busy }) => !busy);
      said.set(identity, {
        record,
        busy: body.inUse.filter(({ busy }) => busy).map(({ ordinal }) => ordinal),
        usedMs: new Map(idle.map(({ ordinal, idleMs }) => [ordinal, seenMs - idleMs])),
        neededMs: body.neededMs === null ? -Infinity : seenMs - body.neededMs,
      });
    }
    for (const [identity, before] of this.#said) {
      const now = said.get(identity);
      if (now !== before) this.#inherit(before, now, nowMs);
    }
    this.#said = said;
    this.#use = this.#fold(alive);
  }

  /**
   * Remembers what a proxy says no more. Where it was busy when last heard of, it has been until now, at the latest.
   */
  #inherit({ busy, usedMs, neededMs }: Said, now: Said | undefined, nowMs: number): void {
    for (const ordinal of busy) {
      if (now === undefined || !(now.busy.includes(ordinal) || now.usedMs.has(ordinal))) {
        latest(this.#inheritedMs, ordinal, nowMs);
      }
    }
    if (now !== undefined) return;
    for (const [ordinal, ms] of usedMs) latest(this.#inheritedMs, ordinal, ms);
    this.#inheritedNeedMs = Math.max(this.#inheritedNeedMs, neededMs);
  }

  #fold(alive: readonly SeenRecord[]): PeerUse {
    const lastUsedMs = new Map(this.#inheritedMs);
    let lastNeededMs = this.#inheritedNeedMs;
    for (const { usedMs, neededMs } of this.#said.values()) {
      for (const [ordinal, ms] of usedMs) latest(lastUsedMs, ordinal, ms);
      lastNeededMs = Math.max(lastNeededMs, neededMs);
    }
    const busy = alive.flatMap(({ body }) =>
      body === undefined ? [Infinity] : body.inUse.filter(({ busy }) => busy).map(({ ordinal }) => ordinal)
    );
    return {
      highestBusy: Math.max(-1, ...busy),
      needing: alive.reduce((sum, { body }) => sum + (body?.needing ?? 0), 0),
      sessions: sessionsOf(alive),
      lastNeededMs,
      lastUsedMs,
      knownSinceMs: this.#knownSinceMs,
    };
  }
}

/** The sum of all, by ordinal. A proxy that does not count them has one where it is busy. */
function sessionsOf(alive: readonly SeenRecord[]): ReadonlyMap<number, number> {
  const sum = new Map<number, number>();
  for (const { body } of alive) {
    const busy = (body?.inUse ?? []).filter(({ busy }) => busy);
    const counts = body?.sessions ?? Object.fromEntries(busy.map(({ ordinal }) => [ordinal, 1]));
    for (const [ordinal, count] of Object.entries(counts)) {
      if (count > 0) sum.set(Number(ordinal), (sum.get(Number(ordinal)) ?? 0) + count);
    }
  }
  return sum;
}

function latest(times: Map<number, number>, ordinal: number, ms: number): void {
  times.set(ordinal, Math.max(ms, times.get(ordinal) ?? -Infinity));
}
