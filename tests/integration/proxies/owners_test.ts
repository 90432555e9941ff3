/**
 * A count that never changes, and a thousand proxies that join: what they leave behind stays bounded.
 *
 * @module
 */
import assert from "node:assert/strict";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { isConflict } from "../../../lib/kube/api_error.ts";
import { KubeClient } from "../../../lib/kube/client.ts";
import { statefulSetScale } from "../../../lib/kube/scale.ts";
import { randomName, systemRandom } from "../../../lib/base/random.ts";
import { KEPT_OWNERS } from "../../../lib/scaler/count_owners.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../../lib/scaler/replica_count.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { clusterOf } from "../../support/program.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { Stage } from "./stage.ts";

const JOINS = 1_000;

/** `managedFields` of the StatefulSet may take so many bytes as JSON: a dozen entries, those of its creation included. */
const BOUND_BYTES = 6_000;

/** The longest name of a field manager that the API server takes. */
const LONGEST_NAME = 128;

Deno.test("1,000 joins at an unchanged count leave at most a dozen field managers, with names within the limits", async () => {
  await using stage = new Stage();
  const program = await stage.start("a", { minReplicas: "1" });
  await stage.leads(program);
  const { clock, world } = stage;
  const { namespace } = world.cluster;
  const cluster = clusterOf(world);
  const client = new KubeClient({ cluster, clock, metrics: noMetrics, log: recordingLog() });
  const scale = statefulSetScale(client, namespace, "buildkitd");
  const { signal } = new AbortController();
  /** What a proxy does with the count when it joins. */
  const join = async () => {
    const placement = new Placement(clock, ONE_POD, "pod");
    const identity = randomName(systemRandom, 12);
    const count = new ReplicaCount({ scale, placement, log: recordingLog(), metrics: noMetrics, identity });
    for (;;) {
      placement.see(await scale.read(signal));
      try {
        return await count.claimPresent(signal);
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
  };
  const fields = () => world.cluster.statefulSet.metadata.managedFields ?? [];
  const owners = () => fields().filter(({ manager }) => manager.startsWith("buildkitd-autoscaler-"));
  const names = new Set<string>();
  let most = 0, mostBytes = 0;
  for (let count = 0; count < JOINS; count++) {
    await join();
    for (const { manager } of owners()) names.add(manager);
    most = Math.max(most, owners().length);
    mostBytes = Math.max(mostBytes, JSON.stringify(fields()).length);
    clock.jump(1_000);
    await program.until("the surplus to be gone", () => owners().length <= KEPT_OWNERS);
  }
  assert.ok(names.size >= JOINS, `${names.size} names`);
  for (const name of names) assert.ok(name.length < LONGEST_NAME, name);
  assert.ok(most <= KEPT_OWNERS + 2, `${most} owners`);
  assert.ok(mostBytes <= BOUND_BYTES, `${mostBytes} bytes`);
  cluster.http.close();
  assert.equal(world.cluster.replicas, 1);
  assert.equal(world.cluster.pods.length, 1);
});
