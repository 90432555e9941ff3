/**
 * The simulated world: the miniature cluster, proxies (the whole program each, with settings of its own) and clients, on one
 * virtual clock, from one seed. What must hold in it is `judge.ts`'s affair.
 *
 * @module
 */
import { runApp } from "../../lib/app.ts";
import { logTo } from "../../lib/base/log.ts";
import { poolsOf } from "../../lib/config/builders.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import type { SettingKey, Settings } from "../../lib/config/settings.ts";
import { MiniatureCluster } from "../../lib/miniature/miniature_cluster.ts";
import { type KubeObject, LEASES } from "../../lib/miniature/objects.ts";
import type { MiniatureStatefulSet } from "../../lib/miniature/stateful_set.ts";
import type { HttpRequest } from "../../lib/kube/http.ts";
import { type SeededRandom, seededRandom } from "../support/seeded_random.ts";
import { ApiPath, type Fate, type PathState } from "./api_path.ts";
import {
  connectionsOf,
  type Ending,
  kindOf,
  type Pattern,
  probeOf,
  type Progress,
  queuerOf,
  runConnection,
  wakeOf,
  watcherOf,
} from "./clients.ts";
import type { End } from "./connection.ts";
import { describe, Judge } from "./judge.ts";
import { Moments } from "./moments.ts";
import { SimulatedNetwork } from "./network.ts";
import { Daemons } from "./pods.ts";
import { builderNames, type ClientDoor, type Plan, type SettingsText } from "./plan.ts";
import { newMembership, type ProxyProcess } from "./proxy_process.ts";
import { Machine, WorldTime } from "./time.ts";
import { hashOf, Trace } from "./trace.ts";

/** Tells in a record which StatefulSet it is about. */
const STATEFULSET_LABEL = "buildkitd-autoscaler.earthbuild.dev/statefulset";

/** Something that must hold did not. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** How requests and packets fare now: set by the faults. */
export interface Weather {
  latencyMs: () => number;
  apiLatencyMs: () => number;
  slice: (bytes: number) => number;
  /** The first that has something to say decides. */
  readonly fates: Set<(proxy: ProxyProcess, method: string, path: string) => Fate | undefined>;
}

/** See the module's comment. */
export class World {
  readonly time = new WorldTime();
  readonly moments = new Moments();
  readonly network: SimulatedNetwork;
  readonly cluster: MiniatureCluster;
  readonly daemons: Daemons;
  readonly proxies: ProxyProcess[] = [];
  readonly plan: Plan;
  /** The settings of each version of the proxies: the first ones', and those of roll-outs. */
  readonly versions: readonly Settings[];
  readonly judge: Judge;
  readonly weather: Weather;
  /** What has happened. */
  readonly traced: Trace;
  violation: Violation | undefined;
  /** Where clients run. */
  readonly outside: Machine;
  /** How much longer pods take to start, in ms. */
  podDelayMs = 0;
  /** How the API server is to be reached by everybody. */
  outage: PathState = "open";
  /** The clock rate of the next proxy. */
  rate: () => number = () => 1;
  /** What impairs all proxies now: for each, what ends it for one proxy. */
  readonly #impairsAll = new Set<(() => void)[]>();
  /** Which of the versions new proxies have. */
  #version = 0;
  #byHand = false;
  #clients = 0;
  #born = 0;

