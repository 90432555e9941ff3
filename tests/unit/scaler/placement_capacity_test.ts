/** Tests of where sessions are seated when pods have limits, and of sessions that only watch. @module */
import assert from "node:assert/strict";
import type { Capacity } from "../../../lib/scaler/capacity.ts";
import { pod, setUp } from "./placement_world.ts";

/** Two sessions a pod, three at most, and two pods. */
const TWO: Partial<Capacity> = { maxReplicas: 2, sessionsPerReplica: 2, maxSessionsPerReplica: 3 };

const of = (capacity: Partial<Capacity>, replicas = 2) => {
  const world = setUp(replicas, { capacity });
  let last = 0;
  const seat = (beyond: "nothing" | "target" | "limit" = "nothing") =>
    world.placement.seat(++last, true, beyond)?.backend.ordinal;
  return { ...world, seat };
};

Deno.test("Placement.seat() fills the lowest pod up to the target, then the next", () => {
  const { placement, seat } = of(TWO);
  assert.deepEqual([seat(), seat(), seat(), seat(), seat()], [0, 0, 1, 1, undefined]);
  assert.deepEqual(placement.room, { load: 4, room: 0, reach: 0, limit: 2, open: 2 });
  assert.equal(placement.usage.open, 4, "one that finds no seat leaves no trace");
  placement.end(1);
  assert.equal(seat(), 0);
});

Deno.test("Placement.seat() goes beyond the target and the hard limit only where it may", () => {
  const { seat } = of(TWO, 1);
  assert.deepEqual([seat(), seat(), seat(), seat("target"), seat("target"), seat("limit")], [
    0,
    0,
    undefined,
    0,
    undefined,
    0,
  ]);
});

Deno.test("Placement.seat() spreads sessions where it is to", () => {
  const least = of({ ...TWO, spread: "least" });
  assert.deepEqual([least.seat(), least.seat(), least.seat()], [0, 1, 0]);
  const turn = of({ ...TWO, spread: "turn" });
  assert.deepEqual([turn.seat(), turn.seat()], [0, 1]);
  turn.placement.end(1);
  turn.placement.end(2);
  assert.deepEqual([turn.seat(), turn.seat()], [0, 1], "after the last one comes the first");
});

Deno.test("Placement takes the sessions of other proxies into account, and says what has room by them", () => {
  const { placement, seat } = of(TWO);
  let told = 0;
  placement.subscribe(() => told++);
  placement.others = new Map([[0, 1], [1, 2]]);
  assert.equal(told, 1);
  placement.others = new Map([[0, 1], [1, 2]]);
  assert.equal(told, 1, "nothing new");
  assert.deepEqual([seat(), seat()], [0, undefined]);
  assert.deepEqual([...placement.load], [[0, 2], [1, 2]]);
  placement.others = new Map();
  assert.deepEqual([seat(), seat()], [0, 1]);
});

Deno.test("Placement.needed is what held sessions need beyond what has room, whoever sits there", () => {
  const { placement } = of(TWO, 1);
  placement.hold(1, true);
  placement.hold(2, true);
  assert.deepEqual([placement.needed, placement.isClaiming, placement.wanted], [1, false, 1]);
  placement.hold(3, true);
  assert.deepEqual([placement.needed, placement.isClaiming, placement.wanted], [2, true, 2]);
  placement.end(3);
  placement.others = new Map([[0, 1]]);
  assert.equal(placement.needed, 2);
  placement.hold(2, false);
  assert.equal(placement.needed, 1, "it may be no client at all");
});

Deno.test("Placement.promise() is refused for a pod that held sessions need, and permitted above", () => {
  const { placement } = of({ ...TWO, maxReplicas: 3 }, 3);
  for (const id of [1, 2, 3]) placement.hold(id, true);
  assert.equal(placement.promise({ below: 1, version: "10" }), false);
  assert.equal(placement.promise({ below: 2, version: "10" }), true);
  assert.equal(placement.closedToHeld, false);
  placement.hold(4, true);
  assert.equal(placement.closedToHeld, false);
  placement.hold(5, true);
  assert.deepEqual([placement.closedToHeld, placement.isClaiming], [true, true], "the third pod is closed");
});

Deno.test("Placement remembers until when held sessions needed the pods above the first", async () => {
  const { clock, placement } = of(TWO, 1);
  for (const id of [1, 2, 3]) placement.hold(id, true);
  await clock.advance(10);
  placement.end(3);
  assert.deepEqual([...placement.usage.lastUsedMs], [[1, clock.nowMs()]]);
  assert.equal(placement.usage.lastNeededMs, -Infinity, "two still need the first");
});

