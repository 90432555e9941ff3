/**
 * Several builders in one namespace, without the program: the suite's own parts run them side by side, and a build tells
 * which of them it ran on, and whether that one had its cache.
 *
 * @module
 */

import assert from "node:assert/strict";
import { hostNames } from "./host_names.ts";
import { noted, readyAt } from "./kubelet.ts";
import { TARGET_PORT } from "./pod_process.ts";
import { scenario } from "./scenario.ts";
import { until } from "./waiting.ts";

const BUILDERS = [{ name: "amber", replicas: 1 }, { name: "blue", replicas: 2 }, { name: "coral" }];

scenario(
  "three StatefulSets run side by side; builds tell the pod, and whether the project's step was cached there",
  { builders: BUILDERS },
  async (cluster) => {
    await using names = await hostNames();
    for (const pod of ["amber-0", "blue-0", "blue-1"]) {
      await names.set(await readyAt(cluster.kubelet, pod), [pod]);
    }
    const build = async (pod: string, client: "buildctl" | "docker-buildx-0.35") => {
      const build = await cluster.build(undefined, {
        client,
        address: `tcp://${pod}:${TARGET_PORT}`,
        project: "team-a",
      });
      await build.finish();
      return await build.projectStep();
    };
    const first = await build("amber-0", "buildctl");
    assert.deepEqual([first.pod, first.cached], ["amber-0", false]);
    const second = await build("amber-0", "docker-buildx-0.35");
    assert.deepEqual(second, { ...first, cached: true });
    const elsewhere = await build("blue-1", "buildctl");
    assert.deepEqual([elsewhere.pod, elsewhere.cached], ["blue-1", false]);
    assert.notEqual(elsewhere.run, first.run);

    // The cache outlives the pod.
    await cluster.scale(0, "amber");
    await until("amber to sleep", () => cluster.kubelet.podCount === 2);
    await cluster.scale(1, "amber");
    await names.set(await readyAt(cluster.kubelet, "amber-0"), ["amber-0"]);
    assert.deepEqual(await build("amber-0", "buildctl"), { ...first, cached: true });
    assert.deepEqual(cluster.timelineOf("amber").counts, [1, 0, 1]);
    assert.deepEqual(cluster.timelineOf("blue").counts, [2]);
    assert.deepEqual(cluster.timelineOf("coral").counts, [0]);
  },
);

scenario(
  "a builder whose pods find no Node leaves the others alone",
  { builders: BUILDERS.map(({ name }) => ({ name })) },
  async (cluster) => {
    const { bind } = cluster.kubelet.behaviourOf("coral");
    bind.shut();
    await cluster.scale(1, "coral");
    await cluster.scale(1, "amber");
    await readyAt(cluster.kubelet, "amber-0");
    assert.deepEqual(cluster.kubelet.history.map(({ pod }) => pod).filter((pod) => pod === "coral-0"), []);
    bind.open();
    await readyAt(cluster.kubelet, "coral-0");
    await cluster.scale(0, "coral");
    assert.equal((await noted(cluster.kubelet, "removed")).pod, "coral-0");
  },
);
