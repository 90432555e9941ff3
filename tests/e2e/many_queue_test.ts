/**
 * The queue behind the hard limit: builds that find every builder full wait, in a fair order, and then build; a queue that
 * lasts too long ends with a reason.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Build } from "./build.ts";
import { CLIENT_NAMES } from "./build_clients.ts";
import {
  asleep,
  finishedOn,
  NAMES,
  ProjectNames,
  projectOn,
  startFor,
  untilQueued,
} from "./many_builders.ts";
import { scenario } from "./scenario.ts";
import { delay, until } from "./waiting.ts";

const ONE_EACH = { "sessions-per-replica": "1", "max-sessions-per-replica": "1" };

/** `E2E_QUEUE_SECONDS=1800` is what somebody has measured once. */
const QUEUE_SECONDS = Number(Deno.env.get("E2E_QUEUE_SECONDS") ?? 90);

scenario(
  `three builds of one project wake three builders; two more queue for ${QUEUE_SECONDS} s, and build`,
  { builders: asleep(3) },
  async (cluster) => {
    const program = await startFor(cluster, 3, ONE_EACH);
    await using names = await ProjectNames.for(cluster);
    const project = projectOn(NAMES[0], 3);
    const running: Build[] = [];
    for (let i = 0; i < 3; i++) running.push(await (await names.build(program, project)).running());
    const queued: Build[] = [];
    for (const client of CLIENT_NAMES) queued.push(await names.build(program, project, client));
    await untilQueued(program, CLIENT_NAMES.length);
    await delay(QUEUE_SECONDS * 1_000);
    assert.deepEqual(queued.map(({ ended }) => ended), queued.map(() => false), cluster.report());
    const pods = await Promise.all(running.map(finishedOn));
    assert.deepEqual(pods.sort(), NAMES.map((name) => `${name}-0`).sort());
    await Promise.all(queued.map((build) => build.finish()));
    await program.waitForRecord(
      "the line of a session that was queued all the time",
      (record) => record.code === "session_ended" && Number(record["queuedMs"]) > QUEUE_SECONDS * 900,
    );
    await untilQueued(program, 0);
    assert.equal(await program.stop(), 0);
  },
);

scenario("a queue that lasts too long ends with a reason", { builders: asleep(2) }, async (cluster) => {
  const program = await startFor(cluster, 2, { ...ONE_EACH, "queue-timeout": "4s" });
  const running: Build[] = [];
  for (let i = 0; i < 2; i++) running.push(await (await cluster.build(program)).running());
  for (const client of CLIENT_NAMES) {
    const { code, output } = await (await cluster.build(program, { client })).result();
    assert.notEqual(code, 0, output);
    assert.match(output, /All 2 builders are full .*none had room in 4s \(--queue-timeout\)/);
  }
  for (const build of running) await build.finish();
  assert.equal(await program.stop(), 0);
});

scenario(
  "the builds of one project are served in order, and those of another one in between",
  { builders: asleep(1) },
  async (cluster) => {
    const program = await startFor(cluster, 1, ONE_EACH);
    await using names = await ProjectNames.for(cluster);
    const first = await (await names.build(program, "many.ci")).running();
    const waiting: { readonly name: string; readonly build: Build }[] = [];
    for (const name of ["many.ci", "many.ci", "few.ci"]) {
      waiting.push({ name, build: await names.build(program, name) });
      await untilQueued(program, waiting.length);
    }
    await first.finish();
    const served: string[] = [];
    for (let left = waiting.length; left > 0; left--) {
      await untilQueued(program, left - 1);
      const next = await until("the next build to run", async () => {
        const states = await Promise.all(waiting.map(async (entry) => await isRunning(entry.build) && entry));
        return states.find((entry) => entry !== false);
      });
      served.push(next.name);
      waiting.splice(waiting.indexOf(next), 1);
      await next.build.finish();
    }
    assert.deepEqual(served, ["many.ci", "few.ci", "many.ci"]);
    assert.equal(await program.stop(), 0);
  },
);

async function isRunning(build: Build): Promise<boolean> {
  return await Promise.race([build.running().then(() => true, () => false), delay(20).then(() => false)]);
}
