/**
 * Builds that arrive while the only pod is on its way out: it is never used again, and a new one is made.
 *
 * @module
 */

import assert from "node:assert/strict";
import { noted } from "./kubelet.ts";
import { type Cluster, scenario } from "./scenario.ts";

/** A warm pod that has become idle and terminates, but does not go away yet. */
async function idlePodTerminates(cluster: Cluster) {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
  await (await cluster.build(program)).finish();
  await cluster.timeline.settle([0, 1, 0]);
  return { program, terminating: await noted(cluster.kubelet, "terminating") };
}

async function servedByNewPod(cluster: Cluster, oldUid: string): Promise<void> {
  const starts = cluster.kubelet.history.filter((entry) => entry.what === "started");
  assert.equal(starts.length, 2);
  assert.notEqual(starts[1]?.uid, oldUid);
  await cluster.timeline.settle([0, 1, 0, 1, 0]);
  await cluster.untilNoPods();
}

scenario(
  "a build that arrives while the pod's process is gone but the pod is not gets a new pod",
  {},
  async (cluster) => {
    cluster.kubelet.behaviour.remove.shut();
    const { program, terminating } = await idlePodTerminates(cluster);
    await noted(cluster.kubelet, "ended");
    const build = await cluster.build(program);
    await cluster.timeline.settle([0, 1, 0, 1]);
    await program.untilHeld(1);
    cluster.kubelet.behaviour.remove.open();
    await build.finish();
    await servedByNewPod(cluster, terminating.uid);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "a build that arrives while the terminating pod still answers is not sent there",
  {},
  async (cluster) => {
    cluster.kubelet.behaviour.terminate.shut();
    const { program, terminating } = await idlePodTerminates(cluster);
    const build = await cluster.build(program);
    await cluster.timeline.settle([0, 1, 0, 1]);
    await program.untilHeld(1);
    cluster.kubelet.behaviour.terminate.open();
    await build.finish();
    await servedByNewPod(cluster, terminating.uid);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "a pod that is deleted by hand during a quiet moment is replaced for the next build",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
    await (await cluster.build(program)).finish();
    await cluster.api.delete(`/api/v1/namespaces/${cluster.namespace}/pods/buildkitd-0`);
    await noted(cluster.kubelet, "terminating");
    await (await cluster.build(program)).finish();
    assert.deepEqual(cluster.timeline.counts, [0, 1]);
    assert.equal(await program.stop(), 0);
  },
);
