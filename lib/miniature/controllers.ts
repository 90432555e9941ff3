/**
 * The StatefulSet and EndpointSlice controllers of the miniature cluster. Level-triggered: every write in the store
 * (but of Leases, of which they know nothing) brings one look at everything, a chosen time later. They write through the registry, as clients without network.
 * Sources: k8s.io/kubernetes/pkg/controller/statefulset/stateful_set_control.go, k8s.io/endpointslice.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { equal } from "./json.ts";
import { ENDPOINT_SLICES, type KubeObject, LEASES, PODS, STATEFULSETS } from "./objects.ts";
import { isReady, ordinalOf } from "./pods.ts";
import type { Registry } from "./registry.ts";

/** How the controllers behave. */
export interface ControllerOptions {
  /** How long after a write they look at it, in ms; drawn for each look. */
  readonly reactionMs: () => number;
  /** The port in EndpointSlices. */
  readonly targetPort: number;
  /** Whether EndpointSlices call every pod `ready` (the headless service's `publishNotReadyAddresses`). */
  readonly publishNotReadyAddresses: boolean;
}

/** Both controllers. */
export class Controllers implements Disposable {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #options: ControllerOptions;
  readonly #unsubscribe: () => void;
  #cancelLook: (() => void) | undefined;
  #paused = false;

  /** Starts at once. */
  constructor(registry: Registry, clock: Clock, options: ControllerOptions) {
    this.#registry = registry;
    this.#clock = clock;
    this.#options = options;
    this.#unsubscribe = registry.store.subscribe(({ resource }) => {
      if (resource !== LEASES) this.#schedule();
    });
    this.#schedule();
  }

  /** The controller manager is down until the returned function is called. */
  pause(): () => void {
    this.#paused = true;
    return () => {
      this.#paused = false;
      this.#schedule();
    };
  }

  /** Stops for good. */
  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#cancelLook?.();
  }

  #schedule(): void {
    if (this.#cancelLook !== undefined || this.#paused) return;
    this.#cancelLook = this.#clock.setTimer(this.#options.reactionMs(), () => {
      this.#cancelLook = undefined;
      if (!this.#paused) this.#look();
    });
  }

  #look(): void {
    const { store } = this.#registry;
    const sets = store.list(STATEFULSETS);
    for (const set of sets) this.#reconcile(set);
    for (const pod of store.list(PODS)) {
      const owner = pod.metadata.ownerReferences?.[0]?.uid;
      if (owner === undefined || pod.metadata.deletionTimestamp !== undefined) continue;
      if (!sets.some((set) => set.metadata.uid === owner)) this.#deletePod(pod);
    }
    for (const set of sets) this.#publish(set);
  }

  #podsOf(set: KubeObject): KubeObject[] {
    const pods = this.#registry.store.list(PODS, set.metadata.namespace)
      .filter((pod) => pod.metadata.ownerReferences?.[0]?.uid === set.metadata.uid);
    return pods.sort((a, b) => ordinalOf(a) - ordinalOf(b));
  }

  #reconcile(set: KubeObject): void {
    this.#scale(set, this.#podsOf(set));
    const pods = this.#podsOf(set);
    const live = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    const ready = pods.filter(isReady).length;
    // A pod that terminates counts as ready as long as it is, and no longer as a replica.
    const status = {
      observedGeneration: set.metadata.generation,
      replicas: live.length,
      readyReplicas: ready,
      availableReplicas: ready,
      currentReplicas: live.length,
      updatedReplicas: live.length,
      currentRevision: `${set.metadata.name}-1`,
      updateRevision: `${set.metadata.name}-1`,
      collisionCount: 0,
    };
    if (equal(status, set.status)) return;
    const { namespace, name } = set.metadata;
    const now = this.#registry.get(STATEFULSETS, namespace, name);
    this.#registry.replace(STATEFULSETS, namespace, name, { ...now, status }, {
      manager: "statefulset-controller",
      subresource: "status",
    });
  }

  #scale(set: KubeObject, pods: readonly KubeObject[]): void {
    const start: number = set.spec.ordinals?.start ?? 0;
    const end = start + set.spec.replicas;
    const ordered = set.spec.podManagementPolicy !== "Parallel";
    for (let ordinal = start; ordinal < end; ordinal++) {
      const pod = pods.find((it) => ordinalOf(it) === ordinal);
      if (pod === undefined) this.#createPod(set, ordinal);
      else if (pod.metadata.deletionTimestamp === undefined && pod.status?.phase === "Failed") {
        this.#deletePod(pod);
      } else if (isReady(pod) && pod.metadata.deletionTimestamp === undefined) continue;
      if (ordered) return;
    }
    const surplus = pods.filter((pod) => ordinalOf(pod) < start || ordinalOf(pod) >= end).reverse();
    for (const pod of surplus) {
      if (pod.metadata.deletionTimestamp === undefined) this.#deletePod(pod);
      if (ordered) return;
    }
  }

  #createPod(set: KubeObject, ordinal: number): void {
    const { namespace, name: owner, uid } = set.metadata;
    const name = `${owner}-${ordinal}`;
    const template = set.spec.template ?? {};
    this.#registry.create(PODS, namespace, {
      metadata: {
        name,
        labels: {
          ...template.metadata?.labels,
          "apps.kubernetes.io/pod-index": String(ordinal),
          "statefulset.kubernetes.io/pod-name": name,
        },
        ownerReferences: [{ apiVersion: "apps/v1", kind: "StatefulSet", name: owner, uid, controller: true }],
      },
      spec: { terminationGracePeriodSeconds: 30, ...template.spec, nodeName: "node-1" },
    }, { manager: "statefulset-controller" });
  }

  #deletePod(pod: KubeObject): void {
    const { namespace, name, uid } = pod.metadata;
    this.#registry.delete(PODS, namespace, name, { preconditions: { uid } });
  }

  #publish(set: KubeObject): void {
    const { namespace } = set.metadata;
    const service: string | undefined = set.spec.serviceName;
    if (service === undefined || service === "") return;
    const name = `${service}-x7k2p`;
    const body = {
      metadata: {
        name,
        labels: {
          "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
          "kubernetes.io/service-name": service,
          "service.kubernetes.io/headless": "",
        },
      },
      addressType: "IPv4",
      endpoints: this.#podsOf(set).filter(isListed).map((pod) => this.#endpointOf(pod)),
      ports: [{ name: "tcp", port: this.#options.targetPort, protocol: "TCP" }],
    };
    const options = { manager: "endpointslice-controller" };
    const live = this.#registry.store.get(ENDPOINT_SLICES, namespace, name);
    if (live === undefined) this.#registry.create(ENDPOINT_SLICES, namespace, body, options);
    else this.#registry.replace(ENDPOINT_SLICES, namespace, name, body, options);
  }

  #endpointOf(pod: KubeObject) {
    const { name, namespace, uid } = pod.metadata;
    const serving = isReady(pod), terminating = pod.metadata.deletionTimestamp !== undefined;
    const ready = this.#options.publishNotReadyAddresses || (serving && !terminating);
    return {
      addresses: [pod.status.podIP],
      conditions: { ready, serving, terminating },
      hostname: name,
      nodeName: pod.spec.nodeName,
      targetRef: { kind: "Pod", name, namespace, uid },
    };
  }
}

function isListed(pod: KubeObject): boolean {
  return pod.status?.podIP !== undefined && !["Failed", "Succeeded"].includes(pod.status.phase);
}
