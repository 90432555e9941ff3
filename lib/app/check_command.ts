/**
 * The `check` command: makes the parts that the doctor looks with from the settings, and puts its findings together.
 * Files and credentials that cannot be used are findings here, and no wrong usage.
 *
 * @module
 */
import { deadline } from "../base/clock.ts";
import { messageOf, TimeoutError, UsageError } from "../base/errors.ts";
import { noMetrics } from "../base/metrics.ts";
import type { BasePorts } from "../base/ports.ts";
import { checkCluster } from "../check/check.ts";
import { failed, type Finding, unchecked } from "../check/finding.ts";
import type { Probe } from "../check/pod.ts";
import type { Builder } from "../check/stateful_set.ts";
import { tlsFindings } from "../check/tls_files.ts";
import { type SettingKey, SETTINGS, type Settings } from "../config/settings.ts";
import { KubeClient } from "../kube/client.ts";
import type { Cluster } from "../kube/cluster.ts";
import type { Backend } from "../scaler/backends.ts";
import { checkHealth } from "../target/health_check.ts";
import { Upstream } from "../target/upstream.ts";
import type { UpstreamTls } from "../target/upstream_tls.ts";
import { type ListenerPorts, loadCredentials } from "./listeners.ts";

/** What it touches the outside with. */
export interface CheckAppPorts extends Pick<BasePorts, "clock" | "random" | "network" | "log"> {
  /** The runtime's version. */
  readonly runtime: string;
  /** Reads the files that TLS needs. */
  readonly readText: ListenerPorts["readText"];
  /** Finds the cluster and the credentials. @throws UsageError */
  loadCluster(): Promise<Cluster>;
  /** Reads what TLS towards buildkitd needs. @throws UsageError */
  loadUpstreamTls(): Promise<UpstreamTls | undefined>;
}

/** For how long a pod may keep its answer to a health check, in ms, from the start of the connect. */
const PROBE_MS = 10_000;

/**
 * Looks at everything that the program would use with these settings.
 *
 * @throws the signal's reason
 */
export async function runCheck(
  settings: Settings,
  ports: CheckAppPorts,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const listener = await problemsOf(() => loadCredentials(settings, { ...ports, metrics: noMetrics }));
  const upstream = await problemsOf(() => ports.loadUpstreamTls());
  const cluster = await problemsOf(() => ports.loadCluster());
  const wallMs = ports.clock.wallMs();
  const tls = [
    ...(settings.tlsListenAddr === "off" ? [] : tlsFindings({
      check: "TLS for clients",
      problems: listener.problems,
      certificates: await certificates(settings, ["tlsCert", "tlsClientCa"], ports),
    }, wallMs)),
    ...(settings.upstreamTlsCa === undefined ? [] : tlsFindings({
      check: "TLS to buildkitd",
      problems: upstream.problems,
      certificates: await certificates(settings, ["upstreamTlsCa", "upstreamTlsCert"], ports),
    }, wallMs)),
  ];
  if (cluster.value === undefined) return [...clusterFindings(cluster.problems), ...tls];
  const client = new KubeClient({
    cluster: cluster.value,
    clock: ports.clock,
    metrics: noMetrics,
    log: ports.log,
  });
  const probe = upstream.problems.length === 0 ? prober(settings, client, ports, upstream.value) : undefined;
  return [...await checkCluster(settings, { client, probe }, signal), ...tls];
}

/** What was loaded, or all that is wrong with what the user gave. */
async function problemsOf<T>(
  load: () => Promise<T>,
): Promise<{ readonly value?: T; readonly problems: readonly string[] }> {
  try {
    return { value: await load(), problems: [] };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { problems: error.problems };
  }
}

function clusterFindings(problems: readonly string[]): readonly Finding[] {
  return [
    ...problems.map((problem) =>
      failed(
        "API server",
        problem,
        "the address of a cluster and credentials for it",
        'set --kubeconfig and --context; "kubectl config get-contexts" shows what there is',
      )
    ),
    unchecked("everything in the cluster", "there is no API server to ask"),
  ];
}

/** The texts of those files that can be read. */
async function certificates(
  settings: Settings,
  keys: readonly (SettingKey & ("tlsCert" | "tlsClientCa" | "upstreamTlsCa" | "upstreamTlsCert"))[],
  { readText }: CheckAppPorts,
): Promise<readonly (readonly [string, string])[]> {
  const read = await Promise.all(keys.map(async (key) => {
    const path = settings[key];
    const text = path === undefined ? undefined : await readText(path).catch(() => undefined);
    return text === undefined ? [] : [[SETTINGS[key].flag, text] as const];
  }));
  return read.flat();
}

/** Connects to pods as the proxy does. */
function prober(
  settings: Settings,
  client: KubeClient,
  ports: CheckAppPorts,
  upstreamTls: UpstreamTls | undefined,
): (builder: Builder, backend: Backend, signal: AbortSignal) => Promise<Probe> {
  const network = upstreamTls?.over(ports.network) ?? ports.network;
  return async ({ service }, backend, signal) => {
    const own = { ...settings, headlessServiceName: service };
    const upstream = new Upstream(own, { ...ports, network, client, upstreamTls });
    using limit = deadline(ports.clock, PROBE_MS, signal, () => new TimeoutError("no answer in time"));
    try {
      const conn = await upstream.dial(backend, limit.signal);
      const way = upstream.isForwarding
        ? "through the API server"
        : settings.upstream === "dns"
        ? "by its name"
        : "by its address";
      const tls = upstreamTls === undefined ? "" : ", with TLS";
      const answer = await checkHealth(conn, limit.signal);
      return { answer: answer === "closed" ? "unsupported" : answer, way: `${way}${tls}` };
    } catch (error) {
      signal.throwIfAborted();
      return { fault: messageOf(error) };
    }
  };
}
