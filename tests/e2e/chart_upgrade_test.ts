/**
 * The chart upgraded and rolled back while real builds run: they end well, their builder is not touched, and the replica
 * count stays the scaler's.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Build } from "./build.ts";
import { CHART, Helm, type HelmName, type Values } from "./helm.ts";
import { parseManifests } from "./manifests.ts";
import { quick, RELEASE, type Release, releaseScenario } from "./release.ts";
import { until } from "./waiting.ts";

/** A change of both pod templates, as a new version of the product makes it. */
function version(name: string, autoscaler: Values = {}): Values {
  const podAnnotations = { "example.com/version": name };
  return quick({ ...autoscaler, podAnnotations }, { podAnnotations });
}

/** The one pod of buildkitd, by uid: a builder that was started again has another. */
async function builder(release: Release): Promise<string> {
  const [pod, ...others] = await release.pods("StatefulSet");
  assert.ok(pod !== undefined && others.length === 0, "one pod of buildkitd");
  return pod.metadata.uid ?? "";
}

/** Whether the pod of buildkitd has the spec of that version. */
async function builderVersion(release: Release): Promise<string | undefined> {
  const [pod] = await release.pods("StatefulSet");
  return pod?.metadata.annotations?.["example.com/version"];
}

/** Autoscaler pods of a release with builds through each of them. */
async function buildThroughAll(release: Release, count: number, not: readonly string[] = []) {
  const endpoints = await release.untilEndpoints(count, not);
  const builds: Build[] = [];
  for (const { address } of endpoints) builds.push(await (await release.build(address)).running());
  return { pods: endpoints.map(({ pod }) => pod), builds };
}

async function finishAll(builds: readonly Build[]): Promise<void> {
  assert.deepEqual(builds.filter(({ ended }) => ended), [], "no build has ended before its time");
  for (const build of builds) await build.finish();
}

async function untilAutoscalers(release: Release, count: number): Promise<void> {
  await until(`${count} autoscaler pods to be left`, async () => {
    return (await release.pods("ReplicaSet")).length === count;
  }, { explain: () => release.report() });
}

for (const [replicaCount, other] of [[1, 2], [2, 1]] as const) {
  releaseScenario(
    `builds survive an upgrade of ${replicaCount}, a change to ${other} autoscaler pods, and a rollback`,
    {},
    async (release) => {
      await release.install(version("one", { replicaCount }));
      const one = await buildThroughAll(release, replicaCount);
      const uid = await builder(release);
      release.phase("installed, builds under way");
      await release.upgrade(version("two", { replicaCount }));
      const two = await buildThroughAll(release, replicaCount, one.pods);
      release.phase("upgrade");
      await release.upgrade(version("three", { replicaCount: other }));
      const three = await release.untilEndpoints(other, [...one.pods, ...two.pods]);
      release.phase(`upgrade to ${other}`);
      await release.rollback(2);
      await release.untilEndpoints(replicaCount, [...one.pods, ...two.pods, ...three.map(({ pod }) => pod)]);
      release.phase("rollback");
      assert.equal(await builder(release), uid, "the busy builder was left alone");
      assert.equal(await builderVersion(release), "one");
      await finishAll([...one.builds, ...two.builds]);
      assert.deepEqual(release.timeline.counts, [0, 1]);
      await release.timeline.settle([0, 1, 0]);
      await release.untilBuildkitdGone();
      await untilAutoscalers(release, replicaCount);
      release.phase("builds ended, idle");
      const build = await (await release.build()).running();
      assert.equal(await builderVersion(release), "two", "the next builder has the present spec");
      await build.finish();
      assert.deepEqual(await release.plane.refusedTo(await release.programUser()), []);
    },
  );
}

