/**
 * Spreads the dials of clients that are released together over turns of the event loop. Thousands that are begun in one
 * turn keep the loop from all else: the first client is served only after the last dial has begun, and the time limit of a
 * connect runs out before anybody has looked whether it is there. A dial that hangs holds up nobody: how many are under way
 * is not limited.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";

/** With fewer under way, a dial begins at once. Of those that have to wait, so many begin in each turn. */
export const AT_ONCE = 128;

/** Begins the dials to one builder. */
export class DialPace {
  readonly #clock: Pick<Clock, "setTimer">;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  /** Nothing is under way yet. */
  constructor(clock: Pick<Clock, "setTimer">) {
    this.#clock = clock;
  }

  /** Begins it now, or in a later turn if many are under way. Settles as `dial` does. */
  run<T>(dial: () => Promise<T>): Promise<T> {
    if (this.#underWay < AT_ONCE && this.#waiting.length === 0) return this.#begin(dial);
    if (this.#waiting.length === 0) this.#clock.setTimer(0, () => this.#turn());
    return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(() => this.#begin(dial));
  }

  #begin<T>(dial: () => Promise<T>): Promise<T> {
    this.#underWay++;
    return dial().finally(() => this.#underWay--);
  }

  #turn(): void {
    for (const begin of this.#waiting.splice(0, AT_ONCE)) begin();
    if (this.#waiting.length > 0) this.#clock.setTimer(0, () => this.#turn());
  }
}
