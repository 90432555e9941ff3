/**
 * Several builders behind one address: every project builds on the builder that has its cache, every builder wakes and
 * sleeps on its own, and a builder that cannot start or is not there takes nothing while another one can.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Build, ProjectStep } from "./build.ts";
import type { ClientName } from "./build_clients.ts";
import { runEarth } from "./earth_client.ts";
import {
  asleep,
  finishedOn,
  flagsFor,
  NAMES,
  ProjectNames,
  projectOn,
  settleAll,
  startFor,
} from "./many_builders.ts";
import { statefulSetPath } from "./kube_api.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { leads, SHORT_TIMES } from "./several_proxies.ts";
import { createHeadlessService, createStatefulSet } from "./stateful_sets.ts";
import { until, within } from "./waiting.ts";

const [FIRST, SECOND, THIRD] = NAMES;

/** Both the StatefulSet and its pod, by uid. */
async function uids({ api, namespace }: Cluster, name: string): Promise<readonly unknown[]> {
  const paths = [statefulSetPath(namespace, name), `/api/v1/namespaces/${namespace}/pods/${name}-0`];
  return await Promise.all(paths.map(async (path) => (await api.get(path)).metadata.uid));
}

scenario(
  "an installation of one builder gets two more under a build, and gives them up again, without a cut",
  {},
  async (cluster) => {
    const old = await (await cluster.startProgram(SHORT_TIMES)).untilReady();
    const build = await (await cluster.build(old)).running();
    const before = await uids(cluster, FIRST);
    for (const builder of asleep(3).slice(1)) {
      await createHeadlessService(cluster.api, cluster.namespace, builder);
      await createStatefulSet(cluster.api, cluster.namespace, builder);
    }
    const next = await startFor(cluster, 3);
    old.signal("SIGTERM");
    await until("the new proxy to lead", () => leads(next));

    await using names = await ProjectNames.for(cluster);
    for (const name of NAMES) {
      assert.equal(await finishedOn(await names.build(next, projectOn(name, 3))), `${name}-0`);
    }
    assert.equal(build.ended, false);
    assert.deepEqual(await uids(cluster, FIRST), before);

    // The way back: the others are cordoned, sleep, and are removed.
    const cordoned = await startFor(cluster, 3, { cordoned: `${SECOND},${THIRD}` });
    next.signal("SIGTERM");
    assert.equal(await finishedOn(await names.build(cordoned, projectOn(SECOND, 3))), `${FIRST}-0`);
    for (const name of [SECOND, THIRD]) {
      await until(`${name} to sleep`, async () => await cluster.replicas(name) === 0);
      await cluster.deleteStatefulSet(name);
    }
    const last = await (await cluster.startProgram(SHORT_TIMES)).untilReady();
    cordoned.signal("SIGTERM");
    assert.equal(build.ended, false);
    await build.finish();
    assert.deepEqual(cluster.timeline.counts, [0, 1]);
    for (const program of [old, next, cordoned]) {
      assert.equal((await within("a proxy to leave", program.exited)).code, 0);
    }
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await last.stop(), 0);
  },
);

interface Client {
  readonly client: ClientName;
  /** The port of the project's own listener; without it clients use the project's name. */
  readonly port?: number;
}

/** buildx 0.35 sends `localhost` whatever it has dialled, so its projects need listeners of their own. */
const CLIENTS: readonly Client[] = [
  { client: "buildctl" },
  { client: "docker-buildx" },
  { client: "docker-buildx-0.35", port: 8401 },
  { client: "buildctl" },
  { client: "docker-buildx" },
  { client: "docker-buildx-0.35", port: 8402 },
];

scenario(
  "six projects come back to their builders after all of these have slept, and their steps are cached",
  { builders: asleep(3) },
  async (cluster) => {
    const projects = CLIENTS.map((client, i) => ({
      ...client,
      home: NAMES[i % 3]!,
      project: projectOn(NAMES[i % 3]!, 3, Math.floor(i / 3)),
    }));
    const listeners = Object.fromEntries(
      projects.flatMap(({ project, port }) => port === undefined ? [] : [[`project ${project}`, port]]),
    );
    const program = await startFor(cluster, 3, { "sessions-per-replica": "0" }, { listeners });
    await using names = await ProjectNames.for(cluster);
    const buildAll = async (): Promise<readonly ProjectStep[]> => {
      const builds: Build[] = [];
      for (const { project, client, port } of projects) {
        builds.push(
          port === undefined
            ? await names.build(program, project, client)
            : await cluster.build(program, { client, project, address: program.addressAt(port) }),
        );
      }
      await Promise.all(builds.map((build) => build.finish()));
      return await Promise.all(builds.map((build) => build.projectStep()));
    };
    const first = await buildAll();
    assert.deepEqual(
      first.map(({ pod, cached }) => ({ pod, cached })),
      projects.map(({ home }) => ({ pod: `${home}-0`, cached: false })),
    );
    await settleAll(cluster, Object.fromEntries(NAMES.map((name) => [name, [0, 1, 0]])));
    await cluster.untilNoPods();
    assert.deepEqual(await buildAll(), first.map((step) => ({ ...step, cached: true })));
    await settleAll(cluster, Object.fromEntries(NAMES.map((name) => [name, [0, 1, 0, 1, 0]])));
    assert.equal(await program.stop(), 0);
  },
);

