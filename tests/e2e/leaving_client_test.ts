/**
 * Clients that go away while they are held no longer count, and disturb nobody else.
 *
 * @module
 */

import assert from "node:assert/strict";
import { echoRuntime } from "./pod_process.ts";
import { assertServed } from "./program.ts";
import { scenario } from "./scenario.ts";
import { delay, within } from "./waiting.ts";

scenario("a client that leaves while held is noticed, and its pod is given up", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const build = await cluster.build(program);
  await program.untilHeld(1);
  await cluster.timeline.settle([0, 1]);
  await build.kill();
  await program.untilHeld(0);
  const [session] = await program.untilEnded(1);
  assert.equal(session?.outcome, "client_left");
  await cluster.timeline.settle([0, 1, 0]);
  await cluster.untilNoPods();
  assert.equal(await program.stop(), 0);
});

scenario("of two held clients one leaves and the other is served", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "2s" })).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const [leaving, staying] = [await cluster.build(program), await cluster.build(program)];
  await program.untilHeld(2);
  await leaving.kill();
  await program.untilHeld(1);
  cluster.kubelet.behaviour.start.open();
  await staying.finish();
  const sessions = await program.untilEnded(2);
  assert.equal(sessions[0]?.outcome, "client_left");
  assertServed(sessions[1]);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await program.stop(), 0);
});

scenario(
  "clients that try again each second leave nothing behind",
  { runtime: echoRuntime },
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    cluster.kubelet.behaviour.start.shut();
    for (let i = 1; i <= 20; i++) {
      const conn = await program.connect();
      await program.untilHeld(1);
      conn.close();
      const sessions = await program.untilEnded(i);
      assert.equal(sessions[i - 1]?.outcome, "client_left");
    }
    await program.untilHeld(0);
    await cluster.timeline.settle([0, 1, 0]);
    await cluster.untilNoPods();
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "with --wake-on=data a connection without a byte wakes nothing",
  { runtime: echoRuntime },
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s", "wake-on": "data" }))
      .untilReady();
    (await program.connect()).close();
    await program.untilEnded(1);
    const conn = await program.connect();
    await delay(1_000);
    assert.deepEqual(cluster.timeline.counts, [0]);
    await conn.write(new Uint8Array([1]));
    assert.equal(await within("an echo", conn.read(new Uint8Array(1))), 1);
    conn.close();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "two hundred clients of one cold start are all served",
  { runtime: echoRuntime },
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    cluster.kubelet.behaviour.start.shut();
    const conns = await Promise.all(Array.from({ length: 200 }, () => program.connect()));
    await program.untilHeld(200);
    cluster.kubelet.behaviour.start.open();
    await Promise.all(conns.map(async (conn, i) => {
      const answer = new Uint8Array(1);
      await conn.write(new Uint8Array([i]));
      assert.equal(await within("an echo", conn.read(answer)), 1);
      assert.equal(answer[0], i);
      conn.close();
    }));
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal((await program.untilEnded(200)).length, 200);
    assert.equal(await program.stop(), 0);
  },
);
