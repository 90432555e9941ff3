/**
 * When replicas go down, and when they must not.
 *
 * @module
 */

import assert from "node:assert/strict";
import { scenario } from "./scenario.ts";
import { delay } from "./waiting.ts";

const IDLE_MS = 3_000;
const IDLE = { "idle-timeout": "3s" };

/** Far more than any step of a scale-down takes; only a scale-down that waits for something else exceeds it. */
const SOON_MS = 15_000;

scenario("replicas go down not before, and soon after, the idle timeout", {}, async (cluster) => {
  const program = await (await cluster.startProgram(IDLE)).untilReady();
  const build = await (await cluster.build(program)).running();
  // The session is certainly still open here, and certainly over when the client has left.
  const stillOpenMs = performance.now();
  await build.finish();
  const overMs = performance.now();
  await cluster.timeline.settle([0, 1, 0]);
  const downMs = cluster.timeline.replicas[2]?.atMs ?? NaN;
  assert.ok(
    downMs - stillOpenMs >= IDLE_MS,
    `down ${downMs - stillOpenMs} ms after the session was still open`,
  );
  assert.ok(downMs - overMs <= IDLE_MS + SOON_MS, `down ${downMs - overMs} ms after the session was over`);
  assert.equal(await program.stop(), 0);
});

scenario("a build longer than the idle timeout keeps its pod", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
  const build = await (await cluster.build(program)).running();
  await delay(5_000);
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  await build.finish();
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await program.stop(), 0);
});

scenario("the idle timeout begins when the last of several builds has ended", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
  const [first, second] = await Promise.all([cluster.build(program), cluster.build(program)]);
  await Promise.all([first?.running(), second?.running()]);
  await first?.finish();
  await delay(4_000);
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  const stillOpenMs = performance.now();
  await second?.finish();
  await cluster.timeline.settle([0, 1, 0]);
  assert.ok((cluster.timeline.replicas[2]?.atMs ?? NaN) - stillOpenMs >= 2_000);
  assert.equal(await program.stop(), 0);
});

scenario(
  "a program that starts beside an idle pod scales it down after one idle timeout, not before",
  { replicas: 1 },
  async (cluster) => {
    const beforeStartMs = performance.now();
    const program = await (await cluster.startProgram(IDLE)).untilReady();
    const readyMs = performance.now();
    await cluster.timeline.settle([1, 0]);
    const downMs = cluster.timeline.replicas[1]?.atMs ?? NaN;
    assert.ok(downMs - beforeStartMs >= IDLE_MS, `down ${downMs - beforeStartMs} ms after the start`);
    assert.ok(downMs - readyMs <= IDLE_MS + SOON_MS, `down ${downMs - readyMs} ms after it was ready`);
    await cluster.untilNoPods();
    assert.equal(await program.stop(), 0);
  },
);

scenario("a pod that somebody scaled up by hand is scaled down when nobody uses it", {}, async (cluster) => {
  const program = await (await cluster.startProgram(IDLE)).untilReady();
  const beforeMs = performance.now();
  await cluster.scale(1);
  await cluster.timeline.settle([0, 1, 0]);
  assert.ok((cluster.timeline.replicas[2]?.atMs ?? NaN) - beforeMs >= IDLE_MS);
  assert.equal(await program.stop(), 0);
});

scenario(
  "replicas above the maximum go down without ending a build on the first pod",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    const build = await (await cluster.build(program)).running();
    await cluster.scale(3);
    await cluster.timeline.settle([0, 1, 3, 1]);
    assert.equal(build.ended, false);
    await build.finish();
    await cluster.timeline.settle([0, 1, 3, 1, 0]);
    await cluster.untilNoPods();
    assert.equal(await program.stop(), 0);
  },
);

scenario("a minimum of one replica is made without any client and kept", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s", "min-replicas": "1" }))
    .untilReady();
  await cluster.timeline.settle([0, 1]);
  await (await cluster.build(program)).finish();
  await delay(3_000);
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(await program.stop(), 0);
});
