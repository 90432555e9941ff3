/**
 * buildkitd dies by itself: the next client waits for its successor; a running one learns of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { noted } from "./kubelet.ts";
import { assertServed } from "./program.ts";
import { DOCUMENTED_RULES, GET_PODS, scenario } from "./scenario.ts";

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

scenario(
  "a build that dies with its daemon's memory says so in the log of its session",
  {},
  async (cluster) => {
    await cluster.setRules([...DOCUMENTED_RULES, GET_PODS], { allowed: true });
    const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
    const build = await (await cluster.build(program)).running();
    await cluster.kubelet.killProcess("buildkitd-0");
    assert.notEqual((await build.result()).code, 0);
    const { outcome, reason, pod } = await program.waitForRecord(
      "a session that says why it ended",
      // buildctl hands over its traces on a connection of its own, which no daemon takes any more.
      (record) => record.code === "session_ended" && record["pod"] !== undefined,
    );
    assert.match(String(outcome), /^(completed|upstream_reset)$/);
    assert.equal(reason, "container buildkitd of pod buildkitd-0 ended with exit code 137: OOMKilled");
    assert.equal(pod, "buildkitd-0");
    assert.ok(await program.metric("buildkitd_autoscaler_sessions_broken_total") >= 1);
    // The pod still shows that end, but the next build has nothing to do with it.
    const before = program.ended.length;
    await (await cluster.build(program)).finish();
    const [next] = (await program.untilEnded(before + 1)).slice(before);
    assertServed(next);
    assert.equal(next?.["reason"], undefined);
    assert.equal(await program.stop(), 0);
  },
);
