/** Tests of which pods are suspect after the count has fallen, or may have, and when they are used again. @module */
import assert from "node:assert/strict";
import { Placement } from "../../../lib/scaler/placement.ts";
import { VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { arrive, awaitSeat } from "../../support/seating.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";
import { pod, setUp } from "./placement_world.ts";

Deno.test("Placement.unbind() forgets promises, and uses pods that go on looking ready after a gap", async () => {
  const { clock, placement, place } = setUp();
  placement.bind("10");
  placement.unbind();
  assert.equal(place(), 0);
  placement.pods.countsMissed();
  placement.unbind();
  assert.equal(place(), undefined);
  await clock.advance(VERIFIED_AFTER_MS);
  assert.equal(place(), 0);
});

Deno.test("Placement.unbind() settles no count that somebody will say of that it is settled", async () => {
  const { clock, placement, see, place } = setUp();
  see(0, "watch");
  see(1, "watch");
  placement.unbind();
  await clock.advance(10 * VERIFIED_AFTER_MS);
  assert.equal(place(), undefined, "the higher count is not settled");
});

Deno.test("Placement.startAnew() forgets the count and its promises, and makes all pods suspect", async () => {
  const { clock, placement, place } = setUp();
  placement.promise({ below: 0, version: "10" });
  placement.startAnew();
  assert.deepEqual(placement.agreement, { seen: undefined, promises: [] });
  assert.equal(placement.see({ replicas: 1, version: "5" }), true, "an older version is news");
  assert.equal(place(), undefined);
  placement.pods.settled();
  await clock.advance(VERIFIED_AFTER_MS);
  assert.equal(place(), 0);
});

Deno.test("Placement uses suspect pods again some time after a count that keeps them is settled", async () => {
  const { clock, placement, see, place } = setUp(2);
  assert.equal(placement.pods.nextVerifiedMs, Infinity);
  see(1);
  assert.equal(place(), 0, "a pod below the lower count is not suspect");
  see(0);
  see(2);
  assert.equal(place(), undefined);
  assert.equal(placement.pods.nextVerifiedMs, Infinity, "nobody knows when");
  assert.equal(placement.pods.toVerify, undefined, "there is no use in asking yet");
  const settledMs = clock.nowMs();
  placement.pods.settled();
  assert.equal(placement.pods.nextVerifiedMs, settledMs + VERIFIED_AFTER_MS);
  assert.deepEqual(placement.pods.toVerify, { backend: pod(0), settledMs });
  const session = awaitSeat(placement, 1);
  await clock.advance(1_000);
  placement.pods.settled();
  assert.equal(placement.pods.nextVerifiedMs, settledMs + VERIFIED_AFTER_MS, "the first time counts");
  await clock.advance(VERIFIED_AFTER_MS - 1_001);
  placement.lookAgain();
  await clock.advance(0);
  assert.equal(session.seat()?.backend.ordinal, undefined);
  await clock.advance(1);
  assert.equal(placement.pods.toVerify, undefined);
  assert.equal(placement.pods.nextVerifiedMs, Infinity);
  placement.lookAgain();
  await clock.advance(0);
  assert.equal(session.seat()?.backend.ordinal, 0);
});

Deno.test("Placement: a settled count verifies only the pods that it keeps", async () => {
  const { clock, placement, see, place } = setUp(2);
  see(0);
  see(1);
  placement.pods.settled();
  await clock.advance(VERIFIED_AFTER_MS);
  see(2);
  placement.pods.set([pod(0, { ready: false }), pod(1)]);
  await clock.advance(10 * VERIFIED_AFTER_MS);
  assert.equal(place(), undefined);
  placement.pods.set([pod(0), pod(1)]);
  assert.equal(place(), 0);
});

Deno.test("Pods.toVerify names no pod that is being deleted, and the next one instead", () => {
  const { placement, see } = setUp(2);
  see(0);
  see(2);
  placement.pods.settled();
  placement.pods.set([pod(0, { terminating: true }), pod(1)]);
  assert.equal(placement.pods.toVerify?.backend.ordinal, 1);
  placement.pods.deleted("uid-1");
  assert.equal(placement.pods.toVerify, undefined);
});

Deno.test("Pods.verified() ends the suspicion at once, unless the pod became suspect again since", () => {
  const { clock, placement, see, place } = setUp();
  const suspect = () => {
    see(0);
    see(1);
  };
  suspect();
  placement.pods.settled();
  placement.pods.verified("uid-0", clock.nowMs());
  assert.equal(place(), 0);
  suspect();
  placement.pods.verified("uid-0", clock.nowMs());
  assert.equal(place(), undefined);
});

Deno.test("Pods.deleted() is for good, until the pod is gone and another one is there", async () => {
  const { clock, placement, place } = setUp();
  placement.pods.deleted("uid-0");
  placement.pods.settled();
  placement.pods.set([pod(0)]);
  placement.pods.settled();
  await clock.advance(10 * VERIFIED_AFTER_MS);
  assert.equal(place(), undefined);
  placement.pods.set([pod(0, { uid: "new" })]);
  assert.equal(place(), 0);
});

Deno.test("Placement takes pods for suspect that were seen before any count", async () => {
  const clock = new VirtualClock();
  const placement = new Placement(clock, ONE_POD, "pod");
  placement.pods.set([pod(0)]);
  placement.pods.settled();
  assert.equal(placement.pods.toVerify, undefined, "no count was seen yet");
  placement.see({ replicas: 1, version: "10" });
  assert.equal(arrive(placement, 1), undefined);
  placement.pods.settled();
  await clock.advance(VERIFIED_AFTER_MS);
  assert.notEqual(arrive(placement, 2), undefined);
});

Deno.test("Placement takes a pod for suspect that is first seen beyond the count", () => {
  const { placement, see, place } = setUp(0);
  placement.pods.set([pod(0)]);
  see(1, "watch");
  assert.equal(place(), undefined);
});

Deno.test("Placement, after a gap: pods that a list shows within five seconds of its end are suspect", async () => {
  const { clock, placement, place } = setUp();
  const list = (uid: string) => {
    placement.pods.set([pod(0, { uid })], true);
    return place();
  };
  placement.pods.countsMissed();
  assert.equal(list("while it lasts"), undefined);
  placement.pods.set([pod(0, { uid: "from a watch" })]);
  assert.equal(place(), 0);
  placement.pods.settled();
  const settledMs = clock.nowMs();
  assert.equal(list("from a watch"), 0, "it was known before");
  await clock.advance(VERIFIED_AFTER_MS - 1);
  assert.equal(list("soon after"), undefined);
  assert.equal(
    placement.pods.nextVerifiedMs,
    settledMs + VERIFIED_AFTER_MS,
    "its time began with the end of the gap",
  );
  await clock.advance(1);
  assert.equal(place(), 0);
  assert.equal(list("later"), 0);
});

Deno.test("Placement, after a gap: the first settled() ends it, and the next one is nothing new", async () => {
  const { clock, placement, place } = setUp();
  placement.pods.countsMissed();
  placement.pods.settled();
  await clock.advance(VERIFIED_AFTER_MS);
  placement.pods.settled();
  placement.pods.set([pod(0, { uid: "new" })], true);
  assert.equal(place(), 0);
});
