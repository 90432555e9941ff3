/**
 * The chart upgraded from one builder to three and back, under a real build: nothing is cut, and the first builder is what
 * it was.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Build } from "./build.ts";
import { hostNames } from "./host_names.ts";
import type { KubeObject } from "./kube_api.ts";
import { projectAt } from "./many_builders.ts";
import type { LogRecord } from "./program.ts";
import { quick, type Release, releaseScenario } from "./release.ts";
import type { Endpoint } from "./release_objects.ts";
import { until } from "./waiting.ts";

const WORKLOADS = "/apis/apps/v1 statefulsets";
const CLAIMS = "/api/v1 persistentvolumeclaims";

async function namesOf(release: Release, collection: string): Promise<readonly string[]> {
  return (await release.list(collection)).map(({ metadata }) => metadata.name).sort();
}

/** What may not change in the StatefulSet, the pod and the claim of a builder that runs. */
async function identity(release: Release, builder: string): Promise<readonly unknown[]> {
  const objects: readonly (readonly [collection: string, name: string])[] = [
    [WORKLOADS, builder],
    ["/api/v1 pods", `${builder}-0`],
    [CLAIMS, `cache-${builder}-0`],
  ];
  return await Promise.all(objects.map(async ([collection, name]) => {
    const found = (await release.list(collection)).find(({ metadata }) => metadata.name === name);
    assert.ok(found !== undefined, `${name} is there`);
    const { uid, labels, generation } = found.metadata as KubeObject["metadata"] & { generation?: number };
    assert.ok(uid !== undefined && labels !== undefined);
    return { uid, labels, generation };
  }));
}

/** Waits for the line of a session of that project in the log of an autoscaler pod. */
function sessionOf(release: Release, { pod }: Endpoint, project: string): Promise<LogRecord> {
  return until(
    `${pod} to log the end of a session of ${project}`,
    async () => (await release.records(pod)).find((each) => each["project"] === project),
    { explain: () => release.report() },
  );
}

releaseScenario(
  "one builder becomes three and one again under a build: nothing is cut, and no builder that runs is removed",
  {},
  async (release) => {
    await release.install(quick());
    const [old] = await release.untilEndpoints(1);
    const long = await (await release.build(old!.address)).running();
    const first = (await release.statefulSet()).metadata.name;
    const [second, third] = [`${first}-b2`, `${first}-b3`];
    const before = await identity(release, first);
    const assertUntouched = async () => {
      assert.equal(long.ended, false);
      assert.deepEqual(await identity(release, first), before);
    };
    release.phase("one builder, a build under way");

    await using hosts = await hostNames();
    const project = projectAt(second, [first, second, third]);
    const build = async ({ address }: Endpoint): Promise<Build> => {
      const { hostname } = new URL(address.replace("tcp:", "http:"));
      await hosts.set(hostname, [project]);
      return await release.build(address.replace(hostname, project));
    };
    await release.upgrade(quick({}, { builders: 3 }));
    const [next] = await release.untilEndpoints(1, [old!.pod]);
    assert.deepEqual(await namesOf(release, WORKLOADS), [first, second, third]);
    const elsewhere = await (await build(next!)).running();
    assert.deepEqual(await namesOf(release, CLAIMS), [`cache-${first}-0`, `cache-${second}-0`]);
    assert.deepEqual(await release.plane.refusedTo(await release.programUser()), []);
    await assertUntouched();
    release.phase("three builders, a build on another one");

    const running = await identity(release, second);
    const refused = await release.tryUpgrade(quick());
    assert.notEqual(refused.code, 0);
    assert.ok(
      refused.stderr.includes(
        `the upgrade would remove builder "${second}", which runs, with its builds: cordon it first`,
      ),
      refused.stderr,
    );
    assert.deepEqual(await identity(release, second), running);

    await release.upgrade(quick({}, { builders: 3, cordoned: [second, third] }));
    const [cordoned] = await release.untilEndpoints(1, [old!.pod, next!.pod]);
    await (await build(cordoned!)).finish();
    assert.equal((await sessionOf(release, cordoned!, project))["builder"], first);
    assert.equal(elsewhere.ended, false);
    assert.deepEqual(await identity(release, second), running);
    await elsewhere.finish();
    const { builder, routed } = await sessionOf(release, next!, project);
    assert.deepEqual({ builder, routed }, { builder: second, routed: "home" });
    await until("the cordoned builder to sleep", async () => {
      return (await release.pods("StatefulSet")).length === 1;
    }, { explain: () => release.report() });
    await assertUntouched();
    release.phase("refused, cordoned, asleep");

    await release.upgrade(quick());
    const [last] = await release.untilEndpoints(1, [old!.pod, next!.pod, cordoned!.pod]);
    await until("the other builders to be removed", async () => {
      return (await namesOf(release, WORKLOADS)).length === 1;
    });
    await (await release.build(last!.address)).finish();
    await assertUntouched();
    assert.deepEqual(await namesOf(release, CLAIMS), [`cache-${first}-0`, `cache-${second}-0`]);
    await long.finish();
    await release.timeline.settle([0, 1, 0]);
    release.phase("one builder");
  },
);
