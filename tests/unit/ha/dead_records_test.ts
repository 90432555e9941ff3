/** Tests of the record of a container that ran in the same pod before. @module */
import assert from "node:assert/strict";
import { removePredecessor } from "../../../lib/ha/dead_records.ts";
import { FakeLeases } from "../../support/fake_leases.ts";
import { BUSY, leaseOf, nameOf, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";

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
