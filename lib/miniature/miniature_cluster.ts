/**
 * The miniature cluster as one thing: API server, controllers and kubelet around one store, and the StatefulSets that are
 * to be scaled. On the ports that it is given it runs as fast as a simulation wants.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { invariant } from "../base/errors.ts";
import { ApiServer, type ApiServerOptions } from "./api_server.ts";
import { Controllers } from "./controllers.ts";
import { Kubelet, type KubeletTimes } from "./kubelet.ts";
import { type KubeObject, PODS } from "./objects.ts";
import type { PodRuntime } from "./pod_process.ts";
import { isReady } from "./pods.ts";
import { MiniatureStatefulSet, type StatefulSetOptions } from "./stateful_set.ts";

/** How a {@link MiniatureCluster} is set up. All but the first three have defaults. */
export interface MiniatureClusterOptions extends Partial<KubeletTimes>, Partial<StatefulSetOptions> {
  /** Its time. */
  readonly clock: Clock;
  /** What runs in its pods. */
  readonly runtime: PodRuntime;
  /** The port that the pods listen on. */
  readonly targetPort: number;
  /** The StatefulSets' namespace: `default`. */
  readonly namespace?: string;
  /** More StatefulSets; they differ from the first one where this says so. The first is called `buildkitd`. */
  readonly more?: readonly StatefulSetOptions[];
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
  /** The StatefulSets' namespace. */
  readonly namespace: string;
  /** The StatefulSets, in the order of their set-up. */
  readonly sets: readonly [MiniatureStatefulSet, ...MiniatureStatefulSet[]];
  /** The port that the pods listen on. */
  readonly targetPort: number;

  /** Starts at once. */
  constructor(options: MiniatureClusterOptions) {
    const { clock, runtime, targetPort } = options;
    this.targetPort = targetPort;
    this.namespace = options.namespace ?? "default";
    this.api = new ApiServer({ ...options.api, clock });
    const { registry } = this.api;
    const set = (own: StatefulSetOptions) => new MiniatureStatefulSet(this.api, this.namespace, own);
    const { serviceName: _service, ...shared } = options;
    this.sets = [
      set({ ...options, name: options.name ?? "buildkitd" }),
      ...(options.more ?? []).map((own) => set({ ...shared, ...own })),
    ];
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

  /** The StatefulSet of this name. */
  set(name: string): MiniatureStatefulSet {
    const set = this.sets.find((each) => each.name === name);
    invariant(set !== undefined, `there is a StatefulSet "${name}"`);
    return set;
  }

  /** The name of the first StatefulSet. */
  get name(): string {
    return this.sets[0].name;
  }

  /** The name of its headless Service. */
  get serviceName(): string {
    return this.sets[0].serviceName;
  }

  /** The first StatefulSet as it now is. */
  get statefulSet(): KubeObject {
    return this.sets[0].object;
  }

  /** The replicas of the first StatefulSet that are wanted now. */
  get replicas(): number {
    return this.sets[0].replicas;
  }

  /** The pods that there are, terminating ones too. */
  get pods(): readonly KubeObject[] {
    return this.api.registry.store.list(PODS, this.namespace);
  }

  /** Scales the first StatefulSet by hand, as `kubectl scale` does. */
  scale(replicas: number): void {
    this.sets[0].scale(replicas);
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
