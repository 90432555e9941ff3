/**
 * The miniature's controllers and kubelet on a virtual clock, with processes that the test ends.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ENDPOINT_SLICES, type KubeObject } from "../../../lib/miniature/objects.ts";
import { MiniatureCluster, type MiniatureClusterOptions } from "../../../lib/miniature/miniature_cluster.ts";
import type { PodContext, PodProcess, PodRuntime } from "../../../lib/miniature/pod_process.ts";
import { isReady } from "../../../lib/miniature/pods.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** Processes that a test ends by hand, or that end at once when told to. */
class ScriptedPods implements PodRuntime {
  readonly description = "nothing";
  readonly started: { pod: PodContext; graceMs: number[]; exit: () => void }[] = [];
  obeys = true;

  start(pod: PodContext): PodProcess {
    const { promise: exited, resolve: exit } = Promise.withResolvers<void>();
    const graceMs: number[] = [];
    this.started.push({ pod, graceMs, exit });
    return {
      serving: Promise.resolve(),
      exited,
      stop: (ms) => {
        graceMs.push(ms);
        if (this.obeys) exit();
      },
      kill: exit,
    };
  }
}

function setUp(options: Partial<MiniatureClusterOptions> = {}) {
  const clock = new VirtualClock();
  const runtime = new ScriptedPods();
  const cluster = new MiniatureCluster({
    clock,
    runtime,
    targetPort: 1234,
    startMs: () => 1000,
    probeMs: () => 500,
    ...options,
  });
  return { clock, runtime, cluster };
}

const names = (cluster: MiniatureCluster) => cluster.pods.map((pod) => pod.metadata.name);

function endpoints(cluster: MiniatureCluster): KubeObject["spec"] {
  const [slice] = cluster.api.registry.store.list(ENDPOINT_SLICES);
  return slice?.["endpoints"];
}

Deno.test("MiniatureCluster starts a pod: listed with an address before it is ready, and serving only then", async () => {
  const { clock, runtime, cluster } = setUp();
  await using _ = cluster;
  cluster.scale(1);
  await clock.advance(900);
  assert.deepEqual(names(cluster), ["buildkitd-0"]);
  assert.equal(cluster.pods[0]!.status?.phase, undefined);
  assert.deepEqual(endpoints(cluster), []);
  await clock.advance(200);
  const { uid } = cluster.pods[0]!.metadata;
  assert.equal(cluster.pods[0]!.status.phase, "Running");
  assert.deepEqual(endpoints(cluster), [{
    addresses: ["127.0.1.1"],
    conditions: { ready: true, serving: false, terminating: false },
    hostname: "buildkitd-0",
    nodeName: "node-1",
    targetRef: { kind: "Pod", name: "buildkitd-0", namespace: "default", uid },
  }]);
  assert.deepEqual(runtime.started[0]!.pod, {
    name: "buildkitd-0",
    uid,
    ordinal: 0,
    address: { hostname: "127.0.1.1", port: 1234 },
  });
  await clock.advance(500);
  assert.equal(endpoints(cluster)[0].conditions.serving, true);
  const { replicas, readyReplicas, observedGeneration } = cluster.statefulSet.status;
  assert.deepEqual({ replicas, readyReplicas, observedGeneration }, {
    replicas: 1,
    readyReplicas: 1,
    observedGeneration: 2,
  });
});

Deno.test("MiniatureCluster ends a pod: terminating until its process is gone, counted as ready and not as replica", async () => {
  const { clock, runtime, cluster } = setUp({ replicas: 1, gracePeriodSeconds: 7 });
  await using _ = cluster;
  await clock.advance(2000);
  runtime.obeys = false;
  cluster.scale(0);
  await clock.advance(100);
  assert.deepEqual(runtime.started[0]!.graceMs, [7000]);
  assert.deepEqual(endpoints(cluster)[0].conditions, { ready: true, serving: true, terminating: true });
  const { replicas, readyReplicas } = cluster.statefulSet.status;
  assert.deepEqual({ replicas, readyReplicas }, { replicas: 0, readyReplicas: 1 });
  cluster.scale(1);
  await clock.advance(100);
  assert.equal(runtime.started.length, 1, "a new pod waits for the old one of its name");
  const { uid } = cluster.pods[0]!.metadata;
  runtime.started[0]!.exit();
  await clock.advance(2000);
  assert.deepEqual(names(cluster), ["buildkitd-0"]);
  assert.notEqual(cluster.pods[0]!.metadata.uid, uid);
  assert.equal(isReady(cluster.pods[0]!), true);
});

