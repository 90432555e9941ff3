/**
 * Medians, ranges, and the verdicts of the gate.
 *
 * @module
 */
import assert from "node:assert/strict";
import { BARS } from "../../bench/bars.ts";
import { type Bar, median, range, type Row, verdicts } from "../../bench/figures.ts";

function row(by: Row["by"], id = "streams"): Row {
  return { id, what: "a stream", unit: "GB/s", by };
}

/** What becomes of one bar. */
function verdict(bar: Bar, by: Row["by"]): readonly [found: string, holds: boolean] {
  const [first] = verdicts([bar], [row(by)]);
  return [first!.found, first!.holds];
}

Deno.test("median() is the value in the middle, or the mean of the two there", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 2, 100]), 3);
  assert.equal(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
});

Deno.test("range() shows the median with the least and the greatest value", () => {
  assert.equal(range([2, 1, 12.34]), "2.00 (1.00–12.3)");
  assert.equal(range([1234.5]), "1235");
  assert.equal(range([0]), "0");
});

Deno.test("verdicts() compares with the best of several peers by their medians", () => {
  const bar: Bar = { row: "streams", beside: ["Go", "nginx"], atLeast: 1 };
  const by = { program: [1, 2, 3], Go: [1.9, 2, 9], nginx: [1] };
  assert.deepEqual(verdict(bar, by), ["1.00 times", true]);
  assert.deepEqual(verdict(bar, { ...by, nginx: [2.1] }), ["0.95 times", false]);
});

Deno.test("verdicts() limits a ratio, a difference and a value from above", () => {
  const by = { program: [60], Go: [50], empty: [50] };
  assert.deepEqual(verdict({ row: "streams", beside: ["Go"], atMost: 1.2 }, by), ["1.20 times", true]);
  assert.deepEqual(verdict({ row: "streams", beside: ["Go"], atMost: 1.1 }, by), ["1.20 times", false]);
  assert.deepEqual(verdict({ row: "streams", above: "empty", atMost: 10 }, by), ["10.0 GB/s", true]);
  assert.deepEqual(verdict({ row: "streams", above: "empty", atMost: 9 }, by), ["10.0 GB/s", false]);
  assert.deepEqual(verdict({ row: "streams", atMost: 60 }, by), ["60.0 GB/s", true]);
  assert.deepEqual(verdict({ row: "streams", atMost: 59 }, by), ["60.0 GB/s", false]);
});

Deno.test("verdicts() tells the same of the bare relay where it was measured", () => {
  const by = { program: [2], "Deno, bare": [3], Go: [4], empty: [1] };
  const bareOf = (bar: Bar, found: Row["by"] = by) => verdicts([bar], [row(found)])[0]!.bare;
  assert.equal(bareOf({ row: "streams", beside: ["Go"], atLeast: 1 }), "0.75 times");
  assert.equal(bareOf({ row: "streams", above: "empty", atMost: 1 }), "2.00 GB/s");
  assert.equal(bareOf({ row: "streams", atMost: 1 }, { program: [2] }), undefined);
});

Deno.test("verdicts() fails a bar when a contender was not measured", () => {
  const bar: Bar = { row: "streams", beside: ["Go", "HAProxy"], atLeast: 0.1 };
  assert.deepEqual(verdict(bar, { program: [2], Go: [1] }), ["not measured: HAProxy", false]);
  assert.deepEqual(verdict(bar, { Go: [1], HAProxy: [1] }), ["not measured: program", false]);
});

Deno.test("verdicts() leaves out bars whose rows were not measured, and marks aims", () => {
  const aim: Bar = { row: "streams", beside: ["Go"], atLeast: 3, isAim: true };
  const found = verdicts([aim, { row: "other", atMost: 1 }], [row({ program: [2], Go: [1] })]);
  assert.deepEqual(found.map(({ isAim, holds, bar }) => [isAim, holds, bar]), [[
    true,
    false,
    "at least 3.0 times Go",
  ]]);
});

Deno.test("BARS has one bar for each row", () => {
  const rows = BARS.map(({ row }) => row);
  assert.deepEqual(rows.filter((row, at) => rows.indexOf(row) !== at), []);
});
