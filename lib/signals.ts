/**
 * The signals that tell the program to stop. This file imports nothing, so that the listeners exist before anything
 * else is loaded: without a listener, SIGTERM has no effect on PID 1, and ends any other process at once.
 *
 * @module
 */

/** What the signals request. */
export interface StopSignals {
  /** Aborted by the first signal: end after the running sessions. */
  readonly drain: AbortSignal;
  /** Aborted by the second signal, which comes {@link ECHO_MS} after the first or later: end at once. */
  readonly now: AbortSignal;
}

/** How long the program may take to end after the second signal, in ms. */
const LAST_GRACE_MS = 2000;

/**
 * The shortest time between two signals that both count, in ms. One Ctrl-C arrives several times: the terminal sends it to
 * all its processes, and task runners forward it, as SIGINT or as SIGTERM. What comes sooner is such an echo, and is ignored:
 * otherwise one key press would cut running builds. 500 ms is longer than forwarding takes, and shorter than a person needs
 * to see that the program drains and to press again.
 */
export const ECHO_MS = 500;

/**
 * Listens for the signals of this operating system. Exits if the program has not ended some time after the second one.
 */
export function listenForSignals(): StopSignals {
  const drain = new AbortController();
  const now = new AbortController();
  let lastMs = -Infinity;
  const onSignal = () => {
    if (performance.now() - lastMs < ECHO_MS) return;
    lastMs = performance.now();
    if (!drain.signal.aborted) return drain.abort(new DOMException("Asked to stop", "AbortError"));
    if (now.signal.aborted) return Deno.exit(1);
    Deno.unrefTimer(setTimeout(() => Deno.exit(1), LAST_GRACE_MS));
    now.abort(new DOMException("Asked to stop at once", "AbortError"));
  };
  const names: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK", "SIGHUP"]
    : ["SIGTERM", "SIGINT"];
  for (const name of names) Deno.addSignalListener(name, onSignal);
  return { drain: drain.signal, now: now.signal };
}
