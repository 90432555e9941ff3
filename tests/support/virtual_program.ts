/**
 * The whole program without a socket and without a wait: `runApp` on a virtual clock and a network in memory, in front of
 * the miniature cluster with stub pods. The admin port is its handler. A test moves the time.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type AppPorts, runApp } from "../../lib/app.ts";
import type { Address } from "../../lib/base/network.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import type { SettingKey } from "../../lib/config/settings.ts";
import { MemoryHttp } from "../../lib/miniature/memory_http.ts";
import { MiniatureCluster, type MiniatureClusterOptions } from "../../lib/miniature/miniature_cluster.ts";
import { type KubeObject, LEASES } from "../../lib/miniature/objects.ts";
import { StubPods } from "../../lib/miniature/stub_pods.ts";
import type { Cluster } from "../../lib/kube/cluster.ts";
import type { HttpHandler } from "../../lib/ops/http_server.ts";
import { type CountedMetrics, countedMetrics } from "./counted_metrics.ts";
import { bytesOf, call, type CallHeaders, OPENING, SETTINGS_ACK } from "./http2_client.ts";
import { type RecordingLog, recordingLog } from "./recording_log.ts";
import { VirtualClient } from "./virtual_client.ts";
import { VirtualClock } from "./virtual_clock.ts";
import { VirtualNetwork } from "./virtual_network.ts";

/** Where clients connect. */
export const PROXY: Address = { hostname: "127.0.0.1", port: 8372 };
/** Where probes do. */
export const ADMIN: Address = { hostname: "127.0.0.1", port: 8080 };

/** How a world is set up. */
export interface VirtualOptions {
  /** Settings as a user would write them, where they differ from the test's defaults. */
  readonly settings?: Partial<Record<SettingKey, string>>;
  /**
   * The builders, each with a StatefulSet in the cluster, as `--builders` names them: `b1`, `arm64/b2`. Without any there
   * is one, of the default name, and the program is not told of builders.
   */
  readonly builders?: readonly [string, ...string[]] | undefined;
  /** The cluster's set-up. */
  readonly cluster?: Partial<MiniatureClusterOptions>;
  /** What the program knows of the cluster. */
  readonly access?: Partial<Cluster>;
  /** Another program, whose clock, network and cluster this one shares. Dispose of this one first. */
  readonly beside?: VirtualProgram;
  /** Where it listens for clients; {@link PROXY}. */
  readonly at?: Address;
  /** Ports that differ. */
  readonly ports?: Partial<AppPorts>;
}

/** A cluster, and one program in front of it that starts when told to. */
export class VirtualProgram {
  readonly clock: VirtualClock;
  readonly network: VirtualNetwork;
  readonly log: RecordingLog = recordingLog();
  readonly metrics: CountedMetrics = countedMetrics(() => {});
  cluster: MiniatureCluster;
  readonly drain = new AbortController();
  readonly now = new AbortController();
  /** The way to the API server; a test may break it. */
  http: MemoryHttp;
  /** What has happened to the program's ends, in order. */
  readonly closed: string[] = [];
  /** Where the program said that it listens. */
  listening: unknown;
  /** How the program has ended, once it has. */
  outcome: { readonly error?: unknown } | undefined;
  readonly #options: VirtualOptions;
  #handler: HttpHandler | undefined;
  #running: Promise<void> | undefined;

  constructor(options: VirtualOptions = {}) {
    const { beside } = options;
    const builders = beside === undefined ? options.builders : beside.#options.builders;
    this.#options = { ...options, builders };
    this.clock = beside?.clock ?? new VirtualClock();
    this.network = beside?.network ?? new VirtualNetwork();
    this.cluster = beside?.cluster ?? this.#makeCluster();
    this.http = new MemoryHttp(this.cluster.api, this.clock, beside === undefined ? "proxy" : "other");
  }

