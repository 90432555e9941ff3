/**
 * Watches the scale target and its pods, and hands what it sees to `placement.ts`. It decides nothing.
 *
 * @module
 */
import type { Log } from "../base/log.ts";
import { CauseLog } from "../base/log.ts";
import type { BuilderMetrics } from "../base/metrics.ts";
import { Listeners } from "../base/listeners.ts";
import { Notifier } from "../base/notifier.ts";
import { orAborted } from "../base/or_aborted.ts";
import { lookHint, namespaceHint } from "../kube/cluster.ts";
import { type Change, Reflector, type ReflectorPorts } from "../kube/reflector.ts";
import { selectorOf, SharedWatch, type Subscription } from "../kube/shared_watch.ts";
import type { EndpointSlice, StatefulSet } from "../kube/types.ts";
import type { Agreement } from "./agreement.ts";
import { backendsOf } from "./backends.ts";
import type { CountReader } from "./count_reader.ts";
import { type CountOwners, isSetByProxy, type ManagedFields } from "./count_owners.ts";
import type { Placement } from "./placement.ts";

/** What is watched. */
export interface ScaleTarget {
  /** The StatefulSet's namespace. */
  readonly namespace: string;
  /** The StatefulSet's name. */
  readonly name: string;
  /** The headless Service whose EndpointSlices list the pods. */
  readonly service: string;
  /** The port that buildkitd listens on. */
  readonly port: number;
}

/** What the observer is made of. */
export interface ObserverPorts extends ReflectorPorts {
  /** Where changes of the count by others are counted. */
  readonly metrics: BuilderMetrics;
  /** Watches the pods of all scale targets: see {@link watchSlices}. */
  readonly slices: SharedWatch<EndpointSlice>;
  /** Told of versions, counts and pods. */
  readonly placement: Placement;
  /** Told who owns the count in which version. */
  readonly countOwners: Pick<CountOwners, "see"> | undefined;
  /** Knows which counts this proxy is writing, and when everything must be listed anew. */
  readonly count: Pick<CountReader, "isWriting" | "onRegressed">;
}

/** How long the EndpointSlices of a new Service may take to appear, in ms. */
const SLICES_MS = 5_000;

/** The label that names an EndpointSlice's Service. */
const SERVICE_LABEL = "kubernetes.io/service-name";

/** One watch of the EndpointSlices of several headless Services; the key is the Service. */
export function watchSlices(
  namespace: string,
  services: readonly string[],
  ports: ReflectorPorts,
): SharedWatch<EndpointSlice> {
  const [first, ...others] = new Set(services);
  return new SharedWatch<EndpointSlice>(
    {
      group: "discovery.k8s.io",
      resource: "endpointslices",
      namespace,
      selector: { labelSelector: selectorOf(SERVICE_LABEL, services) },
    },
    ({ metadata }) => others.length === 0 ? first : metadata?.labels?.[SERVICE_LABEL],
    ports,
  );
}

/** Watches one scale target. */
export class Observer {
  readonly #target: ScaleTarget;
  readonly #ports: ObserverPorts;
  readonly #log: Log;
  readonly #statefulSets: Reflector<StatefulSet>;
  readonly #ofPods: Subscription;
  readonly #slices = new Map<string, EndpointSlice>();
  /** The EndpointSlices have been listed once. */
  #slicesKnown = false;
  readonly #missing: CauseLog;
  readonly #unlisted: CauseLog;
  readonly #undeclared: CauseLog;
  readonly #changed = new Notifier();
  readonly #onPresence = new Listeners();
  #isGone = false;
  #ordinalStart = 0;
  #governingService: string | undefined;
  #cancelDoubt: (() => void) | undefined;
  #uid: string | undefined;
  #generation = 0;
  readonly #found = Promise.withResolvers<void>();
  readonly #listed = Promise.withResolvers<void>();

