/**
 * Lets the targets of a process join a few at a time, so that a start in front of many StatefulSets is no burst of requests.
 * A place that is not given back is free again after a while: a target may have to wait for long, and no other waits for it.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { orAborted } from "../base/or_aborted.ts";

/** So many places there are. */
export const JOINS_AT_A_TIME = 4;

/** For so long a place is kept at most, in ms: much longer than the requests of a join take. */
export const LONGEST_JOIN_MS = 5_000;

/** The places. */
export class JoinPlaces {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #free = JOINS_AT_A_TIME;

  /** All are free. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits for a place. Dispose of it to give it back.
   *
   * @throws the reason of `signal`
   */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let isHeld = true;
    const giveBack = () => {
      if (!isHeld) return;
      isHeld = false;
      cancel();
      this.#giveBack();
    };
    const cancel = this.#clock.setTimer(LONGEST_JOIN_MS, giveBack);
    return { [Symbol.dispose]: giveBack };
  }

  /** Resolves with a place that somebody has given back. */
  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    try {
      await orAborted(promise, signal);
    } catch (error) {
      // The place may have come at the same moment.
      if (!this.#waiting.delete(resolve)) this.#giveBack();
      throw error;
    }
  }

  #giveBack(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
