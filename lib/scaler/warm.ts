/**
 * How many replicas the warm windows ask for at a moment. Pure: the moment is passed in.
 *
 * A window is open whenever the clocks of its zone show a time within it. So a window that would begin in the hour that
 * the clocks skip in spring begins at the first moment after it, and one in the hour that they repeat in autumn is open
 * in both.
 *
 * @module
 */
import { type ZonedTimes, zonedTimes } from "../base/temporal.ts";
import type { WarmWindow } from "../config/warm_windows.ts";

/** What the windows ask for. */
export interface Warmth {
  /** The highest count of the open windows; 0 without any. */
  readonly count: number;
  /** The wall time until which that holds at least, in ms: mostly the next change; Infinity without windows. */
  readonly untilMs: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const WEEK_MS = 7 * DAY_MS;

/** Every window has begun and ended within this time, whatever the clocks do. */
const HORIZON_MS = WEEK_MS + DAY_MS;

/** What the windows ask for at a wall time. Takes some 10 µs a window, so keep the answer until `untilMs`. */
export function warmAt(
  windows: readonly WarmWindow[],
  wallMs: number,
  times: ZonedTimes = zonedTimes(),
): Warmth {
  if (windows.length === 0) return { count: 0, untilMs: Infinity };
  const startMs = Math.floor(wallMs);
  const { count, untilMs: nextMs } = look(windows, startMs, times);
  let untilMs = nextMs;
  while (untilMs < startMs + HORIZON_MS) {
    const next = look(windows, untilMs, times);
    if (next.count !== count) break;
    untilMs = next.untilMs;
  }
  return { count, untilMs };
}

/** The same, until any window may begin or end. */
function look(windows: readonly WarmWindow[], wallMs: number, times: ZonedTimes): Warmth {
  const looks = windows.map((window) => lookAtOne(window, wallMs, times));
  return {
    count: Math.max(...looks.map(({ count }) => count)),
    untilMs: Math.min(...looks.map(({ untilMs }) => untilMs)),
  };
}

function lookAtOne(window: WarmWindow, wallMs: number, times: ZonedTimes): Warmth {
  const { days, fromMinute, toMinute, zone } = window;
  const now = times.Instant.fromEpochMilliseconds(wallMs).toZonedDateTimeISO(zone);
  const ofDayMs = (now.hour * 60 + now.minute) * MINUTE_MS + now.second * 1000 + now.millisecond;
  const ofWeekMs = now.dayOfWeek * DAY_MS + ofDayMs;
  // The time on the clocks since the window has begun, for each of its days.
  const agesMs = days.map((day) => modulo(ofWeekMs - day * DAY_MS - fromMinute * MINUTE_MS, WEEK_MS));
  const lengthMs = (toMinute - fromMinute) * MINUTE_MS + (toMinute > fromMinute ? 0 : DAY_MS);
  const untilEdgesMs = agesMs.map((ageMs) => (ageMs < lengthMs ? lengthMs : WEEK_MS) - ageMs);
  const clocksChangeMs = now.getTimeZoneTransition("next")?.epochMilliseconds ?? Infinity;
  return {
    count: agesMs.some((ageMs) => ageMs < lengthMs) ? window.count : 0,
    untilMs: Math.min(wallMs + Math.min(...untilEdgesMs), clocksChangeMs),
  };
}

/** The remainder, never negative. */
function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
