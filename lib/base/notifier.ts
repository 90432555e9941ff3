/**
 * Wakes one waiting loop when something has changed. A change between two waits is not lost.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** A flag that one loop waits for. */
export class Notifier {
  #raised = false;
  #wake: (() => void) | undefined;

  /** Sets the flag and wakes the loop. */
  notify(): void {
    this.#raised = true;
    this.#wake?.();
  }

  /**
   * Resolves at the next change or at the time `untilMs`, immediately if there was a change since the last wait.
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
