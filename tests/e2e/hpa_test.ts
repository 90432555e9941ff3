/**
 * What a HorizontalPodAutoscaler does by itself with a StatefulSet of builders: the facts on which the division of labour
 * between it and the program rests. The controller is the real one, on a metric that the test sets.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHpa, METRIC, PER_POD, untilHpa } from "./autoscaler_objects.ts";
import { echoRuntime } from "./pod_process.ts";
import { type Cluster, controlPlane, scenario } from "./scenario.ts";
import { until } from "./waiting.ts";

controlPlane({ hpa: true });

const BUILDER = "buildkitd";
const MAX_REPLICAS = 3;

/** Sets the metric, and waits until the HPA has read the value several times. */
async function setMetric(cluster: Cluster, value: number): Promise<void> {
  const { externalMetrics } = cluster.plane;
  externalMetrics.set(cluster.namespace, METRIC, value);
  const asked = () => externalMetrics.asked.get(`${cluster.namespace}/${METRIC}`) ?? 0;
  const before = asked();
  await until("the HPA to read the metric", () => asked() >= before + 3);
}

scenario(
  "an HPA does nothing at 0, raises from 1 to its maximum, never lowers, and takes what is above its maximum",
  { runtime: echoRuntime },
  async (cluster) => {
    const { api, namespace, timeline } = cluster;
    cluster.plane.externalMetrics.set(namespace, METRIC, 10 * PER_POD);
    await createHpa(api, namespace, { statefulSet: BUILDER, maxReplicas: MAX_REPLICAS });
    await untilHpa(api, namespace, BUILDER, "ScalingDisabled");
    assert.deepEqual(timeline.counts, [0]);

    await cluster.scale(1);
    await timeline.settle([0, 1, MAX_REPLICAS]);
    await untilHpa(api, namespace, BUILDER, "TooManyReplicas");

    await setMetric(cluster, 0);
    await untilHpa(api, namespace, BUILDER, "ScaleDownLimit");
    assert.deepEqual(timeline.counts, [0, 1, MAX_REPLICAS]);

    await cluster.scale(MAX_REPLICAS + 2);
    await timeline.settle([0, 1, MAX_REPLICAS, MAX_REPLICAS + 2, MAX_REPLICAS]);

    await cluster.scale(1);
    await setMetric(cluster, 0);
    assert.deepEqual(timeline.counts.slice(-2), [MAX_REPLICAS, 1]);
    await setMetric(cluster, 2 * PER_POD);
    await until("the HPA to raise again", () => timeline.counts.at(-1) === 2);
  },
);
