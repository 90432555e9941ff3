/** Clients that go away while they are held no longer count, and disturb nobody else.
 *
 * @module
 */

import assert from "node:assert/strict";
import { assertServed } from "./program.ts";
import { scenario } from "./scenario.ts";

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
