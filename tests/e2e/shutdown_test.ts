/**
 * SIGTERM: what goes on, what is refused, and with which code the program leaves.
 *
 * @module
 */

import assert from "node:assert/strict";
import { scenario } from "./scenario.ts";
import { until, within } from "./waiting.ts";

scenario(
  "SIGTERM during a build: the build ends well, then the program leaves with 0",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    const build = await (await cluster.build(program)).running();
    program.signal("SIGTERM");
    await until("the program to be unready", async () => (await program.probe("/readyz")).status === 503);
    assert.equal((await program.probe("/livez")).status, 200);
    await until("new connections to be refused", async () => {
      const conn = await program.connect().catch(() => undefined);
      conn?.close();
      return conn === undefined;
    });
    assert.equal(program.running, true);
    assert.equal(build.ended, false);
    await build.finish();
    assert.equal((await within("the program to leave", program.exited)).code, 0);
    assert.deepEqual(cluster.timeline.counts, [0, 1]);

    // What it left behind is found and put away by the next one.
    const next = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await next.stop(), 0);
  },
);

scenario("a client that is held when SIGTERM comes is still served", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const build = await cluster.build(program);
  await program.untilHeld(1);
  await cluster.timeline.settle([0, 1]);
  program.signal("SIGTERM");
  await until("the program to be unready", async () => (await program.probe("/readyz")).status === 503);
  cluster.kubelet.behaviour.start.open();
  await build.finish();
  assert.equal((await within("the program to leave", program.exited)).code, 0);
  assert.equal(cluster.timeline.counts[1], 1);
});

scenario("a build that outlives the drain timeout is cut, and the log says so", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "10m", "drain-timeout": "1s" }))
    .untilReady();
  const build = await (await cluster.build(program)).running();
  program.signal("SIGTERM");
  await within("the program to leave", program.exited);
  assert.notEqual((await build.result()).code, 0);
  assert.deepEqual(program.ended.map((session) => session.outcome), ["drain_timeout"]);
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
});

scenario("a second SIGTERM ends the program at once", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
  const build = await (await cluster.build(program)).running();
  program.signal("SIGTERM");
  await until("the program to be unready", async () => (await program.probe("/readyz")).status === 503);
  // The same signal at once would be taken for the first one again, as a terminal's Ctrl-C sends it.
  const exited = program.exited;
  let left = false;
  exited.then(() => left = true);
  await until("the program to leave", () => {
    if (!left) program.signal("SIGTERM");
    return left;
  });
  assert.notEqual((await build.result()).code, 0);
});

scenario(
  "as the first process of a container it serves builds and leaves with 0 on SIGTERM",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "10m" }, { asInit: true }))
      .untilReady();
    await (await cluster.build(program)).finish();
    assert.equal(await program.stop(), 0);
  },
);