scenario("each builder sleeps while another one builds", { builders: asleep(2) }, async (cluster) => {
  const program = await startFor(cluster, 2);
  await using names = await ProjectNames.for(cluster);
  const [first, second] = [projectOn(FIRST, 2), projectOn(SECOND, 2)];
  const long = await (await names.build(program, first)).running();
  assert.equal(await finishedOn(await names.build(program, second)), `${SECOND}-0`);
  await cluster.timelineOf(SECOND).settle([0, 1, 0]);
  assert.deepEqual(cluster.timelineOf(FIRST).counts, [0, 1]);
  const other = await (await names.build(program, second)).running();
  assert.equal(await finishedOn(long), `${FIRST}-0`);
  await cluster.timelineOf(FIRST).settle([0, 1, 0]);
  assert.equal(await finishedOn(other), `${SECOND}-0`);
  await settleAll(cluster, { [FIRST]: [0, 1, 0], [SECOND]: [0, 1, 0, 1, 0] });
  assert.equal(await program.stop(), 0);
});

scenario(
  "a project whose home finds no Node is built elsewhere once its home is stuck, and at home later",
  { builders: asleep(2) },
  async (cluster) => {
    const { bind } = cluster.kubelet.behaviourOf(SECOND);
    bind.shut();
    const program = await startFor(cluster, 2, { "ready-wait-timeout": "12s", "idle-timeout": "6s" });
    await using names = await ProjectNames.for(cluster);
    const project = projectOn(SECOND, 2);
    assert.equal(await finishedOn(await names.build(program, project)), `${FIRST}-0`);
    // Its line may come a moment after the client has ended.
    const moved = await program.waitForRecord(
      "the line of the session that was moved",
      (record) => record.code === "session_ended" && record["pod"] === `${FIRST}-0`,
    );
    assert.deepEqual([moved["project"], moved["routed"]], [project, "moved"]);
    // Its pod must have the whole idle timeout to become ready, and be seen.
    await cluster.timelineOf(SECOND).settle([0, 1, 0]);
    bind.open();
    await cluster.scale(1, SECOND);
    await until("its home to be ready", async () => {
      const { body } = await program.probe("/metrics");
      return body.includes(`builder_state{builder="${SECOND}",state="ready"} 1`);
    });
    assert.equal(await finishedOn(await names.build(program, project)), `${SECOND}-0`);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "a StatefulSet that is absent, deleted or created again: its projects are built, at home when it is there",
  { builders: asleep(2) },
  async (cluster) => {
    await cluster.deleteStatefulSet(SECOND);
    const program = await (await cluster.startProgram({ ...SHORT_TIMES, ...flagsFor(2) })).untilReady();
    await using names = await ProjectNames.for(cluster);
    const project = projectOn(SECOND, 2);
    const state = (name: string) =>
      until(`${SECOND} to be ${name}`, async () => {
        const { body } = await program.probe("/metrics");
        return body.includes(`builder_state{builder="${SECOND}",state="${name}"} 1`);
      }, { explain: () => program.tail() });
    await state("missing");
    assert.equal(await finishedOn(await names.build(program, project)), `${FIRST}-0`);
    await cluster.createStatefulSet(SECOND);
    await state("asleep");
    assert.equal(await finishedOn(await names.build(program, project)), `${SECOND}-0`);
    await cluster.deleteStatefulSet(SECOND);
    await state("missing");
    assert.equal(await finishedOn(await names.build(program, project)), `${FIRST}-0`);
    assert.equal((await program.probe("/readyz")).status, 200);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "two architectures have a listener each, and neither builder wakes for clients of the other",
  { builders: [{ name: FIRST }, { name: "buildkitd-arm64" }] },
  async (cluster) => {
    const flags = { ...SHORT_TIMES, builders: `${FIRST}, arm64/buildkitd-arm64` };
    const listeners = { "pool arm64": 8373 };
    const program = await (await cluster.startProgram(flags, { listeners })).untilReady();
    for (const client of ["buildctl", "docker-buildx-0.35", "docker-buildx"] as const) {
      const address = program.addressAt(8373);
      const build = await cluster.build(program, { client, project: "both", address });
      assert.equal(await finishedOn(build), "buildkitd-arm64-0");
    }
    assert.deepEqual(cluster.timelineOf(FIRST).counts, [0]);
    assert.equal(await finishedOn(await cluster.build(program, { project: "both" })), `${FIRST}-0`);
    await settleAll(cluster, { [FIRST]: [0, 1, 0], "buildkitd-arm64": [0, 1, 0] });
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "earth's attempts all go to one builder, which serves the last",
  { builders: asleep(3) },
  async (cluster) => {
    const program = await startFor(cluster, 3);
    const { start } = cluster.kubelet.behaviour;
    start.shut();
    let attempts = 0;
    const outcome = await runEarth(() => program.connect(), async (attempt) => {
      await program.untilEnded(attempt);
      if (++attempts === 2) start.open();
    });
    assert.equal(outcome.served, true, cluster.report());
    const woken = NAMES.filter((name) => cluster.timelineOf(name).counts.length > 1);
    assert.deepEqual(woken, [FIRST]);
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);
