/**
 * A count that never changes: what each start of a proxy leaves in `managedFields` of the StatefulSet, how the leader
 * keeps that short, and the documented clean-up.
 *
 * @module
 */

import assert from "node:assert/strict";
import { scalePath, statefulSetPath } from "./kube_api.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { until } from "./waiting.ts";

/** More than the leader lets be. */
const LEFT_BEHIND = 30;
const KEPT = 10;

const FLAGS = { "min-replicas": "1", "idle-timeout": "1s" };

interface Entry {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly fieldsType: string;
  readonly fieldsV1: unknown;
  readonly subresource?: string;
}

interface StatefulSet {
  readonly metadata: { readonly managedFields?: readonly Entry[] };
  readonly spec: { readonly replicas: number };
}

const claimer = (index: number) => `buildkitd-autoscaler-leftover0000-${index}`;

function statefulSet(cluster: Cluster): Promise<StatefulSet> {
  return cluster.api.get<StatefulSet>(statefulSetPath(cluster.namespace, "buildkitd"));
}

/** The field managers of claims that own the count. */
async function claimers(cluster: Cluster): Promise<readonly string[]> {
  const { metadata } = await statefulSet(cluster);
  return (metadata.managedFields ?? []).map(({ manager }) => manager)
    .filter((manager) => manager.startsWith("buildkitd-autoscaler-"));
}

/** Claims the present count as a proxy does that joins. */
async function claim(cluster: Cluster, manager: string): Promise<void> {
  const query = new URLSearchParams({ fieldManager: manager, force: "true" });
  await cluster.api.call(
    "PATCH",
    `${scalePath(cluster.namespace, "buildkitd")}?${query}`,
    { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "buildkitd" }, spec: { replicas: 1 } },
    "application/apply-patch+yaml",
  );
}

scenario(
  "what proxies have left behind at an unchanged count is cleared by the leader",
  { replicas: 1 },
  async (cluster) => {
    for (let index = 1; index <= LEFT_BEHIND; index++) await claim(cluster, claimer(index));
    assert.equal((await claimers(cluster)).length, LEFT_BEHIND);
    const program = await (await cluster.startProgram(FLAGS)).untilReady();
    const build = await (await cluster.build(program)).running();
    await until("the surplus to be gone", async () => (await claimers(cluster)).length <= KEPT, {
      pollMs: 200,
    });
    await build.finish();
    for (let start = 1; start <= 3; start++) {
      const another = await (await cluster.startProgram(FLAGS)).untilReady();
      assert.equal(await another.stop(), 0);
    }
    await until("the surplus to be gone", async () => (await claimers(cluster)).length <= KEPT, {
      pollMs: 200,
    });
    await (await cluster.build(program)).finish();
    assert.deepEqual(cluster.timeline.counts, [1], "nobody has changed the count");
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "a thousand left-overs: their size, and the documented clean-up",
  { replicas: 1 },
  async (cluster) => {
    // One by one they take minutes: with each the next takes longer.
    await claim(cluster, claimer(1));
    const path = statefulSetPath(cluster.namespace, "buildkitd");
    const entries = (await statefulSet(cluster)).metadata.managedFields ?? [];
    const one = entries.find(({ manager }) => manager === claimer(1));
    assert.ok(one !== undefined);
    const all = Array.from({ length: 1_000 }, (_, index) => ({ ...one, manager: claimer(index + 1) }));
    const patch = (value: unknown) =>
      cluster.api.call(
        "PATCH",
        path,
        [{ op: "replace", path: "/metadata/managedFields", value }],
        "application/json-patch+json",
      );
    await patch([...entries.filter((entry) => entry !== one), ...all]);
    assert.equal((await claimers(cluster)).length, 1_000);
    const bytes = JSON.stringify((await statefulSet(cluster)).metadata.managedFields).length;
    assert.ok(bytes > 150_000 && bytes < 300_000, `${bytes} bytes`);
    // kubectl -n ci patch statefulset buildkitd --type json -p '[{"op": "replace", …, "value": [{}]}]'
    await patch([{}]);
    assert.deepEqual(await claimers(cluster), []);
    assert.equal((await statefulSet(cluster)).spec.replicas, 1);
    const program = await (await cluster.startProgram(FLAGS)).untilReady();
    await (await cluster.build(program)).finish();
    assert.deepEqual(cluster.timeline.counts, [1]);
    assert.equal(await program.stop(), 0);
  },
);
