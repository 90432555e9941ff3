/** Tests of several targets in one process: what they share, and what each has for itself. On the miniature cluster. @module */
import assert from "node:assert/strict";
import { TaskGroup } from "../../../lib/base/task_group.ts";
import { RIGHTS_PATIENCE_MS } from "../../../lib/ha/alone.ts";
import { MemoryHttp } from "../../../lib/miniature/memory_http.ts";
import { MiniatureCluster } from "../../../lib/miniature/miniature_cluster.ts";
import { type KubeObject, LEASES } from "../../../lib/miniature/objects.ts";
import { StubPods } from "../../../lib/miniature/stub_pods.ts";
import { SharedParts } from "../../../lib/target/shared_parts.ts";
import { Target } from "../../../lib/target/target.ts";
import type { TargetSettings } from "../../../lib/target/target_settings.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";
import { VirtualNetwork } from "../../support/virtual_network.ts";

const NAMESPACE = "default";
const TIMES = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
const SIGNAL = new AbortController().signal;
/** Longer than joining and electing take. */
const SOON_MS = 5_000;

function settingsOf(stsName: string): TargetSettings {
  return {
    stsName,
    stsNamespace: NAMESPACE,
    headlessServiceName: `${stsName}-headless`,
    targetPort: 1234,
    upstream: "slices",
    clusterDomain: "cluster.local",
    connectTimeoutMs: 5_000,
    readiness: "pod",
    observe: false,
    recordExpiryMs: 300_000,
    whenCutOff: "serve",
    idleTimeoutMs: 60_000,
    minReplicas: 0,
    maxReplicas: 1,
    sessionsPerReplica: 0,
    maxSessionsPerReplica: 0,
    placement: "packed",
    readyWaitTimeoutMs: 300_000,
    isCordoned: false,
    isOnly: true,
    warm: [],
  };
}

