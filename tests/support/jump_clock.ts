/**
 * The machine's time, which a test can move on by any amount: what falls due meanwhile runs at once. For programs on real
 * sockets whose deadlines are long.
 *
 * @module
 */
import { type CancelTimer, type Clock, systemClock } from "../../lib/base/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
  cancel: CancelTimer;
}

/** A clock that is always ahead of the machine's. */
export class JumpClock implements Clock {
  #aheadMs = 0;
  readonly #timers = new Set<Timer>();

  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs;
  }

  bootMs(): number {
    return this.nowMs();
  }

  wallMs(): number {
    return systemClock.wallMs() + this.#aheadMs;
  }

  setTimer(delayMs: number, callback: () => void): CancelTimer {
    const timer: Timer = { dueMs: this.nowMs() + Math.max(0, delayMs), callback, cancel: () => {} };
    this.#timers.add(timer);
    this.#arm(timer);
    return () => {
      this.#timers.delete(timer);
      timer.cancel();
    };
  }

  nextTurn(callback: () => void): void {
    systemClock.nextTurn(callback);
  }

  /** Moves on by this much. */
  jump(ms: number): void {
    this.#aheadMs += ms;
    for (const timer of [...this.#timers].sort((a, b) => a.dueMs - b.dueMs)) {
      timer.cancel();
      this.#arm(timer);
    }
  }

  #arm(timer: Timer): void {
    timer.cancel = systemClock.setTimer(Math.max(0, timer.dueMs - this.nowMs()), () => {
      // The machine's timers may be early by a fraction.
      if (timer.dueMs > this.nowMs()) return this.#arm(timer);
      this.#timers.delete(timer);
      timer.callback();
    });
  }
}
