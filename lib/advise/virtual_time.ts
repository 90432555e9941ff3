/**
 * A clock that stands still until a replay moves it, for years of virtual time in seconds of real time. Timers fire in the
 * order in which they are due. Reads no real time. Its three clocks show the same: ms since the epoch.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  /** Undefined once it has fired or was cancelled. */
  callback: (() => void) | undefined;
}

/** Virtual time. */
export class VirtualTime implements Clock {
  #nowMs: number;
  #order = 0;
  /** A binary heap: the timer that is due next is the first. */
  readonly #heap: Timer[] = [];

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
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#heap.push(timer);
    this.#rise(this.#heap.length - 1);
    return () => timer.callback = undefined;
  }

  /** When the next timer is due, in ms; Infinity without one. */
  get nextMs(): number {
    while (this.#heap.length > 0 && this.#heap[0]!.callback === undefined) this.#take();
    return this.#heap[0]?.dueMs ?? Infinity;
  }

  /** Moves time on to `ms`, and fires no timer. Time never goes back. */
  moveTo(ms: number): void {
    this.#nowMs = Math.max(this.#nowMs, ms);
  }

  /** Fires the next timer. There must be one that is due. */
  fire(): void {
    const { callback } = this.#take();
    callback?.();
  }

  #take(): Timer {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #rise(at: number): void {
    const heap = this.#heap;
    const timer = heap[at]!;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isSooner(timer, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = timer;
  }

  #sink(): void {
    const heap = this.#heap;
    const timer = heap[0]!;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isSooner(heap[below + 1]!, heap[below]!)) below++;
      if (!isSooner(heap[below]!, timer)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = timer;
  }
}

function isSooner(a: Timer, b: Timer): boolean {
  return a.dueMs < b.dueMs || a.dueMs === b.dueMs && a.order < b.order;
}
