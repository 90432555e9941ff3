/**
 * HorizontalPodAutoscalers of the suite: one on an external metric for a builder, as the documentation has it.
 *
 * @module
 */

import { type KubeApi } from "./kube_api.ts";
import { until } from "./waiting.ts";

/** The metric that it reads. */
export const METRIC = "buildkitd_sessions";
/** What it wants of the metric for each pod. */
export const PER_POD = 4;

/** One HorizontalPodAutoscaler. */
export interface HpaOptions {
  readonly statefulSet: string;
  readonly maxReplicas: number;
}

interface Hpa {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
    }[];
  };
}

function path(namespace: string, name = ""): string {
  return `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers${name && `/${name}`}`;
}

/** Creates one that raises between 1 and its maximum, and never lowers. It has the StatefulSet's name. */
export async function createHpa(api: KubeApi, namespace: string, options: HpaOptions): Promise<void> {
  const { statefulSet, maxReplicas } = options;
  await api.create(path(namespace), {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name: statefulSet },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "StatefulSet", name: statefulSet },
      minReplicas: 1,
      maxReplicas,
      // Without windows, the policy alone keeps it from lowering, and it raises as often as it likes.
      behavior: {
        scaleDown: { selectPolicy: "Disabled", stabilizationWindowSeconds: 0 },
        scaleUp: {
          stabilizationWindowSeconds: 0,
          policies: [{ type: "Pods", value: 100, periodSeconds: 1 }],
        },
      },
      metrics: [{
        type: "External",
        external: {
          metric: { name: METRIC },
          target: { type: "AverageValue", averageValue: String(PER_POD) },
        },
      }],
    },
  });
}

/** Waits until a condition of it has that reason. */
export async function untilHpa(
  api: KubeApi,
  namespace: string,
  name: string,
  reason: string,
): Promise<void> {
  let seen = "";
  await until(`the HPA to say ${reason}`, async () => {
    const { status } = await api.get<Hpa>(path(namespace, name));
    seen = (status?.conditions ?? []).map((c) => `${c.type} ${c.status} ${c.reason}`).join(", ");
    return status?.conditions?.some((condition) => condition.reason === reason);
  }, { explain: () => seen, pollMs: 100 });
}
