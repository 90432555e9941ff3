/**
 * When a pod counts as ready: by its readiness condition, or by its daemon's own word, which comes earlier.
 *
 * @module
 */

import assert from "node:assert/strict";
import { noted } from "./kubelet.ts";
import { scenario } from "./scenario.ts";
import { delay } from "./waiting.ts";

scenario(
  "a build is served as soon as its daemon answers, before the readiness probe has run",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    cluster.kubelet.behaviour.ready.shut();
    await (await cluster.build(program)).finish();
    assert.deepEqual(cluster.timeline.ready, []);
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);

scenario("with --readiness=pod a build waits for the readiness probe", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s", "readiness": "pod" }))
    .untilReady();
  cluster.kubelet.behaviour.ready.shut();
  const build = await cluster.build(program);
  await noted(cluster.kubelet, "started");
  await program.untilHeld(1);
  await delay(2_000);
  await program.untilHeld(1);
  cluster.kubelet.behaviour.ready.open();
  await build.finish();
  assert.equal(cluster.timeline.ready.length, 1);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await program.stop(), 0);
});

/** A gRPC client gives a connection up when the server has not begun to speak HTTP/2 for this long. */
const PREFACE_LIMIT_MS = 20_000;

scenario(
  "a cold start may last longer than a gRPC client waits for a server's first word",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    cluster.kubelet.behaviour.start.shut();
    const build = await cluster.build(program);
    await program.untilHeld(1);
    await delay(PREFACE_LIMIT_MS + 8_000);
    cluster.kubelet.behaviour.start.open();
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);
