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
  readonly placement: Pick<Placement, "usage" | "usable" | "subscribe">;
  /** Knows which pod is awaited. */
  readonly state: Pick<StateRunner, "state" | "awaitedSinceMs" | "isStuck" | "subscribe">;
  /** Knows why. */
  readonly explainWait: (signal: AbortSignal) => Promise<string>;
}

/** A pod that is awaited for this long is late, in ms. One that is stuck is late at once. */
const LATE_MS = 30_000;

/** Between two looks at why, in ms. */
const ASK_MS = 30_000;

/** Runs until the signal is aborted. */
export async function tellLatePods(ports: LatePodsPorts, signal: AbortSignal): Promise<void> {
  const { clock, log, access, placement, state, explainWait } = ports;
  const fault = new CauseLog(log, "pod_late", access);
  const changed = new Notifier();
  placement.subscribe(() => changed.notify());
  state.subscribe(() => changed.notify());
  let askMs = -Infinity;
  for (let wasStuck = false;;) {
    const lateMs = lateFromMs(state);
    const isLate = clock.nowMs() >= lateMs;
    if (!isLate) fault.succeeded({ ready: placement.usable.length > 0 });
    const { isStuck } = state;
    // A builder that is known to be stuck may sleep: then there is no pod to ask for.
    const isAwaited = isLate && state.awaitedSinceMs !== undefined;
    if (isAwaited && (clock.nowMs() >= askMs || isStuck !== wasStuck)) {
      const why = await explainWait(signal);
      signal.throwIfAborted();
      askMs = clock.nowMs() + ASK_MS;
      wasStuck = isStuck;
      if (clock.nowMs() < lateFromMs(state)) continue;
      fault.failed(isStuck ? `Stuck: ${why}` : why, {
        stuck: isStuck || undefined,
        waiting: placement.usage.needing,
      });
    }
    await changed.wait(clock, isAwaited ? askMs : isLate ? Infinity : lateMs, signal);
  }
}

/** When the pod that is awaited is late, monotonic ms. */
function lateFromMs({ state, isStuck, awaitedSinceMs = Infinity }: LatePodsPorts["state"]): number {
  if (state === "missing") return Infinity;
  return isStuck ? -Infinity : awaitedSinceMs + LATE_MS;
}
