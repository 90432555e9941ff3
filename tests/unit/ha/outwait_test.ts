/** Tests of how an observer ends the promise with which it has joined, and of what it tells the others. @module */
import assert from "node:assert/strict";
import { outwait } from "../../../lib/ha/outwait.ts";
import type { SeenRecord } from "../../../lib/ha/record_expiry.ts";
import { parseRecord } from "../../../lib/ha/record.ts";
import { Standing } from "../../../lib/ha/standing.ts";
import { objects } from "../../../lib/ha/votes.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { EXPIRY_MS, IDLE, joinedMember, leaseOf, readyPod, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const OBSERVER = { ...IDLE, observes: true as const };

function record(
  identity: string,
  body: typeof OBSERVER | typeof IDLE = IDLE,
  unchangedMs = 0,
  expiryMs = EXPIRY_MS,
): SeenRecord {
  return { ...parseRecord(leaseOf(identity, body, { expiryMs }), TARGET)!, seenMs: 0, unchangedMs };
}

/** An observer that has just joined at version 100; `landed` is what reading the count shows. */
function setUp(list: SeenRecord[], landed = { replicas: 1, version: "100" }) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const placement = new Placement(clock, ONE_POD, "pod");
  placement.see({ replicas: 1, version: "100" });
  readyPod(placement);
  placement.bind("100");
  const controller = new AbortController();
  let isOver = false;
  const waiting = outwait("100", {
    clock,
    log,
    placement,
    identity: "me",
    records: { list: () => Promise.resolve(list) },
    count: { read: () => Promise.resolve(placement.see(landed, "read")) },
  }, controller.signal).then(() => void (isOver = true), () => {});
  return {
    clock,
    log,
    placement,
    list,
    isOver: () => isOver,
    end: async () => {
      controller.abort(new Error("over"));
      await waiting;
      assert.equal(clock.pending, 0, "no timer is left");
    },
  };
}

Deno.test("outwait() is over at once where nobody else scales: no record, an observer's, one that has expired", async () => {
  const world = setUp([record("me"), record("other", OBSERVER), record("dead", IDLE, EXPIRY_MS)]);
  assert.equal(arrive(world.placement, 1), undefined, "the promise binds");
  await world.clock.advance(0);
  assert.ok(world.isOver());
  assert.deepEqual(world.placement.agreement.promises, []);
  assert.ok(arrive(world.placement, 2) !== undefined);
  assert.deepEqual(world.log.of("observer_waits"), []);
  await world.end();
});

Deno.test("outwait() waits for a proxy that scales until its record is gone", async () => {
  const world = setUp([record("other")]);
  await world.clock.advance(60_000);
  assert.ok(!world.isOver());
  assert.equal(world.placement.agreement.promises.length, 1);
  assert.deepEqual(world.log.of("observer_waits").map(({ fields }) => fields["proxies"]), [["other"]]);
  world.list.length = 0;
  await world.clock.advance(5_000);
  assert.ok(world.isOver());
  await world.end();
});

Deno.test("outwait() is over when a newer version was seen, and after the expiry of a record", async () => {
  const seen = setUp([record("other")]);
  await seen.clock.advance(1_000);
  seen.placement.see({ replicas: 1, version: "101" });
  await seen.clock.advance(5_000);
  assert.ok(seen.isOver());
  await seen.end();
  const late = setUp([record("other")]);
  await late.clock.advance(EXPIRY_MS - 1);
  assert.ok(!late.isOver());
  await late.clock.advance(1);
  assert.ok(late.isOver());
  assert.deepEqual(late.placement.agreement.promises, []);
  await late.end();
});

