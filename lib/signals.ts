/**
 * The signals that tell the program to stop. It imports nothing, so that its listeners stand before anything else is
 * loaded: as PID 1 a program without a listener ignores SIGTERM or dies of it.
 *
 * @module
 */

/** What the signals have asked for. */
export interface StopSignals {
  /** Aborted by the first signal: finish what runs, then end. */
  readonly drain: AbortSignal;
  /** Aborted by the second: end at once. */
  readonly now: AbortSignal;
}

/** How long the program may take after the second signal, in ms. */
const LAST_GRACE_MS = 2000;

/**
 * The same signal this soon is the first one again, in ms: a terminal's Ctrl-C goes to all its processes, and task
 * runners pass it on once more.
 */
const ECHO_MS = 500;

/** Listens for the signals that this system knows. A program that does not end after the second is ended. */
export function listenForSignals(): StopSignals {
  const drain = new AbortController();
  const now = new AbortController();
  let first: { readonly name: Deno.Signal; readonly atMs: number } | undefined;
  const onSignal = (name: Deno.Signal) => {
    if (first === undefined) {
      first = { name, atMs: performance.now() };
      return drain.abort(new DOMException("Asked to stop", "AbortError"));
    }
    if (name === first.name && performance.now() - first.atMs < ECHO_MS) return;
    if (now.signal.aborted) return Deno.exit(1);
    Deno.unrefTimer(setTimeout(() => Deno.exit(1), LAST_GRACE_MS));
    now.abort(new DOMException("Asked to stop at once", "AbortError"));
  };
  const names: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK", "SIGHUP"]
    : ["SIGTERM", "SIGINT"];
  for (const name of names) Deno.addSignalListener(name, () => onSignal(name));
  return { drain: drain.signal, now: now.signal };
}
