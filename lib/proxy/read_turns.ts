/**
 * Lets sessions that send much read a few at a time, in order, so that in between comes what all others do: above all new
 * clients, which the runtime accepts in the same turns of its event loop.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";

/** Reads that may begin in one turn of the event loop. Each takes about 0.1 ms, with the write that follows. */
export const AT_ONCE = 4;

/** The turns of all sessions. */
export class ReadTurns {
  readonly #clock: Pick<Clock, "nextTurn">;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #left = AT_ONCE;

  /** Nobody has read yet. */
  constructor(clock: Pick<Clock, "nextTurn">) {
    this.#clock = clock;
  }

  /** Calls `read` once: at once, or when it has its turn. */
  take(read: () => void): void {
    if (this.#left === 0) {
      this.#waiting.add(read);
      return;
    }
    if (this.#left === AT_ONCE) this.#clock.nextTurn(() => this.#turn());
    this.#left--;
    read();
  }

  /** Undoes `take`. */
  forget(read: () => void): void {
    this.#waiting.delete(read);
  }

  #turn(): void {
    this.#left = AT_ONCE;
    for (const read of this.#waiting) {
      if (this.#left === 0) break;
      this.#waiting.delete(read);
      this.take(read);
    }
  }
}
