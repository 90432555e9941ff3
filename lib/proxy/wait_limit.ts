/**
 * Bounds how long a session waits: for a pod and for room there is a time each, which runs only while the session waits for
 * that. Neither starts anew.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import type { WaitLimits, WaitsFor } from "../target/seats.ts";

/** The limit of one session. */
export class WaitLimit {
  readonly #clock: Clock;
  readonly #onOver: (waitsFor: WaitsFor) => void;
  /** What is left of each time, in ms, as of `#sinceMs`. */
  readonly #leftMs: Record<WaitsFor, number>;
  #waitsFor: WaitsFor = "pod";
  #sinceMs: number;
  #cancelTimer: CancelTimer = () => {};
  #isOver = false;

  /** Starts with the time for a pod. Calls `onOver` once, when a time is up. */
  constructor(
    clock: Clock,
    { readyWaitTimeoutMs, queueTimeoutMs }: WaitLimits,
    onOver: (waitsFor: WaitsFor) => void,
  ) {
    this.#clock = clock;
    this.#onOver = onOver;
    this.#leftMs = { pod: readyWaitTimeoutMs, room: queueTimeoutMs, nothing: Infinity };
    this.#sinceMs = clock.nowMs();
    this.#run();
  }

  /** The session waits for this from now on. */
  waitFor(waitsFor: WaitsFor): void {
    if (this.#isOver || waitsFor === this.#waitsFor) return;
    const nowMs = this.#clock.nowMs();
    this.#leftMs[this.#waitsFor] -= nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
    this.#waitsFor = waitsFor;
    this.#run();
  }

  /** The wait is over. Harmless when called twice. */
  end(): void {
    this.#isOver = true;
    this.#cancelTimer();
  }

  #run(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    const leftMs = this.#leftMs[this.#waitsFor];
    if (leftMs === Infinity) return;
    this.#cancelTimer = this.#clock.setTimer(Math.max(0, leftMs), () => {
      this.end();
      this.#onOver(this.#waitsFor);
    });
  }
}
