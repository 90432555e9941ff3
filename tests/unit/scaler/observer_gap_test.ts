/** Tests of what the observer makes of changes that it may not have seen. @module */
import assert from "node:assert/strict";
import { VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";
import { arrive } from "../../support/seating.ts";
import { setUp, slice, statefulSet, type Version } from "./observer_world.ts";

/** A world in which the pod of ordinal 0 is used, and whether it is still. */
async function withPod() {
  const world = setUp();
  const { clock, statefulsets, endpointslices, placement, regress, start } = world;
  statefulsets.items = [statefulSet()];
  endpointslices.items = [slice("s1", 0)];
  await start();
  await clock.advance(VERIFIED_AFTER_MS);
  const uses = () => {
    const seat = arrive(placement, 1);
    placement.end(1);
    return seat !== undefined;
  };
  assert.equal(uses(), true);
  const relist = async (of: Version) => {
    statefulsets.items = [statefulSet(of)];
    await regress();
  };
  return { ...world, uses, relist };
}

for (
  const [what, of, used] of [
    ["what was seen before", { generation: 1, observedGeneration: 0 }, true],
    ["the next change", { generation: 2, observedGeneration: 1 }, true],
    ["more than one change", { generation: 3, observedGeneration: 2 }, false],
    ["changes that are settled", { generation: 3, observedGeneration: 3 }, true],
    ["another StatefulSet", { uid: "uid-2", generation: 1, observedGeneration: 0 }, false],
  ] as const
) {
  Deno.test(`Observer, a list shows ${what}: the pods are ${used ? "" : "not "}used`, async () => {
    const { uses, relist, stop } = await withPod();
    await relist({ version: 11, ...of });
    assert.equal(uses(), used);
    await stop();
  });
}

Deno.test("Observer misses nothing while it watches, however many changes there are", async () => {
  const { uses, relist, change, stop } = await withPod();
  await change({ version: 11, generation: 5, observedGeneration: 1 });
  assert.equal(uses(), true);
  await relist({ version: 12, generation: 6, observedGeneration: 1 });
  assert.equal(uses(), true, "the list shows the next change");
  await relist({ version: 13, generation: 8, observedGeneration: 1 });
  assert.equal(uses(), false);
  await change({ version: 14, generation: 8, observedGeneration: 8 });
  assert.equal(uses(), false);
  await stop();
});

Deno.test("Observer uses no pod of a StatefulSet that is gone, nor of its successor before that is settled", async () => {
  const { clock, statefulsets, placement, uses, stop } = await withPod();
  statefulsets.send("DELETED", statefulSet({ version: 11 }));
  await clock.advance(0);
  assert.equal(uses(), false);
  statefulsets.send(
    "ADDED",
    statefulSet({ uid: "uid-2", version: 12, generation: 1, observedGeneration: 0 }),
  );
  await clock.advance(VERIFIED_AFTER_MS);
  assert.equal(uses(), false, "the pod may be about to go");
  statefulsets.send(
    "MODIFIED",
    statefulSet({ uid: "uid-2", version: 13, generation: 1, observedGeneration: 1 }),
  );
  await clock.advance(0);
  assert.ok(placement.pods.toVerify !== undefined, "it can be asked for now");
  await clock.advance(VERIFIED_AFTER_MS);
  assert.equal(uses(), true);
  await stop();
});

Deno.test("Observer uses no pod of a StatefulSet of which the controller has said nothing", async () => {
  const { clock, placement, statefulsets, endpointslices, start, stop } = setUp();
  const { generation: _, ...metadata } = statefulSet().metadata!;
  const { status: __, ...rest } = statefulSet();
  statefulsets.items = [{ ...rest, metadata }];
  endpointslices.items = [slice("s1", 0)];
  await start();
  await clock.advance(10 * VERIFIED_AFTER_MS);
  assert.equal(arrive(placement, 1), undefined);
  await stop();
});

Deno.test("Observer uses a pod when a promise ends by an event of a watch, and not when it ends by a list", async () => {
  for (const watched of [true, false]) {
    const { placement, uses, relist, change, stop } = await withPod();
    assert.ok(placement.promise({ below: 0, version: "10" }));
    assert.equal(uses(), false);
    await (watched ? change : relist)({ version: 12, observedGeneration: 0 });
    assert.equal(uses(), watched);
    await stop();
  }
});

Deno.test("Observer takes only the newest count that was seen for settled", async () => {
  const { clock, placement, uses, change, stop } = await withPod();
  placement.see({ version: "12", replicas: 0 });
  placement.see({ version: "13", replicas: 1 });
  await change({ version: 11 });
  await clock.advance(VERIFIED_AFTER_MS);
  assert.equal(uses(), false);
  await change({ version: 13 });
  await clock.advance(VERIFIED_AFTER_MS);
  assert.equal(uses(), true);
  await stop();
});
