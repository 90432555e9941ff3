/**
 * Several proxies in front of one builder: no build notices that another proxy starts, ends, crashes or stands still, and
 * the pod goes when none of them needs it.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Program } from "./program.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { delay, until, within } from "./waiting.ts";

/** Short, so that what a dead proxy leaves behind is soon nobody's concern. */
const FLAGS = {
  "idle-timeout": "2s",
  "record-expiry": "10s",
  "lease-duration": "3s",
  "renew-deadline": "2s",
  "retry-period": "200ms",
  "shutdown-delay": "0s",
};

async function start(cluster: Cluster, count: number): Promise<Program[]> {
  const programs: Program[] = [];
  for (let i = 0; i < count; i++) programs.push(await (await cluster.startProgram(FLAGS)).untilReady());
  return programs;
}

/** Waits until one of them leads, and gives it with the others behind. */
async function byRank(
  programs: readonly Program[],
): Promise<readonly [leader: Program, ...followers: Program[]]> {
  let leader: Program | undefined;
  await until("one proxy to lead", async () => {
    for (const program of programs) {
      const { body } = await program.probe("/healthz?verbose");
      if (body.includes("leader is this one")) leader = program;
    }
    return leader !== undefined;
  });
  return [leader!, ...programs.filter((program) => program !== leader)];
}

/** Long enough for a proxy that thinks nobody needs the pod to take it: several idle timeouts, and a lease. */
function longWhile(): Promise<void> {
  return delay(8_000);
}

/** The names of the Leases of the namespace, by what they are for. */
async function leases(cluster: Cluster): Promise<{ readonly proxies: number; readonly elections: number }> {
  const { items } = await cluster.api.get<{ items: { metadata: { name: string } }[] }>(
    `/apis/coordination.k8s.io/v1/namespaces/${cluster.namespace}/leases`,
  );
  const elections = items.filter(({ metadata }) => metadata.name.endsWith("-leader")).length;
  return { proxies: items.length - elections, elections };
}

scenario("a build through the follower keeps the pod, though the leader is idle", {}, async (cluster) => {
  const [leader, follower] = await byRank(await start(cluster, 2));
  const build = await (await cluster.build(follower!)).running();
  await longWhile();
  await build.finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  await cluster.timeline.settle([0, 1, 0]);
  // The log is written a moment after the count.
  await until("the leader's line", () => leader.events("scaled").length > 0);
  assert.deepEqual(leader.events("scaled").map(({ from, to }) => [from, to]), [[1, 0]]);
  assert.deepEqual(follower!.events("scaled").map(({ from, to }) => [from, to]), [[0, 1]]);
  assert.equal(await leader.stop(), 0);
  assert.equal(await follower!.stop(), 0);
  assert.deepEqual(await leases(cluster), { proxies: 0, elections: 1 });
});

scenario(
  "a rolling update during a build: the build ends well, and the pod goes after it",
  {},
  async (cluster) => {
    const [old] = await start(cluster, 1);
    const build = await (await cluster.build(old!)).running();
    const [next] = await start(cluster, 1);
    old!.signal("SIGTERM");
    await until("the new proxy to lead", async () => {
      return (await next!.probe("/healthz?verbose")).body.includes("leader is this one");
    });
    const second = await cluster.build(next!);
    await second.finish();
    await longWhile();
    assert.equal(build.ended, false, "the first build outlasts the second");
    await build.finish();
    assert.equal((await within("the old proxy to leave", old!.exited)).code, 0);
    assert.deepEqual(cluster.timeline.counts, [0, 1]);
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await next!.stop(), 0);
  },
);

scenario("the leader is killed during a build through the follower", {}, async (cluster) => {
  const [leader, follower] = await byRank(await start(cluster, 2));
  const build = await (await cluster.build(follower!)).running();
  await leader.kill();
  await longWhile();
  await build.finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  // The follower leads, the record of the dead proxy expires, and then nobody needs the pod.
  await cluster.timeline.settle([0, 1, 0]);
  await until("the dead proxy's record to be deleted", async () => (await leases(cluster)).proxies === 1);
  assert.equal(await follower!.stop(), 0);
});

scenario("the follower is killed during a build through the leader", {}, async (cluster) => {
  const [leader, follower] = await byRank(await start(cluster, 2));
  const build = await (await cluster.build(leader)).running();
  await follower!.kill();
  await longWhile();
  await build.finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await leader.stop(), 0);
});

scenario("the leader stands still for longer than its lease, and goes on", {}, async (cluster) => {
  const [leader, follower] = await byRank(await start(cluster, 2));
  const build = await (await cluster.build(follower!)).running();
  leader.signal("SIGSTOP");
  await until("the follower to lead", async () => {
    return (await follower!.probe("/healthz?verbose")).body.includes("leader is this one");
  });
  await longWhile();
  leader.signal("SIGCONT");
  await build.finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  const late = await cluster.build(leader);
  await late.finish();
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await leader.stop(), 0);
  assert.equal(await follower!.stop(), 0);
});

scenario("Leases that somebody deletes cost no build, and are made anew", {}, async (cluster) => {
  const [leader, follower] = await byRank(await start(cluster, 2));
  const builds = await Promise.all([leader, follower!].map(async (p) => (await cluster.build(p)).running()));
  await cluster.api.delete(`/apis/coordination.k8s.io/v1/namespaces/${cluster.namespace}/leases`);
  await longWhile();
  for (const build of builds) await build.finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  await until("both records to be back", async () => (await leases(cluster)).proxies === 2);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await leader.stop(), 0);
  assert.equal(await follower!.stop(), 0);
});
