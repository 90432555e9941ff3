/**
 * Clients that only watch, as Docker Desktop does on every machine of a team: they neither wake a builder nor keep one
 * awake, and builds are as ever beside them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { HistoryStreams } from "./history_streams.ts";
import { asleep, finishedOn, NAMES, ProjectNames, projectOn, settleAll, startFor } from "./many_builders.ts";
import type { Program } from "./program.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { longWhile } from "./several_proxies.ts";
import { until } from "./waiting.ts";

const WATCHERS = 20;

/** Opens the streams, and waits until the program has them. */
async function watch(cluster: Cluster, program: Program, exportTraces = false): Promise<HistoryStreams> {
  const before = await program.metric("buildkitd_autoscaler_sessions_open");
  const streams = HistoryStreams.open(cluster, program, WATCHERS, { exportTraces });
  await until(
    "the streams to be open",
    async () => await program.metric("buildkitd_autoscaler_sessions_open") >= before + WATCHERS,
    { explain: () => program.tail() },
  );
  return streams;
}

scenario(
  "twenty watchers leave one builder asleep, see the build that wakes it, and let it sleep again",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
    await using streams = await watch(cluster, program);
    await longWhile();
    assert.deepEqual(cluster.timeline.counts, [0]);
    assert.equal(streams.open, WATCHERS);

    const build = await (await cluster.build(program)).running();
    await until(
      "all watchers to see the build",
      () => streams.printed.every((text) => text.includes("STARTED")),
      {
        explain: () => cluster.report(),
      },
    );
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    await cluster.untilNoPods();

    // Those of a builder that is up already.
    await cluster.scale(1);
    await until("the pod to be ready", () => cluster.timeline.serving.length === 2);
    await using _more = await watch(cluster, program);
    await cluster.timeline.settle([0, 1, 0, 1, 0]);
    await cluster.untilNoPods();
    await longWhile();
    assert.deepEqual(cluster.timeline.counts, [0, 1, 0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "watchers that are cut by a scale-down report their traces on new connections, which wake nothing",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
    await using streams = await watch(cluster, program, true);
    await (await cluster.build(program)).finish();
    await cluster.timeline.settle([0, 1, 0]);
    await until("all watchers to end", () => streams.open === 0, { explain: () => cluster.report() });
    await longWhile();
    assert.deepEqual(cluster.timeline.counts, [0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "twenty watchers of three builders wake none, and let each sleep",
  { builders: asleep(3) },
  async (cluster) => {
    const program = await startFor(cluster, 3, { "max-sessions-per-replica": "4" });
    await using names = await ProjectNames.for(cluster);
    await using _streams = await watch(cluster, program);
    const project = projectOn(NAMES[1], 3);
    assert.equal(await finishedOn(await names.build(program, project)), `${NAMES[1]}-0`);
    await settleAll(cluster, { [NAMES[0]]: [0], [NAMES[1]]: [0, 1, 0], [NAMES[2]]: [0] });
    await longWhile();
    await settleAll(cluster, { [NAMES[0]]: [0], [NAMES[1]]: [0, 1, 0], [NAMES[2]]: [0] });
    assert.equal(await program.stop(), 0);
  },
);
