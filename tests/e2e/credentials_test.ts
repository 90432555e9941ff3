/**
 * The program as a pod runs it: with the mounted files of its service account, whose token changes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { scenario } from "./scenario.ts";

scenario("in a pod it uses the mounted token, and the new one when that was rotated", {}, async (cluster) => {
  const first = await cluster.mountToken("first");
  const program = await (await cluster.startProgramInPod({ "idle-timeout": "1s" })).untilReady();
  await (await cluster.build(program)).finish();
  await cluster.timeline.settle([0, 1, 0]);
  await cluster.mountToken("second");
  await cluster.revoke(first, "first");
  await (await cluster.build(program)).finish();
  await cluster.timeline.settle([0, 1, 0, 1, 0]);
  assert.equal(await program.stop(), 0);
});