Deno.test("Placement.room counts only the pods that are there while growth is stuck", () => {
  const { placement, seat } = of(TWO, 1);
  seat();
  assert.deepEqual(placement.room, { load: 1, room: 1, reach: 3, limit: 5, open: 2 });
  let told = 0;
  placement.subscribe(() => told++);
  placement.isGrowthStuck = true;
  assert.deepEqual(placement.room, { load: 1, room: 1, reach: 1, limit: 2, open: 2 });
  placement.isGrowthStuck = true;
  assert.equal(told, 1);
  placement.pods.set([]);
  assert.equal(placement.room.reach, 3, "without a pod it is not growth that is stuck");
});

Deno.test("Placement: a silent session uses its pod, and is no load on it", () => {
  const { placement, seat } = of(TWO, 1);
  seat();
  placement.silent(1, true);
  assert.deepEqual([placement.room.load, placement.usage.highest], [0, 0]);
  assert.equal(placement.promise({ below: 0, version: "10" }), false, "it is never cut");
  placement.silent(1, false);
  assert.equal(placement.room.load, 1);
});

Deno.test("Placement: a session that only watches counts for nothing, and blocks no scale-down", () => {
  const { placement } = of(TWO, 1);
  assert.equal(placement.seatWatcher(1)?.backend.ordinal, 0);
  const seat = placement.seat(2, true, "nothing")!;
  placement.watch(2);
  const { held, needing, highest, busyOrdinals, open, lastUsedMs } = placement.usage;
  assert.deepEqual([held, needing, highest, busyOrdinals, open], [0, 0, -1, [], 2]);
  assert.deepEqual(placement.room, { load: 0, room: 2, reach: 4, limit: 6, open: 3 });
  assert.equal(placement.isValid(seat), true, "it keeps its seat");
  assert.ok(placement.promise({ below: 0, version: "10" }));
  placement.end(1);
  placement.end(2);
  assert.equal(lastUsedMs.size, 0, "nor is it a last use");
});

Deno.test("Placement.seatWatcher() finds no seat where sessions find none, and one where they are too many", () => {
  const { placement, seat } = of({ ...TWO, maxReplicas: 1 }, 1);
  for (let i = 0; i < 3; i++) seat("target");
  assert.equal(seat("target"), undefined);
  assert.equal(placement.seatWatcher(9)?.backend.ordinal, 0);
  placement.pods.set([pod(0, { ready: false })]);
  assert.equal(placement.seatWatcher(10), undefined);
  assert.equal(placement.usage.open, 4);
  placement.watch(10);
  assert.equal(placement.usage.open, 4, "one without a seat");
});

Deno.test("Placement.watchNoMore() makes a watching session count, if the rules permit one on its pod", () => {
  const lost: Record<string, (world: ReturnType<typeof of>) => void> = {
    "a scale-down is agreed": ({ placement }) => void placement.promise({ below: 0, version: "10" }),
    "the count has fallen": ({ see }) => see(0),
    "the pod is being deleted": ({ placement }) => placement.pods.set([pod(0, { terminating: true })]),
    "another pod has its name": ({ placement }) => placement.pods.set([pod(0, { uid: "new" })]),
    "it has given up its seat": ({ placement }) => placement.hold(1, true),
    "it has ended": ({ placement }) => placement.end(1),
    "this proxy has lapsed": ({ gate }) => gate.open = false,
  };
  for (const [what, lose] of Object.entries(lost)) {
    const world = of(TWO, 1);
    world.placement.seatWatcher(1);
    lose(world);
    assert.equal(world.placement.watchNoMore(1), false, what);
    assert.equal(world.placement.usage.highest, -1, what);
  }
  const { placement } = of(TWO, 1);
  placement.seatWatcher(1);
  assert.equal(placement.watchNoMore(1), true);
  assert.deepEqual([placement.usage.highest, placement.room.load, placement.usage.needs(1)], [0, 1, true]);
  assert.equal(placement.promise({ below: 0, version: "10" }), false);
  assert.equal(placement.watchNoMore(1), true, "one that counts already");
  assert.equal(placement.room.load, 1);
});

Deno.test("Placement.lookAgain() tells when time alone has made a pod usable", async () => {
  const { clock, placement, see } = of(TWO, 1);
  see(0);
  see(1);
  placement.pods.settled();
  assert.deepEqual(placement.usable, []);
  let told = 0;
  placement.subscribe(() => told++);
  placement.lookAgain();
  assert.equal(told, 0);
  await clock.advance(placement.pods.nextVerifiedMs - clock.nowMs());
  placement.lookAgain();
  assert.deepEqual([told, placement.usable], [1, [0]]);
});

Deno.test("Placement.changes says when the count was lowered by agreement, and when others raised it", async () => {
  const { clock, placement, see } = of(TWO);
  see(1);
  assert.deepEqual(placement.changes, {}, "somebody else has lowered it");
  assert.ok(placement.promise({ below: 0, version: "11" }));
  await clock.advance(5);
  see(0);
  assert.deepEqual(placement.changes.lowered, { to: 0, atMs: clock.nowMs() });
  await clock.advance(5);
  placement.raisedByOther(2);
  assert.deepEqual(placement.changes.raised, { to: 2, atMs: clock.nowMs() });
});
