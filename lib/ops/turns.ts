/**
 * One piece of work at a time, in the order in which it was asked for. After each there is a pause as long as the work has
 * taken, so that all together take half of a core at most, and what others wait for comes in between.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";

/** The longest pause, in ms: work may have waited for somebody itself. */
const LONGEST_PAUSE_MS = 20;

/** Gives turns. */
export class Turns {
  readonly #clock: Clock;
  #last: Promise<void> = Promise.resolve();
  #freeMs = -Infinity;

  /** Nobody waits yet. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does the work when it has its turn. @throws what it throws, or the signal's reason if nobody wants it any more by then */
  async take<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const clock = this.#clock;
    const before = this.#last;
    const turn = Promise.withResolvers<void>();
    this.#last = turn.promise;
    try {
      await before;
      signal.throwIfAborted();
      const pauseMs = this.#freeMs - clock.nowMs();
      if (pauseMs > 0) await new Promise<void>((resolve) => clock.setTimer(pauseMs, resolve));
      const startedMs = clock.nowMs();
      try {
        return await work();
      } finally {
        const endedMs = clock.nowMs();
        this.#freeMs = endedMs + Math.min(LONGEST_PAUSE_MS, endedMs - startedMs);
      }
    } finally {
      turn.resolve();
    }
  }
}