  /** Sets it up, without a proxy. */
  constructor(plan: Plan, print?: (line: string) => void) {
    this.plan = plan;
    this.traced = new Trace(print);
    const network = this.random("network"), api = this.random("api"), pods = this.random("pods");
    this.weather = {
      latencyMs: () => 0.1 + network.next(),
      apiLatencyMs: () => 0.5 + 3 * api.next(),
      slice: (bytes) => bytes,
      fates: new Set(),
    };
    this.outside = new Machine("outside", this.time);
    this.network = new SimulatedNetwork(this.time, {
      latencyMs: () => this.weather.latencyMs(),
      slice: (bytes) => this.weather.slice(bytes),
    });
    this.versions = [plan.settings, ...plan.rollouts].map(parsed);
    this.judge = new Judge(this);
    this.daemons = new Daemons({
      network: this.network.of(new Machine("pods", this.time)),
      clock: this.time,
      cancels: plan.daemonsCancel,
      warmUpMs: () => pods.integer(0, 3_000) * (pods.chance(0.1) ? 10 : 1),
      onStop: (daemon) => this.judge.podStops(daemon),
      onEnd: (daemon) => this.judge.podEnds(daemon),
    });
    const [name, ...others] = builderNames(plan.builders);
    this.cluster = new MiniatureCluster({
      name,
      more: others.map((name) => ({ name })),
      clock: this.time,
      runtime: this.daemons,
      targetPort: 8372,
      gracePeriodSeconds: 30,
      startMs: () => pods.integer(50, 3_000) + this.podDelayMs,
      probeMs: () => pods.integer(0, 3_000),
      stopMs: () => pods.integer(1, pods.chance(0.1) ? 1_500 : 100),
      restartMs: () => pods.integer(500, 5_000),
      reactionMs: () => pods.integer(1, pods.chance(0.1) ? 1_500 : 20),
      publishNotReadyAddresses: pods.chance(0.5),
    });
    this.cluster.api.registry.store.subscribe((event) => this.judge.stored(event, this.#byHand));
    // An observer is started in front of what runs.
    if (this.settings.observe) this.byHand(() => this.cluster.sets.forEach((set) => set.scale(1)));
  }

  /** The settings of the first proxies, where it does not matter whose they are. */
  get settings(): Settings {
    return this.versions[0]!;
  }

  /** Which version new proxies have. */
  get version(): number {
    return this.#version;
  }

  /** New proxies have the next version, if there is one. */
  nextVersion(): boolean {
    if (this.#version === this.versions.length - 1) return false;
    this.#version++;
    return true;
  }

  /** Proxies that a roll-out has still to replace. */
  get outdated(): readonly ProxyProcess[] {
    return this.alive.filter(({ version, stopping }) => version < this.#version && !stopping);
  }

  /** The longest expiry of a record, in ms. */
  get longestExpiryMs(): number {
    return Math.max(...this.versions.map(({ recordExpiryMs }) => recordExpiryMs));
  }

  /** A source of chance of its own for each purpose: one that is switched off changes no other. */
  random(name: string): SeededRandom {
    return seededRandom(this.plan.seed ^ hashOf(name));
  }

  /** One line of the trace. */
  trace(who: string, what: string): void {
    this.traced.add(`${(this.time.nowMs() - 1_000_000).toFixed(1).padStart(10)} ${who}: ${what}`);
  }

  /** Something that must hold does not. The first is kept, and ends the run. */
  fail(what: string): void {
    if (this.violation !== undefined) return;
    this.trace("VIOLATION", what);
    this.violation = new Violation(what);
  }

  /** A fault happens. */
  fault(name: string, what: string): void {
    const { faults } = this.judge.report;
    faults[name] = (faults[name] ?? 0) + 1;
    this.trace("fault", `${name}: ${what}`);
  }

  /** Starts a proxy, of the present version if nothing else is said. */
  start(
    { podUid, rate = this.rate(), version = this.#version }: {
      podUid?: string;
      rate?: number;
      version?: number;
    } = {},
  ): ProxyProcess {
    const number = ++this.#born;
    const settings = this.versions[version]!;
    const pools = poolsOf(settings);
    const name = `proxy${number}`;
    const machine = new Machine(name, this.time, rate);
    const arrives = this.random(`${name} arrives`);
    const path = new ApiPath(this.cluster.api, this.time, machine, {
      latencyMs: () => this.weather.apiLatencyMs(),
      onRequest: (request) => this.#requested(proxy, request),
      onArrival: ({ method, url }, sentMs) => {
        const [set, subresource] = url.pathname.split("/").slice(-2);
        const isWrite = method !== "GET" && subresource === "scale";
        return isWrite ? this.judge.writeArrives(set!, sentMs) : () => {};
      },
      fate: ({ method, url }) => {
        for (const draw of this.weather.fates) {
          const fate = draw(proxy, method, url.pathname);
          if (fate !== undefined) return fate;
        }
        return undefined;
      },
      arrivesAnyway: () => arrives.chance(0.7),
    });
    const proxy: ProxyProcess = {
      machine,
      path,
      podUid: podUid ?? `pod-${number}`,
      version,
      settings,
      pools,
      memberships: new Map(
        pools.flatMap(({ builders }) => builders.map(({ name }) => [name, newMembership()] as const)),
      ),
      impairedUntilMs: -Infinity,
      impairments: 0,
      podsCutOffMs: -Infinity,
      ready: false,
      keptUntilMs: new Map(),
      killed: false,
      stopping: false,
      cuts: false,
      ended: false,
      held: 0,
      queued: 0,
      open: 0,
      drain: new AbortController(),
      now: new AbortController(),
    };
    path.set(this.outage);
    this.proxies.push(proxy);
    for (const ends of this.#impairsAll) ends.push(this.impair(proxy));
    this.trace(name, `starts in ${proxy.podUid}, version ${version}`);
    this.#run(proxy);
    this.moments.happens("join", proxy);
    return proxy;
  }

  /** SIGKILL. */
  kill(proxy: ProxyProcess): void {
    proxy.ended = true;
    proxy.killed = true;
    this.trace(proxy.machine.name, "is killed");
    proxy.machine.kill();
    proxy.path.kill();
    this.network.killed(proxy.machine);
  }

  /** SIGTERM. */
  stop(proxy: ProxyProcess): void {
    if (proxy.stopping || proxy.ended) return;
    proxy.stopping = true;
    this.trace(proxy.machine.name, "is told to stop");
    proxy.machine.deliver(() => proxy.drain.abort(new Error("SIGTERM")));
    const { shutdownDelayMs, drainTimeoutMs } = proxy.settings;
    const cutsInMs = drainTimeoutMs === 0 ? Infinity : (shutdownDelayMs + drainTimeoutMs) / this.judge.slack;
    this.time.setTimer(cutsInMs, () => proxy.cuts = true);
  }

  /** Something keeps the proxy from being heard of by the others, until the function that it returns is called. */
  impair(proxy: ProxyProcess): () => void {
    proxy.impairments++;
    proxy.impairedUntilMs = Infinity;
    return () => {
      if (--proxy.impairments === 0) proxy.impairedUntilMs = this.time.nowMs();
    };
  }

  /** The same for all proxies that live, and for those that start until then. */
  impairAll(): () => void {
    const ends = this.alive.map((proxy) => this.impair(proxy));
    this.#impairsAll.add(ends);
    return () => {
      this.#impairsAll.delete(ends);
      for (const end of ends) end();
    };
  }

  /** One of those that live. */
  pick(random: SeededRandom): ProxyProcess | undefined {
    const { alive } = this;
    return alive.length === 0 ? undefined : random.pick(alive);
  }

  /** One of the StatefulSets that are there. */
  pickSet(random: SeededRandom): MiniatureStatefulSet | undefined {
    const there = this.cluster.sets.filter(({ exists }) => exists);
    return there.length === 0 ? undefined : random.pick(there);
  }

  /** Somebody deletes a Lease. */
  removeLease(name: string): void {
    this.cluster.api.registry.delete(LEASES, this.cluster.namespace, name, {});
  }

  /** Somebody else does something to the cluster. */
  byHand(what: () => void): void {
    this.#byHand = true;
    try {
      what();
    } finally {
      this.#byHand = false;
    }
  }

  /** Proxies that run, or stand still. */
  get alive(): ProxyProcess[] {
    return this.proxies.filter(({ ended }) => !ended);
  }

  /** Records of proxies, as they stand in the store. */
  get records(): KubeObject[] {
    return this.leases.filter(({ metadata }) => metadata.name.includes("-proxy-"));
  }

  /** All Leases: the records, and the election's. */
  get leases(): KubeObject[] {
    return this.cluster.api.registry.store.list(LEASES, this.cluster.namespace);
  }

  /** One client, with all its connections; the first one goes to that proxy. */
  async client(
    pattern: Pattern,
    random: SeededRandom,
    signal: AbortSignal,
    first?: ProxyProcess,
  ): Promise<void> {
    let served = false, next = first;
    for (const drawn of connectionsOf(pattern, this.plan, random, () => served)) {
      const plan = this.plan.traces ? drawn : { ...drawn, headers: { ...drawn.headers, traceId: undefined } };
      for (let attempt = 0;; attempt++) {
        const proxy = next?.ended === false ? next : this.pick(random);
        next = undefined;
        if (proxy === undefined || attempt > 20) return;
        const ending = await this.connection(plan, proxy, signal);
        served = ending === "served";
        if (served || (ending === "left" && pattern === "earth")) break;
        if (ending === "left" || signal.aborted) return;
        await this.#pause(random.integer(500, 1_500));
      }
      if (signal.aborted) return;
      if (!served) await this.#pause(1_000);
    }
  }

  /** A client that watches the build history for so long: it connects again whenever that ends. */
  async watcher(random: SeededRandom, lastsMs: number, signal: AbortSignal): Promise<void> {
    const endMs = this.time.nowMs() + lastsMs;
    for (let leftMs = lastsMs; leftMs > 0 && !signal.aborted; leftMs = endMs - this.time.nowMs()) {
      const proxy = this.pick(random);
      const plan = watcherOf(this.plan, random, Math.ceil(leftMs));
      if (proxy !== undefined) await this.connection(plan, proxy, signal);
      await this.#pause(random.integer(500, 3_000));
    }
  }

  /** Somebody asks for a builder to be awake. */
  async wake(random: SeededRandom, signal: AbortSignal): Promise<void> {
    const proxy = this.pick(random);
    if (proxy !== undefined) await this.connection(wakeOf(this.plan, random), proxy, signal);
  }

  /** A load balancer looks whether a port is open. */
  async probe(door: ClientDoor, proxy: ProxyProcess, lastsMs: number, signal: AbortSignal): Promise<void> {
    await this.connection(probeOf(door, lastsMs), proxy, signal);
  }

  /** So many clients come within moments, most of them of one project. */
  async burst(count: number, random: SeededRandom, signal: AbortSignal): Promise<void> {
    const projects = random.chance(0.5) ? ["team-a", "team-b", "team-c"] : ["team-a", undefined, "team-b"];
    const [most, ...others] = projects;
    const buildMs = random.pick([500, 4_000, 15_000]);
    const withinMs = random.pick([0, 500, 8_000]);
    const comes = async (own: SeededRandom) => {
      await this.#pause(own.integer(0, withinMs));
      const project = own.chance(0.7) ? most : own.pick(others);
      const plan = queuerOf(this.plan, project, buildMs, own);
      for (let attempt = 0; attempt < 3 && !signal.aborted; attempt++) {
        const proxy = this.pick(own);
        if (proxy === undefined) return;
        const ending = await this.connection(plan, proxy, signal);
        if (ending === "served" || ending === "left") return;
        await this.#pause(own.integer(500, 1_500));
      }
    };
    await Promise.all(Array.from({ length: count }, () => comes(random.fork())));
  }

  /** One connection, watched from accept to its end. */
  async connection(
    plan: Omit<Progress["plan"], "id">,
    proxy: ProxyProcess,
    signal: AbortSignal,
  ): Promise<Ending> {
    const progress: Progress = {
      plan: { ...plan, id: ++this.#clients },
      conn: undefined,
      served: false,
      told: undefined,
    };
    const { name } = proxy.machine;
    const startedMs = this.time.nowMs();
    let over = false;
    const look = (asked: number) => {
      if (progress.served || over || !this.judge.mayWait(progress, proxy, startedMs, asked)) return;
      const next = proxy.machine.stopped ? asked : asked + 1;
      this.time.setTimer(limitMs, () => look(next));
    };
    this.judge.begins(progress, proxy);
    const limitMs = this.judge.longestWaitMs(progress.plan, proxy) * this.judge.slack + 30_000;
    if (plan.watches === undefined && !plan.isProbe) this.time.setTimer(limitMs, () => look(0));
    this.trace(`client${progress.plan.id}`, `connects to ${name}:${plan.door.port}, ${kindOf(plan)}`);
    const ending = await runConnection(progress, name, this.network.of(this.outside), this.time, signal);
    over = true;
    this.judge.ended(progress, proxy, ending, startedMs);
    return ending;
  }

  /** What the world looks like, for a failure. */
  describe(): string {
    const proxies = this.alive.map(({ machine, held, open, stopping, path }) =>
      `${machine.name}${machine.stopped ? " stands still" : ""}${stopping ? " stopping" : ""} ` +
      `(api ${path.state}, ${held} held, ${open} open)`
    );
    const leases = this.leases.map(({ metadata }) => metadata.name);
    const pods = this.cluster.pods.map(({ metadata, status }) => `${metadata.name} ${status?.phase}`);
    const counts = this.cluster.sets.map((set) => set.exists ? set.replicas : "absent");
    return `replicas [${counts}], pods [${pods}], leases [${leases}], proxies [${proxies}]`;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.time.setTimer(ms, resolve));
  }

  /** Runs the whole program on simulated ports. */
  #run(proxy: ProxyProcess): void {
    const { machine, path, podUid } = proxy;
    const { name } = machine;
    const own = this.network.of(machine);
    runApp(proxy.settings, {
      onPlan: (record) => this.judge.planned(proxy, record),
      version: "0.0.0",
      runtime: "simulated",
      log: logTo((level, code, fields) => {
        this.trace(name, `${level} ${code} ${JSON.stringify(fields)}`);
        if (code === "ready") this.#ready(proxy, fields as { builder?: string });
        if (code === "builder_kept_awake") {
          const { builder, forMs } = fields as { builder: string; forMs: number };
          proxy.keptUntilMs.set(builder, this.time.nowMs() + forMs / this.judge.slack);
        }
        // No fault answers like that: the Event itself was wrong.
        if (code === "event_write_failed" && /HTTP 4(00|22)/.test(`${fields.cause}`)) {
          this.fail(`${name} writes an Event that is refused: ${fields.cause}`);
        }
      }),
      clock: machine,
      random: this.random(`${name} program`).next,
      network: {
        listen: ({ port }) => own.listen({ hostname: name, port }),
        connect: async (address, signal) => {
          this.moments.happens("dial", proxy);
          const end = await own.connect(address, signal) as End;
          end.seatedMs = this.time.nowMs();
          const membership = proxy.memberships.get(this.daemons.setAt(address) ?? "");
          end.observed = membership?.observed ?? Infinity;
          end.seatedCutOff = membership?.cutOff ?? false;
          return end;
        },
      },
      serveAdmin: (addr) => ({ addr, close: () => Promise.resolve() }),
      metrics: {
        record: (metric, value, labels) => this.judge.measured(proxy, metric, value, labels),
        expectBuilders: () => {},
        text: () => Promise.resolve(""),
      },
      readText: () => Promise.reject(new Error("There are no files")),
      loadCluster: () =>
        Promise.resolve({
          server: new URL("http://api.invalid"),
          source: "simulation",
          namespace: this.cluster.namespace,
          podUid,
          http: path,
          authenticate: () => Promise.resolve({}),
          refresh: () => Promise.resolve(),
          renew: () => Promise.resolve(false),
        }),
      stop: { drain: proxy.drain.signal, now: proxy.now.signal },
    }).then(() => this.#exited(proxy, undefined), (error) => this.#exited(proxy, error));
  }

  #ready(proxy: ProxyProcess, { builder = this.cluster.name }: { readonly builder?: string }): void {
    proxy.ready = true;
    const membership = proxy.memberships.get(builder);
    if (membership !== undefined) membership.readyMs = this.time.nowMs();
  }

  #exited(proxy: ProxyProcess, error: unknown): void {
    if (proxy.ended) return;
    proxy.ended = true;
    this.trace(proxy.machine.name, `has ended ${error === undefined ? "" : describe(error)}`);
    this.network.killed(proxy.machine);
    proxy.path.kill();
    this.judge.exited(proxy, error);
  }

  #requested(proxy: ProxyProcess, { method, url, body }: HttpRequest): void {
    const { pathname, searchParams } = url;
    if (method !== "GET" && pathname.endsWith("/scale") && proxy.settings.observe) {
      this.fail(`${proxy.machine.name} only observes, and writes a count`);
    }
    if (method === "PUT" && pathname.endsWith("/scale") && !searchParams.has("dryRun")) {
      this.moments.happens("lower", proxy);
      this.judge.lowering();
    }
    if (!pathname.includes("/leases")) return;
    if (method === "PUT" && body?.includes('\\"announcement\\":{')) {
      this.moments.happens("announce", proxy);
      this.judge.lowering();
    }
    if (method !== "POST" || !body?.includes("-proxy-")) return;
    const { name, labels }: KubeObject["metadata"] = JSON.parse(body).metadata;
    const membership = proxy.memberships.get(labels?.[STATEFULSET_LABEL] ?? "");
    if (membership !== undefined) membership.record = name;
  }
}

function parsed(settings: SettingsText): Settings {
  const all = { listenAddr: ":8080", upstream: "slices", ...settings };
  return parseSettings({ flags: new Map(Object.entries(all) as [SettingKey, string][]), variables: {} });
}
