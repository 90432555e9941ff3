/**
 * Notices silent sessions: otherwise a peer that vanished without a FIN would keep its pod for ever.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import type { Traffic } from "./relay.ts";

/** Checks this many times within the timeout, so a silence is noticed at most this fraction of it late. */
const LOOKS = 10;

/** One for all: a function of its own would keep what `onSilence` was called with, for as long as the session runs. */
const cancelNothing: CancelTimer = () => {};

/** Calls `onSilent` once when `traffic` has not changed for `timeoutMs`; never when that is 0. */
export function onSilence(
  clock: Clock,
  traffic: Traffic,
  timeoutMs: number,
  onSilent: () => void,
): CancelTimer {
  if (timeoutMs === 0) return cancelNothing;
  let lastBytes = -1;
  /** Looks since the last change: while the process stands still there are none, but bytes may come. */
  let looks = 0;
  let cancel: CancelTimer;
  const look = () => {
    const bytes = traffic.upstreamBytes + traffic.downstreamBytes;
    if (bytes !== lastBytes) {
      lastBytes = bytes;
      looks = 0;
    } else if (++looks === LOOKS) return onSilent();
    cancel = clock.setTimer(timeoutMs / LOOKS, look);
  };
  cancel = clock.setTimer(timeoutMs / LOOKS, look);
  return () => cancel();
}
