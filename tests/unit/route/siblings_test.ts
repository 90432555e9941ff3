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
  assert.equal(siblings.builderOf("t"), undefined);
  siblings.began("t", "b1");
  siblings.began("t", "b1");
  siblings.ended("t");
  clock.freeze(3_600_000);
  assert.equal(siblings.builderOf("t"), "b1");
  siblings.ended("t");
  clock.freeze(60_000);
  assert.equal(siblings.builderOf("t"), "b1");
  clock.freeze(1);
  assert.equal(siblings.builderOf("t"), undefined);
});

Deno.test("Siblings forget a trace whose only session gave up its seat, but not one that was there before", () => {
  const siblings = new Siblings(new VirtualClock());
  siblings.began("t", "b1");
  siblings.gaveUp("t");
  assert.equal(siblings.builderOf("t"), undefined);
  siblings.began("t", "b2");
  siblings.ended("t");
  siblings.began("t", "b2");
  siblings.gaveUp("t");
  assert.equal(siblings.builderOf("t"), "b2");
});

Deno.test("Siblings know nothing of sessions without a trace, and take ends of unknown ones", () => {
  const siblings = new Siblings(new VirtualClock());
  siblings.began(undefined, "b1");
  siblings.ended(undefined);
  siblings.ended("unknown");
  siblings.gaveUp("unknown");
  assert.equal(siblings.builderOf(undefined), undefined);
  assert.equal(siblings.builderOf("unknown"), undefined);
});

Deno.test("Siblings keep 10,000 traces, and forget those first that were used longest ago", () => {
  const siblings = new Siblings(new VirtualClock());
  for (let i = 0; i < 10_000; i++) siblings.began(`t${i}`, "b1");
  siblings.began("t0", "b1");
  siblings.began("one more", "b1");
  assert.equal(siblings.builderOf("t1"), undefined);
  assert.equal(siblings.builderOf("t0"), "b1");
  assert.equal(siblings.builderOf("t2"), "b1");
});
