/**
 * The API server is killed in each phase of what two proxies do, and comes back: no build fails, and everything settles.
 *
 * @module
 */

import assert from "node:assert/strict";
import { noted } from "./kubelet.ts";
import { scenario } from "./scenario.ts";
import { byRank, EXPIRY_MS, leases, longWhile, records, startProxies } from "./several_proxies.ts";
import { delay, until, within } from "./waiting.ts";

scenario("the API server is killed while both proxies hold builds of a cold start", {}, async (cluster) => {
  const programs = await startProxies(cluster, 2);
  cluster.kubelet.behaviour.start.shut();
  const builds = await Promise.all(programs.map((program) => cluster.build(program)));
  await cluster.timeline.settle([0, 1]);
  await noted(cluster.kubelet, "bound");
  for (const program of programs) await program.untilHeld(1);
  await cluster.plane.killApiServer();
  cluster.kubelet.behaviour.start.open();
  await cluster.plane.restartApiServer();
  for (const build of builds) await build.finish();
  await cluster.timeline.settle([0, 1, 0]);
  for (const program of programs) assert.equal(await program.stop(), 0);
});

scenario(
  "the API server is away during builds through both proxies, for longer than their records are good for",
  {},
  async (cluster) => {
    const programs = await startProxies(cluster, 2);
    const builds = await Promise.all(programs.map(async (p) => (await cluster.build(p)).running()));
    await cluster.plane.killApiServer();
    await delay(EXPIRY_MS);
    for (const program of programs) {
      await program.waitForRecord("cut off", ({ code }) => code === "proxy_cut_off");
      await (await cluster.build(program)).finish();
      assert.equal((await program.probe("/readyz")).status, 200);
    }
    await cluster.plane.restartApiServer();
    await longWhile();
    for (const build of builds) {
      assert.equal(build.ended, false);
      await build.finish();
    }
    await cluster.timeline.settle([0, 1, 0]);
    for (const program of programs) assert.equal(await program.stop(), 0);
    assert.deepEqual(await leases(cluster), { proxies: 0, elections: 1 });
  },
);

scenario("the API server is killed while the idle timeout runs", {}, async (cluster) => {
  const programs = await startProxies(cluster, 2);
  await (await cluster.build(programs[0]!)).finish();
  await cluster.plane.killApiServer();
  await longWhile();
  await cluster.plane.restartApiServer();
  await cluster.timeline.settle([0, 1, 0]);
  await (await cluster.build(programs[1]!)).finish();
  await cluster.timeline.settle([0, 1, 0, 1, 0]);
  for (const program of programs) assert.equal(await program.stop(), 0);
});

scenario(
  "the API server is killed in the middle of the agreement before a scale-down",
  {},
  async (cluster) => {
    const [leader, follower] = await byRank(await startProxies(cluster, 2));
    await (await cluster.build(leader)).finish();
    // Its silence keeps the agreement open.
    follower!.signal("SIGSTOP");
    await until("the leader to announce", async () => {
      return (await records(cluster)).some(({ metadata }) =>
        Object.values(metadata.annotations ?? {}).some((text) => /"announcement":\{/.test(text))
      );
    });
    await cluster.plane.killApiServer();
    follower!.signal("SIGCONT");
    const build = await (await cluster.build(follower!)).running();
    await cluster.plane.restartApiServer();
    await longWhile();
    assert.equal(build.ended, false);
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    for (const program of [leader, follower!]) assert.equal(await program.stop(), 0);
  },
);

scenario("the API server is killed while a proxy drains", {}, async (cluster) => {
  const [leaving, staying] = await startProxies(cluster, 2);
  const build = await (await cluster.build(leaving!)).running();
  leaving!.signal("SIGTERM");
  await until("it to be unready", async () => (await leaving!.probe("/readyz")).status === 503);
  await cluster.plane.killApiServer();
  await delay(EXPIRY_MS);
  assert.equal(build.ended, false);
  await build.finish();
  assert.equal((await within("the proxy to leave, record or no record", leaving!.exited)).code, 0);
  await cluster.plane.restartApiServer();
  // What it could not delete is collected once it has expired.
  await until("its record to be deleted", async () => (await leases(cluster)).proxies === 1);
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await staying!.stop(), 0);
});
