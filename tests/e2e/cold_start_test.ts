/**
 * Builds that arrive while there is no pod: real buildctl through the program to a real buildkitd.
 *
 * @module
 */

import assert from "node:assert/strict";
import { noted } from "./kubelet.ts";
import { assertServed } from "./program.ts";
import { scenario } from "./scenario.ts";
import { until } from "./waiting.ts";

scenario(
  "a build on zero replicas starts a pod and succeeds, and the pod goes when it is idle",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
    const build = await cluster.build(program);
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    await cluster.untilNoPods();
    const [session] = await program.untilEnded(1);
    assertServed(session);
    assert.equal(session?.ordinal, 0);
    assert.equal(await program.stop(), 0);
    assert.deepEqual(cluster.timeline.counts, [0, 1, 0]);
  },
);

scenario("eight builds at once on zero replicas all succeed on one pod", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "3s" })).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const builds = await Promise.all(Array.from({ length: 8 }, () => cluster.build(program)));
  await program.untilHeld(8);
  const waiting = await until("the status to name the pod that is waited for", async () => {
    const status = await program.status();
    assert.match(status.builders[0]!.waitsBecause ?? "", /^pod buildkitd-0 /);
    return status;
  });
  assert.equal(waiting.waiting.filter(({ waitsFor }) => waitsFor === "pod").length, 8);
  cluster.kubelet.behaviour.start.open();
  await Promise.all(builds.map((build) => build.finish()));
  await cluster.timeline.settle([0, 1, 0]);
  const sessions = await program.untilEnded(8);
  sessions.forEach(assertServed);
  const { saved, builders: [builder] } = await program.status();
  assert.equal(saved.coldStarts, 1);
  // Each of them waited for the pod.
  assert.ok(saved.secondsWaited > 8 * 0.1, `${saved.secondsWaited} s`);
  assert.deepEqual(
    builder!.decisions.map(({ from, to }) => [from, to]),
    [
      [1, 0],
      [0, 1],
    ],
  );
  assert.equal(new Set(cluster.kubelet.history.map((entry) => entry.uid)).size, 1);
  assert.equal(await program.stop(), 0);
});

scenario("a build waits for a pod that crashes twice before it is ready", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
  cluster.kubelet.behaviour.crashes = 2;
  const build = await cluster.build(program);
  await build.finish();
  assert.equal(cluster.kubelet.history.filter((entry) => entry.what === "started").length, 3);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await program.stop(), 0);
});

scenario(
  "a client whose pod never comes is let go after the ready wait, and the pod is given up",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s", "ready-wait-timeout": "3s" }))
      .untilReady();
    cluster.kubelet.behaviour.start.shut();
    const build = await cluster.build(program);
    const { code, output } = await build.result();
    assert.notEqual(code, 0);
    assert.match(output, /buildkitd did not become ready in 3s/, "the client is told why");
    const [session] = await program.untilEnded(1);
    assert.equal(session?.outcome, "timed_out");
    await cluster.timeline.settle([0, 1, 0]);
    await cluster.untilNoPods();
    assert.equal(await program.stop(), 0);
  },
);

scenario("a build on a warm pod changes no replicas and uses the same pod", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
  await (await cluster.build(program)).finish();
  await (await cluster.build(program)).finish();
  await (await cluster.build(program)).finish();
  const sessions = await program.untilEnded(3);
  sessions.forEach(assertServed);
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(new Set(cluster.kubelet.history.map((entry) => entry.uid)).size, 1);
  await noted(cluster.kubelet, "ready");
  assert.equal(await program.stop(), 0);
  assert.equal(await cluster.replicas(), 1, "leaving is no reason to scale");
});

scenario("a large context arrives whole, and so does the result", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
  const payloadBytes = 64 * 1024 * 1024;
  await (await cluster.build(program, { payloadBytes })).finish();
  const [session] = await program.untilEnded(1);
  assertServed(session);
  assert.ok(Number(session?.upstreamBytes) > payloadBytes, JSON.stringify(session));
  assert.ok(Number(session?.downstreamBytes) > payloadBytes, JSON.stringify(session));
  assert.equal(await program.stop(), 0);
});
