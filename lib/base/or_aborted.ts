/**
 * Waits for a promise for as long as a signal allows.
 *
 * @module
 */

/**
 * Resolves or rejects as the promise does; leaves nothing behind on the signal.
 *
 * @throws the reason of `signal`, if that is aborted first
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: over, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, over]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
