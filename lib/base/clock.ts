/**
 * The port to time, and its real implementation. All code that measures or waits takes a {@link Clock}, so that tests
 * run the whole program on a virtual clock. Nothing else in `lib` may read the time or set a timer.
 * Units: milliseconds.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { type Abortable, follow, leave } from "./ending.ts";

/** Cancels a timer. Does nothing after the timer has fired or was cancelled. */
export type CancelTimer = () => void;

/** Clocks and timers. */
export interface Clock {
  /** Monotonic time for durations, in ms since an arbitrary origin. Stands still while the machine is suspended. */
  nowMs(): number;
  /**
   * Monotonic time that continues while the machine is suspended, in ms since another arbitrary origin, with a
   * resolution of 1 s. A suspend may be noticed 1 ms of `nowMs` late. For ages that other machines measure, too: those of
   * records and Leases.
   */
  bootMs(): number;
  /** Wall time in ms since the epoch. May jump, so it is only for values that people or other machines read. */
  wallMs(): number;
  /** Calls `callback` once, in `delayMs` (0 or less: as soon as possible). */
  setTimer(delayMs: number, callback: () => void): CancelTimer;
  /** Calls `callback` once, in the next turn of the event loop: after all that has come from outside meanwhile. */
  nextTurn(callback: () => void): void;
}

/** `setTimeout` fires at once for longer delays than this (2^31 - 1 ms, HTML standard). */
const LONGEST_TIMEOUT_MS = 2_147_483_647;

/** For so long a reading of the boot clock is good, in ms of `nowMs`. */
const BOOT_GOOD_MS = 1;

/**
 * Reads the boot clock. The runtime needs a system call of over 1 µs for that, and each session asks some 30 times whether
 * it may be seated: where it was read at every question, that was 8 % of the CPU time of connecting.
 */
function bootClock(): () => number {
  let bootMs = 0;
  let goodUntilMs = -Infinity;
  return () => {
    const nowMs = performance.now();
    if (nowMs >= goodUntilMs) {
      bootMs = Deno.osUptime() * 1000;
      goodUntilMs = nowMs + BOOT_GOOD_MS;
    }
    return bootMs;
  };
}

/** A timer that is longer than `setTimeout` can be: several timeouts, one after the other. */
function longTimer(delayMs: number, callback: () => void): CancelTimer {
  let cancel: CancelTimer;
  const dueMs = performance.now() + delayMs;
  const id = setTimeout(() => {
    cancel = systemClock.setTimer(dueMs - performance.now(), callback);
  }, LONGEST_TIMEOUT_MS);
  cancel = () => clearTimeout(id);
  return () => cancel();
}

/** The clocks of this machine. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  // `performance.now()` stands still during a suspend.
  bootMs: bootClock(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    if (delayMs > LONGEST_TIMEOUT_MS) return longTimer(delayMs, callback);
    const id = setTimeout(callback, Math.max(0, delayMs)); // Deno prints a warning for a negative delay
    return () => clearTimeout(id);
  },
  nextTurn(callback) {
    setImmediate(callback);
  },
};

/** So many turns of the event loop end all reads of what waits in the sockets; two did in each of 80 tries on Deno 2.9.6. */
const TURNS = 3;

/**
 * A timer for what a peer has not sent in time. After a stall of the process, the runtime fires timers that are due before
 * it reads what has come meanwhile, so the callback waits until that was read.
 */
export function setSilenceTimer(clock: Clock, delayMs: number, callback: () => void): CancelTimer {
  let turns = 0;
  const onTurn = () => {
    if (turns++ === TURNS) callback();
    else cancel = clock.setTimer(0, onTurn);
  };
  let cancel = clock.setTimer(delayMs, onTurn);
  return () => cancel();
}

/**
 * Resolves after `delayMs`. Rejects with the reason of `signal` if that is aborted first.
 *
 * @throws the reason of `signal`
 */
export function sleep(clock: Clock, delayMs: number, signal: Abortable): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.setTimer(delayMs, () => {
      leave(signal, onAbort);
      resolve();
    });
    follow(signal, onAbort);
  });
}

/** A signal that is aborted when the time is up, or with its parent. */
export interface Deadline extends Disposable {
  /** Aborted when the time is up, or with the parent. */
  readonly signal: AbortSignal;
  /** Cancels the time-out. The signal still follows its parent until disposal. */
  clear(): void;
}

/**
 * A {@link Deadline} in `timeoutMs`, with `reason()` as its reason. Dispose of it when the work is done, to remove its
 * timer and listener. (`AbortSignal.timeout` does not use the clock port.)
 */
export function deadline(
  clock: Clock,
  timeoutMs: number,
  parent: Abortable | undefined,
  reason: () => Error,
): Deadline {
  const controller = new AbortController();
  const onParent = () => controller.abort(parent!.reason);
  if (parent?.aborted) onParent();
  else if (parent !== undefined) follow(parent, onParent);
  const clear = clock.setTimer(timeoutMs, () => controller.abort(reason()));
  return {
    signal: controller.signal,
    clear,
    [Symbol.dispose]() {
      clear();
      if (parent !== undefined) leave(parent, onParent);
    },
  };
}
