/**
 * Lets sessions that send much while they are held read a few at a time, in order: so what all others do comes in between,
 * above all the first bytes of new clients.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";

/** Reads that begin in one turn. Each takes about 0.1 ms. */
const AT_ONCE = 16;

/** From one turn to the next, in ms: the shortest timer of the runtime. */
const TURN_MS = 1;

/** The turns of all sessions. */
export class ReadTurns {
  readonly #clock: Pick<Clock, "setTimer">;
  readonly #waiting = new Set<() => void>();
  #isDue = false;

  /** Nobody waits yet. */
  constructor(clock: Pick<Clock, "setTimer">) {
    this.#clock = clock;
  }

  /** Calls `read` once, when it has its turn. */
  take(read: () => void): void {
    this.#waiting.add(read);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.setTimer(TURN_MS, () => this.#give());
  }

  /** Undoes `take`. */
  forget(read: () => void): void {
    this.#waiting.delete(read);
  }

  #give(): void {
    this.#isDue = false;
    let left = AT_ONCE;
    for (const read of this.#waiting) {
      if (left-- === 0) break;
      this.#waiting.delete(read);
      read();
    }
    const [next] = this.#waiting;
    if (next !== undefined) this.take(next);
  }
}
