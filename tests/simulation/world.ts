/**
 * The simulated world: the miniature cluster, one to four proxies (the whole program each) and clients, on one virtual
 * clock, from one seed; and the checks of what must hold after each step.
 *
 * @module
 */
import { type AppPorts, runApp } from "../../lib/app.ts";
import { messageOf } from "../../lib/base/errors.ts";
import { logTo } from "../../lib/base/log.ts";
import { parseSettings, type SettingKey, type Settings } from "../../lib/config/settings.ts";
import { MiniatureCluster } from "../../lib/demo/miniature_cluster.ts";
import { type KubeObject, LEASES, PODS, STATEFULSETS } from "../../lib/demo/objects.ts";
import type { StoreEvent } from "../../lib/demo/store.ts";
import { type SeededRandom, seededRandom } from "../support/seeded_random.ts";
import { ApiPath, type Fate, type PathState } from "./api_path.ts";
import { connectionsOf, type Pattern, type Progress, runConnection } from "./clients.ts";
import { clientOf, type End, SimulatedNetwork } from "./network.ts";
import { type Daemon, Daemons } from "./pods.ts";
import { Machine, WorldTime } from "./time.ts";

/** Something that must hold did not. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** How a run is set up: all of it drawn from the seed but for what is switched off. */
export interface Plan {
  readonly seed: number;
  readonly proxies: number;
  readonly durationMs: number;
  readonly clients: number;
  readonly settings: Readonly<Partial<Record<SettingKey, string>>>;
}

/** One proxy: one process of the whole program. */
export interface ProxyProcess {
  readonly machine: Machine;
  readonly path: ApiPath;
  readonly podUid: string;
  /** Its record's name, once it has written one. */
  record: string | undefined;
  /** When its record was last written, true ms. */
  recordedMs: number;
  /** Its record was deleted by hand, and it has not written it again. */
  unrecorded: boolean;
  /** Why it was not heard of for too long, and the StatefulSet's version when it was again. */
  exposed: { readonly why: string; readonly version: string } | undefined;
  /** Why the others may not have heard of it lately, and until when that lasted; Infinity if it still does. */
  impairedUntilMs: number;
  /** How many of those reasons last. */
  impairments: number;
  /** Until when it was cut off from the pods, true ms. */
  podsCutOffMs: number;
  /** It has said that it is ready. */
  ready: boolean;
  /** It was killed. */
  killed: boolean;
  /** It was told to stop. */
  stopping: boolean;
  /** It was told to end at once, or its drain timeout may have passed. */
  cuts: boolean;
  /** It has ended, by itself or not. */
  ended: boolean;
  held: number;
  open: number;
  replicasDesired: number;
  readonly drain: AbortController;
  readonly now: AbortController;
}

/** What a run has seen. */
export interface Report {
  sessions: number;
  served: number;
  lostToFaults: number;
  scaleUps: number;
  scaleDowns: number;
  /** Sessions that a named exception has exposed, by its name. */
  readonly exceptions: Record<string, number>;
  readonly faults: Record<string, number>;
}

/** How requests and packets fare now: set by the faults. */
export interface Weather {
  latencyMs: () => number;
  apiLatencyMs: () => number;
  slice: (bytes: number) => number;
  /** The first that has something to say decides. */
  readonly fates: Set<(proxy: ProxyProcess, method: string, path: string) => Fate | undefined>;
}

const LINES_KEPT = 400;

/** A rule that is broken on purpose. */
export interface Mutation {
  /** Changes what a proxy sends and gets. */
  readonly path?: (path: ApiPath, proxy: ProxyProcess) => void;
  /** Changes the proxy's clock, as it sees it. */
  readonly ports?: (ports: AppPorts, world: World) => AppPorts;
  /** Patches the program; returns what undoes it. */
  readonly patch?: () => () => void;
}

