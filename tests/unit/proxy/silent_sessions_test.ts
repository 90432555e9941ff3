/**
 * Tests of how silent sessions are noticed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SilentSessions } from "../../../lib/proxy/silent_sessions.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const LOOK_MS = 15_000;

function setUp() {
  const clock = new VirtualClock();
  const told: [number, boolean][] = [];
  return { clock, told, sessions: new SilentSessions(clock, (...args) => void told.push(args)) };
}

Deno.test("SilentSessions tell of a session that was silent for 60 s at least, once, and of its next byte", async () => {
  const { clock, told, sessions } = setUp();
  const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  sessions.add(1, traffic);
  traffic.upstreamBytes = 10;
  await clock.advance(LOOK_MS * 4);
  assert.deepEqual(told, []);
  await clock.advance(LOOK_MS);
  assert.deepEqual(told, [[1, true]]);
  await clock.advance(3_600_000);
  assert.deepEqual(told, [[1, true]]);
  traffic.downstreamBytes = 1;
  await clock.advance(LOOK_MS);
  assert.deepEqual(told, [[1, true], [1, false]]);
  await clock.advance(LOOK_MS * 3);
  traffic.downstreamBytes = 2;
  await clock.advance(LOOK_MS * 4);
  assert.equal(told.length, 2, "it was not silent for long enough");
});

Deno.test("SilentSessions watch all sessions with one timer, and none without sessions", async () => {
  const { clock, told, sessions } = setUp();
  assert.equal(clock.pending, 0);
  const traffic = [1, 2, 3].map(() => ({ upstreamBytes: 0, downstreamBytes: 0 }));
  traffic.forEach((each, id) => sessions.add(id, each));
  assert.equal(clock.pending, 1);
  sessions.remove(0);
  sessions.remove(0);
  await clock.advance(LOOK_MS * 4);
  traffic[1]!.upstreamBytes = 1;
  await clock.advance(LOOK_MS);
  assert.deepEqual(told, [[2, true]]);
  sessions.remove(1);
  assert.equal(clock.pending, 1, "one is left");
  sessions.remove(2);
  assert.equal(clock.pending, 0);
  sessions.remove(2);
  sessions.add(3, traffic[0]!);
  assert.equal(clock.pending, 1, "a new one is watched again");
  sessions.remove(3);
});

Deno.test("SilentSessions hear bytes in either direction, and those that come just after the silence was told", async () => {
  const { clock, told, sessions } = setUp();
  const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  sessions.add(1, traffic);
  for (let look = 0; look < 6; look++) {
    traffic.upstreamBytes++;
    traffic.downstreamBytes++;
    await clock.advance(LOOK_MS);
  }
  assert.deepEqual(told, []);
  await clock.advance(LOOK_MS * 4);
  assert.deepEqual(told, [[1, true]]);
  traffic.upstreamBytes++;
  await clock.advance(LOOK_MS);
  assert.deepEqual(told, [[1, true], [1, false]]);
  sessions.remove(1);
});
