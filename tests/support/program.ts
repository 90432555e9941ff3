/**
 * The whole program in this process, on real sockets: proxy and admin port on loopback, the miniature cluster behind its
 * HTTP front, and pods whose server the test chooses. A test waits for what it wants to see, never for time to pass.
 *
 * @module
 */
import { type AppPorts, type ListeningAddresses, runApp } from "../../lib/app.ts";
import { type Clock, systemClock } from "../../lib/base/clock.ts";
import type { EventCode } from "../../lib/base/events.ts";
import { type Log, logTo } from "../../lib/base/log.ts";
import type { Address, Network } from "../../lib/base/network.ts";
import { systemRandom } from "../../lib/base/random.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import type { SettingKey } from "../../lib/config/settings.ts";
import { HttpListener } from "../../lib/miniature/http_listener.ts";
import { MiniatureCluster, type MiniatureClusterOptions } from "../../lib/miniature/miniature_cluster.ts";
import type { Cluster } from "../../lib/kube/cluster.ts";
import { FetchHttp } from "../../lib/kube/fetch_http.ts";
import { systemMachine } from "../../lib/kube/machine.ts";
import { adminPorts } from "../../lib/ops/admin_server.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { denoTls } from "../../lib/proxy/deno_tls.ts";
import { loadUpstreamTls } from "../../lib/target/upstream_tls.ts";
import { type CountedMetrics, countedMetrics } from "./counted_metrics.ts";
import { HANG_MS, within } from "./deadline.ts";
import { type RecordingLog, recordingLog } from "./recording_log.ts";
import { echo, type Serve, ServerPods } from "./server_pods.ts";
import { TcpClient } from "./tcp_client.ts";

/** Pods that run and are not ready until {@link Program.makeReady}. */
export const NOT_READY: Partial<MiniatureClusterOptions> = { probeMs: () => 3_600_000 };

const LOOPBACK = "127.0.0.1";

/** How a world is set up. */
export interface WorldOptions {
  /** Settings as a user would write them, where they differ from the test's defaults. */
  readonly settings?: Partial<Record<SettingKey, string>>;
  /** The cluster's set-up. */
  readonly cluster?: Partial<MiniatureClusterOptions>;
  /** What the pods serve; echo. */
  readonly serve?: Serve;
  /** The program's time; the machine's. */
  readonly clock?: Clock;
  /** The program's sockets; the machine's. */
  readonly network?: Network;
  /** The bearer token that the program shows; none. */
  readonly token?: string;
  /** The label of the program's requests in the API server's log, for faults that meet one of several programs. */
  readonly client?: string;
  /** The uid of the pod that it runs in; it runs in none. */
  readonly podUid?: string;
  /** The lifetime of that token, as the program reads it; it tells none. */
  readonly tokenTimes?: Cluster["tokenTimes"];
  /** The namespace of the program's credentials, for messages. */
  readonly home?: string;
  /** Called before the program starts. */
  readonly before?: (world: World) => void;
  /** Keeps debug records; they are many. */
  readonly debug?: boolean;
  /** Where records go instead of {@link Program.log}, in a run that is too long to keep them all. */
  readonly log?: Log;
}

/** A port that nobody listens on: it was free a moment ago. */
export function freePort(): number {
  const listener = denoNetwork.listen({ hostname: LOOPBACK, port: 0 });
  listener.close();
  return listener.addr.port;
}

/** The cluster, its front, its pods: all but the program. */
export class World implements AsyncDisposable {
  readonly cluster: MiniatureCluster;
  /** The API server's HTTP front. */
  readonly front: HttpListener;
  readonly pods: ServerPods;
  readonly targetPort: number;
  readonly #looks = new Set<() => void>();

  constructor({ cluster = {}, serve = echo }: WorldOptions = {}) {
    this.targetPort = cluster.targetPort ?? freePort();
    this.pods = new ServerPods(denoNetwork, serve, () => this.changed());
    this.cluster = new MiniatureCluster({
      clock: systemClock,
      runtime: this.pods,
      gracePeriodSeconds: 600,
      ...cluster,
      targetPort: this.targetPort,
    });
    this.cluster.api.registry.store.subscribe(() => this.changed());
    this.front = new HttpListener(this.cluster.api, denoNetwork, { hostname: LOOPBACK, port: 0 });
  }