/** See the module's comment. */
export class World {
  readonly time = new WorldTime();
  readonly network: SimulatedNetwork;
  readonly cluster: MiniatureCluster;
  readonly daemons: Daemons;
  readonly proxies: ProxyProcess[] = [];
  readonly plan: Plan;
  readonly settings: Settings;
  readonly report: Report = {
    sessions: 0,
    served: 0,
    lostToFaults: 0,
    scaleUps: 0,
    scaleDowns: 0,
    exceptions: {},
    faults: {},
  };
  /** Clocks may drift further than the margins allow: only that everything settles is asserted. */
  lenient = false;
  /** Faults may happen. */
  faulty = true;
  readonly weather: Weather;
  /** The last lines of the trace. */
  readonly lines: string[] = [];
  readonly mutation: Mutation;
  violation: Violation | undefined;
  #hash = 0x811c9dc5;
  readonly #print: ((line: string) => void) | undefined;
  /** Where clients run. */
  readonly outside: Machine;
  /** How much longer pods take to start, in ms. */
  podDelayMs = 0;
  /** How the API server is to be reached by everybody. */
  outage: PathState = "open";
  /** Pods that somebody else's write, a fault or a person has doomed: by uid. */
  readonly doomed = new Set<string>();
  /** Pods that a write of ours has removed: by uid. */
  readonly #removed = new Set<string>();
  #byHand = false;
  readonly #connections = new Map<number, Progress>();
  readonly #excused = new Map<number, string>();
  /** Sessions that a named exception has exposed. */
  readonly #exempt = new Set<number>();
  #podEndedMs = -Infinity;
  #atMoment: (() => void)[] = [];
  #numbers = 0;
  #born = 0;
  /** The clock rate of the next proxy. */
  rate: () => number = () => 1;
  readonly #randoms: (name: string) => SeededRandom;

  constructor(plan: Plan, options: { print?: (line: string) => void; mutation?: Mutation } = {}) {
    this.plan = plan;
    this.#print = options.print;
    this.mutation = options.mutation ?? {};
    this.#randoms = (name) => seededRandom(plan.seed ^ hashOf(name));
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
    this.network.onBroken = (end) => this.excuse(clientOf(end), "connection");
    this.daemons = new Daemons({
      network: this.network.of(new Machine("pods", this.time)),
      clock: this.time,
      warmUpMs: () => pods.integer(0, 3_000) * (pods.chance(0.1) ? 10 : 1),
      onStop: (daemon) => this.#podStops(daemon),
      onEnd: (daemon) => this.#podEnds(daemon),
    });
    this.cluster = new MiniatureCluster({
      clock: this.time,
      runtime: this.daemons,
      targetPort: 8372,
      gracePeriodSeconds: 30,
      startMs: () => pods.integer(50, 3_000) + this.podDelayMs,
      probeMs: () => pods.integer(0, 3_000),
      restartMs: () => pods.integer(500, 5_000),
      reactionMs: () => pods.integer(1, pods.chance(0.1) ? 1_500 : 20),
      publishNotReadyAddresses: pods.chance(0.5),
    });
    this.cluster.api.registry.store.subscribe((event) => this.#stored(event));
    this.settings = parseSettings({
      flags: new Map(Object.entries({ listenAddr: ":8080", ...plan.settings }) as [SettingKey, string][]),
      variables: {},
    });
  }

  /** A source of chance of its own for each purpose: one that is switched off changes no other. */
  random(name: string): SeededRandom {
    return this.#randoms(name);
  }

  /** The hash of everything that has happened. */
  get hash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }

