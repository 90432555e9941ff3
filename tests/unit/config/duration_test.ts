/**
 * Durations agree with Go's, on what Go 1.26 answered for the texts in `go_durations.json`: text, nanoseconds, and how
 * Go writes them; `null` where Go refuses.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  formatDurationMs,
  formatDurationNs,
  parseDurationMs,
  parseDurationNs,
} from "../../../lib/config/duration.ts";
import answers from "./go_durations.json" with { type: "json" };

Deno.test("parseDurationNs() takes and refuses what Go does, to the nanosecond", () => {
  for (const [text, ns] of answers) {
    assert.equal(parseDurationNs(text!), ns === null ? undefined : BigInt(ns!), JSON.stringify(text));
  }
});

Deno.test("formatDurationNs() writes as Go does", () => {
  for (const [text, ns, written] of answers) {
    if (ns !== null) assert.equal(formatDurationNs(BigInt(ns!)), written, JSON.stringify(text));
  }
});

Deno.test("parseDurationMs() and formatDurationMs() count in milliseconds", () => {
  assert.equal(parseDurationMs("2m0s"), 120_000);
  assert.equal(parseDurationMs("1.5ms"), 1.5);
  assert.equal(parseDurationMs("2 minutes"), undefined);
  assert.equal(formatDurationMs(120_000), "2m0s");
  assert.equal(formatDurationMs(1.5), "1.5ms");
  assert.equal(formatDurationMs(0), "0s");
});