  /** Something has changed: whoever waits looks again. */
  changed(): void {
    for (const look of this.#looks) look();
  }

  /** Resolves once `holds`, which is looked at whenever something has changed. */
  async until(what: string, holds: () => boolean, timeoutMs: number = HANG_MS): Promise<void> {
    if (holds()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => {
      try {
        if (holds()) resolve();
      } catch (error) {
        reject(error);
      }
    };
    this.#looks.add(look);
    try {
      await within(promise, what, () => this.describe(), timeoutMs);
    } finally {
      this.#looks.delete(look);
    }
  }

  /** What a failure shows. */
  describe(): string {
    const pods = this.cluster.pods.map(({ metadata, status }) =>
      `${metadata.name} ${metadata.uid.slice(-4)} ${status?.phase} ${metadata.deletionTimestamp ?? ""}`
    );
    return `replicas ${this.cluster.replicas}, pods [${pods}], sessions in pods ${this.pods.open}`;
  }

  /** The requests so far, verb and resource, but for those for which no session waits: by which proxies keep in touch, and Events. */
  get requests(): readonly string[] {
    return this.cluster.api.requests.map(({ verb, subject }) =>
      `${verb} ${subject.split("/").slice(2).join("/")}`
    ).filter((request) => !/ (leases|events)$/.test(request));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(this.cluster[Symbol.asyncDispose](), "the end of the cluster's pods", () => this.describe());
    await within(this.front[Symbol.asyncDispose](), "the end of the API server's connections");
  }
}

/** One running program and its world. Dispose of it. */
export class Program implements AsyncDisposable {
  readonly world: World;
  readonly log: RecordingLog;
  readonly metrics: CountedMetrics;
  /** Where clients connect. */
  readonly address: Address;
  /** Where clients connect with TLS. */
  readonly tlsAddress: Address | undefined;
  /** `http://127.0.0.1:<admin port>`. */
  readonly adminUrl: string;
  /** Settles when the program has ended, as it has. */
  readonly exited: Promise<void>;
  readonly #stop: { readonly drain: AbortController; readonly now: AbortController };
  readonly #ownsWorld: boolean;

  constructor(
    parts: Pick<Program, "world" | "log" | "metrics" | "address" | "tlsAddress" | "adminUrl" | "exited">,
    stop: { readonly drain: AbortController; readonly now: AbortController },
    ownsWorld: boolean,
  ) {
    this.#ownsWorld = ownsWorld;
    this.world = parts.world;
    this.log = parts.log;
    this.metrics = parts.metrics;
    this.address = parts.address;
    this.tlsAddress = parts.tlsAddress;
    this.adminUrl = parts.adminUrl;
    this.exited = parts.exited;
    this.#stop = stop;
  }

  /** The cluster. */
  get cluster(): MiniatureCluster {
    return this.world.cluster;
  }

  /** What runs in its pods. */
  get pods(): ServerPods {
    return this.world.pods;
  }

  /** Connects a client. */
  connect(): Promise<TcpClient> {
    return TcpClient.connect(this.address);
  }

  /** As {@link World.until}. */
  async until(what: string, holds: () => boolean, timeoutMs?: number): Promise<void> {
    await this.world.until(`${what}`, holds, timeoutMs).catch((error) => {
      const records = this.log.records.slice(-40).map(({ level, code, fields }) =>
        `  ${level} ${code} ${JSON.stringify(fields)}`
      );
      error.message += `\n${records.join("\n")}`;
      throw error;
    });
  }

  /** Resolves once `count` records of an event are in the log, with the last of them. */
  async logged(code: EventCode, count = 1) {
    await this.until(`${count} × "${code}" in the log`, () => this.log.of(code).length >= count);
    return this.log.of(code)[count - 1]!.fields;
  }

  /** Resolves once `count` sessions are held. */
  async held(count: number): Promise<void> {
    await this.until(`${count} held sessions`, () => this.metrics.value("sessions_held") === count);
  }

  /** Resolves once the program is ready and both watches are open: from now on it has nothing to ask. */
  async settled(): Promise<void> {
    await this.logged("ready");
    await this.until("both watches", () => this.metrics.value("api_requests_total", { verb: "watch" }) >= 2);
    await this.until(
      "the first count",
      () => this.metrics.value("replicas_observed") === this.cluster.replicas,
    );
  }

  /** Resolves once a pod is ready and the program has seen it: a session went through. */
  async warm(): Promise<void> {
    using client = await this.connect();
    if (await client.echo("warm") !== "warm") throw new Error("the echo differs");
    client.close();
    await this.until("no session", () => this.metrics.value("sessions_open") === 0);
  }

  /** Has the pod pass its readiness probe, for clusters whose pods do not by themselves ({@link NOT_READY}). */
  async makeReady(name = "buildkitd-0"): Promise<void> {
    await this.until(
      `pod ${name} runs`,
      () =>
        this.cluster.pods.some(({ metadata, status }) =>
          metadata.name === name && status?.phase === "Running"
        ),
    );
    this.cluster.kubelet.setReady(name, true);
  }

  /** An answer of the admin port. */
  async admin(path: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`${this.adminUrl}${path}`);
    return { status: response.status, text: (await response.text()).trimEnd() };
  }

  /** The first signal. */
  drain(): void {
    this.#stop.drain.abort(new DOMException("Asked to stop", "AbortError"));
  }

  /** The second signal. */
  stopNow(): void {
    this.drain();
    this.#stop.now.abort(new DOMException("Asked to stop at once", "AbortError"));
  }

  /** Ends everything. Rejects when the program has failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stopNow();
    try {
      await within(this.exited, "the end of the program", () => this.world.describe());
    } finally {
      if (this.#ownsWorld) await this.world[Symbol.asyncDispose]();
    }
  }
}

/** Starts a program, and a world around it. It listens when this returns. */
export async function startProgram(options: WorldOptions = {}): Promise<Program> {
  return await start(new World(options), options, true);
}

/** Starts a program in a world that is there already, and that outlives it. */
export async function startBeside(world: World, options: WorldOptions = {}): Promise<Program> {
  return await start(world, options, false);
}

async function start(world: World, options: WorldOptions, ownsWorld: boolean): Promise<Program> {
  const log = recordingLog();
  const metrics = countedMetrics(() => world.changed());
  const drain = new AbortController();
  const now = new AbortController();
  const listening = Promise.withResolvers<ListeningAddresses>();
  options.before?.(world);
  const settings = settingsOf(world, options);
  const ports: AppPorts = {
    version: "0.0.0-test",
    runtime: Deno.version.deno,
    log: announcing(options.log ?? log, world, options.debug ?? false),
    clock: options.clock ?? systemClock,
    random: systemRandom,
    network: options.network ?? denoNetwork,
    serveAdmin: adminPorts(denoNetwork, { clock: systemClock, log }),
    metrics,
    readText: Deno.readTextFile,
    loadCluster: () => Promise.resolve(clusterOf(world, options)),
    loadUpstreamTls: () =>
      loadUpstreamTls(settings, { machine: systemMachine, clock: systemClock, log, startTls: denoTls }),
    stop: { drain: drain.signal, now: now.signal },
    onListening: listening.resolve,
  };
  const exited = runApp(settings, ports);
  exited.catch(listening.reject);
  const { proxy, tls, admin } = await listening.promise;
  return new Program(
    {
      world,
      log,
      metrics,
      address: proxy,
      tlsAddress: tls,
      adminUrl: `http://${admin.hostname}:${admin.port}`,
      exited,
    },
    { drain, now },
    ownsWorld,
  );
}

function settingsOf(world: World, { settings = {} }: WorldOptions) {
  const flags = new Map<SettingKey, string>(
    Object.entries({
      listenAddr: `${LOOPBACK}:0`,
      adminAddr: `${LOOPBACK}:0`,
      targetPort: String(world.targetPort),
      shutdownDelayMs: "0s",
      idleTimeoutMs: "1h",
      // What `auto` chooses has tests of its own.
      upstream: "slices",
      // Health checks are sessions, too, at the pods; they have tests of their own.
      readiness: "pod",
      ...settings,
    }) as [SettingKey, string][],
  );
  return parseSettings({ flags, variables: {} });
}

/** How a program reaches the cluster. */
export function clusterOf(
  { front }: World,
  { token, home, client, podUid, tokenTimes }: WorldOptions = {},
): Cluster {
  return {
    server: front.url,
    source: "test",
    namespace: home,
    podUid,
    ...(tokenTimes && { tokenTimes }),
    http: new FetchHttp({
      ca: undefined,
      caSource: "the runtime",
      proxy: undefined,
      serverName: undefined,
      insecure: false,
      repeatsHeaders: false,
    }),
    authenticate: () =>
      Promise.resolve<Record<string, string>>(
        {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(client === undefined ? {} : { "x-client": client }),
        },
      ),
    refresh: () => Promise.resolve(),
    renew: () => Promise.resolve(false),
  };
}

function announcing(log: Log, world: World, debug: boolean): Log {
  return logTo((level, code, fields) => {
    if (level !== "debug" || debug) log[level](code, fields);
    world.changed();
  });
}
