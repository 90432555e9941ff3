/**
 * Says in the log when a pod is not ready for long, and why, once for each cause. Reads only; decides nothing.
 *
 * @module
 */
import { CauseLog } from "../base/log.ts";
import { Notifier } from "../base/notifier.ts";
import type { BuilderPorts } from "../base/ports.ts";
import type { Placement } from "../scaler/placement.ts";
import type { StateRunner } from "../scaler/state_runner.ts";

/** What it looks at. */
export interface LatePodsPorts extends Pick<BuilderPorts, "clock" | "log"> {
  /** The fault under which this stands: that there is no access to the API. */
  readonly access?: CauseLog;
  /** Knows who waits, and which pods take sessions. */
  readonly placement: Pick<Placement, "usage" | "usable" | "subscribeBeyondLoad">;
  /** Knows which pod is awaited. */
  readonly state: Pick<StateRunner, "state" | "awaitedSinceMs" | "isAwaitedStuck" | "subscribe">;
  /** Knows why. */
  readonly explainWait: (signal: AbortSignal) => Promise<string>;
}

/** A pod that is awaited for this long is late, in ms. One that is stuck is late at once. */
const LATE_MS = 30_000;

/** Between two looks at why, in ms. */
const ASK_MS = 30_000;

/** For so long after a pod is called for, its count may not be written yet, in ms: that is no reason to tell. */
const SETTLE_MS = 5_000;

/** Runs until the signal is aborted. */
export async function tellLatePods(ports: LatePodsPorts, signal: AbortSignal): Promise<void> {
  const { clock, log, access, placement, state, explainWait } = ports;
  const fault = new CauseLog(log, "pod_late", access);
  const changed = new Notifier();
  placement.subscribeBeyondLoad(() => changed.notify());
  state.subscribe(() => changed.notify());
  let askMs = -Infinity;
  for (let wasStuck = false;;) {
    const lateMs = lateFromMs(state);
    const isLate = clock.nowMs() >= lateMs;
    if (!isLate) fault.succeeded({ ready: placement.usable.length > 0 });
    const { isAwaitedStuck: isStuck, awaitedSinceMs = Infinity } = state;
    // A builder that is known to be stuck may sleep: then there is no pod to ask for.
    const isAwaited = isLate && awaitedSinceMs < Infinity;
    const dueMs = () => Math.max(awaitedSinceMs + SETTLE_MS, isStuck === wasStuck ? askMs : -Infinity);
    if (isAwaited && clock.nowMs() >= dueMs()) {
      const why = steady(await explainWait(signal));
      signal.throwIfAborted();
      askMs = clock.nowMs() + ASK_MS;
      wasStuck = isStuck;
      if (clock.nowMs() < lateFromMs(state)) continue;
      // Where another pod takes sessions, only the growth is stuck.
      const stuck = isStuck && state.state === "stuck";
      fault.failed(stuck ? `Stuck: ${why}` : why, {
        stuck: stuck || undefined,
        waiting: placement.usage.needing,
      });
    }
    await changed.wait(clock, isAwaited ? dueMs() : isLate ? Infinity : lateMs, signal);
  }
}

/** When the pod that is awaited is late, monotonic ms. */
function lateFromMs({ state, isAwaitedStuck, awaitedSinceMs = Infinity }: LatePodsPorts["state"]): number {
  if (state === "missing") return Infinity;
  return isAwaitedStuck ? -Infinity : awaitedSinceMs + LATE_MS;
}

/** Without the numbers that grow with each restart of a container: the cause is the same. */
function steady(why: string): string {
  return why.replace(/back-off \S+ restarting/, "back-off restarting").replace(/, \d+ restarts\b/, "");
}
