/**
 * Durations: what is written is read again.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDurationNs, parseDurationNs } from "../../lib/config/duration.ts";

const int64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });

/** Go reads fractions in float64: what it writes for more than some 10^15 ns of one unit may come back rounded. */
const short = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n });

Deno.test("parseDurationNs() reads what formatDurationNs() wrote", () => {
  fc.assert(fc.property(short, (ns) => assert.equal(parseDurationNs(formatDurationNs(ns)), ns)));
});

Deno.test("formatDurationNs() writes any int64 as a duration within a nanosecond", () => {
  fc.assert(fc.property(int64, (ns) => {
    const read = parseDurationNs(formatDurationNs(ns));
    assert.ok(read !== undefined && read - ns <= 1n && ns - read <= 1n);
  }));
});

Deno.test("parseDurationNs() adds up parts in any order", () => {
  const part = fc.tuple(fc.nat(1000), fc.constantFrom("h", "m", "s", "ms", "us", "ns"));
  fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
    const sum = parts.reduce((total, [n, unit]) => total + parseDurationNs(`${n}${unit}`)!, 0n);
    assert.equal(parseDurationNs(parts.map(([n, unit]) => `${n}${unit}`).join("")), sum);
  }));
});

Deno.test("parseDurationNs() never throws, and refuses what has no unit", () => {
  const mixed = fc.string({
    unit: fc.constantFrom("0", "1", "9", ".", "-", "+", "h", "m", "s", "µ", "n", " ", "x"),
  });
  fc.assert(fc.property(mixed, (text) => {
    if (parseDurationNs(text) !== undefined) assert.match(text, /^[-+]?(0|.*[hms])$/);
  }));
});
