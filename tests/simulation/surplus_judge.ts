/**
 * A count that somebody else raises again soon after it was lowered is kept twice as long each time: finds a proxy that
 * lowers it sooner. It knows the least that must hold, for a proxy that is alone and sees everything. Times in true ms.
 *
 * @module
 */

/** What was last done to the count of one StatefulSet. */
interface Count {
  /** When the proxy has lowered it, and to what. */
  readonly loweredMs: number;
  readonly loweredTo: number;
  /** When somebody else has last raised it since then. */
  readonly raisedMs: number | undefined;
  /** How often in a row that was soon after it was lowered. */
  readonly times: number;
}

/** Whatever the clocks say, it is soon in this part of the idle timeout. */
const SOON_PART = 0.5;

/** Clocks and latency make a time shorter by as much, at most. */
const LEAST_PART = 0.85;

/** One judge for all StatefulSets. */
export class SurplusJudge {
  readonly #idleTimeoutMs: (set: string) => number;
  readonly #counts = new Map<string, Count>();

  /** Takes the idle timeouts. */
  constructor(idleTimeoutMs: (set: string) => number) {
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** A session has its seat on this ordinal: somebody needs it. */
  used(set: string, ordinal: number): void {
    const count = this.#counts.get(set);
    if (count !== undefined && ordinal >= count.loweredTo) this.#counts.set(set, { ...count, times: 0 });
  }

  /** The count has changed, by somebody else or by the proxy. Returns what is wrong with that, if anything is. */
  scaled(set: string, before: number, after: number, byHand: boolean, nowMs: number): string | undefined {
    const count = this.#counts.get(set);
    if (after > before) {
      // A proxy raises it for a session, which needs it.
      if (!byHand) this.#counts.delete(set);
      else if (count !== undefined) {
        this.#counts.set(set, this.#raised(count, after, nowMs, this.#idleTimeoutMs(set)));
      }
      return undefined;
    }
    if (byHand) return void this.#counts.delete(set);
    const { times = 0, raisedMs } = count ?? {};
    this.#counts.set(set, { loweredMs: nowMs, loweredTo: after, raisedMs: undefined, times });
    if (raisedMs === undefined || nowMs - raisedMs >= LEAST_PART * this.#idleTimeoutMs(set) * 2 ** times) {
      return undefined;
    }
    return `the count of ${set}, raised again ${times} times, is lowered after ${
      (nowMs - raisedMs).toFixed(0)
    } ms`;
  }

  #raised(count: Count, after: number, nowMs: number, idleTimeoutMs: number): Count {
    // Two raises after one scale-down are one.
    if (count.raisedMs !== undefined) return { ...count, raisedMs: nowMs };
    const isSoon = after > count.loweredTo && nowMs - count.loweredMs <= SOON_PART * idleTimeoutMs;
    return { ...count, raisedMs: nowMs, times: isSoon ? count.times + 1 : 0 };
  }
}
