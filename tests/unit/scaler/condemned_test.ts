/** Tests of which pods are condemned, and for how long that is remembered. @module */
import assert from "node:assert/strict";
import { Condemned, TRUST_AFTER_MS } from "../../../lib/scaler/condemned.ts";

const pod = (ordinal: number, uid = `uid-${ordinal}`) => ({
  ordinal,
  pod: `b-${ordinal}`,
  uid,
  addresses: ["192.0.2.1"],
  ready: true,
  terminating: false,
});
const PODS = [pod(0), pod(1), pod(2)];

function condemned(replicas = 1) {
  const condemned = new Condemned();
  condemned.seen(replicas, PODS);
  return { condemned, trusted: () => PODS.map(({ uid }) => condemned.trustedAtMs(uid)) };
}

Deno.test("Condemned.seen() condemns the pods that a count takes away", () => {
  assert.deepEqual(condemned(0).trusted(), [Infinity, Infinity, Infinity]);
  assert.deepEqual(condemned(1).trusted(), [-Infinity, Infinity, Infinity]);
  assert.deepEqual(condemned(3).trusted(), [-Infinity, -Infinity, -Infinity]);
});

Deno.test("Condemned.settled() lets those live that the count keeps, from the first time on", () => {
  const { condemned: it, trusted } = condemned(1);
  it.settled(2, PODS, 100);
  assert.deepEqual(trusted(), [-Infinity, 100 + TRUST_AFTER_MS, Infinity]);
  assert.deepEqual(PODS.map(({ uid }) => it.settledAtMs(uid)), [undefined, 100, undefined]);
  it.settled(3, PODS, 200);
  assert.deepEqual(trusted(), [-Infinity, 100 + TRUST_AFTER_MS, 200 + TRUST_AFTER_MS]);
  it.seen(1, PODS);
  assert.deepEqual(trusted(), [-Infinity, Infinity, Infinity], "condemned again");
});

Deno.test("Condemned.spare() spares what was condemned no more since, and nothing else", () => {
  const { condemned: it, trusted } = condemned(1);
  it.settled(2, PODS, 100);
  it.spare("uid-1", 99);
  assert.deepEqual(trusted(), [-Infinity, 100 + TRUST_AFTER_MS, Infinity]);
  it.spare("uid-1", 100);
  assert.deepEqual(trusted(), [-Infinity, -Infinity, Infinity]);
});

Deno.test("Condemned.keepOnly() forgets the pods that are gone, and no others", () => {
  const { condemned: it, trusted } = condemned(1);
  it.condemn("uid-1");
  it.keepOnly([pod(1)]);
  it.settled(3, PODS, 100);
  assert.deepEqual(trusted(), [-Infinity, Infinity, -Infinity]);
  it.keepOnly([pod(2)]);
  it.seen(1, PODS);
  it.settled(3, PODS, 200);
  assert.deepEqual(trusted(), [-Infinity, 200 + TRUST_AFTER_MS, 200 + TRUST_AFTER_MS]);
});
