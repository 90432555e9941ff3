/**
 * Wires the parts of the program together, and holds the order of its start and of its shutdown. No logic of its own
 * beyond that.
 *
 * @module
 */
import { addChecks } from "./app/checks.ts";
import { join, phaseAtStart, takePart } from "./app/joining.ts";
import { anySignal } from "./base/any_signal.ts";
import { type Clock, deadline, sleep } from "./base/clock.ts";
import { FatalError, messageOf, publicMessageOf, TimeoutError } from "./base/errors.ts";
import type { Log } from "./base/log.ts";
import { type Address, formatAddress, type Listener, type Network } from "./base/network.ts";
import type { Random } from "./base/random.ts";
import { TaskGroup } from "./base/task_group.ts";
import { type Settings, settingsAsText } from "./config/settings.ts";
import { Proxies } from "./ha/proxies.ts";
import { longestDrainMs, warnOfShortToken } from "./ha/token_end.ts";
import { KubeClient } from "./kube/client.ts";
import type { Cluster } from "./kube/cluster.ts";
import { statefulSetScale } from "./kube/scale.ts";
import { adminHandler, type AdminServer, type ServeAdmin } from "./ops/admin_server.ts";
import type { CountDescriptors } from "./ops/descriptors.ts";
import { Health } from "./ops/health.ts";
import type { PrometheusMetrics } from "./ops/prometheus.ts";
import { PodHealthChecks } from "./proxy/pod_health.ts";
import { listenOn } from "./proxy/listen.ts";
import { Proxy } from "./proxy/proxy.ts";
import { Room } from "./proxy/room.ts";
import { LINGER_MS } from "./proxy/session.ts";
import { ColdStart } from "./scaler/cold_start.ts";
import { waitExplainer } from "./scaler/explain.ts";
import { CountOwners } from "./scaler/count_owners.ts";
import { CountReader } from "./scaler/count_reader.ts";
import { Observer } from "./scaler/observer.ts";
import { Placement } from "./scaler/placement.ts";
import { reprieve } from "./scaler/reprieve.ts";
import { ResetExplainer } from "./scaler/reset_explainer.ts";
import { Scaler } from "./scaler/scaler.ts";

/** One pod is what this version scales to; more instances come with `--max-replicas`. */
const MAX_REPLICAS = 1;

/** What the program touches the outside with. */
export interface AppPorts {
  /** The program's version, for logs and metrics. */
  readonly version: string;
  /** The runtime's version. */
  readonly runtime: string;
  /** Where events go. */
  readonly log: Log;
  /** Time. */
  readonly clock: Clock;
  /** Chance. */
  readonly random: Random;
  /** Sockets. */
  readonly network: Network;
  /** Counts free file descriptors; without it nothing limits them. */
  readonly countDescriptors?: CountDescriptors;
  /** Opens the admin port. */
  readonly serveAdmin: ServeAdmin;
  /** Counts, and shows what was counted. */
  readonly metrics: PrometheusMetrics;
  /** Finds the cluster and the credentials. @throws UsageError */
  loadCluster(): Promise<Cluster>;
  /** The user's wish to end. */
  readonly stop: {
    /** Aborted by the first signal: end when the running sessions have. */
    readonly drain: AbortSignal;
    /** Aborted by the second: end at once. */
    readonly now: AbortSignal;
  };
  /** Told where the program listens, once it does. */
  onListening?(addresses: { readonly proxy: Address; readonly admin: Address }): void;
}

/**
 * Runs the program until it is told to stop and the last session has ended, or until a part of it has failed.
 *
 * @throws UsageError for bad credential files, FatalError when it cannot listen, and what a failed part threw
 */
