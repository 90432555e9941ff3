/**
 * Tests of the times for which a session waits.
 *
 * @module
 */
import assert from "node:assert/strict";
import { WaitLimit } from "../../../lib/proxy/wait_limit.ts";
import type { WaitsFor } from "../../../lib/target/seats.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const LIMITS = { readyWaitTimeoutMs: 1_000, queueTimeoutMs: 5_000 };

function setUp() {
  const clock = new VirtualClock();
  const over: WaitsFor[] = [];
  return { clock, over, limit: new WaitLimit(clock, LIMITS, (waitsFor) => void over.push(waitsFor)) };
}

Deno.test("WaitLimit starts with the time for a pod", async () => {
  const { clock, over } = setUp();
  await clock.advance(999);
  assert.deepEqual(over, []);
  await clock.advance(1);
  assert.deepEqual(over, ["pod"]);
  assert.equal(clock.pending, 0);
});

Deno.test("WaitLimit lets each time run only while the session waits for that, and starts neither anew", async () => {
  const { clock, over, limit } = setUp();
  await clock.advance(900);
  limit.waitFor("room");
  await clock.advance(4_000);
  limit.waitFor("pod");
  await clock.advance(99);
  limit.waitFor("room");
  limit.waitFor("room");
  await clock.advance(999);
  assert.deepEqual(over, []);
  limit.waitFor("pod");
  await clock.advance(1);
  assert.deepEqual(over, ["pod"]);
});

Deno.test("WaitLimit ends at the time for room with that", async () => {
  const { clock, over, limit } = setUp();
  limit.waitFor("room");
  await clock.advance(2_000);
  limit.waitFor("pod");
  await clock.advance(500);
  limit.waitFor("room");
  await clock.advance(2_999);
  assert.deepEqual(over, []);
  await clock.advance(1);
  assert.deepEqual(over, ["room"]);
  limit.waitFor("pod");
  assert.equal(clock.pending, 0, "it is over");
});

Deno.test("WaitLimit does not bound a session that waits for nothing", async () => {
  const { clock, over, limit } = setUp();
  await clock.advance(500);
  limit.waitFor("nothing");
  assert.equal(clock.pending, 0);
  await clock.advance(1_000_000);
  limit.waitFor("pod");
  await clock.advance(499);
  assert.deepEqual(over, []);
  await clock.advance(1);
  assert.deepEqual(over, ["pod"]);
});

Deno.test("WaitLimit tells nothing after its end, and leaves no timer", async () => {
  const { clock, over, limit } = setUp();
  limit.end();
  limit.end();
  limit.waitFor("room");
  assert.equal(clock.pending, 0);
  await clock.advance(100_000);
  assert.deepEqual(over, []);
});
