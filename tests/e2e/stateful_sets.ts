/**
 * The StatefulSets of a test, each with its headless Service, as the chart makes them as far as the program and the
 * controllers look at them.
 *
 * @module
 */

import { type KubeApi, statefulSetPath } from "./kube_api.ts";
import { TARGET_PORT } from "./pod_process.ts";

/** One StatefulSet. Its Service has the name that the program assumes. */
export interface Builder {
  readonly name: string;
  /** The count that it is created with; 0 unless said otherwise. */
  readonly replicas?: number;
}

/** The headless Service of the StatefulSet of that name. */
export function headlessService(statefulSet: string): string {
  return `${statefulSet}-headless`;
}

/** Creates a StatefulSet. Its pods are those that are labelled with its name. */
export async function createStatefulSet(
  api: KubeApi,
  namespace: string,
  { name, replicas = 0 }: Builder,
): Promise<void> {
  await api.create(statefulSetPath(namespace), {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name },
    spec: {
      replicas,
      serviceName: headlessService(name),
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [{ name: "buildkitd", image: "buildkitd", ports: [{ containerPort: TARGET_PORT }] }],
        },
      },
    },
  });
}

/** Creates the headless Service of a StatefulSet. */
export async function createHeadlessService(
  api: KubeApi,
  namespace: string,
  { name }: Builder,
): Promise<void> {
  await api.create(`/api/v1/namespaces/${namespace}/services`, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: headlessService(name) },
    spec: {
      clusterIP: "None",
      publishNotReadyAddresses: false,
      selector: { app: name },
      ports: [{ name: "buildkitd", port: TARGET_PORT, targetPort: TARGET_PORT }],
    },
  });
}
