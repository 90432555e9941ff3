/**
 * A clock that stands still until a replay moves it, for years of virtual time in seconds of real time. Timers fire in the
 * order in which they are due. Reads no real time. Its three clocks show the same: ms since the epoch.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import { TimerHeap } from "./timer_heap.ts";

/** Virtual time. */
export class VirtualTime implements Clock {
  #nowMs: number;
  readonly #timers = new TimerHeap();

  /** Begins at `startMs`. */
  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  bootMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): CancelTimer {
    if (delayMs === Infinity) return () => {};
    const timer = this.#timers.add(this.#nowMs + Math.max(0, delayMs), callback);
    return () => timer.run = undefined;
  }

  /** When the next timer is due, in ms; Infinity without one. */
  get nextMs(): number {
    const timers = this.#timers;
    while (timers.next !== undefined && timers.next.run === undefined) timers.take();
    return timers.next?.dueMs ?? Infinity;
  }

  /** Moves time on to `ms`, and fires no timer. Time never goes back. */
  moveTo(ms: number): void {
    this.#nowMs = Math.max(this.#nowMs, ms);
  }

  /** Fires the next timer. There must be one that is due. */
  fire(): void {
    this.#timers.take().run?.();
  }
}
