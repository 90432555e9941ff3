/** Tests of what is concluded from the StatefulSet and its pods as they are first seen, watched, and seen again. @module */
import assert from "node:assert/strict";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { MemoryHttp } from "../../../lib/miniature/memory_http.ts";
import { MiniatureCluster } from "../../../lib/miniature/miniature_cluster.ts";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import type { PodRuntime } from "../../../lib/miniature/pod_process.ts";
import { VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";
import { statefulSetScale } from "../../../lib/kube/scale.ts";
import { Observer, watchSlices } from "../../../lib/scaler/observer.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../../lib/scaler/replica_count.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { letPodsLive, readyPod } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** Longer than the controllers, and a watch that is begun again, ever take. */
const SOON_MS = 5_000;

const PODS: PodRuntime = {
  description: "nothing",
  start: () => {
    const { promise: exited, resolve: exit } = Promise.withResolvers<void>();
    return { serving: Promise.resolve(), exited, stop: () => exit(), kill: () => exit() };
  },
};

/** A cluster with a ready pod for each replica, and an observer that has not begun. */
async function setUp(replicas: number) {
  const clock = new VirtualClock();
  const cluster = new MiniatureCluster({ clock, runtime: PODS, targetPort: 1234, replicas });
  await clock.advance(SOON_MS);
  const http = new MemoryHttp(cluster.api, clock, "test");
  const log = recordingLog();
  const client = testClient(http, { clock, log });
  const placement = new Placement(clock, ONE_POD, "pod");
  const { namespace, name, serviceName: service } = cluster;
  const ports = { client, clock, random: () => 0.5, log, metrics: noMetrics };
  const slices = watchSlices(namespace, [service], ports);
  const observer = new Observer({ namespace, name, service, port: 8372 }, {
    ...ports,
    slices,
    placement,
    count: new ReplicaCount({
      scale: statefulSetScale(client, namespace, name),
      placement,
      log,
      metrics: noMetrics,
      identity: "one",
    }),
    countOwners: { see: () => {} },
  });
  const controller = new AbortController();
  let running = Promise.resolve();
  const start = async () => {
    const { signal } = controller;
    running = Promise.allSettled([observer.run(signal), slices.run(signal)]).then(() => {});
    await clock.advance(SOON_MS);
    assert.equal(observer.fault, undefined);
  };
  let sessions = 0;
  const places = () => {
    const seat = arrive(placement, ++sessions);
    placement.end(sessions);
    return seat !== undefined;
  };
  const dispose = async () => {
    controller.abort(new Error("over"));
    http.set("open");
    await clock.advance(0);
    await running;
    await cluster[Symbol.asyncDispose]();
  };
  return { clock, cluster, http, observer, placement, start, places, [Symbol.asyncDispose]: dispose };
}

/** The count falls and rises again before the controller has looked. */
function fallAndRise(cluster: MiniatureCluster): void {
  cluster.scale(0);
  cluster.scale(1);
}

Deno.test("Observer lets a pod of a settled count be used at the first look", async () => {
  await using setting = await setUp(1);
  await setting.start();
  assert.equal(setting.places(), true);
});

Deno.test("Observer takes the pods for suspect that the first look shows while the count is not settled", async () => {
  await using setting = await setUp(1);
  const { clock, cluster, start, places } = setting;
  const resume = cluster.controllers.pause();
  fallAndRise(cluster);
  await start();
  assert.equal(places(), false, "the controller may be about to take the pod away");
  await clock.advance(10 * VERIFIED_AFTER_MS);
  assert.equal(places(), false, "time alone proves nothing");
  resume();
  await clock.advance(VERIFIED_AFTER_MS + SOON_MS);
  assert.equal(places(), true, "the controller has let it live");
});

Deno.test("Observer lets no pod be used after a gap in which the count may have fallen and risen", async () => {
  await using setting = await setUp(1);
  const { clock, cluster, http, start, places } = setting;
  await start();
  const resume = cluster.controllers.pause();
  http.set("refused");
  fallAndRise(cluster);
  cluster.api.compact();
  http.set("open");
  await clock.advance(SOON_MS);
  assert.equal(places(), false);
  resume();
  await clock.advance(VERIFIED_AFTER_MS + SOON_MS);
  assert.equal(places(), true);
});

Deno.test("Placement has pods that are listed soon after a gap prove themselves, too", () => {
  const clock = new VirtualClock();
  const placement = new Placement(clock, ONE_POD, "pod");
  placement.pods.countsMissed();
  placement.see({ version: "10", replicas: 1 });
  placement.pods.settled();
  // The EndpointSlices lag behind.
  readyPod(placement, "pod-1", true);
  assert.equal(arrive(placement, 1), undefined);
  letPodsLive(placement);
  assert.notEqual(arrive(placement, 2), undefined);
});

Deno.test("Observer lets a new pod be used as soon as it is ready", async () => {
  await using setting = await setUp(0);
  const { clock, cluster, start, places } = setting;
  await start();
  cluster.scale(1);
  assert.equal(places(), false);
  await clock.advance(VERIFIED_AFTER_MS - 1);
  assert.equal(places(), true);
});

for (const when of ["before", "after"] as const) {
  Deno.test(`Observer counts ordinals from where the StatefulSet's start, set ${when} the first look`, async () => {
    await using setting = await setUp(0);
    const { clock, cluster, observer, placement, start, places } = setting;
    const patch = { spec: { ordinals: { start: 5 } } };
    const renumber = () =>
      cluster.api.registry.patch(
        STATEFULSETS,
        "default",
        "buildkitd",
        "application/merge-patch+json",
        patch,
        { manager: "helm" },
      );
    if (when === "before") renumber();
    await start();
    if (when === "after") renumber();
    cluster.scale(1);
    await clock.advance(SOON_MS);
    assert.equal(observer.podName(0), "buildkitd-5");
    assert.deepEqual(placement.pods.all.map(({ pod, ordinal }) => [pod, ordinal]), [["buildkitd-5", 0]]);
    assert.equal(places(), true);
  });
}
