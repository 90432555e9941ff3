/** Tests of the record of a container that ran in the same pod before. @module */
import assert from "node:assert/strict";
import { deleteAbandonedRecords, removePredecessor } from "../../../lib/ha/dead_records.ts";
import { FakeLeases } from "../../support/fake_leases.ts";
import { BUSY, EXPIRY_MS, leaseOf, nameOf, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;

function setUp(podUid: string | undefined = "pod-a") {
  const leases = new FakeLeases();
  const log = recordingLog();
  leases.put(leaseOf("me", BUSY, { podUid: "pod-a" }));
  leases.put(leaseOf("before", BUSY, { podUid: "pod-a" }));
  leases.put(leaseOf("other", BUSY, { podUid: "pod-b" }));
  leases.put(leaseOf("outside", BUSY));
  leases.put(leaseOf("elsewhere", BUSY, { podUid: "pod-a", target: { ...TARGET, uid: "sts-0" } }));
  return {
    leases,
    log,
    left: () => leases.all.map(({ spec }) => spec?.holderIdentity),
    remove: () => removePredecessor(TARGET, { leases, log, identity: "me", podUid }, SIGNAL),
  };
}

Deno.test("removePredecessor() deletes the records of earlier processes in the same pod, and no others", async () => {
  const { log, left, remove } = setUp();
  await remove();
  assert.deepEqual(left(), ["me", "other", "outside", "elsewhere"]);
  assert.deepEqual(log.records.map(({ fields }) => fields), [{ predecessor: "before" }]);
});

Deno.test("removePredecessor() outside of a pod deletes nothing, and asks nothing", async () => {
  const leases = new FakeLeases();
  leases.put(leaseOf("outside", BUSY));
  const ports = { leases, log: recordingLog(), identity: "me", podUid: undefined };
  await removePredecessor(TARGET, ports, SIGNAL);
  assert.deepEqual(leases.requests, []);
});

Deno.test("removePredecessor() continues if another client has deleted or changed the record", async () => {
  for (const status of [404, 409]) {
    const { leases, left, remove } = setUp();
    leases.put(leaseOf("earlier", BUSY, { podUid: "pod-a" }));
    leases.fates("delete", status);
    await remove();
    assert.deepEqual(left(), ["me", "before", "other", "outside", "elsewhere"]);
  }
});

Deno.test("removePredecessor() rejects with the API's error", async () => {
  const { leases, remove } = setUp();
  leases.fates("delete", 500, "lost");
  await assert.rejects(remove(), { status: 500 });
  await assert.rejects(remove(), { name: "TimeoutError" });
  leases.fates("list", 403);
  await assert.rejects(remove(), { status: 403 });
  assert.ok(leases.named(nameOf("before")) !== undefined);
});

/** Records of a builder that this process does not name, one alive and one dead, and one of a builder that it names. */
function abandoned(expiryMs = EXPIRY_MS) {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const log = recordingLog();
  const election = { holdsLease: true };
  const target = { ...TARGET, name: "builder-b9", uid: "sts-9" };
  const renew = () => void leases.put(leaseOf("live", BUSY, { target, expiryMs }));
  leases.put(leaseOf("named", BUSY, { expiryMs }));
  const controller = new AbortController();
  const ports = { clock, log, leases, election };
  const running = deleteAbandonedRecords([TARGET.name], ports, controller.signal).catch(() => {});
  return {
    clock,
    leases,
    log,
    election,
    die: () => void leases.put(leaseOf("dead", BUSY, { target, expiryMs })),
    lists: () => leases.requests.filter((request) => request === "list").length,
    left: () => leases.all.map(({ spec }) => spec?.holderIdentity),
    /** Time passes, in which the live one renews its record. */
    pass: async (ms: number) => {
      for (let passedMs = 0; passedMs < ms; passedMs += expiryMs / 10) {
        renew();
        await clock.advance(expiryMs / 10);
      }
    },
    end: async () => {
      controller.abort(new Error("over"));
      await running;
      assert.equal(clock.pending, 0, "no timer is left");
    },
  };
}

Deno.test("deleteAbandonedRecords(): the leader deletes expired records of builders that it does not name, and no others", async () => {
  for (const expiryMs of [EXPIRY_MS, 10_000]) {
    const { die, pass, left, log, leases, end } = abandoned(expiryMs);
    die();
    // It begins to look after five minutes at the latest.
    await pass(300_000 + expiryMs * 0.9);
    assert.deepEqual(left(), ["named", "dead", "live"]);
    await pass(expiryMs / 2);
    assert.deepEqual(left(), ["named", "live"]);
    assert.deepEqual(log.of("stale_record_deleted").map(({ fields }) => fields), [{ proxy: "dead" }]);
    assert.equal(leases.requests.filter((request) => request.startsWith("delete")).length, 1);
    await end();
  }
});

Deno.test("deleteAbandonedRecords() tries again when a record has changed meanwhile, and notes another failure", async () => {
  for (const [fate, isNoted] of [[409, false], [404, false], [403, true]] as const) {
    const { die, clock, left, leases, log, end } = abandoned();
    die();
    leases.fates("delete", fate);
    await clock.advance(300_000 + EXPIRY_MS);
    assert.ok(left().includes("dead"));
    assert.equal(log.of("records_cleanup_failed").length, isNoted ? 1 : 0, `${fate}`);
    await clock.advance(10_000);
    assert.deepEqual(left(), ["named"]);
    await end();
  }
});

Deno.test("deleteAbandonedRecords() does not count time in which the API was away: nobody could renew", async () => {
  const { die, clock, left, leases, end } = abandoned();
  die();
  await clock.advance(300_000);
  leases.reachable = false;
  await clock.advance(3 * EXPIRY_MS);
  leases.reachable = true;
  await clock.advance(EXPIRY_MS - 10_000);
  assert.ok(left().includes("dead"));
  await end();
});

Deno.test("deleteAbandonedRecords() reads nothing without the lead, and every five minutes where there is nothing", async () => {
  const { clock, lists, election, die, left, end } = abandoned();
  await clock.advance(900_000);
  assert.equal(lists(), 3);
  election.holdsLease = false;
  die();
  await clock.advance(900_000);
  assert.deepEqual([lists(), left()], [3, ["named", "dead"]]);
  await end();
});

Deno.test("deleteAbandonedRecords() reads once a second at most, whatever a record says", async () => {
  const { clock, lists, leases, end } = abandoned();
  leases.put(leaseOf("odd", BUSY, { target: { ...TARGET, name: "b9" }, expiryMs: 1_000 }));
  await clock.advance(310_000);
  assert.equal(lists(), 11);
  await end();
});
