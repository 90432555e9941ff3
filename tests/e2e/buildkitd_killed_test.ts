/**
 * buildkitd dies by itself: the next client waits for its successor; a running one learns of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { noted } from "./kubelet.ts";
import { scenario } from "./scenario.ts";

scenario(
  "a build after buildkitd was killed while warm is served by the restarted one",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
    await (await cluster.build(program)).finish();
    await noted(cluster.kubelet, "ready");
    await cluster.kubelet.killProcess("buildkitd-0");
    await (await cluster.build(program)).finish();
    assert.equal(cluster.kubelet.history.filter((entry) => entry.what === "started").length, 2);
    assert.deepEqual(cluster.timeline.counts, [0, 1]);
    assert.equal(await program.stop(), 0);
  },
);

scenario("a build whose buildkitd is killed fails, and the next one succeeds", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
  const build = await (await cluster.build(program)).running();
  await cluster.kubelet.killProcess("buildkitd-0");
  assert.notEqual((await build.result()).code, 0);
  await program.untilEnded(1);
  await (await cluster.build(program)).finish();
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await program.stop(), 0);
});
