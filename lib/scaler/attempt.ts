/**
 * One kind of write of the count (claim or scale-down): at most one of a kind is under way, and one that failed is
 * tried again later. `scaler.ts` decides what is written.
 *
 * @module
 */
import type { CauseLog } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import { isConflict } from "../kube/api_error.ts";
import { retryDelayMs } from "../kube/client.ts";

/** The count that was read is not the newest that was seen: something has changed meanwhile. */
export class OutOfDate extends Error {
  /** Always `OutOfDate`. */
  override readonly name = "OutOfDate";
}

/** Another proxy needs a pod that should go, or does not answer. */
export class NoConsent extends Error {
  /** Always `NoConsent`. */
  override readonly name = "NoConsent";
}

/** So many tries in a row that failed because the count changed meanwhile are repeated at once, and are no fault. */
const SPOILT_AT_ONCE = 3;

/** Tries one kind of write. */
export class Attempt {
  readonly #ports: Pick<BasePorts, "clock" | "random">;
  readonly #faults: CauseLog;
  readonly #longestAskedMs: number;
  #running = false;
  #failures = 0;
  #notBeforeMs = -Infinity;

  /** `faults` is told how it goes; a server's `Retry-After` is followed for `longestAskedMs`. */
  constructor(ports: Pick<BasePorts, "clock" | "random">, faults: CauseLog, longestAskedMs: number) {
    this.#ports = ports;
    this.#faults = faults;
    this.#longestAskedMs = longestAskedMs;
  }

  /** Whether a try is under way. */
  get running(): boolean {
    return this.#running;
  }

  /** When the next try may begin, monotonic ms; Infinity while one is under way. */
  get nextTryMs(): number {
    return this.#running ? Infinity : this.#notBeforeMs;
  }

  /**
   * Tries, and resolves with what `work` threw; undefined if it is not time yet. An error after the signal's end is no
   * failure.
   */
  start(work: () => Promise<void>, signal: AbortSignal): Promise<{ readonly error: unknown }> | undefined {
    if (this.#running || this.#ports.clock.nowMs() < this.#notBeforeMs) return undefined;
    this.#running = true;
    return work().then(() => {
      this.#failures = 0;
      this.#faults.succeeded();
      return { error: undefined };
    }, (error: unknown) => {
      if (!signal.aborted) this.#failed(error);
      return { error };
    }).finally(() => this.#running = false);
  }

  #failed(error: unknown): void {
    const { clock, random } = this.#ports;
    // Another write was quicker, which is no fault: try again at once, but only a few times.
    const spoilt = (isConflict(error) || error instanceof OutOfDate) && this.#failures < SPOILT_AT_ONCE;
    if (!spoilt && !(error instanceof NoConsent)) this.#faults.failed(error);
    const delayMs = spoilt ? 0 : retryDelayMs(error, this.#failures, random, this.#longestAskedMs);
    this.#failures++;
    this.#notBeforeMs = clock.nowMs() + delayMs;
  }
}
