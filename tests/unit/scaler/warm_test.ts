/**
 * When warm windows are open, in zones whose clocks change, with the runtime's Temporal and with the library.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Temporal as library } from "temporal-polyfill/implementation";
import type { ZonedTimes } from "../../../lib/base/temporal.ts";
import { type WarmWindow, warmWindows } from "../../../lib/config/warm_windows.ts";
import { warmAt } from "../../../lib/scaler/warm.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

function at(time: string): number {
  return Date.parse(`2026-${time}Z`);
}

function windows(text: string): readonly WarmWindow[] {
  return warmWindows.parse(text) ?? assert.fail(text);
}

/** Every count between two times in UTC, with the time at which it begins. */
function counts(text: string, from: string, to: string, times?: ZonedTimes): string[] {
  const found: string[] = [];
  let before: number | undefined;
  for (let ms = at(from); ms < at(to);) {
    const { count, untilMs } = warmAt(windows(text), ms, times);
    assert.ok(untilMs > ms);
    if (count !== before) found.push(`${new Date(ms).toISOString().slice(5, 16)} ${count}`);
    before = count;
    ms = untilMs;
  }
  return found;
}

const CASES: readonly (readonly [what: string, text: string, from: string, to: string, ...string[]])[] = [
  [
    "is open on its days alone",
    "Mon-Tue 07:00-19:00 Europe/Berlin=1",
    "11-23T00:00",
    "11-28T00:00",
    ...["11-23T00:00 0", "11-23T06:00 1", "11-23T18:00 0", "11-24T06:00 1", "11-24T18:00 0"],
  ],
  [
    "goes over midnight, and from Sunday to Monday",
    "Sun 22:00-02:00 UTC=1",
    "11-29T00:00",
    "12-01T00:00",
    ...["11-29T00:00 0", "11-29T22:00 1", "11-30T02:00 0"],
  ],
  [
    "counts days by the calendar of its zone",
    "Mon 00:00-24:00 Asia/Kathmandu=1",
    "11-22T00:00",
    "11-24T00:00",
    ...["11-22T00:00 0", "11-22T18:15 1", "11-23T18:15 0"],
  ],
  [
    "adjoins the next one without a gap",
    "Mon-Sun 00:00-24:00 Europe/Berlin=1",
    "03-20T00:00",
    "04-10T00:00",
    "03-20T00:00 1",
  ],
  [
    "gives way to a higher one while both are open",
    "Mon 08:00-12:00 UTC=1; Mon 09:00-10:00 UTC=3; Mon 09:30-11:00 UTC=2",
    "11-23T00:00",
    "11-24T00:00",
    ...["11-23T00:00 0", "11-23T08:00 1", "11-23T09:00 3", "11-23T10:00 2", "11-23T11:00 1", "11-23T12:00 0"],
  ],
  [
    "keeps the time on the clocks of Berlin when they change",
    "Sat-Mon 07:00-08:00 Europe/Berlin=1",
    "03-28T00:00",
    "03-31T00:00",
    ...["03-28T00:00 0", "03-28T06:00 1", "03-28T07:00 0", "03-29T05:00 1", "03-29T06:00 0"],
    ...["03-30T05:00 1", "03-30T06:00 0"],
  ],
  [
    "begins at the first moment after the skipped hour of Berlin",
    "Sun 02:30-05:00 Europe/Berlin=1",
    "03-29T00:00",
    "03-30T00:00",
    ...["03-29T00:00 0", "03-29T01:00 1", "03-29T03:00 0"],
  ],
  [
    "does not happen if all of it is skipped",
    "Sun 02:15-02:45 Europe/Berlin=1",
    "03-29T00:00",
    "03-30T00:00",
    "03-29T00:00 0",
  ],
  [
    "covers both of the repeated hours of Berlin",
    "Sun 02:00-03:00 Europe/Berlin=1",
    "10-25T00:00",
    "10-26T00:00",
    "10-25T00:00 1",
    "10-25T02:00 0",
  ],
  [
    "is open twice if it ends within the repeated hour",
    "Sun 01:00-02:30 Europe/Berlin=1",
    "10-24T12:00",
    "10-26T00:00",
    ...["10-24T12:00 0", "10-24T23:00 1", "10-25T00:30 0", "10-25T01:00 1", "10-25T01:30 0"],
  ],
  [
    "begins at the first moment after the skipped hour of New York",
    "Sun 02:00-04:00 America/New_York=1",
    "03-08T00:00",
    "03-09T00:00",
    ...["03-08T00:00 0", "03-08T07:00 1", "03-08T08:00 0"],
  ],
  [
    "covers both of the repeated hours of New York",
    "Sat 22:00-02:00 America/New_York=1",
    "10-31T12:00",
    "11-02T00:00",
    ...["10-31T12:00 0", "11-01T02:00 1", "11-01T07:00 0"],
  ],
  [
    "begins after the half hour that Lord Howe skips",
    "Sun 02:15-03:00 Australia/Lord_Howe=1",
    "10-03T00:00",
    "10-04T00:00",
    ...["10-03T00:00 0", "10-03T15:30 1", "10-03T16:00 0"],
  ],
  [
    "covers both of the half hours that Lord Howe repeats",
    "Sun 01:30-02:00 Australia/Lord_Howe=1",
    "04-04T00:00",
    "04-05T00:00",
    ...["04-04T00:00 0", "04-04T14:30 1", "04-04T15:30 0"],
  ],
];

