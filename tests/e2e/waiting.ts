/**
 * Waiting in the end-to-end suite: for a condition, an event or a promise, never for time to pass.
 *
 * Every wait has a deadline which only exists so that a hang fails with a name; no test may pass or fail by being
 * quick or slow. All durations are milliseconds on the monotonic clock.
 *
 * @module
 */

/** Long enough for a loaded machine: reaching it means that what was waited for is not going to happen. */
export const HANG_MS = 90_000;

const POLL_MS = 20;

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface WaitOptions {
  readonly deadlineMs?: number;
  readonly pollMs?: number;
  /** Extra text for the error, evaluated when the deadline passes. */
  readonly explain?: () => string;
}

/**
 * Asks `probe` again and again until it gives something other than `undefined`, `null` or `false`. An exception of
 * the probe counts as "not yet" and is shown if the deadline passes.
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false>> {
  const deadlineMs = options.deadlineMs ?? HANG_MS;
  const startedMs = performance.now();
  let last: unknown;
  while (true) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) {
        return value as Exclude<T, undefined | null | false>;
      }
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() - startedMs > deadlineMs) {
      const extra = options.explain?.() ?? "";
      throw new Error(`Waited ${deadlineMs} ms in vain: ${what}${extra && `\n${extra}`}`, { cause: last });
    }
    await delay(options.pollMs ?? POLL_MS);
  }
}

/** Gives what `promise` gives, or fails by name when it takes longer than a hang allows. */
export async function within<T>(what: string, promise: Promise<T>, deadlineMs = HANG_MS): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${deadlineMs} ms in vain: ${what}`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Carries out all clean-ups in order, whatever becomes of those before, and fails with all that went wrong. Each has a
 * deadline of its own, which says what was waited for.
 */
export async function cleanUp(...steps: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) {
    throw new AggregateError(errors, `Clean-ups failed:\n${errors.map((error) => String(error)).join("\n")}`);
  }
}

/** A thing that is shut until somebody opens it. */
export class Gate {
  #open: () => void = () => {};
  #passed: Promise<void> = Promise.resolve();

  /** Resolves at once while the gate is open, else when it is opened. */
  pass(): Promise<void> {
    return this.#passed;
  }

  shut(): void {
    this.#open();
    this.#passed = new Promise((resolve) => this.#open = resolve);
  }

  open(): void {
    this.#open();
    this.#passed = Promise.resolve();
  }
}
