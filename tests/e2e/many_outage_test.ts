/**
 * The API server stands still: projects whose builder is up are served as ever, and those of a builder that sleeps, which
 * nobody can wake, are built on one that is up.
 *
 * @module
 */

import assert from "node:assert/strict";
import { asleep, finishedOn, NAMES, ProjectNames, projectOn, startFor } from "./many_builders.ts";
import { scenario } from "./scenario.ts";

const [FIRST, SECOND] = NAMES;

scenario(
  "while the API server is frozen, warm projects are served, and those of a sleeping builder move",
  { builders: asleep(2) },
  async (cluster) => {
    const program = await startFor(cluster, 2);
    await using names = await ProjectNames.for(cluster);
    const [warm, cold] = [projectOn(FIRST, 2), projectOn(SECOND, 2)];
    const long = await (await names.build(program, warm)).running();
    cluster.plane.freezeApiServer();
    assert.equal(await finishedOn(await names.build(program, warm)), `${FIRST}-0`);
    assert.equal(await finishedOn(await names.build(program, cold)), `${FIRST}-0`);
    assert.equal((await program.probe("/readyz")).status, 200);
    cluster.plane.thawApiServer();
    await long.finish();
    await cluster.timelineOf(FIRST).settle([0, 1, 0]);
    assert.equal(await finishedOn(await names.build(program, cold)), `${SECOND}-0`);
    assert.equal(await program.stop(), 0);
  },
);
