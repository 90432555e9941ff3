/**
 * The miniature cluster as one thing: API server, controllers and kubelet around one store, and the StatefulSet that is
 * to be scaled. On the ports that it is given it runs as fast as a simulation wants.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { ApiServer, type ApiServerOptions } from "./api_server.ts";
import { Controllers } from "./controllers.ts";
import { Kubelet, type KubeletTimes } from "./kubelet.ts";
import { type KubeObject, PODS, STATEFULSETS } from "./objects.ts";
import type { PodRuntime } from "./pod_process.ts";
import { isReady } from "./pods.ts";

/** How a {@link MiniatureCluster} is set up. All but the first three have defaults. */
export interface MiniatureClusterOptions extends Partial<KubeletTimes> {
  /** Its time. */
  readonly clock: Clock;
  /** What runs in its pods. */
  readonly runtime: PodRuntime;
  /** The port that the pods listen on. */
  readonly targetPort: number;
  /** The StatefulSet's namespace: `default`. */
  readonly namespace?: string;
  /** The StatefulSet's name: `buildkitd`. */
  readonly name?: string;
  /** Its headless service: `buildkitd-headless`. */
  readonly serviceName?: string;
  /** The count that it starts with: 0. */
  readonly replicas?: number;
  /** `OrderedReady` or `Parallel`. */
  readonly podManagementPolicy?: "OrderedReady" | "Parallel";
  /** The pods' grace period, in seconds: 30. */
  readonly gracePeriodSeconds?: number;
  /** How fast controllers react, in ms: 2. */
  readonly reactionMs?: () => number;
  /** Whether slices call unready pods `ready`, as a service for peer discovery does: true. */
  readonly publishNotReadyAddresses?: boolean;
  /** The address of the `n`th pod: 127.0.1.1, 127.0.1.2 … (Linux only; elsewhere there is just 127.0.0.1). */
  readonly podAddress?: (n: number) => string;
  /** More of the API server's set-up. */
  readonly api?: Omit<ApiServerOptions, "clock">;
}

/** One cluster. Dispose of it, or its processes stay. */
export class MiniatureCluster implements AsyncDisposable {
  /** The API server. */
  readonly api: ApiServer;
  /** The controllers. */
  readonly controllers: Controllers;
  /** The kubelet. */
  readonly kubelet: Kubelet;
  /** The StatefulSet's namespace. */
  readonly namespace: string;
  /** The StatefulSet's name. */
  readonly name: string;
  /** The name of its headless service. */
  readonly serviceName: string;
  /** The port that the pods listen on. */
  readonly targetPort: number;

  /** Starts at once. */
  constructor(options: MiniatureClusterOptions) {
    const { clock, runtime, targetPort } = options;
    this.targetPort = targetPort;
    this.namespace = options.namespace ?? "default";
    this.name = options.name ?? "buildkitd";
    this.serviceName = options.serviceName ?? `${this.name}-headless`;
    this.api = new ApiServer({ ...options.api, clock });
    const { registry } = this.api;
    registry.create(STATEFULSETS, this.namespace, {
      metadata: { name: this.name },
      spec: {
        replicas: options.replicas ?? 0,
        serviceName: this.serviceName,
        podManagementPolicy: options.podManagementPolicy ?? "OrderedReady",
        selector: { matchLabels: { app: this.name } },
        template: {
          metadata: { labels: { app: this.name } },
          spec: {
            terminationGracePeriodSeconds: options.gracePeriodSeconds ?? 30,
            containers: [{ name: "main", image: "buildkitd" }],
          },
        },
      },
    }, { manager: "kubectl-create" });
    this.kubelet = new Kubelet(registry, clock, {
      runtime,
      targetPort,
      startMs: options.startMs ?? (() => 0),
      probeMs: options.probeMs ?? (() => 0),
      stopMs: options.stopMs ?? (() => 0),
      restartMs: options.restartMs ?? (() => 1000),
      podAddress: options.podAddress ?? ((n) => `127.0.${1 + Math.floor(n / 250)}.${n % 250}`),
    });
    this.controllers = new Controllers(registry, clock, {
      targetPort,
      reactionMs: options.reactionMs ?? (() => 2),
      publishNotReadyAddresses: options.publishNotReadyAddresses ?? true,
    });
  }

  /** The StatefulSet as it now is. */
  get statefulSet(): KubeObject {
    return this.api.registry.get(STATEFULSETS, this.namespace, this.name);
  }

  /** The replicas that are wanted now. */
  get replicas(): number {
    return this.statefulSet.spec.replicas;
  }

  /** The pods that there are, terminating ones too. */
  get pods(): readonly KubeObject[] {
    return this.api.registry.store.list(PODS, this.namespace);
  }

  /** Scales by hand, as `kubectl scale` does. */
  scale(replicas: number): void {
    const patch = { spec: { replicas } };
    this.api.registry.patch(STATEFULSETS, this.namespace, this.name, "application/merge-patch+json", patch, {
      manager: "kubectl",
      subresource: "scale",
    });
  }

  /** Resolves once `holds` is true of the cluster: now, or after a write. Rejects with the signal's reason. */
  until(holds: (cluster: this) => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (holds(this)) return resolve();
      if (signal.aborted) return reject(signal.reason);
      const end = () => {
        unsubscribe();
        signal.removeEventListener("abort", onAbort);
      };
      const unsubscribe = this.api.registry.store.subscribe(() => {
        if (!holds(this)) return;
        end();
        resolve();
      });
      const onAbort = () => {
        end();
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Resolves once `count` pods are there, ready, and none terminates. */
  untilReady(count: number, signal: AbortSignal): Promise<void> {
    return this.until(({ pods }) =>
      pods.length === count &&
      pods.every((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined), signal);
  }

  /** Kills what runs and stops. Watches end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.controllers[Symbol.dispose]();
    await this.kubelet[Symbol.asyncDispose]();
    this.api.faults.clear();
    this.api.watches.end();
  }
}
