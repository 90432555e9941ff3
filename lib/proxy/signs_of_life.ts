/**
 * Sends held clients a sign of life from time to time. A load balancer or a gateway that counts bytes closes a connection
 * on which nothing moves, and neither a client that waits nor the proxy has anything to say. One timer serves all holds,
 * and none runs without holds.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";

/** Between two signs, in ms. Gateways close after a minute of silence at the earliest (HAProxy's examples: 50 s). */
const SIGN_MS = 20_000;

/** So many are given in one turn of the event loop: nothing else runs while thousands of writes begin. */
const AT_ONCE = 128;

/** Whoever can be given a sign. */
export interface Waiting {
  /** Sends the client something that means nothing, if it understands that. Must not throw. */
  giveSign(): void;
}

/** Keeps all holds that need signs. */
export class SignsOfLife {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #cancelTimer: CancelTimer | undefined;

  /** Nobody waits at first. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Gives signs until `remove`. Harmless when called twice. */
  add(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.#cancelTimer ??= this.#clock.setTimer(SIGN_MS, () => this.#giveAll());
  }

  /** It waits no more. Harmless when it has not waited. */
  remove(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    if (this.#waiting.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #giveAll(): void {
    this.#cancelTimer = this.#clock.setTimer(SIGN_MS, () => this.#giveAll());
    this.#give([...this.#waiting]);
  }

  #give(all: readonly Waiting[]): void {
    for (const waiting of all.slice(0, AT_ONCE)) if (this.#waiting.has(waiting)) waiting.giveSign();
    if (all.length > AT_ONCE) this.#clock.setTimer(0, () => this.#give(all.slice(AT_ONCE)));
  }
}
