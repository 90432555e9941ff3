/**
 * What stands in the cluster for one release, read at the moment of asking: its pods, the endpoints that clients are sent
 * to, what its programs have logged.
 *
 * May not change anything.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { Pod, PodSpec } from "./containers/pod_spec.ts";
import type { KubeApi, KubeObject } from "./kube_api.ts";
import type { LogRecord } from "./program.ts";
import { until } from "./waiting.ts";

/** A Deployment or a StatefulSet. */
export interface Workload extends KubeObject {
  readonly spec: { readonly replicas: number; readonly template: { readonly spec: PodSpec } };
}

/** An autoscaler pod that the Service sends clients to. */
export interface Endpoint {
  /** As clients take it: `tcp://HOST:PORT`. */
  readonly address: string;
  readonly pod: string;
}

/** Where a release is looked for. */
export interface ReleasePlace {
  readonly api: KubeApi;
  /** The release's namespace, in which buildkitd runs. */
  readonly namespace: string;
  /** The one that the autoscaler runs in. */
  readonly autoscalerNamespace: string;
  /** Where the pods' logs lie. */
  readonly folder: string;
}

export class ReleaseObjects implements ReleasePlace {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly autoscalerNamespace: string;
  readonly folder: string;

  constructor({ api, namespace, autoscalerNamespace, folder }: ReleasePlace) {
    this.api = api;
    this.namespace = namespace;
    this.autoscalerNamespace = autoscalerNamespace;
    this.folder = folder;
  }

  /** The objects of one kind in the namespace; `collection` as in `/apis/apps/v1 deployments`. */
  async list<T extends KubeObject = KubeObject>(
    collection: string,
    namespace: string = this.namespace,
  ): Promise<readonly T[]> {
    const [group, resource] = collection.split(" ");
    const { items } = await this.api.get<{ items: T[] }>(`${group}/namespaces/${namespace}/${resource}`);
    return items;
  }

  /** The one StatefulSet of the release. */
  async statefulSet(): Promise<Workload> {
    const [found, ...others] = await this.list<Workload>("/apis/apps/v1 statefulsets");
    assert.ok(found !== undefined && others.length === 0, "the chart has one StatefulSet");
    return found;
  }

  /** The pods of the Deployment, or with `"StatefulSet"` those of buildkitd, in no order. */
  async pods(of: "ReplicaSet" | "StatefulSet"): Promise<readonly Pod[]> {
    const namespace = of === "StatefulSet" ? this.namespace : this.autoscalerNamespace;
    const pods = await this.list<Pod>("/api/v1 pods", namespace);
    return pods.filter(({ metadata }) => {
      const owners = (metadata as { ownerReferences?: readonly { readonly kind: string }[] }).ownerReferences;
      return owners?.some(({ kind }) => kind === of);
    });
  }

  /** The autoscaler pods that the Service sends clients to: address and name. */
  async endpoints(): Promise<readonly { readonly address: string; readonly pod: string }[]> {
    const slices = await this.list(
      "/apis/discovery.k8s.io/v1 endpointslices",
      this.autoscalerNamespace,
    ) as unknown as readonly {
      readonly ports?: readonly { readonly name: string; readonly port: number }[];
      readonly endpoints?: readonly {
        readonly addresses: readonly string[];
        readonly conditions: { readonly ready?: boolean };
        readonly targetRef?: { readonly name: string };
      }[];
    }[];
    const autoscalers = new Set((await this.pods("ReplicaSet")).map(({ metadata }) => metadata.name));
    return slices.flatMap(({ ports, endpoints }) => {
      const port = ports?.find(({ name }) => name === "tcp-buildkit")?.port;
      if (port === undefined) return [];
      return (endpoints ?? [])
        .filter(({ conditions, targetRef }) => conditions.ready && autoscalers.has(targetRef?.name ?? ""))
        .map(({ addresses, targetRef }) => ({
          address: `tcp://${addresses[0]}:${port}`,
          pod: targetRef?.name ?? "",
        }));
    });
  }

  /** What the program in a pod has logged so far. */
  async records(pod: string): Promise<readonly LogRecord[]> {
    const text = await Deno.readTextFile(join(this.folder, `${pod}.log`)).catch(() => "");
    return text.split("\n").filter((line) => line.startsWith("{")).map((line) =>
      JSON.parse(line) as LogRecord
    );
  }

  /** The name under which the API server knows the program. */
  async programUser(): Promise<string> {
    const namespace = this.autoscalerNamespace;
    const [deployment] = await this.list<Workload>("/apis/apps/v1 deployments", namespace);
    return `system:serviceaccount:${namespace}:${deployment?.spec.template.spec.serviceAccountName}`;
  }

  /** Asks a pod over HTTP, as the kubelet would. */
  async probe(podName: string, port: number, path: string) {
    const ip = await until(`${podName} to have an address`, async () => {
      const pod = (await this.pods("ReplicaSet")).find(({ metadata }) => metadata.name === podName);
      return pod?.status?.podIP;
    });
    const response = await fetch(`http://${ip}:${port}${path}`, { signal: AbortSignal.timeout(5_000) });
    return { status: response.status, body: await response.text() };
  }
}
