/**
 * Tests of the memory of traces.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Siblings } from "../../../lib/route/siblings.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

Deno.test("Siblings know a trace while a session of it runs, and for 60 s after the last one has ended", () => {
  const clock = new VirtualClock();
  const siblings = new Siblings(clock);
  assert.equal(siblings.find("t")?.builder, undefined);
  siblings.began("t", "b1");
  siblings.began("t", "b1");
  siblings.ended("t");
  clock.freeze(3_600_000);
  assert.equal(siblings.find("t")?.builder, "b1");
  siblings.ended("t");
  clock.freeze(60_000);
  assert.equal(siblings.find("t")?.builder, "b1");
  clock.freeze(1);
  assert.equal(siblings.find("t")?.builder, undefined);
});

Deno.test("Siblings forget a trace whose only session gave up its seat, but not one that was there before", () => {
  const siblings = new Siblings(new VirtualClock());
  siblings.began("t", "b1");
  siblings.gaveUp("t");
  assert.equal(siblings.find("t")?.builder, undefined);
  siblings.began("t", "b2");
  siblings.ended("t");
  siblings.began("t", "b2");
  siblings.gaveUp("t");
  assert.equal(siblings.find("t")?.builder, "b2");
});

Deno.test("Siblings know nothing of sessions without a trace, and take ends of unknown ones", () => {
  const siblings = new Siblings(new VirtualClock());
  siblings.began(undefined, "b1");
  siblings.ended(undefined);
  siblings.ended("unknown");
  siblings.gaveUp("unknown");
  assert.equal(siblings.find(undefined)?.builder, undefined);
  assert.equal(siblings.find("unknown")?.builder, undefined);
});

Deno.test("Siblings keep 10,000 traces, and forget those first that were used longest ago", () => {
  const siblings = new Siblings(new VirtualClock());
  for (let i = 0; i < 10_000; i++) siblings.began(`t${i}`, "b1");
  siblings.began("t0", "b1");
  siblings.began("one more", "b1");
  assert.equal(siblings.find("t1")?.builder, undefined);
  assert.equal(siblings.find("t0")?.builder, "b1");
  assert.equal(siblings.find("t2")?.builder, "b1");
});
