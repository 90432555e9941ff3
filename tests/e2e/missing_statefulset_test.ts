/**
 * The program starts before what it scales: it stays up, says what is missing, and goes on when it is there.
 *
 * @module
 */

import assert from "node:assert/strict";
import { scenario } from "./scenario.ts";

scenario(
  "without its StatefulSet the program is unready and holds clients until there is one",
  {},
  async (cluster) => {
    await cluster.deleteStatefulSet();
    const program = await cluster.startProgram({ "idle-timeout": "1s" });
    const build = await cluster.build(program);
    await program.untilHeld(1);
    await program.waitForRecord(
      "the missing StatefulSet",
      (record) => ["warn", "error"].includes(record.level) && /StatefulSet/i.test(JSON.stringify(record)),
    );
    assert.equal((await program.probe("/readyz")).status, 503);
    assert.equal((await program.probe("/livez")).status, 200);
    await cluster.createStatefulSet();
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);