/** A cluster with these StatefulSets, and processes that a test starts in front of them. */
function stage(...names: [string, ...string[]]) {
  const clock = new VirtualClock();
  const network = new VirtualNetwork();
  const [name, ...more] = names;
  const cluster = new MiniatureCluster({
    clock,
    runtime: new StubPods({ network, clock, warmUpMs: () => 0 }),
    targetPort: 1234,
    podAddress: (n) => `192.0.2.${n}`,
    name,
    more: more.map((name) => ({ name })),
  });
  const { api } = cluster;
  const { registry } = api;
  const ends: (() => Promise<void>)[] = [];

  /** A process in front of all of them, or of those that are named. */
  const start = async (who: string, targetNames: readonly string[] = names) => {
    const log = recordingLog();
    const metrics = countedMetrics(() => {});
    const client = testClient(new MemoryHttp(api, clock, who), { clock, log, metrics }, {
      authenticate: () => Promise.resolve({ authorization: `Bearer ${who}` }),
    });
    const random = seededRandom(who.charCodeAt(0)).next;
    const ports = { clock, random, log, metrics, network, client };
    const settings = targetNames.map(settingsOf) as [TargetSettings, ...TargetSettings[]];
    const shared = new SharedParts(settings, { ...TIMES, stsNamespace: NAMESPACE }, ports);
    const targets = settings.map((each) => new Target(each, { ...ports, shared }));
    const tasks = new TaskGroup();
    shared.start(tasks);
    for (const target of targets) target.start(tasks);
    const end = async () => {
      tasks.stop();
      await clock.advance(0);
      await tasks.join();
    };
    ends.push(end);
    await clock.advance(SOON_MS);
    return { log, metrics, shared, targets, tasks, end };
  };

  return {
    clock,
    cluster,
    api,
    start,
    election: () => registry.store.get(LEASES, NAMESPACE, `${name}-autoscaler-leader`),
    records: () =>
      registry.store.list(LEASES, NAMESPACE).filter(({ metadata }) => metadata.name.includes("-proxy-"))
        .map(({ metadata }) => metadata.name),
    async [Symbol.asyncDispose]() {
      for (const end of ends) await end();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

/** The name of the StatefulSet that owns it. */
function ownerOf(lease: KubeObject | undefined): string | undefined {
  return lease?.metadata.ownerReferences?.[0]?.name;
}

const lead = ({ targets }: { targets: readonly Target[] }) => targets.map(({ proxies }) => proxies.leads);

Deno.test("Several targets: one election, one watch of pods and one of records, and a record for each StatefulSet", async () => {
  await using world = stage("a", "b", "c");
  const { api, records, election } = world;
  const one = await world.start("x");
  assert.ok(one.targets.every(({ joining }) => joining.joined));
  const { identity } = one.shared;
  assert.deepEqual(records().sort(), ["a", "b", "c"].map((name) => `${name}-proxy-${identity}`));
  assert.equal(election()?.spec.holderIdentity, identity);
  assert.equal(ownerOf(election()), "a");
  assert.deepEqual(lead(one), [true, true, true]);
  assert.equal(one.metrics.value("leader"), 1);
  const watches = (resource: string) =>
    api.requests.filter(({ verb, subject }) => verb === "watch" && subject.includes(resource)).length;
  assert.deepEqual(["statefulsets", "endpointslices", "leases"].map(watches), [3, 1, 1]);
  for (const builder of ["a", "b", "c"]) {
    assert.equal(one.metrics.value("proxies_alive", { builder }), 1);
    assert.equal(one.metrics.value("member_state", { builder, state: "joined" }), 1);
  }
});

Deno.test("Several targets: each sees only its own pods, and each proxy the sessions of the other by builder", async () => {
  await using world = stage("a", "b");
  const { clock, cluster } = world;
  const [one, two] = [await world.start("x"), await world.start("y")];
  cluster.set("b").scale(1);
  await clock.advance(SOON_MS);
  const pods = () => one.targets.map(({ placement }) => placement.pods.all.map(({ pod }) => pod));
  assert.deepEqual(pods(), [[], ["b-0"]]);
  for (const id of [1, 2, 3]) assert.ok(arrive(two.targets[1]!.placement, id) !== undefined);
  await clock.advance(SOON_MS);
  const loads = () => one.targets.map(({ proxies }) => [...proxies.use().sessions]);
  assert.deepEqual(loads(), [[], [[0, 3]]]);
  two.targets[1]!.placement.end(2);
  two.targets[0]!.proxies.queuedSinceMs = clock.nowMs();
  await clock.advance(1_000);
  assert.deepEqual(loads(), [[], [[0, 2]]], "also where the pod is as busy as before");
  const queued = one.targets.map(({ proxies }) => proxies.othersQueuedSinceMs);
  assert.ok(clock.nowMs() - queued[0]! >= 1_000 && clock.nowMs() - queued[0]! <= 2_000);
  assert.equal(queued[1], undefined);
  await clock.advance(90_000);
  assert.equal(cluster.set("b").replicas, 1, "in use at the other proxy");
  for (const id of [1, 3]) two.targets[1]!.placement.end(id);
  await clock.advance(90_000);
  assert.equal(cluster.set("b").replicas, 0);
});

Deno.test("Several targets: the process that holds the Lease leads for all of them, and hands all of them over", async () => {
  await using world = stage("a", "b");
  const [one, two] = [await world.start("x"), await world.start("y")];
  assert.deepEqual([lead(one), lead(two)], [[true, true], [false, false]]);
  assert.equal(two.targets[1]!.proxies.leader, one.shared.identity);
  await one.shared.election.release(SIGNAL);
  await world.clock.advance(SOON_MS);
  assert.deepEqual([lead(one), lead(two)], [[false, false], [true, true]]);
  assert.deepEqual([one, two].map(({ metrics }) => metrics.value("leader")), [0, 1]);
});

Deno.test("Several targets: the election works while the first StatefulSet is absent, and the Lease is the first's once it is there", async () => {
  await using world = stage("b", "c");
  const { clock, cluster, election } = world;
  cluster.set("b").delete();
  const one = await world.start("x", ["b", "c"]);
  assert.deepEqual(one.targets.map(({ joining }) => joining.joined), [false, true]);
  assert.deepEqual(lead(one), [false, true]);
  assert.deepEqual([election()?.spec.holderIdentity, ownerOf(election())], [one.shared.identity, "c"]);
  assert.equal(one.log.of("statefulset_not_found").length, 1);
  cluster.set("b").create();
  await clock.advance(2 * SOON_MS);
  assert.deepEqual(lead(one), [true, true]);
  assert.equal(ownerOf(election()), "b");
  cluster.set("b").delete();
  await clock.advance(SOON_MS);
  assert.deepEqual([election()?.spec.holderIdentity, ownerOf(election())], [one.shared.identity, "c"]);
  assert.equal(lead(one)[1], true);
});

Deno.test("Several targets without the right to Leases are alone, each for itself, and nobody is elected", async () => {
  await using world = stage("a", "b");
  const { api, clock, election, records } = world;
  api.access.tokens.set("x", "x");
  api.access.rules.set("x", [
    { apiGroups: ["apps"], resources: ["statefulsets/scale"], verbs: ["get", "patch", "update"] },
    { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list", "watch"] },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  ]);
  const one = await world.start("x");
  await clock.advance(RIGHTS_PATIENCE_MS + SOON_MS);
  assert.deepEqual(one.targets.map(({ proxies }) => proxies.membership.state), ["alone", "alone"]);
  assert.deepEqual(lead(one), [true, true]);
  assert.equal(one.metrics.value("leader"), 1);
  assert.deepEqual([election(), records()], [undefined, []]);
  const watched = api.requests.filter(({ verb, subject }) => verb === "watch" && subject.includes("leases"));
  assert.deepEqual(watched, [], "it does not even try");
});

Deno.test("Several targets: those that are absent or forbidden keep no other from joining", async () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"] as const;
  await using world = stage(...names);
  const { api } = world;
  api.access.tokens.set("x", "x");
  const scale = { apiGroups: ["apps"], resources: ["statefulsets/scale"], verbs: ["get", "patch", "update"] };
  api.access.rules.set("x", [
    { ...scale, resourceNames: names.filter((name) => name !== "e") },
    { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list", "watch"] },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
    {
      apiGroups: ["coordination.k8s.io"],
      resources: ["leases"],
      verbs: ["get", "list", "watch", "create", "update", "delete"],
    },
  ]);
  for (const name of ["a", "b", "c", "d"]) world.cluster.set(name).delete();
  const one = await world.start("x");
  await world.clock.advance(3 * SOON_MS);
  const joined = one.targets.map(({ joining }) => joining.joined);
  assert.deepEqual(joined, [false, false, false, false, false, true, true]);
  assert.match(one.targets[4]!.joining.fault ?? "", /no permission/);
  assert.deepEqual(lead(one).slice(5), [true, true]);
});

Deno.test("Several targets: a StatefulSet that is made anew is joined anew, and the others are left alone", async () => {
  await using world = stage("a", "b");
  const { clock, cluster, records, api } = world;
  const [one, two] = [await world.start("x"), await world.start("y")];
  const others = () => [one, two].map(({ targets }) => targets.map(({ proxies }) => proxies.others.length));
  assert.deepEqual(others(), [[1, 1], [1, 1]]);
  const uidOf = (name: string) =>
    api.registry.store.list(LEASES, NAMESPACE).filter(({ metadata }) =>
      metadata.name.startsWith(`${name}-proxy-`)
    )
      .map(({ metadata }) => metadata.ownerReferences?.[0]?.uid);
  const before = uidOf("b");
  cluster.set("b").delete();
  cluster.set("b").create();
  await clock.advance(2 * SOON_MS);
  assert.deepEqual(others(), [[1, 1], [1, 1]]);
  assert.equal(records().length, 4);
  const { uid } = cluster.set("b").object.metadata;
  assert.deepEqual(uidOf("b"), [uid, uid]);
  assert.notEqual(before[0], uid);
  assert.deepEqual(lead(one), [true, true]);
  cluster.set("b").scale(1);
  await clock.advance(SOON_MS);
  assert.ok(arrive(two.targets[1]!.placement, 1) !== undefined);
  await clock.advance(SOON_MS);
  assert.equal(one.targets[1]!.proxies.use().highestBusy, 0);
  await clock.advance(90_000);
  assert.equal(cluster.set("b").replicas, 1);
});
