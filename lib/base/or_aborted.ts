/**
 * Waits for a promise, or for an abort of either kind.
 *
 * @module
 */
import { type Abortable, follow, leave } from "./ending.ts";

/**
 * Settles as the promise does. Leaves no listener on the signal.
 *
 * @throws the reason of `signal` if that is aborted first
 */
export async function orAborted<T>(promise: Promise<T>, signal: Abortable): Promise<T> {
  // Nobody hears of its failure then, as after an abort during the wait.
  if (signal.aborted) promise.catch(() => {});
  signal.throwIfAborted();
  const { promise: over, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  follow(signal, onAbort);
  try {
    return await Promise.race([promise, over]);
  } finally {
    leave(signal, onAbort);
  }
}
