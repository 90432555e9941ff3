/** Tests of how long a pod takes to start, by its own conditions. @module */
import assert from "node:assert/strict";
import { noMetrics } from "../../../lib/base/metrics.ts";
import type { Pod } from "../../../lib/kube/types.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ASSUMED_START_MS, PodStart, startMsOf } from "../../../lib/scaler/pod_start.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { readyPod } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** A pod that was created at noon and became ready then. */
function pod(readyAt: string, restartCount = 0, status = "True"): Pod {
  return {
    metadata: { uid: "of-the-pod", creationTimestamp: "2026-03-01T12:00:00Z" },
    status: {
      conditions: [{ type: "Ready", status, lastTransitionTime: readyAt }],
      containerStatuses: [{ name: "b", image: "", imageID: "", ready: true, restartCount }],
    },
  };
}

Deno.test("startMsOf() is the time from the pod's creation until it was ready, where that can be seen", () => {
  assert.equal(startMsOf(pod("2026-03-01T12:00:42Z")), 42_000);
  assert.equal(startMsOf(pod("2026-03-01T12:00:00Z")), 1_000, "times are whole seconds");
  assert.equal(startMsOf(pod("2026-03-01T12:10:00Z")), 600_000);
  assert.equal(startMsOf(pod("2026-03-01T12:10:01Z")), undefined, "it was ready before, too");
  assert.equal(startMsOf(pod("2026-03-01T12:00:42Z", 1)), undefined, "it was started again");
  assert.equal(startMsOf(pod("2026-03-01T12:00:42Z", 0, "False")), undefined);
  assert.equal(startMsOf({}), undefined);
});

/** One whose pods are as the API server answers. */
function setUp(answers: (() => { readonly status: number; readonly body: unknown })[]) {
  const clock = new VirtualClock();
  const placement = new Placement(clock, ONE_POD, "pod");
  let asked = 0;
  const http = {
    send: () => {
      asked++;
      const { status, body } = (answers.length > 1 ? answers.shift()! : answers[0]!)();
      const response = new Response(JSON.stringify(body));
      return Promise.resolve({ status, headers: new Headers(), body: response.body! });
    },
    reset: () => {},
    close: () => {},
  };
  const client = testClient(http, { clock, log: recordingLog(), metrics: noMetrics });
  const start = new PodStart("n", { clock, client, placement });
  const controller = new AbortController();
  const running = start.run(controller.signal).catch(() => {});
  return {
    clock,
    placement,
    start,
    asked: () => asked,
    [Symbol.asyncDispose]: async () => {
      controller.abort(new Error("over"));
      await clock.advance(0);
      await running;
      assert.equal(clock.pending, 0, "no timer is left");
    },
  };
}

Deno.test("PodStart assumes a time until a pod has told it, and asks for each pod once", async () => {
  await using world = setUp([
    () => ({ status: 200, body: pod("2026-03-01T12:00:42Z") }),
    () => ({ status: 200, body: pod("2026-03-01T12:00:42Z", 3) }),
    () => ({ status: 200, body: pod("2026-03-01T12:00:07Z") }),
  ]);
  const { clock, placement, start } = world;
  await clock.advance(1_000);
  assert.deepEqual([start.ms, start.isMeasured, world.asked()], [ASSUMED_START_MS, false, 0]);
  readyPod(placement, "one");
  await clock.advance(1_000);
  assert.deepEqual([start.ms, start.isMeasured, world.asked()], [42_000, true, 1]);
  readyPod(placement, "one", true);
  await clock.advance(600_000);
  assert.equal(world.asked(), 1);
  readyPod(placement, "two");
  await clock.advance(1_000);
  assert.deepEqual([start.ms, world.asked()], [42_000, 2], "one that tells nothing changes nothing");
  readyPod(placement, "three");
  await clock.advance(1_000);
  assert.deepEqual([start.ms, world.asked()], [7_000, 3]);
});

Deno.test("PodStart asks again after a minute where it was not answered or has no right", async () => {
  await using world = setUp([
    () => ({ status: 403, body: {} }),
    () => ({ status: 200, body: pod("2026-03-01T12:00:42Z") }),
  ]);
  const { clock, placement, start } = world;
  readyPod(placement, "one");
  await clock.advance(59_000);
  assert.deepEqual([start.isMeasured, world.asked()], [false, 1]);
  await clock.advance(1_000);
  assert.deepEqual([start.isMeasured, world.asked()], [true, 2]);
});
