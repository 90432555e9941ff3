/** Tests of which pods are trusted after the count has fallen, or may have. @module */
import assert from "node:assert/strict";
import { TRUST_AFTER_MS } from "../../../lib/scaler/condemned.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";
import { pod, setUp, waiting } from "./placement_world.ts";

Deno.test("Placement.unbind() forgets promises, and uses pods that go on looking ready after a gap", async () => {
  const { clock, placement, place } = setUp();
  placement.bind("10");
  placement.unbind();
  assert.equal(place(), 0);
  placement.unsettled();
  placement.unbind();
  assert.equal(place(), undefined);
  await clock.advance(TRUST_AFTER_MS);
  assert.equal(place(), 0);
});

Deno.test("Placement.unbind() does not settle what no gap has unsettled", async () => {
  const { clock, placement, see, place } = setUp();
  see(0, "watch");
  see(1, "watch");
  placement.unbind();
  await clock.advance(10 * TRUST_AFTER_MS);
  assert.equal(place(), undefined, "the controller has not worked off the higher count");
});

Deno.test("Placement.startAnew() forgets the count and its promises, and condemns all pods", async () => {
  const { clock, placement, place } = setUp();
  placement.promise({ below: 0, version: "10" });
  placement.startAnew();
  assert.deepEqual(placement.agreement, { seen: undefined, promises: [] });
  assert.equal(placement.see({ replicas: 1, version: "5" }), true, "an older version is news");
  assert.equal(place(), undefined);
  placement.settled();
  await clock.advance(TRUST_AFTER_MS);
  assert.equal(place(), 0);
});

Deno.test("Placement trusts condemned pods as soon as the controller has let them live for a while", async () => {
  const { clock, placement, see, place } = setUp(2);
  assert.equal(placement.nextTrustMs, Infinity);
  see(1);
  assert.equal(place(), 0, "below the lower count nothing is condemned");
  see(0);
  see(2);
  assert.equal(place(), undefined);
  assert.equal(placement.nextTrustMs, Infinity, "nobody knows when");
  assert.equal(placement.inDoubt, undefined, "there is no use in asking yet");
  const settledMs = clock.nowMs();
  placement.settled();
  assert.equal(placement.nextTrustMs, settledMs + TRUST_AFTER_MS);
  assert.deepEqual(placement.inDoubt, { backend: pod(0), settledMs });
  const session = waiting(placement, 1);
  await clock.advance(1_000);
  placement.settled();
  assert.equal(placement.nextTrustMs, settledMs + TRUST_AFTER_MS, "the first time counts");
  await clock.advance(TRUST_AFTER_MS - 1_001);
  placement.lookAgain();
  await clock.advance(0);
  assert.equal(session.ordinal, undefined);
  await clock.advance(1);
  assert.equal(placement.inDoubt, undefined);
  assert.equal(placement.nextTrustMs, Infinity);
  placement.lookAgain();
  await clock.advance(0);
  assert.equal(session.ordinal, 0);
});

Deno.test("Placement: the controller lets live only what the count keeps", async () => {
  const { clock, placement, see, place } = setUp(2);
  see(0);
  see(1);
  placement.settled();
  await clock.advance(TRUST_AFTER_MS);
  see(2);
  placement.setBackends([pod(0, { ready: false }), pod(1)]);
  await clock.advance(10 * TRUST_AFTER_MS);
  assert.equal(place(), undefined);
  placement.setBackends([pod(0), pod(1)]);
  assert.equal(place(), 0);
});

Deno.test("Placement.inDoubt names no pod that is going, and the next one instead", () => {
  const { placement, see } = setUp(2);
  see(0);
  see(2);
  placement.settled();
  placement.setBackends([pod(0, { terminating: true }), pod(1)]);
  assert.equal(placement.inDoubt?.backend.ordinal, 1);
  placement.condemn("uid-1");
  assert.equal(placement.inDoubt, undefined);
});

Deno.test("Placement.spare() trusts a pod at once, unless it was condemned again since", () => {
  const { clock, placement, see, place } = setUp();
  const condemn = () => {
    see(0);
    see(1);
  };
  condemn();
  placement.settled();
  placement.spare("uid-0", clock.nowMs());
  assert.equal(place(), 0);
  condemn();
  placement.spare("uid-0", clock.nowMs());
  assert.equal(place(), undefined);
});

Deno.test("Placement.condemn() is for good, until the pod is gone and another one is there", async () => {
  const { clock, placement, place } = setUp();
  placement.condemn("uid-0");
  placement.settled();
  placement.setBackends([pod(0)]);
  placement.settled();
  await clock.advance(10 * TRUST_AFTER_MS);
  assert.equal(place(), undefined);
  placement.setBackends([pod(0, { uid: "new" })]);
  assert.equal(place(), 0);
});

Deno.test("Placement has pods prove themselves that were seen before any count", async () => {
  const clock = new VirtualClock();
  const placement = new Placement(clock, 1, "pod");
  placement.setBackends([pod(0)]);
  placement.settled();
  assert.equal(placement.inDoubt, undefined, "nobody knows which count the controller has worked off");
  placement.see({ replicas: 1, version: "10" });
  assert.equal(placement.open(1, true), undefined);
  placement.settled();
  await clock.advance(TRUST_AFTER_MS);
  assert.notEqual(placement.open(2, true), undefined);
});

Deno.test("Placement condemns a pod that is first seen beyond the count", () => {
  const { placement, see, place } = setUp(0);
  placement.setBackends([pod(0)]);
  see(1, "watch");
  assert.equal(place(), undefined);
});

Deno.test("Placement, after a gap: pods that a list shows within five seconds of its end have to prove themselves", async () => {
  const { clock, placement, place } = setUp();
  const list = (uid: string) => {
    placement.setBackends([pod(0, { uid })], true);
    return place();
  };
  placement.unsettled();
  assert.equal(list("while it lasts"), undefined);
  placement.setBackends([pod(0, { uid: "from a watch" })]);
  assert.equal(place(), 0);
  placement.settled();
  const settledMs = clock.nowMs();
  assert.equal(list("from a watch"), 0, "it was known before");
  await clock.advance(TRUST_AFTER_MS - 1);
  assert.equal(list("soon after"), undefined);
  assert.equal(placement.nextTrustMs, settledMs + TRUST_AFTER_MS, "its time began with the end of the gap");
  await clock.advance(1);
  assert.equal(place(), 0);
  assert.equal(list("later"), 0);
});

Deno.test("Placement, after a gap: the first settled() ends it, and the next one is nothing new", async () => {
  const { clock, placement, place } = setUp();
  placement.unsettled();
  placement.settled();
  await clock.advance(TRUST_AFTER_MS);
  placement.settled();
  placement.setBackends([pod(0, { uid: "new" })], true);
  assert.equal(place(), 0);
});