export async function runApp(settings: Settings, ports: AppPorts): Promise<void> {
  const { log, clock, random, metrics, stop, version, runtime } = ports;
  const cluster = await ports.loadCluster();
  const client = new KubeClient({ cluster, clock, metrics, log });
  const target = {
    namespace: settings.stsNamespace,
    name: settings.stsName,
    service: settings.headlessServiceName,
    port: settings.targetPort,
  };
  const placement = new Placement(clock, MAX_REPLICAS, settings.readiness);
  const coldStart = new ColdStart(clock, metrics);
  const scale = statefulSetScale(client, target.namespace, target.name);
  const reader = new CountReader({
    scale,
    placement,
    log,
    onRestored: () => {
      observer.relist();
      proxies.restored();
    },
  });
  const proxies: Proxies = new Proxies(target, settings, {
    ...ports,
    client,
    placement,
    reader,
    claimPresent: (signal) => scaler.claimPresent(signal),
  });
  const countOwners: CountOwners = new CountOwners({
    ...ports,
    scale,
    placement,
    peers: proxies,
    isBusy: () => scaler.busy,
  });
  const observer: Observer = new Observer(target, {
    client,
    clock,
    random,
    log,
    metrics,
    placement,
    countOwners,
  });
  const scaler: Scaler = new Scaler({
    ...ports,
    access: client.access,
    scale,
    reader,
    placement,
    peers: proxies,
    observer,
    coldStart,
  }, {
    minReplicas: settings.minReplicas,
    maxReplicas: MAX_REPLICAS,
    idleTimeoutMs: settings.idleTimeoutMs,
  });
  const podHealth = new PodHealthChecks(settings, { ...ports, placement });
  const phase = phaseAtStart();
  const health = new Health();

  metrics.record("build_info", 1, { version, deno: runtime });
  const listener = listen(ports.network, settings.listenAddr, "--listen-addr");
  const explainWait = waitExplainer(target, {
    client,
    clock,
    placement,
    observer,
    scaler,
    obstacle: () => proxies.membership.obstacle,
  });
  const room = new Room(settings.maxConnections, { count: ports.countDescriptors, log, metrics });
  const resets = new ResetExplainer(target.namespace, { client, clock });
  const proxy = new Proxy(listener, settings, room, {
    ...ports,
    placement,
    coldStart,
    explainWait,
    explainReset: (backend, connectedForMs, tell) => resets.explain(backend, connectedForMs, tell),
  });
  addChecks(health, { phase, access: client.access, proxy, scaler, observer, placement, proxies });
  const admin = openAdmin(settings, ports, health, listener, () => proxy.countBytes());
  log.info("listening", {
    addr: formatAddress(listener.addr),
    adminAddr: formatAddress(admin.addr),
    target: `${target.namespace}/${target.name}`,
    cluster: `${cluster.server.host} (${cluster.source})`,
    version,
  });
  log.debug("settings", settingsAsText(settings));
  warnOfShortToken(await cluster.tokenTimes?.(), settings, log);
  ports.onListening?.({ proxy: listener.addr, admin: admin.addr });

  const tasks = new TaskGroup();
  tasks.run("accept", (signal) => proxy.run(signal));
  tasks.run("observer", (signal) => observer.run(signal));
  tasks.run("scaler", (signal) => scaler.run(signal));
  tasks.run("reprieve", (signal) => reprieve(target.namespace, { client, clock, placement, log }, signal));
  tasks.run("count owners", (signal) => countOwners.run(signal));
  if (settings.readiness !== "pod") tasks.run("pod health", (signal) => podHealth.run(signal));
  tasks.run("proxies", (signal) => takePart(proxies, observer, target, signal));
  tasks.run(
    "join",
    (signal) => join(scaler, proxies, observer, { ...ports, access: client.access }, phase, signal),
  );

  // Shutdown, in this order:
  // 1. The first signal, or a part that fails, makes the proxy unready.
  await aborted(stop.drain, stop.now, tasks.signal);
  phase.stopping = true;
  // When a part has failed, now or later, nobody waits in vain, and the record goes on to keep what runs.
  const drained = new AbortController();
  let outlasted: Promise<void> | undefined;
  const onFailure = () => {
    const cause = messageOf(tasks.signal.reason);
    log.error("a part has failed", { cause, then: "the program ends when its running sessions have" });
    const told = publicMessageOf(tasks.signal.reason);
    proxy.refuseHeld("failed", `The proxy in front of buildkitd has failed, start the build again: ${told}`);
    outlasted = proxies.outlast(drained.signal);
  };
  if (tasks.signal.aborted) onFailure();
  else tasks.signal.addEventListener("abort", onFailure, { once: true });
  // 2. The lead goes to another proxy as soon as no write is under way. The record stays, and claims for held sessions
  // go on.
  scaler.stopLowering();
  proxies.drain(longestDrainMs(settings));
  const released = scaler.idle().then(async () => {
    // Not by the tasks' signal: a proxy without sessions may be through with them before this is answered.
    using limit = deadline(
      clock,
      LEAVE_MS,
      stop.now,
      () => new TimeoutError("The API server does not answer"),
    );
    await proxies.release(limit.signal);
  }).catch((error) => {
    log.debug("cannot release the lead", { cause: messageOf(error) });
  });
  log.info("shutting down", { sessions: proxy.open, shutdownDelayMs: settings.shutdownDelayMs });
  // 3. Load balancers get time to notice; until then new connections are served as ever.
  await waitUntil(clock, settings.shutdownDelayMs, stop.now, tasks.signal);
  proxy.stopAccepting();
  // 4. Running sessions end by themselves, or when the time is up, or at the second signal.
  const limitMs = settings.drainTimeoutMs === 0 ? Infinity : settings.drainTimeoutMs;
  void proxy.drained().then(() => drained.abort());
  await waitUntil(clock, limitMs, stop.now, drained.signal);
  if (proxy.open > 0) {
    const why = stop.now.aborted ? "The proxy was told to end at once" : "The drain timeout has passed";
    log.warn("sessions are cut", { sessions: proxy.open, reason: why });
    if (placement.usage.held > 0) {
      // Clients that wait can be told, which takes a moment.
      proxy.refuseHeld(
        "drain_timeout",
        `${why}: the proxy in front of buildkitd ends, start the build again`,
      );
      await waitUntil(clock, LINGER_MS, stop.now, drained.signal);
    }
    proxy.cutAll(why);
    await proxy.drained();
  }
  // The last lines of sessions do not wait for a pod's end to be known.
  await resets.end();
  // 5. Everything else; the record last, when nothing can write it any more.
  tasks.signal.removeEventListener("abort", onFailure);
  tasks.stop();
  try {
    await tasks.join();
  } finally {
    await outlasted;
    await released;
    using limit = deadline(
      clock,
      LEAVE_MS,
      stop.now,
      () => new TimeoutError("The API server does not answer"),
    );
    await proxies.leave(limit.signal).catch((error) => {
      log.warn("cannot delete the record of this proxy", { cause: messageOf(error) });
    });
    await admin.close();
    cluster.http.close();
    log.info("ended");
  }
}

