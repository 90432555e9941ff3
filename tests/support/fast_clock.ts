/**
 * A clock that runs faster than the machine's, for a program on real sockets whose deadlines are long. What is measured
 * on it is as it would be; only the test takes less time.
 *
 * @module
 */
import { type Clock, systemClock } from "../../lib/base/clock.ts";

/** A clock on which `factor` ms pass in one. */
export function fastClock(factor: number): Clock {
  return {
    nowMs: () => systemClock.nowMs() * factor,
    bootMs: () => systemClock.nowMs() * factor,
    wallMs: () => systemClock.wallMs(),
    setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / factor, callback),
    nextTurn: (callback) => systemClock.nextTurn(callback),
  };
}