  #makeCluster(changes: VirtualOptions["cluster"] = {}): MiniatureCluster {
    const [first, ...others] = (this.#options.builders ?? []).map((entry) => ({
      name: entry.split("/").at(-1)!,
    }));
    return new MiniatureCluster({
      clock: this.clock,
      runtime: new StubPods({ network: this.network, clock: this.clock, warmUpMs: () => 0 }),
      targetPort: 1234,
      podAddress: (n) => `192.0.2.${n}`,
      ...first,
      more: others,
      ...this.#options.cluster,
      ...changes,
    });
  }

  /** The API server's data is restored from a backup without any Lease: versions go back, and open watches fall silent. */
  async restore(replicas: number): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    this.cluster = this.#makeCluster({ replicas, api: { firstVersion: 500 } });
    this.http.set("silent");
    this.http = new MemoryHttp(this.cluster.api, this.clock, "proxy");
    await this.pass(0);
  }

  /** Starts the program, and lets a moment pass: enough to become ready, unless something is in the way. */
  async start(): Promise<void> {
    const { settings, access, ports, builders, beside, at = PROXY } = this.#options;
    const flags = Object.entries({
      listenAddr: `${at.hostname}:${at.port}`,
      adminAddr: `${ADMIN.hostname}:${ADMIN.port}`,
      targetPort: "1234",
      shutdownDelayMs: "0s",
      idleTimeoutMs: "1h",
      readiness: "pod",
      upstream: "slices",
      ...(builders === undefined ? {} : { builders: builders.join(",") }),
      ...settings,
    }) as [SettingKey, string][];
    const { clock, network, log, metrics, drain, now } = this;
    const cluster: Cluster = {
      server: new URL("http://api.test"),
      source: "test",
      namespace: undefined,
      http: {
        send: (request) => this.http.send(request),
        reset: () => {},
        close: () => void this.closed.push("http"),
      },
      authenticate: () => Promise.resolve({}),
      refresh: () => Promise.resolve(),
      renew: () => Promise.resolve(false),
      ...access,
    };
    this.#running = runApp(parseSettings({ flags: new Map(flags), variables: {} }), {
      version: "1.2.3-test",
      runtime: "9.9.9",
      log,
      clock,
      random: () => beside === undefined ? 0.5 : 0.75,
      network,
      metrics,
      serveAdmin: (addr, handler) => {
        this.#handler = handler;
        return { addr, close: () => Promise.resolve(void this.closed.push("admin")) };
      },
      readText: () => Promise.reject(new Error("There are no files")),
      loadCluster: () => Promise.resolve(cluster),
      stop: { drain: drain.signal, now: now.signal },
      onListening: (addresses) => void (this.listening = addresses),
      ...ports,
    }).then(() => void (this.outcome = {}), (error) => void (this.outcome = { error }));
    await this.pass(100);
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** The first signal. */
  async stop(): Promise<void> {
    this.drain.abort(new Error("Asked to stop"));
    await this.pass(0);
  }

  /** The second signal. */
  async stopNow(): Promise<void> {
    this.drain.abort(new Error("Asked to stop"));
    this.now.abort(new Error("Asked to stop at once"));
    await this.pass(0);
  }

  /** An answer of the admin port. */
  async admin(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await this.#handler!(new Request(`http://admin${path}`));
    return { status: response.status, text: (await response.text()).trimEnd() };
  }

  /** One line of `/livez?verbose` or `/readyz?verbose`, without its mark. */
  async check(path: "/livez" | "/readyz", name: string): Promise<string> {
    const { text } = await this.admin(`${path}?verbose`);
    const line = text.split("\n").find((each) => each.slice(3).startsWith(`${name} `));
    assert.ok(line !== undefined, text);
    return line.slice(3 + name.length + 1);
  }

  /** Connects a client that speaks no HTTP/2, and has it say something. */
  async connect(text = "hello", to: Address = this.#options.at ?? PROXY): Promise<VirtualClient> {
    const client = new VirtualClient(await this.network.connect(to, new AbortController().signal));
    await client.send(new TextEncoder().encode(text));
    await this.pass(0);
    return client;
  }

  /** Connects a gRPC client that makes one call, which says this about itself. */
  async call(headers: CallHeaders = {}, to: Address = this.#options.at ?? PROXY): Promise<VirtualClient> {
    const client = new VirtualClient(await this.network.connect(to, new AbortController().signal));
    await client.send(bytesOf(OPENING, SETTINGS_ACK, ...call(1, "hello", headers)));
    await this.pass(0);
    return client;
  }

  /** The names of all Leases of that kind. */
  leases(kind: "proxy" | "leader"): readonly KubeObject[] {
    return this.cluster.api.registry.store.list(LEASES, this.cluster.namespace).filter(({ metadata }) =>
      (metadata.labels?.["buildkitd-autoscaler.earthbuild.dev/kind"] === "proxy") === (kind === "proxy")
    );
  }

  /** Ends everything; the program should have ended, or ends at once now. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cluster.api.faults.clear();
    this.http.set("open");
    await this.stopNow();
    await this.pass(10_000);
    if (this.#options.beside === undefined) await this.cluster[Symbol.asyncDispose]();
    assert.ok(this.#running === undefined || this.outcome !== undefined, "the program has ended");
    await this.#running;
  }
}
