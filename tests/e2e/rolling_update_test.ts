/**
 * A rolling update of two replicas with `maxUnavailable: 0`, as a Deployment does it: each new proxy is ready before an old
 * one is told to go, and builds arrive all the while at those that are ready.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Program } from "./program.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { leases, longWhile, startProxies } from "./several_proxies.ts";
import { HANG_MS, within } from "./waiting.ts";

/** Time for a Service to hear that a proxy is not ready any more. */
const FLAGS = { "shutdown-delay": "2s" };

/** Builds one after the other, each through the next ready proxy, until it is told to stop. Gives their number. */
function stream(cluster: Cluster, proxies: readonly Program[]): { stop(): Promise<number> } {
  let stopped = false;
  const running = (async () => {
    let count = 0;
    while (!stopped) {
      const ready: Program[] = [];
      for (const program of proxies) {
        const answer = await program.probe("/readyz").catch(() => undefined);
        if (answer?.status === 200) ready.push(program);
      }
      assert.ok(ready.length >= 2, `${ready.length} proxies are ready: none may be unavailable`);
      await (await cluster.build(ready[count++ % ready.length]!)).finish();
    }
    return count;
  })();
  running.catch(() => {});
  return {
    stop() {
      stopped = true;
      return within("the end of the build that runs", running, 2 * HANG_MS);
    },
  };
}

scenario("a rolling update of two replicas, with maxUnavailable 0, during builds", {}, async (cluster) => {
  const old = await startProxies(cluster, 2, FLAGS);
  const builds = await Promise.all(old.map(async (program) => (await cluster.build(program)).running()));
  const proxies = [...old];
  const arriving = stream(cluster, proxies);
  for (const leaving of old) {
    proxies.push(...await startProxies(cluster, 1, FLAGS));
    leaving.signal("SIGTERM");
  }
  const fresh = proxies.slice(old.length);
  await longWhile();
  for (const program of old) assert.equal(program.running, true, "it waits for its build");
  assert.equal((await leases(cluster)).proxies, 4, "and the others know of it");
  assert.ok(await arriving.stop() >= 2, "builds have arrived all the while");
  assert.deepEqual(cluster.timeline.counts, [0, 1], "the count was never below the need");
  for (const build of builds) {
    assert.equal(build.ended, false, "no build was cut");
    await build.finish();
  }
  for (const program of old) {
    assert.equal((await within("the old proxy to leave", program.exited)).code, 0);
  }
  await cluster.timeline.settle([0, 1, 0]);
  for (const program of fresh) assert.equal(await program.stop(), 0);
  assert.deepEqual(await leases(cluster), { proxies: 0, elections: 1 });
});