  /** One line of the trace. */
  trace(who: string, what: string): void {
    const line = `${(this.time.nowMs() - 1_000_000).toFixed(1).padStart(10)} ${who}: ${what}`;
    for (let i = 0; i < line.length; i++) {
      this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193) >>> 0;
    }
    this.#print?.(line);
    this.lines.push(line);
    if (this.lines.length > 2 * LINES_KEPT) this.lines.splice(0, LINES_KEPT);
  }

  /** Something that must hold does not. The first is kept, and ends the run. */
  fail(what: string): void {
    if (this.violation !== undefined) return;
    this.trace("VIOLATION", what);
    this.violation = new Violation(what);
  }

  /** A fault happens. */
  fault(name: string, what: string): void {
    this.report.faults[name] = (this.report.faults[name] ?? 0) + 1;
    this.trace("fault", `${name}: ${what}`);
  }

  /** Starts a proxy. */
  start({ podUid, rate = this.rate() }: { podUid?: string; rate?: number } = {}): ProxyProcess {
    const number = ++this.#born;
    const name = `proxy${number}`;
    const machine = new Machine(name, this.time, rate);
    const path = new ApiPath(this.cluster.api, this.time, machine, {
      latencyMs: () => this.weather.apiLatencyMs(),
      fate: ({ method, url }) => {
        for (const draw of this.weather.fates) {
          const fate = draw(proxy, method, url.pathname);
          if (fate !== undefined) return fate;
        }
        return undefined;
      },
      arrivesAnyway: () => arrives.chance(0.7),
    });
    const arrives = this.random(`${name} arrives`);
    const random = this.random(`${name} program`);
    const proxy: ProxyProcess = {
      machine,
      path,
      podUid: podUid ?? `pod-${number}`,
      record: undefined,
      recordedMs: -Infinity,
      unrecorded: false,
      exposed: undefined,
      impairedUntilMs: -Infinity,
      impairments: 0,
      podsCutOffMs: -Infinity,
      ready: false,
      killed: false,
      stopping: false,
      cuts: false,
      ended: false,
      held: 0,
      open: 0,
      replicasDesired: 0,
      drain: new AbortController(),
      now: new AbortController(),
    };
    path.tamper.request = (request) => {
      this.#noteRequest(proxy, request.method, request.url.pathname, request.body);
      return request;
    };
    path.set(this.outage);
    this.mutation.path?.(path, proxy);
    this.proxies.push(proxy);
    this.trace(name, `starts in ${proxy.podUid}`);
    const own = this.network.of(machine);
    const ports: AppPorts = {
      version: "0.0.0",
      runtime: "simulated",
      log: logTo((level, event, fields) => {
        this.trace(name, `${level} ${event} ${JSON.stringify(fields)}`);
        if (event === "ready") proxy.ready = true;
      }),
      clock: machine,
      random: random.next,
      network: {
        listen: ({ port }) => own.listen({ hostname: name, port }),
        connect: (address, signal) => own.connect(address, signal),
      },
      serveAdmin: (addr) => ({ addr, close: () => Promise.resolve() }),
      metrics: {
        record: (metric, value) => this.#measured(proxy, metric, value),
        text: () => Promise.resolve(""),
      },
      loadCluster: () =>
        Promise.resolve({
          server: new URL("http://api.invalid"),
          source: "simulation",
          namespace: this.cluster.namespace,
          podUid: proxy.podUid,
          http: path,
          authenticate: () => Promise.resolve({}),
          refresh: () => {},
        }),
      stop: { drain: proxy.drain.signal, now: proxy.now.signal },
    };
    runApp(this.settings, this.mutation.ports?.(ports, this) ?? ports).then(
      () => this.#exited(proxy, undefined),
      (error) => this.#exited(proxy, error),
    );
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
    const { shutdownDelayMs, drainTimeoutMs } = this.settings;
    const cutsInMs = drainTimeoutMs === 0 ? Infinity : (shutdownDelayMs + drainTimeoutMs) * 0.9;
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

  /** One of those that live. */
  pick(random: SeededRandom): ProxyProcess | undefined {
    const { alive } = this;
    return alive.length === 0 ? undefined : random.pick(alive);
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

  get leases(): KubeObject[] {
    return this.cluster.api.registry.store.list(LEASES, this.cluster.namespace);
  }

  /** Something was done to the session of this client: whatever happens to it now is no wonder. */
  excuse(client: number | undefined, why: string): void {
    if (client !== undefined && !this.#excused.has(client)) this.#excused.set(client, why);
  }

  /** Whatever happens to the sessions on this connection is no wonder. */
  excusePair(end: End): void {
    this.excuse(clientOf(end), "connection");
    this.excuse(clientOf(end.pair.other(end)), "connection");
  }

  /** One client, with all its connections. */
  async client(pattern: Pattern, random: SeededRandom, signal: AbortSignal): Promise<void> {
    let served = false;
    for (const plan of connectionsOf(pattern, random, () => served)) {
      for (let attempt = 0;; attempt++) {
        const proxy = this.pick(random);
        if (proxy === undefined || attempt > 20) return;
        const ending = await this.connection({ ...plan, id: ++this.#numbers }, proxy, signal);
        served = ending === "served";
        if (served || (ending === "left" && pattern === "earth")) break;
        if (ending === "left" || signal.aborted) return;
        await this.#pause(random.integer(500, 1_500));
      }
      if (signal.aborted) return;
      if (!served) await this.#pause(1_000);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.time.setTimer(ms, resolve));
  }

  /** One connection, watched from accept to its end. */
  async connection(plan: Progress["plan"], proxy: ProxyProcess, signal: AbortSignal) {
    const progress: Progress = { plan, conn: undefined, connectedMs: 0, served: false };
    this.#connections.set(plan.id, progress);
    const { machine } = proxy;
    const { readyWaitTimeoutMs } = this.settings;
    const startedMs = this.time.nowMs();
    let late = 0;
    const watch = () => {
      if (progress.served || !this.#connections.has(plan.id)) return;
      const stood = machine.stopped || Math.max(machine.lastStoppedMs, proxy.podsCutOffMs) > startedMs;
      if (proxy.ended || this.#excused.has(plan.id) || progress.conn?.pair.broken) return;
      if (stood && late++ < 3) return void this.time.setTimer(limitMs, watch);
      if (progress.conn?.pair.isCut) return void this.time.setTimer(limitMs, watch);
      this.fail(`Client ${plan.id} at ${machine.name} waits for longer than the ready-wait timeout`);
    };
    // Clocks may be wrong.
    const slack = this.lenient ? 1.5 : 1.05;
    const limitMs = readyWaitTimeoutMs * slack + 30_000;
    this.time.setTimer(limitMs, watch);
    this.trace(`client${plan.id}`, `connects to ${machine.name}`);
    const ending = await runConnection(
      progress,
      machine.name,
      this.network.of(this.outside),
      this.time,
      signal,
    );
    this.#connections.delete(plan.id);
    const excuse = this.#excused.get(plan.id) ??
      (proxy.killed ? "proxy killed" : progress.conn?.pair.broken ? "connection" : undefined);
    this.trace(`client${plan.id}`, `${ending}${excuse === undefined ? "" : ` (${excuse})`}`);
    if (ending !== "refused") this.report.sessions++;
    if (ending === "served") this.report.served++;
    if (ending === "corrupt") this.fail(`Client ${plan.id} got other bytes than it has sent`);
    if (ending === "broken" || ending === "not_served") {
      const waitedMs = (this.time.nowMs() - startedMs) * slack;
      const timedOut = ending === "not_served" &&
        (waitedMs >= readyWaitTimeoutMs || machine.lastStoppedMs > startedMs ||
          proxy.podsCutOffMs > startedMs);
      // Its session may have been on that pod before its first bytes came.
      const podEnded = ending === "not_served" && this.#podEndedMs > startedMs;
      if (excuse !== undefined || timedOut || podEnded || proxy.cuts) this.report.lostToFaults++;
      else this.fail(`Client ${plan.id} at ${machine.name} was cut (${ending}), and no fault has done it`);
    }
    return ending;
  }

  /** Calls `look` at the next moment in which a scale-down is about to happen; once. */
  atMoment(look: () => void): void {
    this.#atMoment.push(look);
  }

  #moment(): void {
    const looks = this.#atMoment;
    this.#atMoment = [];
    for (const look of looks) look();
  }

  #exited(proxy: ProxyProcess, error: unknown): void {
    if (proxy.ended) return;
    proxy.ended = true;
    this.trace(proxy.machine.name, `has ended ${error === undefined ? "" : describe(error)}`);
    this.network.killed(proxy.machine);
    proxy.path.kill();
    const alone = describe(error).includes("without the right to Leases");
    if (error !== undefined && !alone) this.fail(`${proxy.machine.name} has failed: ${describe(error)}`);
    if (error === undefined && proxy.open > 0 && !proxy.cuts) {
      this.fail(`${proxy.machine.name} has left sessions`);
    }
    if (!proxy.stopping && error === undefined) this.fail(`${proxy.machine.name} has ended by itself`);
  }

  #noteRequest(proxy: ProxyProcess, method: string, path: string, body: string | undefined): void {
    const lowers = method === "PUT" && path.endsWith("/scale");
    if (lowers || (path.includes("/leases/") && body?.includes('\\"announcement\\":{'))) this.#moment();
    if (method === "POST" && path.endsWith("/leases") && body?.includes("-proxy-")) {
      proxy.record = JSON.parse(body).metadata.name;
    }
  }

  #measured(proxy: ProxyProcess, metric: string, value: number): void {
    if (metric === "sessions_held") proxy.held = value;
    if (metric === "sessions_open") proxy.open = value;
    if (metric !== "replicas_desired") return;
    proxy.replicasDesired = value;
    const need = Math.max(
      0,
      ...this.#sessionsOf(proxy).map(({ daemon }) => daemon.pod.ordinal + 1),
    );
    if (value < need) {
      this.fail(`${proxy.machine.name} wants ${value} replicas, and its sessions need ${need}`);
    }
  }

  /** Connections that carry a client's bytes to a daemon that runs, as far as both ends know. */
  #sessionsOf(proxy?: ProxyProcess): { client: number; proxy: ProxyProcess; daemon: Daemon; end: End }[] {
    const found = [];
    for (const { ends: [dialler, listener] } of this.network.pairs) {
      if (dialler.over || listener.over || dialler.machine.dead) continue;
      if (proxy !== undefined && dialler.machine !== proxy.machine) continue;
      const client = clientOf(dialler);
      const owner = this.proxies.find(({ machine }) => machine === dialler.machine);
      if (client === undefined || owner === undefined) continue;
      const daemon = this.daemons.byAddress.get(dialler.remoteAddr.hostname);
      if (daemon?.alive) found.push({ client, proxy: owner, daemon, end: dialler });
    }
    return found;
  }

  #stored({ resource, before, after }: StoreEvent): void {
    if (resource === STATEFULSETS) {
      const { resourceVersion = "" } = before?.metadata ?? {};
      this.#scaled(before?.spec.replicas ?? 0, after?.spec.replicas ?? 0, resourceVersion);
    } else if (resource === LEASES) this.#recorded(before, after);
    else if (resource === PODS) {
      const uid = after?.metadata.uid ?? before?.metadata.uid;
      const gone = after?.metadata.deletionTimestamp !== undefined &&
        before?.metadata.deletionTimestamp === undefined;
      if (gone) this.trace("cluster", `pod ${after.metadata.name} ${uid?.slice(-3)} is deleted`);
    }
  }

  #scaled(before: number, after: number, version: string): void {
    if (after === before) return;
    const whose = this.#byHand ? "by hand" : "by a proxy";
    this.trace("cluster", `replicas ${before} -> ${after} ${whose}`);
    if (!this.#byHand) this.report[after > before ? "scaleUps" : "scaleDowns"]++;
    for (const { metadata: { uid, name } } of this.cluster.pods) {
      const ordinal = Number(name.split("-").at(-1));
      if (ordinal < after) continue;
      if (this.#byHand) this.doomed.add(uid);
      else this.#removed.add(uid);
    }
    if (this.#byHand || after > before) return;
    for (const { client, proxy, daemon } of this.#sessionsOf()) {
      const { ordinal } = daemon.pod;
      if (ordinal < after || ordinal >= before) continue;
      this.#exposed(client, proxy, `A write of ours (${before} -> ${after}) removes the pod`, version);
    }
  }

  /** A session of a live proxy is on a pod that our write has removed. */
  #exposed(client: number, proxy: ProxyProcess, what: string, version?: string): void {
    if (this.#exempt.has(client)) return;
    const why = this.lenient
      ? "clocks beyond the margin"
      : this.#unheard(proxy) ?? (proxy.exposed?.version === version ? proxy.exposed?.why : undefined);
    if (why === undefined) {
      return this.fail(`${what} of client ${client}, whose proxy ${proxy.machine.name} lives`);
    }
    this.excuse(client, why);
    this.#exempt.add(client);
    this.report.exceptions[why] = (this.report.exceptions[why] ?? 0) + 1;
    this.trace("exception", `${what} of client ${client} of ${proxy.machine.name}: ${why}`);
  }

  /** By which of the named exceptions the others do not know of a proxy now. */
  #unheard(proxy: ProxyProcess): string | undefined {
    if (proxy.unrecorded) return "record deleted by hand";
    const silentMs = this.time.nowMs() - proxy.recordedMs;
    const long = silentMs >= this.settings.recordExpiryMs * 0.85 && proxy.impairedUntilMs > proxy.recordedMs;
    return long ? "not heard of for longer than the expiry" : undefined;
  }

  #podStops(daemon: Daemon): void {
    this.trace("cluster", `daemon ${daemon.pod.name} ${daemon.pod.uid.slice(-3)} is told to stop`);
    for (const { client, proxy, daemon: own } of this.#sessionsOf()) {
      if (own !== daemon) continue;
      if (this.doomed.has(daemon.pod.uid)) this.excuse(client, "pod removed by somebody else");
      else if (this.#removed.has(daemon.pod.uid)) {
        this.#exposed(client, proxy, "The scale-down that has landed stops the pod");
      }
    }
  }

  #podEnds(daemon: Daemon): void {
    this.trace("cluster", `daemon ${daemon.pod.name} ${daemon.pod.uid.slice(-3)} ends`);
    if (this.#removed.has(daemon.pod.uid) && !this.doomed.has(daemon.pod.uid)) return;
    this.#podEndedMs = this.time.nowMs();
    for (const pair of this.network.pairs) {
      const [dialler] = pair.ends;
      if (dialler.remoteAddr.hostname !== daemon.pod.address.hostname) continue;
      pair.broken = true;
      this.excuse(clientOf(dialler), "pod ended");
    }
  }

  #recorded(before: KubeObject | undefined, after: KubeObject | undefined): void {
    const name = (after ?? before)?.metadata.name;
    const proxy = this.proxies.find(({ record }) => record === name);
    if (proxy === undefined) return;
    if (after !== undefined) {
      // A write that was agreed on meanwhile lands only as long as nothing else has changed.
      const why = this.#unheard(proxy);
      const version: string = this.cluster.statefulSet.metadata.resourceVersion ?? "";
      if (why !== undefined) proxy.exposed = { why, version };
      proxy.recordedMs = this.time.nowMs();
      proxy.unrecorded = false;
    } else if (this.#byHand) proxy.unrecorded = true;
  }

  /** What the world looks like, for a failure. */
  describe(): string {
    const proxies = this.alive.map(({ machine, held, open, stopping, path }) =>
      `${machine.name}${machine.stopped ? " stands still" : ""}${
        stopping ? " stopping" : ""
      } (api ${path.state}, ` +
      `${held} held, ${open} open)`
    );
    const leases = this.leases.map(({ metadata }) => metadata.name);
    const pods = this.cluster.pods.map(({ metadata, status }) => `${metadata.name} ${status?.phase}`);
    return `replicas ${this.cluster.replicas}, pods [${pods}], leases [${leases}], proxies [${proxies}]`;
  }
}

function describe(error: unknown): string {
  if (error === undefined) return "";
  const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : "";
  return `${messageOf(error)}${cause}`;
}

function hashOf(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}
