/**
 * The API server's data is restored from a backup under running proxies, so that all versions go back.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Cluster, scenario } from "./scenario.ts";
import { byRank, leases, longWhile, startProxies } from "./several_proxies.ts";

/** Far more than the proxies write by themselves until the end of the test. */
const WRITES = 2_000;

/** Versions go on by so many. */
async function moveOn({ api, namespace }: Cluster): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  await api.create(path, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "counter" } });
  const writers = Array.from({ length: 10 }, async (_, writer) => {
    for (let count = 0; count < WRITES / 10; count++) {
      await api.patch(`${path}/counter`, { data: { [`writer-${writer}`]: String(count) } });
    }
  });
  await Promise.all(writers);
}

scenario(
  "the API's data is restored from a backup: builds run on, and later ones are served",
  {},
  async (cluster) => {
    const [leader, follower] = await byRank(await startProxies(cluster, 2));
    const build = await (await cluster.build(follower!)).running();
    const backup = await cluster.plane.backUp();
    await moveOn(cluster);
    // Both have seen the count in versions that will be gone.
    const fresh = await startProxies(cluster, 1);
    await longWhile();
    await cluster.plane.restore(backup);
    const programs = [leader, follower!, ...fresh];
    for (const program of programs) {
      const { from, to } = await program.waitForRecord(
        "it has noticed",
        ({ code }) => code === "resource_versions_regressed",
      );
      assert.ok(Number(from) > Number(to), `${from} > ${to}`);
    }
    for (const program of programs) await (await cluster.build(program)).finish();
    await longWhile();
    assert.equal(build.ended, false);
    await build.finish();
    await cluster.timeline.settle([0, 1, 0]);
    await cluster.untilNoPods();
    await (await cluster.build(leader)).finish();
    await cluster.timeline.settle([0, 1, 0, 1, 0]);
    for (const program of programs) assert.equal(await program.stop(), 0);
    assert.deepEqual(await leases(cluster), { proxies: 0, elections: 1 });
  },
);
