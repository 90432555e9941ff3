/**
 * The doctor: looks at everything that the program needs, and says how each thing is. It reads, and asks running pods how
 * they are; it wakes no builder and writes nothing. What to look at and what an answer means is in the other files here.
 *
 * @module
 */
import { poolsOf } from "../config/builders.ts";
import type { Settings } from "../config/settings.ts";
import { recordsSelector } from "../ha/record.ts";
import type { KubeClient } from "../kube/client.ts";
import { namespaceHint, SERVICE_ACCOUNT } from "../kube/cluster.ts";
import { LEASE_GROUP } from "../kube/leases.ts";
import type {
  EndpointSlice,
  HorizontalPodAutoscaler,
  Lease,
  Namespace,
  PersistentVolumeClaim,
  Pod,
  Service,
  StatefulSet,
  StorageClass,
} from "../kube/types.ts";
import { type Backend, backendsOf } from "../scaler/backends.ts";
import { apiServerFinding } from "./api_server.ts";
import { ClusterReader } from "./cluster_reader.ts";
import { cordonFindings } from "./cordoned.ts";
import { type ScaledObject, type Scalers, writerFindings } from "./count_writers.ts";
import { type Finding, ok, type Read, unchecked } from "./finding.ts";
import { serviceFindings, slicesFinding } from "./headless_service.ts";
import { noPodFinding, podToAsk, type Probe, probeFindings, unreadyFinding } from "./pod.ts";
import { podSecurityFinding } from "./pod_security.ts";
import { rightsFinding, rightsNeeded } from "./rights.ts";
import { type Builder, portFinding, statefulSetFinding } from "./stateful_set.ts";
import { claimFinding, neededClaims } from "./volume_claims.ts";

/** What it looks with. */
export interface CheckPorts {
  /** Asks the API server. */
  readonly client: KubeClient;
  /**
   * Connects to a ready pod as a proxy would, and asks its health service. Throws only the signal's reason. Undefined
   * where the files of TLS to buildkitd cannot be used.
   */
  readonly probe: ((builder: Builder, backend: Backend, signal: AbortSignal) => Promise<Probe>) | undefined;
}

/** So many builders are looked at, and so many rights asked for, at the same time. */
const AT_ONCE = 8;

/**
 * Everything that can be found out about the cluster.
 *
 * @throws the signal's reason
 */
export async function checkCluster(
  settings: Settings,
  ports: CheckPorts,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { client } = ports;
  const { origin } = client.cluster.server;
  const reader = new ClusterReader(client, signal);
  const [version, user] = [await reader.version(), await reader.user()];
  const server = () => apiServerFinding({ origin, version, user, fault: client.access.cause });
  if (server().result === "failed") {
    return [server(), unchecked("everything in the cluster", "the API server cannot be used")];
  }
  const builders = buildersOf(settings);
  const sets = await eachOf(builders, (builder) => readStatefulSet(reader, builder));
  const common = await readCommon(reader, settings.stsNamespace);
  const rights = await checkRights(
    reader,
    settings,
    client,
    builders.map((builder, i) => ({ builder, set: sets[i]! })),
    user,
  );
  const records = await checkRecords(reader, builders, settings.stsNamespace);
  const found = await eachOf(
    builders,
    (builder, i) => checkBuilder({ reader, settings, ports, common, signal }, builder, sets[i]!),
  );
  // It may have gone away meanwhile.
  return [server(), ...cordonFindings(settings), ...rights, records, ...found.flat()];
}

function buildersOf(settings: Settings): readonly Builder[] {
  const { stsNamespace: namespace, targetPort: port, maxReplicas, upstream } = settings;
  return poolsOf(settings).flatMap(({ builders }) => builders).map(({ name, service }) => ({
    name,
    service,
    namespace,
    port,
    maxReplicas,
    usesDns: upstream === "dns",
  }));
}

/** As the program reads it: it has no right to get it. */
async function readStatefulSet(
  reader: ClusterReader,
  { name, namespace }: Builder,
): Promise<Read<StatefulSet>> {
  const found = await reader.list<StatefulSet>(
    { group: "apps", resource: "statefulsets", namespace },
    { fieldSelector: `metadata.name=${name}` },
  );
  if (found.is !== "found") return found;
  const [value] = found.value;
  return value === undefined ? { is: "absent" } : { is: "found", value };
}

/** What is read once for all builders. */
interface Common extends Scalers {
  readonly namespace: Read<Namespace>;
  readonly classes: Read<readonly StorageClass[]>;
}

async function readCommon(reader: ClusterReader, namespace: string): Promise<Common> {
  return {
    namespace: await reader.get({ group: "", resource: "namespaces", namespace: "", name: namespace }),
    classes: await reader.list({ group: "storage.k8s.io", resource: "storageclasses", namespace: "" }),
    autoscalers: await reader.list<HorizontalPodAutoscaler>(
      { group: "autoscaling", version: "v2", resource: "horizontalpodautoscalers", namespace },
    ),
    scaledObjects: await reader.list<ScaledObject>(
      { group: "keda.sh", version: "v1alpha1", resource: "scaledobjects", namespace },
    ),
  };
}

