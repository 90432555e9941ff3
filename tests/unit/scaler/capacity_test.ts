/** Tests of what the pods of a builder take. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Capacity, choose, limitOf, neededBy, roomOf, targetOf } from "../../../lib/scaler/capacity.ts";
import { ONE_POD } from "../../support/capacity.ts";

/** Three pods that should have two sessions each, and take three. */
const THREE: Capacity = {
  maxReplicas: 3,
  sessionsPerReplica: 2,
  maxSessionsPerReplica: 3,
  spread: "lowest",
};

const loads = (...counts: number[]) =>
  new Map([...counts.entries()].filter(([, count]) => count > 0).map(([ordinal, count]) => [ordinal, count]));

Deno.test("targetOf() is the hard limit where there is no target, and there may be neither", () => {
  const limits = (sessionsPerReplica: number, maxSessionsPerReplica: number) => {
    const capacity = { ...THREE, sessionsPerReplica, maxSessionsPerReplica };
    return [targetOf(capacity), limitOf(capacity)];
  };
  assert.deepEqual(limits(2, 3), [2, 3]);
  assert.deepEqual(limits(2, 0), [2, Infinity]);
  assert.deepEqual(limits(0, 3), [3, 3]);
  assert.deepEqual(limits(0, 0), [Infinity, Infinity]);
});

Deno.test("neededBy() is one pod for any number of sessions, with one pod or without limits", () => {
  for (const needing of [1, 2, 1000]) {
    assert.equal(neededBy(needing, loads(), ONE_POD), 1);
    assert.equal(neededBy(needing, loads(9), ONE_POD), 1);
    const unlimited = { ...THREE, sessionsPerReplica: 0, maxSessionsPerReplica: 0 };
    assert.equal(neededBy(needing, loads(), unlimited), 1);
  }
  assert.equal(neededBy(0, loads(9), ONE_POD), 0);
});

Deno.test("neededBy() is the fewest pods with a seat below the target for each, or all", () => {
  const needed = (needing: number, ...counts: number[]) => neededBy(needing, loads(...counts), THREE);
  assert.deepEqual([needed(1), needed(2), needed(3), needed(5), needed(7)], [1, 1, 2, 3, 3]);
  assert.equal(needed(1, 2), 2);
  assert.equal(needed(1, 3, 1), 2);
  assert.equal(needed(2, 3, 1), 3);
  assert.equal(needed(1, 2, 2, 2), 3, "nobody finds a seat");
  assert.equal(needed(1, 0, 2), 1);
});

Deno.test("roomOf() counts seats on the pods that are usable, and on all that there may be", () => {
  const room = (usable: number[], load: number[], isGrowthStuck = false) =>
    roomOf({ usable, load: loads(...load), isGrowthStuck }, THREE);
  assert.deepEqual(room([], []), { load: 0, room: 0, reach: 6, limit: 9, open: 0 });
  assert.deepEqual(room([0], [1]), { load: 1, room: 1, reach: 5, limit: 8, open: 2 });
  assert.deepEqual(room([0, 1], [3, 1]), { load: 4, room: 1, reach: 3, limit: 5, open: 2 });
  assert.deepEqual(room([0], [5]), { load: 5, room: 0, reach: 4, limit: 6, open: 0 }, "beyond both limits");
  assert.deepEqual(room([0], [2], true), { load: 2, room: 0, reach: 0, limit: 1, open: 1 });
  assert.deepEqual(
    room([0], [2, 0, 0, 1]),
    { load: 3, room: 0, reach: 4, limit: 7, open: 1 },
    "above the maximum",
  );
  assert.deepEqual(roomOf({ usable: [0], load: loads(9), isGrowthStuck: false }, ONE_POD), {
    load: 9,
    room: 0,
    reach: 0,
    limit: Infinity,
    open: Infinity,
  });
});

Deno.test("choose() takes a pod below the target by the spread", () => {
  const chosen = (spread: Capacity["spread"], load: number[], last?: number) =>
    choose({ usable: [0, 1, 2], load: loads(...load) }, { ...THREE, spread }, "nothing", last);
  assert.equal(chosen("lowest", [1, 0, 0]), 0);
  assert.equal(chosen("lowest", [2, 1, 0]), 1);
  assert.equal(chosen("least", [1, 0, 0]), 1);
  assert.equal(chosen("least", [1, 1, 1]), 0);
  assert.deepEqual([-1, 0, 1, 2].map((last) => chosen("turn", [], last)), [0, 1, 2, 0]);
  assert.equal(chosen("turn", [0, 2, 0], 0), 2, "one that is full has no turn");
  assert.equal(chosen("turn", [], undefined), 0);
});

