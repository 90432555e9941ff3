/**
 * Starts the program: finds the cluster, makes the parts, opens the ports, and runs everything until `shutdown.ts` ends
 * it. Contains no other logic.
 *
 * @module
 */
import { makeBuilders } from "./app/builders.ts";
import { addChecks } from "./app/checks.ts";
import { makeEvents } from "./app/events.ts";
import { cannotListen, type ListenerPorts, loadCredentials, openListeners } from "./app/listeners.ts";
import { loadAll } from "./app/loading.ts";
import { untilEnded } from "./app/shutdown.ts";
import { statusOf } from "./app/status.ts";
import { type Address, formatAddress } from "./base/network.ts";
import type { BasePorts } from "./base/ports.ts";
import { TaskGroup } from "./base/task_group.ts";
import { type Settings, settingsAsText } from "./config/settings.ts";
import { warnOfShortToken } from "./ha/token_end.ts";
import { KubeClient } from "./kube/client.ts";
import type { Cluster } from "./kube/cluster.ts";
import { type AdminContent, adminHandler, type AdminServer, type ServeAdmin } from "./ops/admin_server.ts";
import type { CountDescriptors } from "./ops/descriptors.ts";
import { Health } from "./ops/health.ts";
import type { PrometheusMetrics } from "./ops/prometheus.ts";
import { StatusLog } from "./ops/status_log.ts";
import { StatusPages } from "./ops/status_pages.ts";
import { Proxy } from "./proxy/proxy.ts";
import { Room } from "./proxy/room.ts";
import type { PoolPorts } from "./route/pool_parts.ts";
import type { UpstreamTls } from "./target/upstream_tls.ts";

/** What the program touches the outside with. */
export interface AppPorts extends BasePorts {
  /** The program's version, for logs and metrics. */
  readonly version: string;
  /** The runtime's version. */
  readonly runtime: string;
  /** Counts free file descriptors; without it nothing limits them. */
  readonly countDescriptors?: CountDescriptors;
  /** Opens the admin port. */
  readonly serveAdmin: ServeAdmin;
  /** Counts, and shows what was counted. */
  readonly metrics: PrometheusMetrics;
  /** Reads the files that TLS needs. */
  readonly readText: ListenerPorts["readText"];
  /** Finds the cluster and the credentials. @throws UsageError */
  loadCluster(): Promise<Cluster>;
  /** Reads what TLS towards buildkitd needs; without it connections to pods are plain. @throws UsageError */
  loadUpstreamTls?(): Promise<UpstreamTls | undefined>;
  /** The user's wish to end. */
  readonly stop: {
    /** Aborted by the first signal: end when the running sessions have. */
    readonly drain: AbortSignal;
    /** Aborted by the second: end at once. */
    readonly now: AbortSignal;
  };
  /** Told of every plan of the router, in tests. */
  readonly onPlan?: NonNullable<PoolPorts["onPlan"]>;
  /** Called once the program listens, with its addresses. */
  onListening?(addresses: ListeningAddresses): void | Promise<void>;
}

/** Where the program listens. */
export interface ListeningAddresses {
  /** For clients: without TLS, if it does that, else with TLS. */
  readonly proxy: Address;
  /** For clients with TLS, if it does that. */
  readonly tls: Address | undefined;
  /** For probes and metrics. */
  readonly admin: Address;
}

/**
 * Runs the program until it is told to stop and the last session has ended, or until a part of it has failed.
 *
 * @throws UsageError for bad credential files, FatalError when it cannot listen, and what a failed part threw
 */
export async function runApp(settings: Settings, given: AppPorts): Promise<void> {
  const noted = new StatusLog(given.clock);
  const ports = { ...given, log: noted.over(given.log) };
  const { log, clock, metrics, stop, version, runtime } = ports;
  const [cluster, upstreamTls, credentials] = await loadAll(
    ports.loadCluster(),
    ports.loadUpstreamTls?.(),
    loadCredentials(settings, ports),
  );
  const client = new KubeClient({ cluster, clock, metrics, log });
  const network = upstreamTls?.over(ports.network) ?? ports.network;
  const events = makeEvents(settings, { ...ports, client });
  const eventful = { ...ports, log: events.log };
  const builderPorts = { ...eventful, network, client, upstreamTls };
  const { targets, shared, router, defaultPool } = makeBuilders(settings, builderPorts);
  events.about(targets, shared.identity);
  metrics.expectBuilders(targets.map(({ name }) => name));
  const ending = { begun: false };
  const health = new Health();
  metrics.record("build_info", 1, { version, deno: runtime });
  const { entries, plain, tls, arrivals, watch } = await openListeners(
    settings,
    defaultPool,
    { ...ports, mostArrivals: () => room.arrivals },
    credentials,
  );
  const room: Room = new Room(settings.maxConnections, { ...ports, count: ports.countDescriptors, arrivals });
  const proxy = new Proxy(entries, settings, room, { ...eventful, seats: router });
  addChecks(health, { ending, access: client.access, proxy, targets, router, clock });
  const status = statusOf(settings, { version, clock, health, proxy, targets, router, log: noted });
  const admin = openAdmin(settings, ports, {
    version,
    health,
    metrics: () => {
      proxy.countBytes();
      status.report(metrics);
      return metrics.text();
    },
    route: (name) => router.explain(name),
    status: new StatusPages(status, clock),
  }, () => proxy.stopAccepting());
  await ports.onListening?.({ proxy: entries[0]!.listener.addr, tls, admin: admin.addr });
  log.info("listening", {
    ...addressFields({ plain, tls, admin: admin.addr }),
    target: targets.map(({ name }) => `${settings.stsNamespace}/${name}`).join(", "),
    cluster: `${cluster.server.host} (${cluster.source})`,
    version,
  });
  if (settings.observe) log.info("observing", { then: "no replica count is written, and nothing is woken" });
  log.debug("settings_loaded", settingsAsText(settings));
  warnOfShortToken(await cluster.tokenTimes?.(), settings, log);

  const tasks = new TaskGroup();
  tasks.run("accept", (signal) => proxy.run(signal));
  if (watch !== undefined) tasks.run("TLS files", watch);
  shared.start(tasks);
  for (const { target } of targets) target.start(tasks);
  events.start(tasks);
  try {
    const parts = { targets: targets.map(({ target }) => target), election: shared.election, proxy };
    await untilEnded(settings, { clock, log, stop, ...parts, ending, tasks });
  } finally {
    status.close();
    await Promise.all([admin.close(), events.flush(stop.now)]);
    cluster.http.close();
    log.info("program_ended");
  }
}

/** Where the program listens, for the log. */
function addressFields(
  { plain, tls, admin }: Pick<ListeningAddresses, "tls" | "admin"> & { readonly plain: Address | undefined },
) {
  return {
    addr: plain && formatAddress(plain),
    tlsAddr: tls && formatAddress(tls),
    adminAddr: formatAddress(admin),
  };
}

function openAdmin(
  settings: Settings,
  ports: AppPorts,
  content: AdminContent,
  onFailure: () => void,
): AdminServer {
  try {
    return ports.serveAdmin(settings.adminAddr, adminHandler(content, ports.clock));
  } catch (error) {
    onFailure();
    throw cannotListen(settings.adminAddr, "--admin-addr", error);
  }
}
