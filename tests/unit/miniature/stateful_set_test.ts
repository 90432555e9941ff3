/**
 * Several StatefulSets in one miniature cluster, and what is done to one of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { HorizontalAutoscaler } from "../../../lib/miniature/horizontal_autoscaler.ts";
import { MiniatureCluster, type MiniatureClusterOptions } from "../../../lib/miniature/miniature_cluster.ts";
import { ENDPOINT_SLICES, type KubeObject, LEASES } from "../../../lib/miniature/objects.ts";
import { isReady } from "../../../lib/miniature/pods.ts";
import { StubPods } from "../../../lib/miniature/stub_pods.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";
import { VirtualNetwork } from "../../support/virtual_network.ts";

function setUp(options: Partial<MiniatureClusterOptions> = {}) {
  const clock = new VirtualClock();
  const cluster = new MiniatureCluster({
    clock,
    runtime: new StubPods({ network: new VirtualNetwork(), clock, warmUpMs: () => 0 }),
    targetPort: 1234,
    startMs: () => 100,
    more: [{ name: "arm64", firstOrdinal: 5 }, { name: "arm64-b2", serviceName: "peers" }],
    ...options,
  });
  return { clock, cluster };
}

const names = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name);

/** The pods that each Service lists. */
function listed({ api }: MiniatureCluster): Record<string, string[]> {
  const slices = api.registry.store.list(ENDPOINT_SLICES);
  return Object.fromEntries(slices.map((slice) => [
    slice.metadata.labels!["kubernetes.io/service-name"]!,
    (slice["endpoints"] as { targetRef: { name: string } }[]).map(({ targetRef }) => targetRef.name),
  ]));
}

async function send({ api }: MiniatureCluster, path: string): Promise<{ status: number; message: string }> {
  const url = new URL(`http://api.test/apis/apps/v1/namespaces/default/statefulsets${path}`);
  const response = await api.handle(
    { method: "GET", url, headers: {}, signal: new AbortController().signal },
    "",
  );
  const body = url.searchParams.has("watch") ? {} : await new Response(response.body).json();
  return { status: response.status, message: body.message };
}

Deno.test("MiniatureCluster runs several StatefulSets, each with its own count, ordinals and EndpointSlice", async () => {
  const { clock, cluster } = setUp({ replicas: 1 });
  await using _ = cluster;
  cluster.set("arm64").scale(2);
  await clock.advance(1000);
  assert.deepEqual(cluster.sets.map(({ replicas }) => replicas), [1, 2, 1]);
  assert.deepEqual(cluster.sets.map(({ pods }) => names(pods)), [
    ["buildkitd-0"],
    ["arm64-5", "arm64-6"],
    ["arm64-b2-0"],
  ]);
  assert.deepEqual(listed(cluster), {
    "arm64-headless": ["arm64-5", "arm64-6"],
    "buildkitd-headless": ["buildkitd-0"],
    "peers": ["arm64-b2-0"],
  });
});

Deno.test("MiniatureStatefulSet.delete() takes its pods and Leases along, and create() begins anew", async () => {
  const { clock, cluster } = setUp({ replicas: 1, stopMs: () => 5000 });
  await using _ = cluster;
  await clock.advance(1000);
  const set = cluster.set("arm64");
  const { name, uid } = set.object.metadata;
  const ownerReferences = [{ apiVersion: "apps/v1", kind: "StatefulSet", name, uid }];
  const lease = { metadata: { name: "record", ownerReferences }, spec: {} };
  cluster.api.registry.create(LEASES, "default", lease, { manager: "test" });
  const [first] = set.pods;
  set.delete();
  await clock.advance(1000);
  assert.equal(set.exists, false);
  assert.deepEqual(cluster.api.registry.store.list(LEASES), []);
  assert.deepEqual(listed(cluster)["arm64-headless"], ["arm64-5"], "it still terminates");
  set.create();
  await clock.advance(1000);
  assert.deepEqual(set.pods.map(({ metadata }) => metadata.uid), [first!.metadata.uid]);
  await clock.advance(6000);
  assert.deepEqual(names(set.pods), ["arm64-5"]);
  assert.notEqual(set.pods[0]!.metadata.uid, first!.metadata.uid);
  assert.notEqual(set.object.metadata.uid, uid);
  assert.equal(isReady(set.pods[0]!), true);
});

