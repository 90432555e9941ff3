/**
 * Several abort signals as one. `AbortSignal.any` cannot be used: in Deno 2.6 the signal that it gives is collected
 * as garbage while its listeners still wait, and then nothing ends them.
 *
 * @module
 */

/** A signal that others abort. */
export interface AnySignal extends Disposable {
  /** Aborted with the first of the others, and with its reason. */
  readonly signal: AbortSignal;
}

/** Joins `signals`. Dispose of it when nobody waits any more, or its listeners on them stay. */
export function anySignal(...signals: readonly AbortSignal[]): AnySignal {
  const controller = new AbortController();
  const dispose = () => {
    for (const signal of signals) signal.removeEventListener("abort", onAbort);
  };
  const onAbort = (event: Event) => {
    dispose();
    controller.abort((event.target as AbortSignal).reason);
  };
  const first = signals.find(({ aborted }) => aborted);
  if (first !== undefined) controller.abort(first.reason);
  else for (const signal of signals) signal.addEventListener("abort", onAbort);
  return { signal: controller.signal, [Symbol.dispose]: dispose };
}