async function checkRights(
  reader: ClusterReader,
  { stsNamespace: namespace, upstream, maxReplicas, events, observe }: Settings,
  { cluster }: KubeClient,
  builders: readonly { readonly builder: Builder; readonly set: Read<StatefulSet> }[],
  user: Read<string>,
): Promise<readonly Finding[]> {
  const outside = cluster.source !== SERVICE_ACCOUNT;
  const needed = rightsNeeded({
    builders: builders.map(({ builder: { name }, set }) => {
      const start = set.is === "found" ? set.value.spec?.ordinals?.start ?? 0 : 0;
      // Roles name the pods one by one: the last one tells whether there are enough.
      const ordinals = [...new Set([start, start + maxReplicas - 1])];
      return { name, pods: ordinals.map((ordinal) => `${name}-${ordinal}`) };
    }),
    events,
    observe,
    portForward: upstream === "port-forward"
      ? "always"
      : upstream === "auto" && outside
      ? "fallback"
      : "never",
  });
  const name = user.is === "found" ? user.value : undefined;
  return await eachOf(needed, async (each) => {
    const answers = [];
    for (const right of each.rights) answers.push(await reader.allows(right, namespace));
    return rightsFinding(each, answers, { namespace, user: name });
  });
}

/** Whether the records of proxies can be read. */
async function checkRecords(
  reader: ClusterReader,
  builders: readonly Builder[],
  namespace: string,
): Promise<Finding> {
  const check = "Leases of proxies";
  const read = await reader.list<Lease>(
    { group: LEASE_GROUP, resource: "leases", namespace },
    { labelSelector: recordsSelector(builders.map(({ name }) => name)) },
  );
  if (read.is === "unread") return unchecked(check, read.why);
  if (read.is === "absent") return unchecked(check, "the API server has none");
  const holders = new Set(read.value.map(({ spec }) => spec?.holderIdentity));
  const proxies = holders.size === 1 ? "1 proxy has a record" : `${holders.size} proxies have records`;
  return ok(check, `can be read; ${proxies}`);
}

interface Looking {
  readonly reader: ClusterReader;
  readonly settings: Settings;
  readonly ports: CheckPorts;
  readonly common: Common;
  readonly signal: AbortSignal;
}

async function checkBuilder(
  looking: Looking,
  builder: Builder,
  set: Read<StatefulSet>,
): Promise<readonly Finding[]> {
  const { reader, common } = looking;
  const { name, service, namespace } = builder;
  const value = set.is === "found" ? set.value : undefined;
  const serviceRead = await reader.get<Service>({
    group: "",
    resource: "services",
    namespace,
    name: service,
  });
  const slices = await reader.list<EndpointSlice>(
    { group: "discovery.k8s.io", resource: "endpointslices", namespace },
    { labelSelector: `kubernetes.io/service-name=${service}` },
  );
  const findings = [
    statefulSetFinding(builder, set, namespaceHint(looking.ports.client.cluster, namespace)),
    ...serviceFindings(builder, serviceRead, value),
    slicesFinding(builder, slices, value),
  ];
  if (value === undefined) return findings;
  const start = value.spec?.ordinals?.start ?? 0;
  const backends = slices.is === "found" ? backendsOf(slices.value, name, start) : [];
  return [
    ...findings,
    portFinding(builder, value),
    ...await checkClaims(looking, builder, value),
    podSecurityFinding(name, namespace, common.namespace, value.spec?.template),
    ...writerFindings(builder, value, common),
    ...await checkPod(looking, builder, value, backends),
  ];
}

async function checkClaims(
  { reader, common }: Looking,
  { name, namespace }: Builder,
  statefulSet: StatefulSet,
): Promise<readonly Finding[]> {
  const needed = neededClaims(statefulSet);
  if (needed.length === 0) {
    return [ok(`volume claims of "${name}"`, "none is needed; the cache is gone with each pod")];
  }
  return await eachOf(needed, async (claim) => {
    const wanted = { group: "", resource: "persistentvolumeclaims", namespace, name: claim.name };
    return claimFinding(claim, namespace, await reader.get<PersistentVolumeClaim>(wanted), common.classes);
  });
}

async function checkPod(
  { reader, settings, ports, signal }: Looking,
  builder: Builder,
  { spec }: StatefulSet,
  backends: readonly Backend[],
): Promise<readonly Finding[]> {
  const { name, namespace } = builder;
  const backend = podToAsk(backends);
  if (backend === undefined && (spec?.replicas ?? 1) === 0) return [noPodFinding(name)];
  if (!backend?.ready) {
    // A pod without an address is in no EndpointSlice.
    const pod = backend?.pod ?? `${name}-${spec?.ordinals?.start ?? 0}`;
    const read = await reader.get<Pod>({ group: "", resource: "pods", namespace, name: pod });
    return [unreadyFinding(name, namespace, pod, read)];
  }
  if (ports.probe === undefined) {
    return [unchecked(`pod of "${name}"`, "the files of TLS to buildkitd cannot be used")];
  }
  const probe = await ports.probe(builder, backend, signal);
  return probeFindings(name, namespace, backend, probe, settings.readiness);
}

/** The results for all items, in their order, a few at a time. */
async function eachOf<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const rest = [...items.entries()].values();
  const one = async () => {
    for (const [i, item] of rest) results[i] = await work(item, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return results;
}
