/** Tests of how long a surplus stays that somebody else wants. @module */
import assert from "node:assert/strict";
import { keptForMs, NO_SURPLUS, note, type Surplus } from "../../../lib/scaler/surplus.ts";

const IDLE_MS = 120_000;
const MINUTE_MS = 60_000;

/** Lowered to 1 at `loweredMs`, raised again to `to` after `afterMs`. */
function again(before: Surplus, loweredMs: number, afterMs = 10_000, to = 2): Surplus {
  const changes = { lowered: { to: 1, atMs: loweredMs }, raised: { to, atMs: loweredMs + afterMs } };
  const noted = note(before, changes, -1, IDLE_MS);
  assert.deepEqual(note(noted, changes, -1, IDLE_MS), noted, "the same changes, looked at again");
  return noted;
}

const minutes = (surplus: Surplus) => keptForMs(surplus, IDLE_MS) / MINUTE_MS;

Deno.test("note(): a surplus that is raised again is kept twice as long each time, for an hour at most", () => {
  const kept: number[] = [];
  let surplus = NO_SURPLUS;
  for (let time = 0; time < 8; time++) {
    kept.push(minutes(surplus));
    surplus = again(surplus, 10_000_000 * time);
  }
  assert.deepEqual(kept, [2, 4, 8, 16, 32, 60, 60, 60]);
  assert.equal(keptForMs({ ...surplus, times: 2000 }, IDLE_MS), 60 * MINUTE_MS);
  assert.equal(keptForMs(surplus, 120 * MINUTE_MS), 120 * MINUTE_MS, "the idle timeout is longer");
});

Deno.test("note(): what is raised within one idle timeout counts, to the millisecond", () => {
  const once = again(NO_SURPLUS, 0);
  assert.equal(minutes(again(once, 1_000_000, IDLE_MS)), 8);
  assert.equal(
    minutes(again(once, 1_000_000, IDLE_MS + 1)),
    2,
    "later it is another matter, and begins anew",
  );
  assert.equal(minutes(again(once, 1_000_000, 0)), 8);
});

Deno.test("note(): a raise to what was left, or from before the scale-down, is not of the surplus", () => {
  assert.equal(again(NO_SURPLUS, 0, 10_000, 1).times, 0);
  assert.equal(again(NO_SURPLUS, 100_000, -10_000).times, 0);
  const before = note(
    NO_SURPLUS,
    { lowered: { to: 1, atMs: 100 }, raised: { to: 2, atMs: 90 } },
    -1,
    IDLE_MS,
  );
  assert.equal(again(before, 100).times, 1, "the scale-down was not answered before");
  const lowered = { to: 1, atMs: 5 };
  assert.equal(note(NO_SURPLUS, { lowered }, 7, IDLE_MS), NO_SURPLUS);
  assert.equal(note(NO_SURPLUS, { raised: lowered }, -1, IDLE_MS), NO_SURPLUS, "nobody has lowered it");
});

Deno.test("note(): two raises after one scale-down count once", () => {
  const lowered = { to: 1, atMs: 0 };
  const first = note(NO_SURPLUS, { lowered, raised: { to: 2, atMs: 10 } }, -1, IDLE_MS);
  const second = note(first, { lowered, raised: { to: 3, atMs: 20 } }, -1, IDLE_MS);
  assert.deepEqual([first.times, second.times], [1, 1]);
});

Deno.test("note(): a session on the surplus begins anew", () => {
  const changes = { lowered: { to: 1, atMs: 0 }, raised: { to: 2, atMs: 10 } };
  const twice = note({ times: 3, loweredMs: -10 }, changes, 0, IDLE_MS);
  assert.equal(twice.times, 4, "a session below it says nothing");
  const used = note(twice, changes, 1, IDLE_MS);
  assert.equal(used.times, 0);
  assert.equal(note(used, changes, -1, IDLE_MS).times, 0);
  assert.equal(again(used, 1_000_000).times, 1);
});
