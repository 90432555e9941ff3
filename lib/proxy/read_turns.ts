/**
 * Lets sessions that send much read a few at a time, in order, so that in between comes what all others do: above all new
 * clients, which the runtime accepts in the same turns of its event loop.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";

/** Reads that may begin in one turn of the event loop. Each takes about 0.1 ms, with the write that follows. */
export const AT_ONCE = 32;

/** After so many, the next turn is asked for: a few streams at full speed then never wait for theirs. */
const ASKS_AT = AT_ONCE / 2;

/** From one turn to the next, in ms: the shortest timer of the runtime. */
const TURN_MS = 1;

/** The turns of all sessions. */
export class ReadTurns {
  readonly #clock: Pick<Clock, "setTimer">;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #left = AT_ONCE;
  #isAsked = false;

  /** Nobody has read yet. */
  constructor(clock: Pick<Clock, "setTimer">) {
    this.#clock = clock;
  }

  /** Calls `read` once: at once, or when it has its turn. */
  take(read: () => void): void {
    if (this.#left === 0) {
      this.#waiting.add(read);
      return;
    }
    this.#left--;
    if (this.#left <= ASKS_AT) this.#ask();
    read();
  }

  /** Undoes `take`. */
  forget(read: () => void): void {
    this.#waiting.delete(read);
  }

  #ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#clock.setTimer(TURN_MS, () => this.#turn());
  }

  #turn(): void {
    this.#isAsked = false;
    this.#left = AT_ONCE;
    for (const read of this.#waiting) {
      if (this.#left === 0) break;
      this.#waiting.delete(read);
      this.take(read);
    }
  }
}