Deno.test("MiniatureStatefulSet.forbid() forbids requests that name it, and no others", async () => {
  const { cluster } = setUp();
  await using _ = cluster;
  const allow = cluster.set("arm64").forbid();
  const byName = "?watch=1&fieldSelector=metadata.name%3D";
  for (const path of ["/arm64", "/arm64/scale", `${byName}arm64`]) {
    const { status } = await send(cluster, path);
    assert.equal(status, 403, path);
  }
  assert.match((await send(cluster, "/arm64")).message, /^statefulsets.apps "arm64" is forbidden: User /);
  for (const path of ["/arm64-b2", "/arm64-b2/scale", `${byName}buildkitd`]) {
    assert.equal((await send(cluster, path)).status, 200, path);
  }
  allow();
  assert.equal((await send(cluster, "/arm64")).status, 200);
});

Deno.test("Kubelet.keepPending() leaves the pods of one StatefulSet without a node until it is called off", async () => {
  const { clock, cluster } = setUp({ replicas: 1 });
  await using _ = cluster;
  const message = "0/3 nodes are available";
  const go = cluster.kubelet.keepPending("arm64", { kind: "unschedulable", message });
  await clock.advance(60_000);
  const [pod] = cluster.set("arm64").pods;
  assert.equal(pod!.status.phase, "Pending");
  assert.equal(pod!.status.podIP, undefined);
  const { reason, message: told } = pod!.status.conditions.find((it: { type: string }) =>
    it.type === "PodScheduled"
  );
  assert.deepEqual([reason, told], ["Unschedulable", message]);
  assert.equal(isReady(cluster.set("buildkitd").pods[0]!), true);
  go();
  await clock.advance(1000);
  assert.equal(isReady(cluster.set("arm64").pods[0]!), true);
});

Deno.test("Kubelet.keepPending() lets a container wait for a reason, at an address", async () => {
  const { clock, cluster } = setUp();
  await using _ = cluster;
  const why = { reason: "ImagePullBackOff", message: "Back-off pulling image" };
  const go = cluster.kubelet.keepPending("arm64", { kind: "waiting", ...why });
  cluster.set("arm64").scale(1);
  await clock.advance(1000);
  const [pod] = cluster.set("arm64").pods;
  assert.deepEqual(pod!.status.containerStatuses[0].state, { waiting: why });
  assert.deepEqual(listed(cluster)["arm64-headless"], ["arm64-5"]);
  // A pod that is deleted meanwhile does not start.
  cluster.set("arm64").scale(0);
  await clock.advance(1000);
  go();
  await clock.advance(1000);
  assert.deepEqual(cluster.pods, []);
});

Deno.test("HorizontalAutoscaler raises a count between 1 and its maximum, never lowers it, and leaves 0 alone", async () => {
  const { clock, cluster } = setUp();
  await using _ = cluster;
  let wanted = 9;
  const set = cluster.set("arm64");
  using _autoscaler = new HorizontalAutoscaler(cluster.api.registry, clock, {
    namespace: "default",
    name: "arm64",
    maxReplicas: 3,
    wanted: () => wanted,
    periodMs: () => 15_000,
    latencyMs: () => 100,
  });
  await clock.advance(60_000);
  assert.equal(set.replicas, 0);
  set.scale(1);
  await clock.advance(20_000);
  assert.equal(set.replicas, 3);
  wanted = 1;
  await clock.advance(60_000);
  assert.equal(set.replicas, 3);
  set.scale(5);
  await clock.advance(20_000);
  assert.equal(set.replicas, 3, "above its maximum it lowers");
  assert.deepEqual(cluster.sets.map(({ replicas }) => replicas), [0, 3, 0]);
});

Deno.test("HorizontalAutoscaler undoes no write that came after its look", async () => {
  const { clock, cluster } = setUp();
  await using _ = cluster;
  const set = cluster.set("arm64");
  set.scale(1);
  using _autoscaler = new HorizontalAutoscaler(cluster.api.registry, clock, {
    namespace: "default",
    name: "arm64",
    maxReplicas: 3,
    wanted: () => 3,
    periodMs: () => 15_000,
    latencyMs: () => 1_000,
  });
  await clock.advance(15_500);
  set.scale(0);
  await clock.advance(60_000);
  assert.equal(set.replicas, 0);
});
