/**
 * The port to time, and its real implementation. Everything that measures or waits takes a {@link Clock}, so that the
 * whole program runs on a virtual clock in tests. Nothing else in `lib` may read the time or set a timer.
 * Units: milliseconds.
 *
 * @module
 */

/** Ends a timer early. Calling it after the timer has fired, or twice, does nothing. */
export type CancelTimer = () => void;

/** Time as the program sees it. */
export interface Clock {
  /** Monotonic time for durations, in ms since an arbitrary origin. Never goes back. */
  nowMs(): number;
  /**
   * Monotonic time that runs on while the machine is suspended, in ms since an arbitrary origin of its own, to the
   * second. For what others judge by their clocks meanwhile: the age of a record, of a lease.
   */
  bootMs(): number;
  /** Wall time in ms since the epoch, only for what people or other machines read. May jump. */
  wallMs(): number;
  /** Calls `callback` once, `delayMs` from now (0 or less: as soon as possible). */
  setTimer(delayMs: number, callback: () => void): CancelTimer;
}

/** `setTimeout` fires at once for longer delays than this (2^31 - 1 ms, HTML standard). */
const LONGEST_TIMEOUT_MS = 2_147_483_647;

/** The machine's clocks. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  // `performance.now()` stands still in a suspend.
  bootMs: () => Deno.osUptime() * 1000,
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    let id: ReturnType<typeof setTimeout>;
    const dueMs = performance.now() + delayMs;
    const arm = () => {
      const leftMs = Math.max(0, dueMs - performance.now()); // Deno warns on stderr of negative ones
      id = leftMs > LONGEST_TIMEOUT_MS ? setTimeout(arm, LONGEST_TIMEOUT_MS) : setTimeout(callback, leftMs);
    };
    arm();
    return () => clearTimeout(id);
  },
};

/**
 * Resolves after `delayMs`; rejects with the signal's own reason when it is aborted first.
 *
 * @throws the reason of `signal`
 */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.setTimer(delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** A deadline on work: a signal that aborts with `reason()` after `timeoutMs`, or with its parent. */
export interface Deadline extends Disposable {
  /** Aborted when the time is up, or with the parent. */
  readonly signal: AbortSignal;
  /** Ends the wait for the time-out; the parent's abort still passes through until disposal. */
  clear(): void;
}

/**
 * A {@link Deadline} of `timeoutMs` from now. Dispose of it when the work is over, or its timer and its listener on the
 * parent stay. (`AbortSignal.timeout` cannot be used: it ignores the clock port.)
 */
export function deadline(
  clock: Clock,
  timeoutMs: number,
  parent: AbortSignal | undefined,
  reason: () => Error,
): Deadline {
  const controller = new AbortController();
  const onParent = () => controller.abort(parent!.reason);
  if (parent?.aborted) onParent();
  else parent?.addEventListener("abort", onParent, { once: true });
  const clear = clock.setTimer(timeoutMs, () => controller.abort(reason()));
  return {
    signal: controller.signal,
    clear,
    [Symbol.dispose]() {
      clear();
      parent?.removeEventListener("abort", onParent);
    },
  };
}