for (const [what, text, from, to, ...expected] of CASES) {
  Deno.test(`warmAt(): a window ${what}`, () => {
    assert.deepEqual(counts(text, from, to), expected);
    assert.deepEqual(counts(text, from, to, library), expected, "with the library");
  });
}

Deno.test("warmAt() without windows asks for nothing, ever", () => {
  assert.deepEqual(warmAt([], at("11-23T00:00")), { count: 0, untilMs: Infinity });
});

Deno.test("warmAt() takes any moment, also between milliseconds, and knows the edges to the millisecond", () => {
  const given = windows("Mon 08:00-09:00 UTC=1");
  const [begin, end] = [at("11-23T08:00"), at("11-23T09:00")];
  assert.deepEqual(warmAt(given, begin - 0.5), { count: 0, untilMs: begin });
  assert.deepEqual(warmAt(given, begin - 1), { count: 0, untilMs: begin });
  assert.deepEqual(warmAt(given, begin), { count: 1, untilMs: end });
  assert.deepEqual(warmAt(given, end - 1), { count: 1, untilMs: end });
});

Deno.test("warmAt() looks eight days ahead for a change", () => {
  const startMs = at("11-23T00:00");
  for (
    const [text, count] of [["Mon-Sun 00:00-24:00 UTC=2", 2], [
      "Mon-Sun 00:00-12:00 UTC=2; Mon-Sun 12:00-24:00 UTC=2",
      2,
    ]] as const
  ) {
    assert.deepEqual(warmAt(windows(text), startMs), { count, untilMs: startMs + 8 * DAY_MS });
  }
});

const ZONES = [
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "Asia/Kathmandu",
  "America/Santiago", // its clocks change at midnight
];
const DAY_NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const YEAR_MINUTES = 365 * 24 * 60;

/** For each minute of 2026 (in UTC) the minute of the week that the clocks of a zone show, as Intl writes it. */
function clocksOf(zone: string): Uint16Array {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  return Uint16Array.from({ length: YEAR_MINUTES }, (_, minute) => {
    const [, day = "", hours, minutes] = /^(\w+),? (\d+):(\d+)$/.exec(
      format.format(at("01-01T00:00") + minute * MINUTE_MS),
    )!;
    return DAY_NAMES.indexOf(day) * 1440 + Number(hours) * 60 + Number(minutes);
  });
}

/** Whether a window is open when clocks show a minute of the week: said slowly, day by day. */
function isOpen({ days, fromMinute, toMinute }: WarmWindow, minuteOfWeek: number): boolean {
  const day = Math.floor(minuteOfWeek / 1440) + 1;
  const minute = minuteOfWeek % 1440;
  const dayBefore = day === 1 ? 7 : day - 1;
  if (fromMinute < toMinute) return days.includes(day) && fromMinute <= minute && minute < toMinute;
  return (days.includes(day) && minute >= fromMinute) || (days.includes(dayBefore) && minute < toMinute);
}

const anyWindow = fc.record({
  pool: fc.constant(""),
  days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }).map((days) => days.sort()),
  fromMinute: fc.oneof(fc.integer({ min: 0, max: 1439 }), fc.integer({ min: 60, max: 200 })),
  toMinute: fc.oneof(fc.integer({ min: 0, max: 1440 }), fc.integer({ min: 60, max: 200 })),
  zone: fc.constantFrom(...ZONES),
  count: fc.integer({ min: 1, max: 3 }),
}).filter(({ fromMinute, toMinute }) => fromMinute !== toMinute);

Deno.test("warmAt() agrees with the clocks in every minute of a year, and names the next change", () => {
  const clocks = new Map(ZONES.map((zone) => [zone, clocksOf(zone)]));
  const startMs = at("01-01T00:00");
  const check = (given: readonly WarmWindow[], times: ZonedTimes) => {
    const expected = (minute: number) =>
      given.reduce(
        (most, window) =>
          isOpen(window, clocks.get(window.zone)![minute]!) ? Math.max(most, window.count) : most,
        0,
      );
    for (let minute = 0; minute < YEAR_MINUTES;) {
      const atMs = startMs + minute * MINUTE_MS;
      const { count, untilMs } = warmAt(given, atMs, times);
      const until = (untilMs - startMs) / MINUTE_MS;
      assert.ok(until > minute && Number.isInteger(until));
      for (; minute < Math.min(until, YEAR_MINUTES); minute++) {
        if (expected(minute) !== count) {
          assert.fail(`minute ${minute}: ${count} instead of ${expected(minute)}`);
        }
      }
      const isChange = until >= YEAR_MINUTES || expected(until) !== count || untilMs >= atMs + 8 * DAY_MS;
      assert.ok(isChange, `minute ${until}: still ${count}`);
    }
  };
  const implementation = fc.constantFrom<ZonedTimes>(globalThis.Temporal, library);
  fc.assert(fc.property(fc.array(anyWindow, { minLength: 1, maxLength: 3 }), implementation, check), {
    numRuns: 30,
  });
});