Deno.test("MiniatureCluster creates pods in order and removes the highest ordinal first, one at a time", async () => {
  const { clock, runtime, cluster } = setUp({ replicas: 3 });
  await using _ = cluster;
  await clock.advance(1600);
  assert.deepEqual(names(cluster), ["buildkitd-0", "buildkitd-1"]);
  await clock.advance(3000);
  assert.deepEqual(names(cluster), ["buildkitd-0", "buildkitd-1", "buildkitd-2"]);
  runtime.obeys = false;
  cluster.scale(1);
  await clock.advance(1000);
  const terminating = () =>
    cluster.pods.filter((pod) => pod.metadata.deletionTimestamp !== undefined).map((pod) =>
      pod.metadata.name
    );
  assert.deepEqual(terminating(), ["buildkitd-2"]);
  runtime.started[2]!.exit();
  await clock.advance(1000);
  assert.deepEqual(terminating(), ["buildkitd-1"]);
  runtime.started[1]!.exit();
  await clock.advance(1000);
  assert.deepEqual(names(cluster), ["buildkitd-0"]);
});

Deno.test("MiniatureCluster starts all pods at once when pods are managed in parallel", async () => {
  const { clock, cluster } = setUp({ replicas: 3, podManagementPolicy: "Parallel" });
  await using _ = cluster;
  await clock.advance(1600);
  assert.deepEqual(cluster.pods.map(isReady), [true, true, true]);
});

Deno.test("Kubelet.crash() keeps the pod and its address, unready until its process runs again", async () => {
  const { clock, runtime, cluster } = setUp({ replicas: 1, restartMs: () => 2000 });
  await using _ = cluster;
  await clock.advance(2000);
  const { uid } = cluster.pods[0]!.metadata;
  cluster.kubelet.crash("buildkitd-0");
  await clock.advance(100);
  assert.equal(endpoints(cluster)[0].conditions.serving, false);
  await clock.advance(2500);
  assert.equal(endpoints(cluster)[0].conditions.serving, true);
  assert.equal(cluster.pods[0]!.metadata.uid, uid);
  assert.equal(cluster.pods[0]!.status.containerStatuses[0].restartCount, 1);
  assert.deepEqual(runtime.started.map(({ pod }) => pod.address.hostname), ["127.0.1.1", "127.0.1.1"]);
});

Deno.test("Kubelet.evict() fails the pod, and the controller makes a new one of another uid and address", async () => {
  const { clock, cluster } = setUp({ replicas: 1 });
  await using _ = cluster;
  await clock.advance(2000);
  const { uid } = cluster.pods[0]!.metadata;
  cluster.kubelet.evict("buildkitd-0");
  await clock.advance(3000);
  assert.deepEqual(names(cluster), ["buildkitd-0"]);
  assert.notEqual(cluster.pods[0]!.metadata.uid, uid);
  assert.deepEqual(endpoints(cluster)[0].addresses, ["127.0.1.2"]);
  assert.equal(isReady(cluster.pods[0]!), true);
});

Deno.test("MiniatureCluster: a pod deleted while it starts is gone without ever having run", async () => {
  const { clock, runtime, cluster } = setUp({ replicas: 1 });
  await using _ = cluster;
  await clock.advance(500);
  cluster.scale(0);
  await clock.advance(5000);
  assert.deepEqual(cluster.pods, []);
  assert.equal(runtime.started.length, 0);
});

Deno.test("MiniatureCluster at rest has no timer left", async () => {
  const { clock, cluster } = setUp({ replicas: 1 });
  await clock.advance(5000);
  assert.equal(clock.pending, 0);
  await cluster[Symbol.asyncDispose]();
});
