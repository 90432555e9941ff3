/**
 * How warm windows are written: `Mon-Fri 07:00-19:00 Europe/Berlin=1; arm64/Sat,Sun 22:00-02:00 UTC=1`. Pure; what time
 * it is in a zone is found elsewhere (`../scaler/warm.ts`).
 *
 * @module
 */
import { label, type ValueType } from "./value_types.ts";

/** Times of the week at which a pool keeps replicas without clients. */
export interface WarmWindow {
  /** The pool. */
  readonly pool: string;
  /** The days on which it begins, in the calendar of its zone: 1 is Monday, 7 is Sunday; in ascending order. */
  readonly days: readonly number[];
  /** Minutes after midnight at which it begins, on the clocks of its zone. */
  readonly fromMinute: number;
  /** Minutes after midnight at which it has ended, up to 1440. Not after `fromMinute`: on the next day. */
  readonly toMinute: number;
  /** A time zone of the IANA database. */
  readonly zone: string;
  /** The replicas of the pool. */
  readonly count: number;
}

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** The most replicas that the settings can describe: 64 builders of 500. */
export const MOST_REPLICAS = 32_000;

/** Windows with semicolons between. */
export const warmWindows: ValueType<readonly WarmWindow[] | undefined> = {
  placeholder: "windows",
  range: "windows with semicolons between",
  schema: { type: "string" },
  parse(text) {
    const windows = text.split(";").map((part) => readWindow(part.trim()));
    return windows.every((window) => typeof window === "object") ? windows : undefined;
  },
  want: (text) =>
    text.split(";").map((part) => readWindow(part.trim())).find((each) => typeof each === "string") ??
      EXAMPLE,
  format: (windows) => (windows ?? []).map(formatWindow).join("; "),
};

const DAY_MINUTES = 24 * 60;

const EXAMPLE = 'windows such as "Mon-Fri 07:00-19:00 Europe/Berlin=1; arm64/Sat,Sun 22:00-02:00 UTC=1"';

const WINDOW = /^(?:([^\s/]+)\/)?([A-Za-z,-]+)\s+([0-9:]+)-([0-9:]+)\s+([^\s=;]+)\s*=\s*([0-9]+)$/;

/** A window, or what is wanted instead of the text. */
function readWindow(text: string): WarmWindow | string {
  const match = WINDOW.exec(text);
  if (match === null) return EXAMPLE;
  const [, pool = "", ...parts] = match;
  const [dayNames, from, to, zone, digits] = parts as [string, string, string, string, string];
  const days = parseDays(dayNames);
  const fromMinute = parseTime(from);
  const toMinute = parseTime(to);
  const count = Number(digits);
  if (pool !== "" && label.parse(pool) === undefined) {
    return `the name of a pool, ${label.want(pool)}, instead of ${quote(pool)}`;
  }
  if (days === undefined) return `days such as "Mon-Fri" or "Sat,Sun" instead of ${quote(dayNames)}`;
  if (fromMinute === undefined || fromMinute === DAY_MINUTES) {
    return `a beginning from 00:00 to 23:59 instead of ${quote(from)}`;
  }
  if (toMinute === undefined) return `an end from 00:00 to 24:00 instead of ${quote(to)}`;
  if (fromMinute === toMinute) return `an end that is not the beginning instead of ${quote(`${from}-${to}`)}`;
  if (!isZone(zone)) return `a time zone such as "Europe/Berlin" or "UTC" instead of ${quote(zone)}`;
  if (count < 1 || count > MOST_REPLICAS) {
    return `a count from 1 to ${MOST_REPLICAS} instead of ${quote(digits)}`;
  }
  return { pool, days, fromMinute, toMinute, zone, count };
}

/** A part of the text, on one line. */
function quote(part: string): string {
  return JSON.stringify(part.slice(0, 40));
}

/** Days and ranges of days, which may go over the end of the week. */
function parseDays(text: string): readonly number[] | undefined {
  const days = text.split(",").flatMap((part) => {
    const [first, last = first, ...more] = part.split("-").map(dayOf) as [number, ...number[]];
    if (more.length > 0 || Number.isNaN(first + last)) return [NaN];
    return Array.from({ length: (last - first + 7) % 7 + 1 }, (_, i) => (first - 1 + i) % 7 + 1);
  });
  return days.some(Number.isNaN) ? undefined : [...new Set(days)].sort();
}

/** 1 for Monday to 7 for Sunday. */
function dayOf(name: string): number {
  return DAYS.findIndex((day) => day.toLowerCase() === name.toLowerCase()) + 1 || NaN;
}

/** Minutes after midnight. */
function parseTime(text: string): number | undefined {
  const [, hours, minutes] = /^([0-9]{1,2}):([0-5][0-9])$/.exec(text) ?? [];
  const minute = Number(hours) * 60 + Number(minutes);
  return minute <= DAY_MINUTES ? minute : undefined;
}

/** Whether the runtime knows the time zone. */
function isZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function formatWindow({ pool, days, fromMinute, toMinute, zone, count }: WarmWindow): string {
  const prefix = pool === "" ? "" : `${pool}/`;
  return `${prefix}${formatDays(days)} ${formatTime(fromMinute)}-${formatTime(toMinute)} ${zone}=${count}`;
}

function formatDays(days: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const day of days) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === day - 1) run[1] = day;
    else runs.push([day, day]);
  }
  const name = (day: number) => DAYS[day - 1]!;
  return runs.map(([first, last]) => first === last ? name(first) : `${name(first)}-${name(last)}`).join(",");
}

function formatTime(minute: number): string {
  const digits = (value: number) => String(value).padStart(2, "0");
  return `${digits(Math.floor(minute / 60))}:${digits(minute % 60)}`;
}
