/**
 * Wakes one waiter when something has changed. A change between two waits is not lost: subscribe, check, then wait.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** A flag that a loop waits for. */
export class Notifier {
  #raised = false;
  #wake: (() => void) | undefined;

  /** Something has changed. */
  notify(): void {
    this.#raised = true;
    this.#wake?.();
  }

  /**
   * Resolves at the next change, at once if there was one since the last wait, or at `untilMs` of the clock.
   *
   * @throws the reason of `signal`
   */
  async wait(clock: Clock, untilMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#raised) {
      await new Promise<void>((resolve) => {
        const cancel = untilMs === Infinity
          ? () => {}
          : clock.setTimer(untilMs - clock.nowMs(), () => wake());
        const wake = () => {
          cancel();
          signal.removeEventListener("abort", wake);
          this.#wake = undefined;
          resolve();
        };
        signal.addEventListener("abort", wake, { once: true });
        this.#wake = wake;
      });
    }
    this.#raised = false;
    signal.throwIfAborted();
  }
}
