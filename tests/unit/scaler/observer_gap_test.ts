/** Tests of what the observer makes of changes that it may not have seen. @module */
import assert from "node:assert/strict";
import { TRUST_AFTER_MS } from "../../../lib/scaler/condemned.ts";
import { setUp, slice, statefulSet, type Version } from "./observer_world.ts";

/** A world in which the pod of ordinal 0 is trusted, and whether it is still. */
async function withPod() {
  const world = setUp();
  const { clock, statefulsets, endpointslices, placement, observer, start } = world;
  statefulsets.items = [statefulSet()];
  endpointslices.items = [slice("s1", 0)];
  await start();
  await clock.advance(TRUST_AFTER_MS);
  const trusts = () => {
    const seat = placement.open(1, true);
    placement.end(1);
    return seat !== undefined;
  };
  assert.equal(trusts(), true);
  const relist = async (of: Version) => {
    statefulsets.items = [statefulSet(of)];
    observer.relist();
    await clock.advance(0);
  };
  return { ...world, trusts, relist };
}

for (
  const [what, of, trusted] of [
    ["what was seen before", { generation: 1, observedGeneration: 0 }, true],
    ["the next change", { generation: 2, observedGeneration: 1 }, true],
    ["more than one change", { generation: 3, observedGeneration: 2 }, false],
    ["changes that are worked off", { generation: 3, observedGeneration: 3 }, true],
    ["another StatefulSet", { uid: "uid-2", generation: 1, observedGeneration: 0 }, false],
  ] as const
) {
  Deno.test(`Observer, a list shows ${what}: the pods are ${trusted ? "" : "not "}trusted`, async () => {
    const { trusts, relist, stop } = await withPod();
    await relist({ version: 11, ...of });
    assert.equal(trusts(), trusted);
    await stop();
  });
}

Deno.test("Observer misses nothing while it watches, however many changes there are", async () => {
  const { trusts, relist, change, stop } = await withPod();
  await change({ version: 11, generation: 5, observedGeneration: 1 });
  assert.equal(trusts(), true);
  await relist({ version: 12, generation: 6, observedGeneration: 1 });
  assert.equal(trusts(), true, "the list shows the next change");
  await relist({ version: 13, generation: 8, observedGeneration: 1 });
  assert.equal(trusts(), false);
  await change({ version: 14, generation: 8, observedGeneration: 8 });
  assert.equal(trusts(), false);
  await stop();
});

Deno.test("Observer trusts no pod of a StatefulSet of which the controller has said nothing", async () => {
  const { clock, placement, statefulsets, endpointslices, start, stop } = setUp();
  const { generation: _, ...metadata } = statefulSet().metadata!;
  const { status: __, ...rest } = statefulSet();
  statefulsets.items = [{ ...rest, metadata }];
  endpointslices.items = [slice("s1", 0)];
  await start();
  await clock.advance(10 * TRUST_AFTER_MS);
  assert.equal(placement.open(1, true), undefined);
  await stop();
});

Deno.test("Observer trusts a pod when a promise ends by an event of a watch, and not when it ends by a list", async () => {
  for (const watched of [true, false]) {
    const { placement, trusts, relist, change, stop } = await withPod();
    assert.ok(placement.promise({ below: 0, version: "10" }));
    assert.equal(trusts(), false);
    await (watched ? change : relist)({ version: 12, observedGeneration: 0 });
    assert.equal(trusts(), watched);
    await stop();
  }
});

Deno.test("Observer takes for worked off only the newest count that was seen", async () => {
  const { clock, placement, trusts, change, stop } = await withPod();
  placement.see({ version: "12", replicas: 0 });
  placement.see({ version: "13", replicas: 1 });
  await change({ version: 11 });
  await clock.advance(TRUST_AFTER_MS);
  assert.equal(trusts(), false);
  await change({ version: 13 });
  await clock.advance(TRUST_AFTER_MS);
  assert.equal(trusts(), true);
  await stop();
});