releaseScenario(
  "helm 4 refuses a rollback to the first revision while buildkitd runs, and takes it when it is idle",
  {},
  async (release) => {
    await release.install(version("one"));
    await release.upgrade(version("two"), "--wait");
    const build = await (await release.build()).running();
    const { code, stderr } = await release.tryRollback(1);
    assert.notEqual(code, 0);
    assert.match(stderr, /StatefulSet: Apply failed with .*conflict/);
    assert.match(stderr, /\.spec\.replicas/);
    await finishAll([build]);
    await release.timeline.settle([0, 1, 0]);
    release.phase("refused");
    await release.rollback(1, "--wait");
    await (await release.build()).finish();
    await release.timeline.settle([0, 1, 0, 1, 0]);
    release.phase("idle");
  },
);

/** An upgrade that helm refuses, and leaves everything as it was. @returns what helm said */
async function refusedUpgrade(release: Release, values: Values): Promise<string> {
  const versions = async () => {
    const workloads = [
      ...await release.list("/apis/apps/v1 deployments"),
      ...await release.list("/apis/apps/v1 statefulsets"),
    ];
    return workloads.map(({ metadata }) => (metadata as { generation?: number }).generation);
  };
  const before = await versions();
  const { code, stderr } = await release.tryUpgrade(values);
  assert.notEqual(code, 0);
  assert.deepEqual(await versions(), before, "nothing was changed");
  return stderr;
}

releaseScenario(
  "another volume size is refused before anything is changed, and taken when the StatefulSet is made anew",
  {},
  async (release) => {
    await release.install(quick());
    const larger = quick({ podAnnotations: { a: "b" } }, { persistence: { size: "100Gi" } });
    const said = await refusedUpgrade(release, larger);
    assert.match(said, /buildkitd\.persistence\.size is "100Gi", and StatefulSet .* was made with "50Gi"/);
    const { metadata } = await release.statefulSet();
    const path = `/apis/apps/v1/namespaces/${release.namespace}/statefulsets/${metadata.name}`;
    await release.api.delete(path, { propagationPolicy: "Orphan" });
    await until("the StatefulSet to be gone", async () => {
      return (await release.list("/apis/apps/v1 statefulsets")).length === 0;
    });
    await release.upgrade(larger);
    assert.notEqual((await release.statefulSet()).metadata.uid, metadata.uid);
    await (await release.build()).finish();
    release.phase("refused, made anew, built");
  },
);

releaseScenario(
  "another account of the autoscaler is refused while a proxy runs or drains, and taken when none does",
  {},
  async (release) => {
    await release.install(quick());
    const build = await (await release.build()).running();
    const renamed = quick({ serviceAccount: { name: "other" } });
    const refused = /would take away ServiceAccount .*, RoleBinding .* while proxies run with it/;
    assert.match(await refusedUpgrade(release, renamed), refused);
    await release.upgrade(quick({ replicaCount: 0 }));
    await release.untilEndpoints(0);
    assert.match(await refusedUpgrade(release, renamed), refused, "it terminates, and the build goes on");
    release.phase("refused");
    await finishAll([build]);
    await untilAutoscalers(release, 0);
    await release.upgrade(renamed);
    await release.untilEndpoints(1);
    await (await release.build()).finish();
    release.phase("taken, built");
  },
);

for (const helm of ["helm", "helm3"] satisfies HelmName[]) {
  releaseScenario(
    `${helm}: another port of buildkitd is refused during a build, and taken with a restart that waits for it`,
    { helm },
    async (release) => {
      await release.install(quick());
      const first = await (await release.build()).running();
      const uid = await builder(release);
      const [old] = await release.untilEndpoints(1);
      const service = { port: 9372 };
      const said = await refusedUpgrade(release, quick({}, { service }));
      assert.match(said, /buildkitd\.service\.port is 9372, and the builder that runs listens on 8372/);
      release.phase("refused");
      await release.upgrade(quick({}, { service, updateStrategy: "RollingUpdate" }));
      const [endpoint] = await release.untilEndpoints(1, [old!.pod]);
      const second = await release.build(endpoint!.address);
      await until("the builder to be told to leave", async () => {
        const [pod] = await release.pods("StatefulSet");
        return pod?.metadata.deletionTimestamp !== undefined;
      }, { explain: () => release.report() });
      assert.equal(await builder(release), uid, "the builder waits for its build");
      await finishAll([first]);
      await second.finish();
      assert.notEqual(await builder(release), uid);
      release.phase("upgraded, both built");
      await release.timeline.settle([0, 1, 0]);
      // With no builder the port is free to change, and the usual strategy comes back.
      await release.upgrade(quick());
      await release.untilEndpoints(1, [old!.pod, endpoint!.pod]);
      await (await release.build()).finish();
      release.phase("back, built");
    },
  );
}

