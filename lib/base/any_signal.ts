/**
 * Several aborts as one signal. `AbortSignal.any` cannot be used: Deno 2.6 collects its signal as garbage while
 * listeners wait, and they are never called.
 *
 * @module
 */
import { type Abortable, follow, leave } from "./ending.ts";

/** A signal that follows others. */
export interface AnySignal extends Disposable {
  /** Aborted when the first of the others is, with the same reason. */
  readonly signal: AbortSignal;
}

/** Joins `sources`. Dispose of it when nothing waits for it any more, to remove its listeners. */
export function anySignal(...sources: readonly Abortable[]): AnySignal {
  const controller = new AbortController();
  const dispose = () => {
    for (const source of sources) leave(source, onAbort);
  };
  const onAbort = () => {
    dispose();
    controller.abort(sources.find(({ aborted }) => aborted)?.reason);
  };
  if (sources.some(({ aborted }) => aborted)) onAbort();
  else for (const source of sources) follow(source, onAbort);
  return { signal: controller.signal, [Symbol.dispose]: dispose };
}
