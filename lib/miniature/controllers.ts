/**
 * The StatefulSet and EndpointSlice controllers of the miniature cluster, and its garbage collector, which knows objects
 * that a StatefulSet owns. Level-triggered: every write in the store but of Leases brings one look at everything, a chosen
 * time later. They write through the registry, as clients without network. There are no Service objects: a Service is
 * there from the first StatefulSet that names it on, and selects the pods of that one's template.
 * Sources: k8s.io/kubernetes/pkg/controller/statefulset/stateful_set_control.go, k8s.io/endpointslice.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { equal } from "./json.ts";
import { ENDPOINT_SLICES, type KubeObject, LEASES, PODS, type Resource, STATEFULSETS } from "./objects.ts";
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

/** A headless Service. */
interface Service {
  readonly namespace: string;
  readonly name: string;
  /** The labels of its pods. */
  readonly selector: Readonly<Record<string, string>>;
}

/** All controllers. */
export class Controllers implements Disposable {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #options: ControllerOptions;
  readonly #unsubscribe: () => void;
  readonly #services = new Map<string, Service>();
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
    const sets = this.#registry.store.list(STATEFULSETS);
    for (const set of sets) this.#reconcile(set);
    this.#collect(new Set(sets.map(({ metadata }) => metadata.uid)));
    for (const set of sets) this.#learnService(set);
    for (const service of this.#services.values()) this.#publish(service);
  }

  /** Deletes what belongs to a StatefulSet that is gone. */
  #collect(uids: ReadonlySet<string>): void {
    const isOrphan = ({ metadata }: KubeObject) => {
      const owner = metadata.ownerReferences?.[0];
      return owner?.kind === "StatefulSet" && !uids.has(owner.uid) &&
        metadata.deletionTimestamp === undefined;
    };
    for (const resource of [PODS, LEASES]) {
      for (const orphan of this.#registry.store.list(resource).filter(isOrphan)) {
        this.#delete(resource, orphan);
      }
    }
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
        this.#delete(PODS, pod);
      } else if (isReady(pod) && pod.metadata.deletionTimestamp === undefined) continue;
      if (ordered) return;
    }
    const surplus = pods.filter((pod) => ordinalOf(pod) < start || ordinalOf(pod) >= end).reverse();
    for (const pod of surplus) {
      if (pod.metadata.deletionTimestamp === undefined) this.#delete(PODS, pod);
      if (ordered) return;
    }
  }

  #createPod(set: KubeObject, ordinal: number): void {
    const { namespace, name: owner, uid } = set.metadata;
    const name = `${owner}-${ordinal}`;
    // The pod of an earlier StatefulSet of this name may still terminate.
    if (this.#registry.store.get(PODS, namespace, name) !== undefined) return;
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

  #delete(resource: Resource, object: KubeObject): void {
    const { namespace, name, uid } = object.metadata;
    this.#registry.delete(resource, namespace, name, { preconditions: { uid } });
  }

  #learnService({ metadata: { namespace }, spec }: KubeObject): void {
    const name: string | undefined = spec.serviceName;
    if (name === undefined || name === "" || this.#services.has(`${namespace}/${name}`)) return;
    const selector = spec.template?.metadata?.labels ?? {};
    this.#services.set(`${namespace}/${name}`, { namespace, name, selector });
  }

  #publish({ namespace, name: service, selector }: Service): void {
    const labels = Object.entries(selector);
    const pods = this.#registry.store.list(PODS, namespace)
      .filter((pod) => labels.every(([key, value]) => pod.metadata.labels?.[key] === value))
      .sort((a, b) => ordinalOf(a) - ordinalOf(b));
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
      endpoints: pods.filter(isListed).map((pod) => this.#endpointOf(pod)),
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
