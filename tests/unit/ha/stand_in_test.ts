/** Tests of who leads a builder that the leader of the election does not scale, and from when on. @module */
import assert from "node:assert/strict";
import type { SeenRecord } from "../../../lib/ha/record_expiry.ts";
import { parseRecord } from "../../../lib/ha/record.ts";
import { standIn } from "../../../lib/ha/stand_in.ts";
import { IDLE, leaseOf, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

function record(identity: string, body = IDLE): SeenRecord {
  return { ...parseRecord(leaseOf(identity, body), TARGET)!, seenMs: 0, unchangedMs: 0 };
}

/** The proxy "m", in an election that "leader" has won. */
function setUp(...others: SeenRecord[]) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const election = { holder: "leader" };
  const records = { others: others as readonly SeenRecord[] };
  const told: boolean[] = [];
  const controller = new AbortController();
  const ports = { clock, log, election, records, identity: "m" };
  const running = standIn((stands) => void told.push(stands), ports, controller.signal).catch(() => {});
  return {
    clock,
    log,
    election,
    records,
    told,
    end: async () => {
      controller.abort(new Error("over"));
      await running;
      assert.equal(clock.pending, 0, "no timer is left");
    },
  };
}

Deno.test("standIn(): a proxy stands in 30 s after the leader has no record here, and 30 s later for each before it", async () => {
  const cases = [[], ["z"], ["a"], ["a", "b", "z"]];
  for (const others of cases) {
    const world = setUp(...others.map((identity) => record(identity)));
    const turn = 1 + others.filter((other) => other < "m").length;
    await world.clock.advance(turn * 30_000 - 1);
    assert.deepEqual(world.told, [], `${others}`);
    await world.clock.advance(1);
    assert.deepEqual(world.told, [true], `${others}`);
    await world.clock.advance(60_000);
    assert.deepEqual(world.log.of("builder_led_apart").map(({ fields }) => fields), [{ leader: "leader" }]);
    await world.end();
    assert.deepEqual(world.told, [true, false]);
  }
});

Deno.test("standIn(): nobody stands in for a leader that scales the builder, for itself, or while there is no leader", async () => {
  for (const holder of ["leader", "m", ""]) {
    const world = setUp(record("leader"));
    world.election.holder = holder;
    await world.clock.advance(600_000);
    assert.deepEqual(world.told, [], holder);
    await world.end();
    assert.deepEqual(world.told, []);
  }
});

Deno.test("standIn(): a leader that only observes does not scale, and no observer has a turn", async () => {
  const world = setUp(...["a", "leader"].map((each) => record(each, { ...IDLE, observes: true })));
  await world.clock.advance(30_000);
  assert.deepEqual(world.told, [true]);
  await world.end();
});

Deno.test("standIn() ends when the leader has joined, and begins anew", async () => {
  const world = setUp();
  await world.clock.advance(30_000);
  world.records.others = [record("leader")];
  await world.clock.advance(5_000);
  assert.deepEqual(world.told, [true, false]);
  world.records.others = [];
  await world.clock.advance(29_999);
  assert.deepEqual(world.told, [true, false]);
  await world.clock.advance(1);
  assert.deepEqual(world.told, [true, false, true]);
  assert.equal(world.log.of("builder_led_apart").length, 2);
  await world.end();
});
