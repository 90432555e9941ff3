/**
 * Proxies whose machines disagree on the time of day: it decides nothing between them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { Program } from "./program.ts";
import { type Cluster, programPath, scenario } from "./scenario.ts";
import { byRank, leases, longWhile, records, SHORT_TIMES } from "./several_proxies.ts";
import { until } from "./waiting.ts";

/** A proxy whose wall clock is off by what its file says, from then on; its monotonic clock is as ever. */
async function startWithClock(
  cluster: Cluster,
  name: string,
  offset: string,
): Promise<{ readonly program: Program; jump(offset: string): Promise<void> }> {
  const path = join(cluster.folder, `clock-${name}`);
  const jump = (text: string) => Deno.writeTextFile(path, text);
  await jump(offset);
  const env = {
    LD_PRELOAD: programPath("libfaketime"),
    FAKETIME_TIMESTAMP_FILE: path,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
  const program = await (await cluster.startProgram(SHORT_TIMES, { env })).untilReady();
  return { program, jump };
}

/** How far the clock of a program is ahead of this machine's, by its log, in ms. */
async function aheadMs(program: Program): Promise<number> {
  const { time } = await program.waitForRecord("any", () => true);
  return Date.parse(time) - Date.now();
}

scenario("clocks that are an hour apart, and that jump", {}, async (cluster) => {
  const fast = await startWithClock(cluster, "fast", "+30m");
  const slow = await startWithClock(cluster, "slow", "-30m");
  const apartMs = await aheadMs(fast.program) - await aheadMs(slow.program);
  assert.ok(apartMs > 3_500_000, `the clocks are ${apartMs} ms apart`);
  const [leader, follower] = await byRank([fast.program, slow.program]);
  const build = await (await cluster.build(follower!)).running();
  await longWhile();
  await fast.jump("-45m");
  await slow.jump("+2h");
  await longWhile();
  assert.deepEqual(cluster.timeline.counts, [0, 1], "neither has taken the other for dead");
  assert.equal((await records(cluster)).length, 2);
  // A change of leader goes by what each has seen, too.
  await leader.kill();
  await until("the follower to lead", async () => {
    return (await follower!.probe("/healthz?verbose")).body.includes("leader is this one");
  });
  await longWhile();
  await build.finish();
  await cluster.timeline.settle([0, 1, 0]);
  await until("the dead proxy's record to be deleted", async () => (await leases(cluster)).proxies === 1);
  for (const program of [fast.program, slow.program]) {
    assert.equal(program.events("own_record_expired").length, 0);
  }
  assert.equal(await follower!.stop(), 0);
});