  /** Starts nothing: `run` does. */
  constructor(target: ScaleTarget, ports: ObserverPorts) {
    const { namespace, name, service } = target;
    this.#target = target;
    this.#ports = ports;
    this.#log = ports.log;
    this.#missing = new CauseLog(ports.log, "statefulset_not_found");
    this.#unlisted = new CauseLog(ports.log, "endpointslice_not_found");
    this.#undeclared = new CauseLog(ports.log, "target_port_undeclared");
    this.#statefulSets = new Reflector<StatefulSet>(
      {
        group: "apps",
        resource: "statefulsets",
        namespace,
        selector: { fieldSelector: `metadata.name=${name}` },
      },
      ports,
      (change) => this.#statefulSetChanged(change),
    );
    this.#statefulSets.onForbidden(() => this.#onPresence.tell());
    this.#ofPods = ports.slices.subscribe(service, (change) => this.#slicesChanged(change));
    ports.placement.subscribeBeyondLoad(() => this.#hurry());
    ports.count.onRegressed(() => this.#relist());
  }

  /** Why the view is missing or out of date; undefined while both watches work and the StatefulSet exists. */
  get fault(): string | undefined {
    return this.#statefulSets.fault ?? this.#ports.slices.fault ?? this.#missing.cause ??
      (this.#statefulSets.synced && this.#ports.slices.synced
        ? undefined
        : "the first list and watch have not been answered yet");
  }

  /** The StatefulSet's uid; undefined while there is none, as far as is known. */
  get uid(): string | undefined {
    return this.#isGone ? undefined : this.#uid;
  }

  /** The StatefulSet is known to be absent. */
  get isMissing(): boolean {
    return this.#isGone;
  }

  /** This proxy has no right to see the StatefulSet, or not any more. */
  get isForbidden(): boolean {
    return this.#statefulSets.isForbidden;
  }

  /**
   * Calls `listener` when {@link uid} or {@link isForbidden} has changed, or the StatefulSet was not found. It must be
   * quick and must not throw.
   */
  onPresence(listener: () => void): void {
    this.#onPresence.add(listener);
  }

  /** The name of the pod of an ordinal, which counts from 0, as far as is known. */
  podName(ordinal: number): string {
    return `${this.#target.name}-${this.#ordinalStart + ordinal}`;
  }

  /** Why no pod will be found; undefined while there is no reason to think so. */
  get unlisted(): string | undefined {
    return this.#unlisted.cause;
  }

  /** Why connections to a pod may fail: its StatefulSet declares other ports. That is no proof. */
  get portDoubt(): string | undefined {
    return this.#undeclared.cause;
  }

  /**
   * Resolves once the Service has had an EndpointSlice. A Service that does not exist has none.
   *
   * @throws the reason of `signal`
   */
  async whenListed(signal: AbortSignal): Promise<void> {
    await orAborted(this.#listed.promise, signal);
  }

  /**
   * Resolves once the StatefulSet and the pods were seen and are watched.
   *
   * @throws the reason of `signal`
   */
  async whenSynced(signal: AbortSignal): Promise<void> {
    const parts = [this.#found.promise, this.#statefulSets.whenSynced, this.#ports.slices.whenSynced];
    await orAborted(Promise.all(parts), signal);
  }

  /** The StatefulSet's uid, once it is known and another than `before`: it may be deleted and made anew. One waiter. */
  async nextUid(before: string | undefined, signal: AbortSignal): Promise<string> {
    while (this.#uid === undefined || this.#uid === before) {
      await this.#changed.wait(this.#ports.clock, Infinity, signal);
    }
    return this.#uid;
  }

  /** Watches the StatefulSet until the signal is aborted. The pods are watched by whom the ports are from. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#statefulSets.run(signal);
    } finally {
      this.#ofPods.end();
      this.#cancelDoubt?.();
    }
  }

  /** While somebody waits for a pod, silent watches are given up sooner. */
  #hurry(): void {
    const urgent = this.#ports.placement.usage.needing > 0;
    this.#statefulSets.urgent = urgent;
    this.#ofPods.urgent = urgent;
  }

  /** Lists the StatefulSet anew: where no write of our own moves its version on, nothing else says whether the count is settled. */
  relist(): void {
    this.#statefulSets.relist();
  }

  /** The resourceVersions have regressed: lists everything anew. */
  #relist(): void {
    this.#statefulSets.relist();
    this.#ports.slices.relist();
  }

  #statefulSetChanged(change: Change<StatefulSet>): void {
    const statefulSet = change.type === "list" ? change.items[0] : change.object;
    if (statefulSet === undefined || change.type === "gone") return this.#gone();
    const { metadata, spec } = statefulSet;
    if (metadata?.resourceVersion === undefined) return;
    this.#found.resolve();
    this.#missing.succeeded();
    this.#ports.countOwners?.see(metadata.resourceVersion, metadata.managedFields);
    this.#lookForGap(statefulSet, change.type === "list");
    const isFirst = this.#uid === undefined;
    const uid = this.uid;
    this.#uid = metadata.uid;
    this.#isGone = false;
    this.#changed.notify();
    if (uid !== this.#uid) this.#onPresence.tell();
    this.#lookAtPorts(statefulSet);
    this.#governingService = spec?.serviceName;
    this.#lookForSlices();
    const start = spec?.ordinals?.start ?? 0;
    if (isFirst || start !== this.#ordinalStart) {
      this.#ordinalStart = start;
      this.#showBackends();
    }
    this.#seeCount(statefulSet, metadata.resourceVersion, change.type === "set");
  }

  /**
   * A watch skips no state. Before the first list and between two lists, the count may have fallen and risen unseen.
   */
  #lookForGap(statefulSet: StatefulSet, isList: boolean): void {
    const { uid, generation = 1 } = statefulSet.metadata ?? {};
    const mayHaveMissed = isList && (uid !== this.#uid || generation > this.#generation + 1);
    this.#generation = generation;
    if (mayHaveMissed && !isSettled(statefulSet)) this.#ports.placement.pods.countsMissed();
  }

  #seeCount(statefulSet: StatefulSet, version: string, isWatched: boolean): void {
    const { placement, count } = this.#ports;
    const before = placement.agreement;
    // Kubernetes' default for a StatefulSet without `spec.replicas` is 1.
    const replicas = statefulSet.spec?.replicas ?? 1;
    // The event of a write of our own may come before its answer.
    const isNews = placement.see({ version, replicas }, isWatched ? "watch" : undefined) &&
      !count.isWriting(replicas);
    if (isNews) this.#tellOfOthers(before, replicas, statefulSet.metadata?.managedFields);
    if (isSettled(statefulSet) && placement.agreement.seen?.version === version) placement.pods.settled();
  }

