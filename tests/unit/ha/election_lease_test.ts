/** Tests of whose the election's Lease is. @module */
import assert from "node:assert/strict";
import { ElectionLease } from "../../../lib/ha/election_lease.ts";
import { leaseMetadata } from "../../../lib/ha/record.ts";
import { TARGET } from "../../support/ha.ts";

const { namespace } = TARGET;
const NAME = "a-autoscaler-leader";

const ofUid = (name: string, uid: string) => leaseMetadata({ namespace, name, uid }, NAME, "election");

Deno.test("ElectionLease of one StatefulSet is named after it and belongs to it, also after it has gone", () => {
  const lease = new ElectionLease({ namespace, names: ["a"] });
  assert.equal(lease.name, NAME);
  lease.see("a", "1");
  assert.deepEqual(lease.metadata, ofUid("a", "1"));
  lease.see("a", undefined);
  assert.deepEqual(lease.metadata, ofUid("a", "1"), "and so it goes, too");
  lease.see("a", "2");
  assert.deepEqual(lease.metadata, ofUid("a", "2"));
});

Deno.test("ElectionLease belongs to nobody while no StatefulSet was seen", () => {
  const { name, labels, ownerReferences } = new ElectionLease({ namespace, names: ["a", "b"] }).metadata;
  assert.equal(name, NAME);
  assert.equal(ownerReferences, undefined);
  assert.equal(Object.keys(labels!).some((label) => label.endsWith("-uid")), false);
});

Deno.test("ElectionLease of several keeps the name of the first, and belongs to the first that is there", () => {
  const lease = new ElectionLease({ namespace, names: ["a", "b", "c"] });
  const steps = [
    ["c", "3", "c", "3"],
    ["b", "2", "b", "2"],
    ["a", "1", "a", "1"],
    ["b", undefined, "a", "1"],
    ["a", undefined, "c", "3"],
    ["c", undefined, "c", "3"],
    ["b", "4", "b", "4"],
    ["a", "5", "a", "5"],
  ] as const;
  for (const [name, uid, owner, ownerUid] of steps) {
    lease.see(name, uid);
    assert.deepEqual(lease.metadata, ofUid(owner, ownerUid), `${name} ${uid}`);
  }
});
