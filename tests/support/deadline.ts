/**
 * The one deadline of tests that wait for something real: generous, so that it only ever fails a hang. And a pause, for
 * what nothing tells of.
 *
 * @module
 */

/** Far longer than anything takes that works, in ms. */
export const HANG_MS = 30_000;

/** The promise's outcome, or an error that says what was waited for in vain. */
export async function within<T>(
  promise: Promise<T>,
  what: string,
  more: () => string = () => "",
  timeoutMs: number = HANG_MS,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`Waited ${timeoutMs / 1000}s in vain: ${what}\n${more()}`)),
    timeoutMs,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets real time pass, in ms. A test must hold whatever happens in it. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