  #tellOfOthers({ seen, promises }: Agreement, to: number, managedFields: ManagedFields): void {
    if (seen === undefined || seen.replicas === to) return;
    const fields = { from: seen.replicas, to };
    // A leader obtains promises before it lowers. (A count of 0 has no owner: seen on kube-apiserver 1.36.)
    const isProxys = to < seen.replicas
      ? promises.some(({ below }) => below === to)
      : isSetByProxy(managedFields);
    if (isProxys) return this.#log.debug("replicas_changed_by_proxy", fields);
    const { placement } = this.#ports;
    const wanted = Math.max(placement.usage.highest + 1, placement.needed);
    this.#log.info("replicas_changed_externally", { ...fields, ...(to < wanted && { wanted }) });
    this.#ports.metrics.record("replicas_changed_externally_total", 1, {});
    if (to > seen.replicas) placement.raisedByOther(to);
  }

  #gone(): void {
    const isNews = !this.#isGone;
    this.#isGone = true;
    // Its pods go, too, or are those of its successor: none gets a session before it is known which.
    if (isNews) {
      this.#ports.placement.pods.countsMissed();
      this.#onPresence.tell();
    }
    const { namespace, name } = this.#target;
    const { cluster } = this.#ports.client;
    const hint = `${namespaceHint(cluster, namespace)}${lookHint(cluster, "statefulsets")}`;
    this.#missing.failed(
      `StatefulSet "${name}" not found in namespace "${namespace}" (--sts-name, --sts-namespace)${hint}`,
    );
  }

  #slicesChanged(change: Change<EndpointSlice>): void {
    if (change.type === "list") {
      this.#slicesKnown = true;
      this.#slices.clear();
    }
    for (const slice of change.type === "list" ? change.items : [change.object]) {
      const name = slice.metadata?.name ?? "";
      if (change.type === "gone") this.#slices.delete(name);
      else this.#slices.set(name, slice);
    }
    this.#lookForSlices();
    this.#showBackends(change.type === "list");
  }

  /** Kubernetes keeps an EndpointSlice for every Service with a selector, also while it selects no pod. */
  #lookForSlices(): void {
    if (this.#slices.size > 0) {
      this.#cancelDoubt?.();
      this.#cancelDoubt = undefined;
      this.#listed.resolve();
      return this.#unlisted.succeeded();
    }
    if (this.#uid === undefined || !this.#slicesKnown) return;
    this.#cancelDoubt ??= this.#ports.clock.setTimer(SLICES_MS, () => this.#doubtService());
  }

  #doubtService(): void {
    const { namespace, name, service } = this.#target;
    const other = this.#governingService;
    const hint = other && other !== service ? `; the Service of the StatefulSet "${name}" is "${other}"` : "";
    this.#unlisted.failed(
      `No EndpointSlice of a Service "${service}" in namespace "${namespace}" (--headless-service-name), so no pod ` +
        `will be found${hint}`,
    );
  }

  /** A container may listen on a port that it does not declare, so another declared port is only a hint. */
  #lookAtPorts({ spec }: StatefulSet): void {
    const { name, port } = this.#target;
    const declared = (spec?.template?.spec?.containers ?? []).flatMap(({ ports = [] }) =>
      ports.map(({ containerPort }) => containerPort)
    );
    if (declared.length === 0 || declared.includes(port)) return this.#undeclared.succeeded();
    const ports = declared.length === 1 ? "port" : "ports";
    this.#undeclared.failed(
      `The containers of StatefulSet "${name}" declare the ${ports} ${declared.join(", ")}, not ` +
        `${port} (--target-port)`,
    );
  }

  #showBackends(listed = true): void {
    // Which ordinal a pod has is known only with the StatefulSet.
    if (this.#uid === undefined) return;
    const { placement, log } = this.#ports;
    const backends = backendsOf(this.#slices.values(), this.#target.name, this.#ordinalStart);
    for (const { pod, uid, addresses, ready, terminating } of backends) {
      log.debug("pod_observed", { pod, uid, addresses, ready, terminating });
    }
    placement.pods.set(backends, listed);
  }
}

/** The controller has processed this count. */
function isSettled({ metadata, status }: StatefulSet): boolean {
  return (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 1);
}