Deno.test("choose() goes beyond the target, or the hard limit, only as far as it may", () => {
  const chosen = (load: number[]) =>
    (["nothing", "target", "limit"] as const).map((beyond) =>
      choose({ usable: [0, 1], load: loads(...load) }, THREE, beyond)
    );
  assert.deepEqual(chosen([2, 1]), [1, 1, 1]);
  assert.deepEqual(chosen([2, 2]), [undefined, 0, 0]);
  assert.deepEqual(chosen([3, 2]), [undefined, 1, 1]);
  assert.deepEqual(chosen([4, 3]), [undefined, undefined, 1]);
  assert.equal(choose({ usable: [], load: loads() }, THREE, "limit"), undefined);
});

const capacity = fc.record({
  maxReplicas: fc.integer({ min: 1, max: 5 }),
  sessionsPerReplica: fc.integer({ min: 0, max: 3 }),
  more: fc.constantFrom(undefined, 0, 1, 2),
  spread: fc.constantFrom("lowest" as const, "least" as const, "turn" as const),
}).map(({ more, ...rest }): Capacity => ({
  ...rest,
  maxSessionsPerReplica: more === undefined ? 0 : rest.sessionsPerReplica + more,
}));
const counts = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 6 });
const ordinals = fc.uniqueArray(fc.integer({ min: 0, max: 4 }))
  .map((list) => list.toSorted((a, b) => a - b));
const world = fc.record({ capacity, counts, ordinals }).map(({ capacity, counts, ordinals }) => ({
  capacity,
  load: loads(...counts),
  usable: ordinals.filter((ordinal) => ordinal < capacity.maxReplicas),
}));
const anyBeyond = fc.constantFrom("nothing" as const, "target" as const, "limit" as const);

Deno.test("neededBy(): no fewer pods would do, and a session that is seated does not raise it", () => {
  fc.assert(
    fc.property(
      world,
      fc.integer({ min: 1, max: 20 }),
      anyBeyond,
      ({ capacity, load, usable }, needing, beyond) => {
        const needed = neededBy(needing, load, capacity);
        const found = (pods: number) =>
          roomOf({ usable: [...Array(pods).keys()], load, isGrowthStuck: true }, capacity).reach;
        assert.ok(needed >= 1 && needed <= capacity.maxReplicas);
        assert.ok(found(needed) >= needing || needed === capacity.maxReplicas);
        assert.ok(found(needed - 1) < needing);
        const ordinal = choose({ usable, load }, capacity, beyond);
        if (ordinal === undefined) return;
        const after = new Map(load).set(ordinal, 1 + (load.get(ordinal) ?? 0));
        assert.ok(neededBy(needing - 1, after, capacity) <= needed);
      },
    ),
    { numRuns: 1000 },
  );
});

Deno.test("roomOf() agrees with choose(): a seat is found where it says so, and each takes one off", () => {
  fc.assert(
    fc.property(world, ({ capacity, load, usable }) => {
      const at = (more: Map<number, number> = new Map(load)) =>
        roomOf({ usable, load: more, isGrowthStuck: false }, capacity);
      const before = at();
      assert.ok(before.room <= before.reach && before.reach <= before.limit && before.open <= before.limit);
      const ordinal = choose({ usable, load }, capacity, "nothing");
      assert.equal(ordinal !== undefined, before.room > 0);
      const stuck = roomOf({ usable, load, isGrowthStuck: true }, capacity);
      assert.deepEqual([stuck.room, stuck.reach], [before.room, before.room]);
      assert.equal(choose({ usable, load }, capacity, "target") !== undefined, before.open > 0);
      assert.equal(stuck.limit, before.open);
      assert.equal(choose({ usable, load }, capacity, "limit") !== undefined, usable.length > 0);
      if (ordinal === undefined) return;
      const after = at(new Map(load).set(ordinal, 1 + (load.get(ordinal) ?? 0)));
      const less = (value: number) => value === Infinity ? Infinity : value - 1;
      assert.deepEqual(after, {
        load: before.load + 1,
        room: less(before.room),
        reach: less(before.reach),
        limit: less(before.limit),
        open: less(before.open),
      });
    }),
    { numRuns: 1000 },
  );
});