/** How long a proxy that ends tries to give up the lead and to delete its record, in ms: else the others wait for both. */
const LEAVE_MS = 5_000;

function listen(network: Network, address: Address, flag: string): Listener {
  try {
    return listenOn(network, address);
  } catch (error) {
    throw cannotListen(address, flag, error);
  }
}

function openAdmin(
  settings: Settings,
  ports: AppPorts,
  health: Health,
  listener: Listener,
  beforeMetrics: () => void,
): AdminServer {
  const { version, metrics } = ports;
  try {
    const text = () => {
      beforeMetrics();
      return metrics.text();
    };
    const handler = adminHandler({ version, health, metrics: text });
    return ports.serveAdmin(settings.adminAddr, handler);
  } catch (error) {
    listener.close();
    throw cannotListen(settings.adminAddr, "--admin-addr", error);
  }
}

function cannotListen(address: Address, flag: string, cause: unknown): FatalError {
  return new FatalError(`Cannot listen on "${formatAddress(address)}" (${flag})`, { cause });
}

/** Resolves when one of the signals is aborted. */
async function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  using any = anySignal(...signals);
  const { signal } = any;
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Resolves after `delayMs`, or when one of the signals is aborted. */
async function waitUntil(clock: Clock, delayMs: number, ...signals: readonly AbortSignal[]): Promise<void> {
  if (delayMs === Infinity) return await aborted(...signals);
  using any = anySignal(...signals);
  await sleep(clock, delayMs, any.signal).catch(() => {});
}
