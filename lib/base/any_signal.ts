/**
 * Several abort signals as one. `AbortSignal.any` cannot be used: Deno 2.6 collects its signal as garbage while
 * listeners wait, and they are never called.
 *
 * @module
 */

/** A signal that follows others. */
export interface AnySignal extends Disposable {
  /** Aborted when the first of the others is, with the same reason. */
  readonly signal: AbortSignal;
}

/** Joins `signals`. Dispose of it when nothing waits for it any more, to remove its listeners. */
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
