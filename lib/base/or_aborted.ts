/**
 * Waits for a promise, or for the abort of a signal.
 *
 * @module
 */

/**
 * Settles as the promise does. Leaves no listener on the signal.
 *
 * @throws the reason of `signal` if that is aborted first
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