releaseScenario(
  "a release of helm 3 keeps its two builders when helm 4 upgrades it",
  { helm: "helm3" },
  async (release) => {
    const values = (podAnnotations: Values) =>
      quick({ autoscalerConfig: { minReplicas: 2 }, podAnnotations }, { replicaCount: 2, maxReplicas: 2 });
    await release.install(values({ v: "1" }));
    let [last] = await release.untilEndpoints(1);
    await until("the autoscaler to have claimed the count", async () => {
      return JSON.stringify((await release.statefulSet()).metadata).includes('"subresource":"scale"');
    });
    const helm4 = new Helm("helm", release.folder, release.kubeconfig);
    for (const v of ["2", "3"]) {
      await helm4.run(["upgrade", RELEASE, CHART, "--namespace", release.namespace], values({ v }));
      [last] = await release.untilEndpoints(1, [last!.pod]);
    }
    await release.upgrade(quick({}, { replicaCount: 2, maxReplicas: 2 }));
    await release.timeline.settle([2, 0]);
  },
);

/** Applies what the chart renders without a cluster, as a GitOps tool does at each sync. */
async function sync(release: Release, values: Values): Promise<void> {
  const rendered = await release.helm.run(
    ["template", RELEASE, CHART, "--namespace", release.namespace],
    values,
  );
  await release.apply(parseManifests(rendered), "gitops");
}

releaseScenario(
  "rendered without a count and applied again during a build, as by a GitOps tool",
  {},
  async (release) => {
    const values = (name: string) => {
      const { autoscaler, buildkitd } = version(name);
      return { autoscaler, buildkitd: { ...buildkitd as Values, omitReplicas: true } };
    };
    await sync(release, values("one"));
    const [old] = await release.untilEndpoints(1);
    // Kubernetes takes 1 where there is no count.
    await release.untilCount(0);
    await release.watch();
    const build = await (await release.build()).running();
    const uid = await builder(release);
    release.phase("installed");
    await sync(release, values("two"));
    await release.untilEndpoints(1, [old!.pod]);
    assert.equal(await builder(release), uid, "the busy builder was left alone");
    await finishAll([build]);
    await release.timeline.settle([0, 1, 0]);
    release.phase("synced");
  },
);

releaseScenario(
  "helm 3: a build survives an upgrade, and a rollback that takes its builder's replica away",
  { helm: "helm3" },
  async (release) => {
    await release.install(version("one"));
    const one = await buildThroughAll(release, 1);
    const uid = await builder(release);
    await release.upgrade(version("two"));
    const two = await buildThroughAll(release, 1, one.pods);
    assert.equal(await builder(release), uid, "the busy builder was left alone");
    assert.deepEqual(release.timeline.counts, [0, 1]);
    release.phase("upgrade");
    // helm 3 writes every field of the first revision, the count of 0 too. The builder's drain hook waits for its clients,
    // and the autoscaler wants the replica back.
    await release.rollback(1);
    await release.timeline.settle([0, 1, 0, 1]);
    await release.untilEndpoints(1, [...one.pods, ...two.pods]);
    assert.equal(await builder(release), uid, "the builder waits for its builds");
    release.phase("rollback");
    await finishAll([...one.builds, ...two.builds]);
    await (await release.build()).finish();
    await release.timeline.settle([0, 1, 0, 1, 0]);
    release.phase("builds ended, next build, idle");
  },
);
