/**
 * Several proxies in front of one builder: no build notices that another proxy starts, ends, crashes or stands still, and
 * the pod goes when none of them needs it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { byRank, leads, leasePath, leases, longWhile, startProxies } from "./several_proxies.ts";
import { scenario } from "./scenario.ts";
import { until, within } from "./waiting.ts";

scenario("a build through the follower keeps the pod, though the leader is idle", {}, async (cluster) => {
  const [leader, follower] = await byRank(await startProxies(cluster, 2));
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
    const [old] = await startProxies(cluster, 1);
    const build = await (await cluster.build(old!)).running();
    const [next] = await startProxies(cluster, 1);
    old!.signal("SIGTERM");
    await until("the new proxy to lead", () => leads(next!));
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
  const [leader, follower] = await byRank(await startProxies(cluster, 2));
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
  const [leader, follower] = await byRank(await startProxies(cluster, 2));
  const build = await (await cluster.build(leader)).running();
  await follower!.kill();
  await longWhile();
  await build.finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await leader.stop(), 0);
});

scenario("the leader is frozen for longer than its lease, and continues", {}, async (cluster) => {
  const [leader, follower] = await byRank(await startProxies(cluster, 2));
  const build = await (await cluster.build(follower!)).running();
  leader.signal("SIGSTOP");
  await until("the follower to lead", () => leads(follower!));
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

scenario("Leases that somebody deletes are recreated, and no build fails", {}, async (cluster) => {
  const [leader, follower] = await byRank(await startProxies(cluster, 2));
  const builds = await Promise.all([leader, follower!].map(async (p) => (await cluster.build(p)).running()));
  await cluster.api.delete(leasePath(cluster));
  await longWhile();
  for (const build of builds) await build.finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  await until("both records to be back", async () => (await leases(cluster)).proxies === 2);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await leader.stop(), 0);
  assert.equal(await follower!.stop(), 0);
});

scenario(
  "two proxies with a build each, and an idle third that leads: the pod stays until the last has ended",
  {},
  async (cluster) => {
    const [leader, ...followers] = await byRank(await startProxies(cluster, 3));
    const builds = await Promise.all(followers.map(async (p) => (await cluster.build(p)).running()));
    for (const build of builds) {
      await longWhile();
      assert.deepEqual(cluster.timeline.counts, [0, 1]);
      await build.finish();
    }
    await cluster.timeline.settle([0, 1, 0]);
    await until("the leader's line", () => leader.events("scaled").length > 0);
    assert.deepEqual(leader.events("scaled").map(({ from, to }) => [from, to]), [[1, 0]]);
    for (const program of [leader, ...followers]) assert.equal(await program.stop(), 0);
    assert.deepEqual(await leases(cluster), { proxies: 0, elections: 1 });
  },
);

scenario(
  "a proxy that stood still for longer than its record is good for joins again before it serves",
  {},
  async (cluster) => {
    const [leader, follower] = await byRank(await startProxies(cluster, 2));
    const build = await (await cluster.build(leader)).running();
    follower!.signal("SIGSTOP");
    await until("its record to be deleted", async () => (await leases(cluster)).proxies === 1);
    follower!.signal("SIGCONT");
    const late = await cluster.build(follower!);
    await follower!.waitForRecord(
      "it joins again",
      ({ code }) =>
        code === "own_record_deleted" ||
        code === "own_record_expired",
    );
    await late.finish();
    await until("its record to be back", async () => (await leases(cluster)).proxies === 2);
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    for (const program of [leader, follower!]) assert.equal(await program.stop(), 0);
  },
);
