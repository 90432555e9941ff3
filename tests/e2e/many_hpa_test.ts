/**
 * An HPA beside the program: the HPA raises, the program lowers, and no connection is cut, however often both write.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHpa, METRIC, PER_POD, untilHpa } from "./autoscaler_objects.ts";
import { echoRuntime } from "./pod_process.ts";
import type { Program } from "./program.ts";
import { type Cluster, controlPlane, scenario } from "./scenario.ts";
import { delay, until } from "./waiting.ts";

controlPlane({ hpa: true });

const BUILDER = "buildkitd";
const MAX_REPLICAS = 3;
/** The idle timeout is longer than what passes between two looks of the HPA. */
const FLAGS = { "idle-timeout": "2s", "max-replicas": String(MAX_REPLICAS), "placement": "round-robin" };

/** Changes of the count from more to fewer, as times. */
function loweredAt(cluster: Cluster): readonly number[] {
  const { replicas } = cluster.timeline;
  return replicas.filter(({ replicas: count }, i) => i > 0 && count < replicas[i - 1]!.replicas)
    .map(({ atMs }) => atMs);
}

scenario(
  "an HPA raises beside a build, the surplus goes ever more rarely, and at 0 the HPA does nothing",
  {},
  async (cluster) => {
    const { api, namespace, timeline } = cluster;
    const { externalMetrics } = cluster.plane;
    externalMetrics.set(namespace, METRIC, MAX_REPLICAS * PER_POD);
    await createHpa(api, namespace, { statefulSet: BUILDER, maxReplicas: MAX_REPLICAS });
    await untilHpa(api, namespace, BUILDER, "ScalingDisabled");
    const program = await (await cluster.startProgram(FLAGS)).untilReady();
    const build = await (await cluster.build(program)).running();
    await until("the HPA to raise", () => timeline.counts.at(-1) === MAX_REPLICAS);
    await until("three scale-downs of the surplus", () => loweredAt(cluster).length >= 3);
    const [first, second, third] = loweredAt(cluster) as [number, number, number];
    // The surplus is kept for 2 s, 4 s, then 8 s, and the HPA looks once a second.
    assert.ok(third - second > second - first + 2_000, `${second - first} ms, then ${third - second} ms`);
    assert.ok(timeline.counts.slice(1).every((count) => count >= 1), timeline.counts.join(" "));
    externalMetrics.set(namespace, METRIC, 0);
    await build.finish();
    await until("the builder to sleep", () => timeline.counts.at(-1) === 0);
    externalMetrics.set(namespace, METRIC, MAX_REPLICAS * PER_POD);
    await untilHpa(api, namespace, BUILDER, "ScalingDisabled");
    assert.equal(timeline.counts.at(-1), 0);
    assert.equal(await program.stop(), 0);
  },
);

/** `E2E_LONG=1` has as many as the design wants. Each takes about a second, since the HPA looks once a second. */
const RACES = Deno.env.get("E2E_LONG") === undefined ? 15 : 100;

scenario(
  `${RACES} times the HPA raises and the program lowers, and no connection is cut`,
  { runtime: echoRuntime },
  async (cluster) => {
    const { api, namespace, timeline } = cluster;
    cluster.plane.externalMetrics.set(namespace, METRIC, MAX_REPLICAS * PER_POD);
    await createHpa(api, namespace, { statefulSet: BUILDER, maxReplicas: MAX_REPLICAS });
    const program = await (await cluster.startProgram({ ...FLAGS, "idle-timeout": "100ms" })).untilReady();
    const stopped = new AbortController();
    // One keeps the first pod; the others are on any of them, now and then.
    const clients = [
      talkOften(program, () => 0, stopped.signal),
      ...[1, 2, 3, 4].map((i) =>
        talkOften(program, (talk) => 300 + (137 * i + 211 * talk) % 900, stopped.signal)
      ),
    ];
    await Promise.race([
      until("the count to be lowered", () => loweredAt(cluster).length >= RACES, {
        deadlineMs: RACES * 10_000,
        explain: () => timeline.counts.join(" "),
      }),
      ...clients,
    ]);
    stopped.abort();
    const talks = (await Promise.all(clients)).reduce((sum, count) => sum + count, 0);
    assert.ok(talks > RACES, `${talks} connections`);
    await until("the builder to sleep", () => timeline.counts.at(-1) === 0);
    assert.equal(await program.stop(), 0);
  },
);

/**
 * Connects again and again, with pauses between, and demands that everything comes back. Gives the number of
 * connections.
 */
async function talkOften(
  program: Program,
  pauseMs: (talk: number) => number,
  signal: AbortSignal,
): Promise<number> {
  const word = crypto.getRandomValues(new Uint8Array(64));
  let talks = 0;
  for (; !signal.aborted; talks++) {
    const conn = await program.connect();
    for (let i = 0; i < 1 + talks % 4; i++) {
      await conn.write(word);
      const back = new Uint8Array(word.byteLength);
      for (let at = 0; at < back.byteLength;) {
        const read = await conn.read(back.subarray(at));
        assert.ok(read !== null, "the connection was cut");
        at += read;
      }
      assert.deepEqual(back, word);
      await delay(30);
    }
    conn.close();
    await delay(pauseMs(talks));
  }
  return talks;
}