Deno.test("outwait() waits for the longest expiry of the records that are there, and for a minute at least", async () => {
  const cases: [SeenRecord[], number][] = [
    [[record("me", OBSERVER, 0, 10_000), record("other")], EXPIRY_MS],
    [[record("me", OBSERVER, 0, 10_000), record("a", IDLE, 0, 90_000), record("b", IDLE, 0, 20_000)], 90_000],
    [[record("me", OBSERVER), record("other", IDLE, 0, 10_000)], EXPIRY_MS],
    [[record("me", OBSERVER, 0, 10_000), record("other", IDLE, 0, 10_000)], 60_000],
    [[record("me", OBSERVER, 0, 10_000), record("dead", IDLE, 10_000, 10_000)], 60_000],
  ];
  for (const [list, waitMs] of cases) {
    const world = setUp(list);
    await world.clock.advance(waitMs - 1);
    assert.ok(!world.isOver(), `${waitMs} ms`);
    assert.equal(world.log.of("observer_waits")[0]?.fields["forMs"], waitMs);
    await world.clock.advance(1);
    assert.ok(world.isOver(), `${waitMs} ms`);
    await world.end();
  }
});

Deno.test("outwait() waits for a minute also when the record of a proxy that scales expires or goes earlier", async () => {
  const gone = setUp([record("me", OBSERVER), record("other", IDLE, 0, 10_000)]);
  const expired = setUp([record("me", OBSERVER), record("other", IDLE, 0, 10_000)]);
  await gone.clock.advance(10_000);
  await expired.clock.advance(10_000);
  gone.list.length = 1;
  expired.list[1] = record("other", IDLE, 10_000, 10_000);
  for (const world of [gone, expired]) {
    await world.clock.advance(49_999);
    assert.ok(!world.isOver());
    await world.clock.advance(1);
    assert.ok(world.isOver());
    await world.end();
  }
});

Deno.test("outwait() does not wait for a proxy that comes later: that one asks this proxy", async () => {
  const world = setUp([record("me", OBSERVER), record("other")]);
  await world.clock.advance(50_000);
  world.list.splice(1, 1, record("late"));
  await world.clock.advance(10_000);
  assert.ok(world.isOver());
  await world.end();
});

Deno.test("outwait() sees a scale-down that has landed before the promise ends, although no watch has told of it", async () => {
  const world = setUp([], { replicas: 0, version: "101" });
  await world.clock.advance(0);
  assert.ok(world.isOver());
  assert.equal(arrive(world.placement, 1), undefined, "the pod goes");
  await world.end();
});

Deno.test("Placement.release() ends the promises on that version and older ones, and no other", () => {
  const placement = new Placement(new VirtualClock(), ONE_POD, "pod");
  placement.see({ replicas: 1, version: "99" });
  placement.bind("100");
  placement.bind("102");
  placement.release("101");
  assert.deepEqual(placement.agreement.promises.map(({ version }) => version), ["102"]);
});

Deno.test("Standing: an observer that has joined promises nothing", () => {
  for (const [observe, may] of [[undefined, true], [false, true], [true, false]] as const) {
    const clock = new VirtualClock();
    const standing = new Standing(clock, { recordExpiryMs: EXPIRY_MS, whenCutOff: "serve", observe });
    standing.renewal = { nowMs: clock.nowMs(), bootMs: clock.bootMs(), goodForMs: EXPIRY_MS };
    standing.state = "joined";
    assert.deepEqual([standing.mayPromise, standing.observes], [may, !may]);
    assert.ok(standing.places, "sessions are placed");
  }
});

Deno.test("objects(): an observer never answers", () => {
  assert.equal(objects(record("other", OBSERVER), 1), true);
  assert.equal(objects(record("other"), 1), false);
});

Deno.test("Membership of an observer claims nothing, and places sessions once it has joined", async () => {
  const { one, clock, stop } = await joinedMember({ settings: { observe: true } });
  await clock.advance(0);
  assert.deepEqual([one.membership.ready, one.claims], [true, 0]);
  assert.deepEqual(one.scale.requests, ["read", "read"]);
  assert.deepEqual(one.placement.agreement.promises, []);
  await stop();
});
