/**
 * How warm windows are written.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type WarmWindow, warmWindows } from "../../../lib/config/warm_windows.ts";

function only(text: string): WarmWindow {
  const [window, ...more] = warmWindows.parse(text) ?? assert.fail(text);
  assert.deepEqual(more, []);
  return window!;
}

Deno.test("warmWindows takes a pool, days, times, a zone and a count", () => {
  assert.deepEqual(
    warmWindows.parse("Mon-Fri 07:00-19:00 Europe/Berlin=1; arm64/Sat,Sun 22:00-02:30 UTC=2"),
    [
      { pool: "", days: [1, 2, 3, 4, 5], fromMinute: 420, toMinute: 1140, zone: "Europe/Berlin", count: 1 },
      { pool: "arm64", days: [6, 7], fromMinute: 1320, toMinute: 150, zone: "UTC", count: 2 },
    ],
  );
  const spaced = only("  a-1/mon   7:05-9:00   utc = 32000 ");
  assert.deepEqual(spaced, {
    pool: "a-1",
    days: [1],
    fromMinute: 425,
    toMinute: 540,
    zone: "utc",
    count: 32_000,
  });
});

Deno.test("warmWindows takes days alone, in lists, and in ranges, which may go over Sunday", () => {
  const days: Readonly<Record<string, readonly number[]>> = {
    Mon: [1],
    SUN: [7],
    "Sun,Mon": [1, 7],
    "Sat-Mon": [1, 6, 7],
    "Mon-Sun": [1, 2, 3, 4, 5, 6, 7],
    "Tue-Tue": [2],
    "Wed-Tue": [1, 2, 3, 4, 5, 6, 7],
    "Mon-Wed,Tue-Thu,Sat": [1, 2, 3, 4, 6],
  };
  for (const [text, expected] of Object.entries(days)) {
    assert.deepEqual(only(`${text} 07:00-08:00 UTC=1`).days, expected, text);
  }
});

Deno.test("warmWindows takes ends at midnight in both forms, and ends on the next day", () => {
  const times: Readonly<Record<string, readonly [number, number]>> = {
    "00:00-24:00": [0, 1440],
    "22:00-24:00": [1320, 1440],
    "22:00-00:00": [1320, 0],
    "23:59-23:58": [1439, 1438],
    "00:00-00:01": [0, 1],
  };
  for (const [text, [from, to]] of Object.entries(times)) {
    const { fromMinute, toMinute } = only(`Mon ${text} UTC=1`);
    assert.deepEqual([fromMinute, toMinute], [from, to], text);
  }
});

const EXAMPLE = 'windows such as "Mon-Fri 07:00-19:00 Europe/Berlin=1; arm64/Sat,Sun 22:00-02:00 UTC=1"';
const WRONG: Readonly<Record<string, string>> = {
  "": EXAMPLE,
  "Mon 07:00-08:00 UTC": EXAMPLE,
  "Mon 07:00-08:00=1": EXAMPLE,
  "Mon 07:00 UTC=1": EXAMPLE,
  "Mon 07:00-08:00 UTC=-1": EXAMPLE,
  "Mon 07:00-08:00 UTC=1;": EXAMPLE,
  "Mon 07:00-08:00 UTC=1, Tue 07:00-08:00 UTC=1": EXAMPLE,
  "Arm/Mon 07:00-08:00 UTC=1":
    'the name of a pool, up to 63 of a-z, 0-9 and "-", with a letter or digit at both ends, instead of "Arm"',
  "Moo 07:00-08:00 UTC=1": 'days such as "Mon-Fri" or "Sat,Sun" instead of "Moo"',
  "Mon,,Tue 07:00-08:00 UTC=1": 'days such as "Mon-Fri" or "Sat,Sun" instead of "Mon,,Tue"',
  "Mon- 07:00-08:00 UTC=1": 'days such as "Mon-Fri" or "Sat,Sun" instead of "Mon-"',
  "Mon-Tue-Wed 07:00-08:00 UTC=1": 'days such as "Mon-Fri" or "Sat,Sun" instead of "Mon-Tue-Wed"',
  "Mon 7-08:00 UTC=1": 'a beginning from 00:00 to 23:59 instead of "7"',
  "Mon 24:00-08:00 UTC=1": 'a beginning from 00:00 to 23:59 instead of "24:00"',
  "Mon 07:60-08:00 UTC=1": 'a beginning from 00:00 to 23:59 instead of "07:60"',
  "Mon 07:00-24:01 UTC=1": 'an end from 00:00 to 24:00 instead of "24:01"',
  "Mon 07:00-8:0 UTC=1": 'an end from 00:00 to 24:00 instead of "8:0"',
  "Mon 07:00-07:00 UTC=1": 'an end that is not the beginning instead of "07:00-07:00"',
  "Mon 00:00-00:00 UTC=1": 'an end that is not the beginning instead of "00:00-00:00"',
  "Mon 07:00-08:00 Foo/Bar=1": 'a time zone such as "Europe/Berlin" or "UTC" instead of "Foo/Bar"',
  "Mon 07:00-08:00 +02:00=1": 'a time zone such as "Europe/Berlin" or "UTC" instead of "+02:00"',
  "Mon 07:00-08:00 UTC=0": 'a count from 1 to 32000 instead of "0"',
  "Mon 07:00-08:00 UTC=32001": 'a count from 1 to 32000 instead of "32001"',
  "Mon 07:00-08:00 UTC=1; Tue 07:00-08:00 X=1": 'a time zone such as "Europe/Berlin" or "UTC" instead of "X"',
};

for (const [text, want] of Object.entries(WRONG)) {
  Deno.test(`warmWindows refuses ${JSON.stringify(text)}, and says what it wants`, () => {
    assert.equal(warmWindows.parse(text), undefined);
    assert.equal(warmWindows.want(text), want);
  });
}

Deno.test("warmWindows quotes at most 40 characters of a part", () => {
  const zone = "x".repeat(41);
  assert.ok(warmWindows.want(`Mon 07:00-08:00 ${zone}=1`).endsWith(`instead of "${zone.slice(1)}"`));
});

Deno.test("warmWindows parses what it has formatted", () => {
  const windows = fc.array(
    fc.record({
      pool: fc.constantFrom("", "arm64"),
      days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }).map((days) => days.sort()),
      fromMinute: fc.integer({ min: 0, max: 1439 }),
      toMinute: fc.integer({ min: 0, max: 1440 }),
      zone: fc.constantFrom("UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"),
      count: fc.integer({ min: 1, max: 32_000 }),
    }, { noNullPrototype: true }).filter(({ fromMinute, toMinute }) => fromMinute !== toMinute),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(fc.property(windows, (given) => {
    assert.deepEqual(warmWindows.parse(warmWindows.format(given)), given);
  }));
  const text = "Mon-Wed,Fri,Sun 07:00-24:00 UTC=1; gpu/Sat 22:00-02:05 Europe/Berlin=3";
  assert.equal(warmWindows.format(warmWindows.parse(text)), text);
  assert.equal(warmWindows.format(undefined), "");
});
