/** Tests of which pods are suspect, and for how long that is remembered. @module */
import assert from "node:assert/strict";
import { Suspects, VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";

const pod = (ordinal: number, uid = `uid-${ordinal}`) => ({
  ordinal,
  pod: `b-${ordinal}`,
  uid,
  addresses: ["192.0.2.1"],
  ready: true,
  terminating: false,
});
const PODS = [pod(0), pod(1), pod(2)];

function setUp(replicas = 1) {
  const suspects = new Suspects();
  suspects.add(replicas, PODS);
  return { suspects, verified: () => PODS.map(({ uid }) => suspects.verifiedAtMs(uid)) };
}

Deno.test("Suspects.add() makes the pods suspect that a count does not keep", () => {
  assert.deepEqual(setUp(0).verified(), [Infinity, Infinity, Infinity]);
  assert.deepEqual(setUp(1).verified(), [-Infinity, Infinity, Infinity]);
  assert.deepEqual(setUp(3).verified(), [-Infinity, -Infinity, -Infinity]);
});

Deno.test("Suspects.settled() starts the time of the pods that the count keeps, the first time only", () => {
  const { suspects, verified } = setUp(1);
  suspects.settled(2, PODS, 100);
  assert.deepEqual(verified(), [-Infinity, 100 + VERIFIED_AFTER_MS, Infinity]);
  assert.deepEqual(PODS.map(({ uid }) => suspects.settledAtMs(uid)), [undefined, 100, undefined]);
  suspects.settled(3, PODS, 200);
  assert.deepEqual(verified(), [-Infinity, 100 + VERIFIED_AFTER_MS, 200 + VERIFIED_AFTER_MS]);
  suspects.add(1, PODS);
  assert.deepEqual(verified(), [-Infinity, Infinity, Infinity], "suspect again");
});

Deno.test("Suspects.verified() ends the suspicion of one pod, unless it became suspect again since", () => {
  const { suspects, verified } = setUp(1);
  suspects.settled(2, PODS, 100);
  suspects.verified("uid-1", 99);
  assert.deepEqual(verified(), [-Infinity, 100 + VERIFIED_AFTER_MS, Infinity]);
  suspects.verified("uid-1", 100);
  assert.deepEqual(verified(), [-Infinity, -Infinity, Infinity]);
});

Deno.test("Suspects.keepOnly() forgets the pods that are gone, and no others", () => {
  const { suspects, verified } = setUp(1);
  suspects.deleted("uid-1");
  suspects.keepOnly([pod(1)]);
  suspects.settled(3, PODS, 100);
  assert.deepEqual(verified(), [-Infinity, Infinity, -Infinity]);
  suspects.keepOnly([pod(2)]);
  suspects.add(1, PODS);
  suspects.settled(3, PODS, 200);
  assert.deepEqual(verified(), [-Infinity, 200 + VERIFIED_AFTER_MS, 200 + VERIFIED_AFTER_MS]);
});
