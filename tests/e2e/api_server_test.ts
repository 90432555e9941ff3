/**
 * The API server stops answering, or goes away and comes back: what needs it waits, what does not goes on.
 *
 * @module
 */

import assert from "node:assert/strict";
import { noted } from "./kubelet.ts";
import { assertServed } from "./program.ts";
import { scenario } from "./scenario.ts";
import { delay } from "./waiting.ts";

scenario("builds on a warm pod go on while the API server is frozen", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
  const before = await (await cluster.build(program)).running();
  cluster.plane.freezeApiServer();
  await before.finish();
  await (await cluster.build(program)).finish();
  const during = await (await cluster.build(program)).running();
  assert.equal((await program.probe("/livez")).status, 200);
  cluster.plane.thawApiServer();
  await during.finish();
  (await program.untilEnded(3)).forEach(assertServed);
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(await program.stop(), 0);
});

scenario("a scale-down that the frozen API server prevented is made up for", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
  const build = await (await cluster.build(program)).running();
  cluster.plane.freezeApiServer();
  await build.finish();
  await delay(4_000);
  assert.equal(program.running, true);
  cluster.plane.thawApiServer();
  await cluster.timeline.settle([0, 1, 0]);
  await cluster.untilNoPods();
  assert.equal(await program.stop(), 0);
});

scenario("a held build is served after the API server was killed and started again", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const build = await cluster.build(program);
  await cluster.timeline.settle([0, 1]);
  await noted(cluster.kubelet, "bound");
  await program.untilHeld(1);
  await cluster.plane.killApiServer();
  cluster.kubelet.behaviour.start.open();
  await cluster.plane.restartApiServer();
  await build.finish();
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await program.stop(), 0);
});

scenario(
  "a build that arrives while the API server is gone is served when it is back",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
    await cluster.plane.killApiServer();
    const build = await cluster.build(program);
    await program.untilHeld(1);
    assert.equal((await program.probe("/livez")).status, 200);
    await cluster.plane.restartApiServer();
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "a program that starts while the API server is gone serves its clients when it is back",
  {},
  async (cluster) => {
    await cluster.plane.killApiServer();
    const program = await cluster.startProgram({ "idle-timeout": "2s" });
    const build = await cluster.build(program);
    await program.untilHeld(1);
    assert.equal((await program.probe("/readyz")).status, 503);
    await cluster.plane.restartApiServer();
    await program.untilReady();
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);
