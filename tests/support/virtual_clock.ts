/**
 * A clock that stands still until a test moves it. Timers run in the order in which they are due; between two of them
 * everything that can run without time passing has run.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { CancelTimer, Clock } from "../../lib/base/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Lets all promise jobs run, and the callbacks of the runtime that are ready. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** The same where real sockets are in use: what is on its way to them has a few milliseconds to arrive. */
export async function settleWithSockets(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setTimeout(resolve, 0));
}

/** Turns of the event loop that a test takes one by one. */
export class HandTurns {
  readonly #callbacks: (() => void)[] = [];

  nextTurn(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  /** Callbacks that wait for the next turn. */
  get asked(): number {
    return this.#callbacks.length;
  }

  /** Takes the next turn. */
  async take(): Promise<void> {
    for (const callback of this.#callbacks.splice(0)) callback();
    await settle();
  }
}

/** A clock for tests. */
export class VirtualClock implements Clock {
  #nowMs = 1_000;
  #bootMs = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();
  readonly #settle: () => Promise<void>;

  constructor(settling: () => Promise<void> = settle) {
    this.#settle = settling;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  bootMs(): number {
    return this.nowMs() + this.#bootMs;
  }

  wallMs(): number {
    return Date.UTC(2024, 0, 1) + this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): CancelTimer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Turns take no time: they come although the clock stands still. */
  nextTurn(callback: () => void): void {
    setImmediate(callback);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** The process stands still for this long, as after SIGSTOP: what fell due meanwhile runs afterwards, all at once. */
  freeze(ms: number): void {
    this.#nowMs += ms;
  }

  /** The machine sleeps for this long: only the boot clock runs on. */
  suspend(ms: number): void {
    this.#bootMs += ms;
  }

  /** Moves time on, running what falls due. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.#settle();
    for (;;) {
      const due = [...this.#timers].filter(({ dueMs }) => dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (due === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, due.dueMs);
      this.#timers.delete(due);
      due.callback();
      await this.#settle();
    }
    this.#nowMs = endMs;
  }
}
