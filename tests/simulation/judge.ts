/**
 * What must hold after each step, and what is no wonder: knows what faults have done to whom, and finds the session that
 * was cut, the client that was lost and the need that was not met although no fault has done it. It changes nothing.
 *
 * The named exceptions (docs/several-proxies.md) are counted, not failed: a proxy that the others could not hear of for
 * longer than the expiry of its record, or whose record somebody has deleted, exposes the sessions that it has.
 *
 * @module
 */
import { messageOf } from "../../lib/base/errors.ts";
import type { PoolSettings } from "../../lib/config/builders.ts";
import type { MiniatureCluster } from "../../lib/miniature/miniature_cluster.ts";
import { type KubeObject, LEASES, PODS, STATEFULSETS } from "../../lib/miniature/objects.ts";
import { ordinalOf, setNameOf } from "../../lib/miniature/pods.ts";
import type { StoreEvent } from "../../lib/miniature/store.ts";
import { choiceOf, type ClientChoice } from "./client_choice.ts";
import type { Ending, Plan as ClientPlan, Progress } from "./clients.ts";
import type { End } from "./connection.ts";
import type { Moments } from "./moments.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { Plan } from "./plan.ts";
import type { Daemon, Daemons } from "./pods.ts";
import { LINGER_MS } from "../../lib/proxy/goodbye.ts";
import type { PlanRecord } from "../../lib/route/pool_parts.ts";
import { type BuilderNow, type Now, PromptJudge, type WaitingClient } from "./prompt_judge.ts";
import { faultOfPlan } from "./route_judge.ts";
import { SurplusJudge } from "./surplus_judge.ts";
import type { Exposure, Membership, ProxyProcess } from "./proxy_process.ts";
import type { WorldTime } from "./time.ts";
import { TurnJudge } from "./turn_judge.ts";
import { UsablePods } from "./usable_pods.ts";

/** What a run has seen. */
export interface Report {
  sessions: number;
  served: number;
  lostToFaults: number;
  /** HTTP/2 clients that were told why they are not served. */
  toldWhy: number;
  scaleUps: number;
  scaleDowns: number;
  /** Sessions that a named exception has exposed, by its name. */
  readonly exceptions: Record<string, number>;
  readonly faults: Record<string, number>;
}

/** A client's bytes on their way from a proxy to a daemon. */
interface Carried {
  readonly client: number;
  readonly proxy: ProxyProcess;
  readonly daemon: Daemon;
  readonly end: End;
}

/** A proxy lapses a tenth before its record expires; so much of the expiry later it has, whatever its clock says. */
const LAPSED_PART = 0.95;

/** From so much of the expiry on the others may take a proxy for dead, whatever their clocks say. */
const EXPOSED_PART = 0.85;

/** How a client that is not served in time is told so: gRPC's DEADLINE_EXCEEDED. */
const TIMED_OUT = { status: "4", message: /^buildkitd did not become ready in / };

/** How a client that was queued for too long is told so: gRPC's RESOURCE_EXHAUSTED. */
const QUEUED_OUT = { status: "8", message: /; (none had|it had no) room in .* \(--queue-timeout\)$/ };

/** How a client is told that too many wait: gRPC's RESOURCE_EXHAUSTED, or HTTP's 503. */
const HELD_OUT = /waiting sessions is reached \(--max-held\)$/;

/** A pod that could serve for so much of the ready-wait timeout serves: a builder that is stuck is left after half. */
const USABLE_PART = 0.45;

/** By then a proxy knows the first call of a client, or takes it for one that makes none. */
const FIRST_CALL_MS = 6_000;

/** A connection of the same trace that comes so soon after another, in ms, goes where that went. */
const SIBLING_MS = 50_000;

/** For so long after an announcement others may promise what it asks for: the leader's patience, in ms. */
const ANSWERS_MS = 10_000;

/** By then the watchers of a pod that was told to stop have been ended, in ms. */
const WATCHERS_END_MS = 5_000;

/** So many clients may wait at a time in a run: a lower limit may be reached. */
const FEW_HELD = 100;

/** Those who wait are looked at this often, in ms. */
const LOOK_MS = 1_000;

/** What the judge sees of the world, and how it tells what it has found. */
export interface Judged {
  readonly time: WorldTime;
  readonly network: SimulatedNetwork;
  readonly cluster: MiniatureCluster;
  readonly daemons: Daemons;
  readonly proxies: readonly ProxyProcess[];
  /** Of proxies, as they stand in the store. */
  readonly records: readonly KubeObject[];
  readonly plan: Plan;
  readonly moments: Moments;
  /** One line of the trace. */
  trace(who: string, what: string): void;
  /** Something that must hold does not. */
  fail(what: string): void;
}

/** See the module's comment. */
export class Judge {
  readonly report: Report = {
    sessions: 0,
    served: 0,
    lostToFaults: 0,
    toldWhy: 0,
    scaleUps: 0,
    scaleDowns: 0,
    exceptions: {},
    faults: {},
  };
  /** Which pods can take sessions. */
  readonly usable = new UsablePods();
  /** No fault keeps a proxy from what it has to know in this run. */
  seesClearly = false;
  /** Clocks may drift further than the margins allow: only that everything settles is asserted. */
  lenient = false;
  /** Pods that somebody else's write, a fault or a person has doomed: by uid. */
  readonly doomed = new Set<string>();
  /** Pods that a write of ours has removed, by uid: when that was sent, true ms. */
  readonly #removed = new Map<string, number>();
  /** When a pod was first told to stop, by uid, true ms. */
  readonly #stoppedMs = new Map<string, number>();
  /** Where the last connection of each trace went, by proxy and trace, and when, true ms. */
  readonly #traces = new Map<string, { readonly set: string; readonly placedMs: number }>();
  /** By StatefulSet: when the writes of its count were sent that have arrived and are not answered yet, true ms. */
  readonly #arriving = new Map<string, number[]>();
  /** Why whatever happens to a client is no wonder. */
  readonly #excused = new Map<number, string>();
  /** Sessions that a named exception has exposed. */
  readonly #exempt = new Set<number>();
  /** Clients whose bytes have gone to a daemon. */
  readonly #seated = new Set<number>();
  /** When a named exception has last cost a proxy a session whose first bytes had not come yet, true ms. */
  readonly #exposedMs = new Map<ProxyProcess, number>();
  readonly #dirty = new Set<ProxyProcess>();
  /** All clients so far. */
  readonly #clients = new Map<number, Progress>();
  readonly #surplus: SurplusJudge;
  readonly #prompt = new PromptJudge();
  readonly #turns = new TurnJudge();
  #lookedMs = 0;
  /** Since when a proxy has held clients and wanted no replicas, true ms. */
  readonly #wantsNothingSinceMs = new Map<ProxyProcess, number>();
  #podEndedMs = -Infinity;
  /** When something was last done about a lower count, true ms. */
  #loweringMs = -Infinity;
  readonly #world: Judged;

  /** Watches the world from now on. */
  constructor(world: Judged) {
    this.#world = world;
    this.#surplus = new SurplusJudge((set) => this.#idleTimeoutMs(set));
    world.network.onBroken = ({ client }) => this.excuse(client, "connection");
    world.network.onClient = (end) => this.#placed(end);
  }

  /** Something was done to the session of this client. */
  excuse(client: number | undefined, why: string): void {
    if (client !== undefined && !this.#excused.has(client)) this.#excused.set(client, why);
  }

  /** Something was done to the sessions on this connection. */
  excusePair(end: End): void {
    this.excuse(end.client, "connection");
    this.excuse(end.pair.other(end).client, "connection");
  }

  /** A connection begins. */
  begins(progress: Progress, proxy: ProxyProcess): void {
    this.#clients.set(progress.plan.id, progress);
    this.#prompt.begins(progress, proxy, this.#world.time.nowMs());
  }

  /** Of the first proxy: another one's is asked for by nobody. */
  #idleTimeoutMs(set: string): number {
    const [proxy] = this.#world.proxies;
    return poolOf(set, proxy!)?.idleTimeoutMs ?? Infinity;
  }

  /** Something was done about a lower count, by a leader or by somebody else: watchers may be told to go. */
  lowering(): void {
    this.#loweringMs = this.#world.time.nowMs();
  }

  /** After each step: what the proxies want is at least what they need. */
  step(): void {
    for (const [proxy, sinceMs] of this.#wantsNothingSinceMs) this.#look(proxy, sinceMs);
    this.#lookAtWaiting();
    if (this.#dirty.size === 0) return;
    for (const proxy of this.#dirty) {
      if (proxy.ended || proxy.machine.stopped || proxy.settings.observe) continue;
      this.#look(proxy, this.#world.time.nowMs());
      const { machine: { name }, memberships } = proxy;
      const carried = this.#carried(proxy);
      for (const [set, { desired }] of memberships) {
        const here = carried.filter(({ daemon: { pod } }) => setNameOf(pod.name) === set);
        const need = Math.max(0, ...here.map(({ daemon }) => daemon.pod.ordinal + 1));
        if (desired < need) {
          this.#fail(`${name} wants ${desired} replicas of ${set}, and its sessions need ${need}`);
        }
      }
    }
    this.#dirty.clear();
  }

  /** Clients that wait beside room, as far as a proxy that sees clearly can tell. */
  #lookAtWaiting(): void {
    const nowMs = this.#world.time.nowMs();
    if (nowMs - this.#lookedMs < LOOK_MS || !this.#prompt.isNeeded) return;
    this.#lookedMs = nowMs;
    const outOfTurn = this.#turns.look(nowMs, (client) => this.#prompt.waits(client));
    if (outOfTurn !== undefined) this.#fail(`It is not its turn: ${outOfTurn}`);
    if (!this.#isPromptnessClear) return this.#prompt.forget();
    const fault = this.#prompt.look(this.#now(), nowMs);
    if (fault !== undefined) this.#fail(fault);
  }

  /** Whether a proxy knows all that is needed to serve at once. One that was killed seems to use builders by its record. */
  get #isPromptnessClear(): boolean {
    if (!this.seesClearly || this.lenient) return false;
    const { proxies, records } = this.#world;
    const names = new Set(records.map(({ metadata: { name } }) => name));
    return !proxies.some(({ ended, memberships }) =>
      ended && [...memberships.values()].some(({ record = "" }) => names.has(record))
    );
  }

  /** The cluster as it is. */
  #now(): Now {
    const { cluster, daemons } = this.#world;
    const loads = this.#mostLoads();
    const serving = new Set(
      [...daemons.byAddress.values()].filter(({ warm, stopping }) => warm && !stopping).map(({ pod }) =>
        pod.uid
      ),
    );
    const pods = this.usable.all
      .filter(({ uid }) => serving.has(uid))
      .map((pod) => ({ ...pod, mostLoad: loads.get(pod.name) ?? 0 }));
    return { pods, builders: this.#builders(cluster) };
  }

  /** The connections that may be load, by pod. Those that a proxy still has to an earlier pod of the same name are, too. */
  #mostLoads(): ReadonlyMap<string, number> {
    const { daemons, network } = this.#world;
    const loads = new Map<string, number>();
    for (const { ends: [dialler] } of network.pairs) {
      if (!dialler.mayBeLoad) continue;
      const name = daemons.byAddress.get(dialler.remoteAddr.hostname)?.pod.name ?? "";
      loads.set(name, (loads.get(name) ?? 0) + 1);
    }
    return loads;
  }

  #builders(cluster: MiniatureCluster): ReadonlyMap<string, BuilderNow> {
    const load = Map.groupBy(
      this.#carried().filter((it) => !this.#isSilent(it)),
      ({ daemon: { pod } }) => setNameOf(pod.name),
    );
    return new Map(cluster.sets.map((set) => {
      const { name, exists } = set;
      const isThere = exists && this.usable.hiddenUntilMs(name) < Infinity;
      const replicas = exists ? set.replicas : 0;
      const leastLoads = new Map<number, number>();
      for (const { daemon: { pod: { ordinal } } } of load.get(name) ?? []) {
        leastLoads.set(ordinal, (leastLoads.get(ordinal) ?? 0) + 1);
      }
      return [name, { name, isThere, replicas, leastLoads }];
    }));
  }

  /** A proxy that holds a client wants a pod, but for watchers, once it knows who they are. */
  #look(proxy: ProxyProcess, sinceMs: number): void {
    const { machine, memberships, held, ended } = proxy;
    if (this.#hasUnusable(proxy)) return void this.#wantsNothingSinceMs.delete(proxy);
    const wanted = [...memberships.values()].reduce((sum, { desired }) => sum + desired, 0);
    if (ended || machine.stopped || wanted > 0 || held - this.#queuedAt(proxy) <= this.#watchersAt(proxy)) {
      return void this.#wantsNothingSinceMs.delete(proxy);
    }
    if (this.#world.time.nowMs() - sinceMs >= FIRST_CALL_MS) {
      this.#fail(`${machine.name} wants no replicas, and it holds ${held} clients`);
    } else if (!this.#wantsNothingSinceMs.has(proxy)) this.#wantsNothingSinceMs.set(proxy, sinceMs);
  }

  /**
   * Whether there are clients for whom a proxy may want no pod: those whose home is cordoned while the other builders are too, or
   * cannot be read, of whose end it hears later.
   */
  #hasUnusable({ pools, settings: { overflow } }: ProxyProcess): boolean {
    const nowMs = this.#world.time.nowMs();
    return pools.some(({ builders }) =>
      builders.some(({ isCordoned }) => isCordoned) && (overflow === "never" ||
        builders.every(({ name, isCordoned }) =>
          isCordoned || this.usable.hiddenUntilMs(name) + FIRST_CALL_MS > nowMs
        ))
    );
  }

  /**
   * Those whom a proxy may have queued without a pod: the sessions in the records of others fill builders. Whose these are
   * calls for their pods, if it lives and hears of it.
   */
  #queuedAt({ queued }: ProxyProcess): number {
    return this.#world.proxies.length > 1 ? queued : 0;
  }

  /** Connections to a proxy that are watchers', or of which that cannot be told. */
  #watchersAt({ machine }: ProxyProcess): number {
    let count = 0;
    for (const { ends: [dialler, listener] } of this.#world.network.pairs) {
      if (listener.machine === machine && (dialler.client === undefined || this.#watches(dialler.client))) {
        count++;
      }
    }
    return count;
  }

  /** Whether a client watches, and has built nothing yet. */
  #watches(client: number): boolean {
    const progress = this.#clients.get(client);
    return progress?.plan.watches !== undefined && !progress.served;
  }

  /** A proxy has measured something. */
  measured(proxy: ProxyProcess, metric: string, value: number, labels: object): void {
    const { sets } = this.#world.cluster;
    const builder = "builder" in labels ? String(labels.builder) : sets[0].name;
    const membership = proxy.memberships.get(builder);
    if (metric === "sessions_held") proxy.held = value;
    else if (metric === "sessions_open") proxy.open = value;
    else if (metric === "sessions_queued") proxy.queued = value;
    else if (membership === undefined) return;
    else if (metric === "replicas_observed") membership.observed = value;
    else if (metric === "replicas_desired") membership.desired = value;
    else if (metric === "member_state" && "state" in labels && labels.state === "cut_off") {
      return void (membership.cutOff = value === 1);
    } else return;
    this.#dirty.add(proxy);
  }

  /**
   * Looks at a client that waits. True when it may go on waiting: then this is asked again. `asked` is how often that
   * was while its proxy was running: one that stands still can tell nobody anything, however long that lasts.
   */
  mayWait({ plan, conn }: Progress, proxy: ProxyProcess, startedMs: number, asked: number): boolean {
    if (proxy.ended || this.#excused.has(plan.id) || conn?.pair.broken) return false;
    if (proxy.machine.stopped || conn?.pair.isCut || (this.#stood(proxy, startedMs) && asked < 3)) {
      return true;
    }
    this.#fail(`Client ${plan.id} at ${proxy.machine.name} waits for longer than the ready-wait timeout`);
    return false;
  }

  /** How long a client may wait, in ms of the proxy's clock: in the queue, and for a pod. */
  longestWaitMs(client: ClientPlan, proxy: ProxyProcess): number {
    const { pool, limit } = choiceOf(client, proxy) ?? {};
    if (pool === undefined) return 0;
    return pool.readyWaitTimeoutMs + (limit === Infinity ? 0 : pool.queueTimeoutMs);
  }

  /** A client's connection has ended. */
  ended(progress: Progress, proxy: ProxyProcess, ending: Ending, startedMs: number): void {
    const { report } = this;
    const { plan: { id, watches }, conn, told, served } = progress;
    const excuse = this.#excused.get(id) ??
      (proxy.killed ? "proxy killed" : conn?.pair.broken ? "connection" : undefined);
    this.#world.trace(`client${id}`, `${ending}${excuse === undefined ? "" : ` (${excuse})`}`);
    if (ending !== "refused") report.sessions++;
    if (ending === "served") report.served++;
    if (told !== undefined) report.toldWhy++;
    const waited = this.#prompt.ends(id);
    if (progress.plan.isProbe) return;
    if (ending === "corrupt") this.#fail(`Client ${id} got other bytes than it has sent`);
    if (ending !== "broken" && ending !== "not_served" && ending !== "not_greeted") return;
    if (excuse !== undefined || proxy.cuts) return void report.lostToFaults++;
    // A scale-down may close it, and so may a proxy that is told to stop.
    if (watches !== undefined && !served && (proxy.stopping || this.#loweringMs > startedMs)) return;
    const where = `Client ${id} at ${proxy.machine.name}`;
    if (ending === "broken") return this.#fail(`${where} was cut, and no fault has done it`);
    report.lostToFaults++;
    // Its session may have been on that pod before its first bytes came.
    const podEndedMs = Math.max(this.#podEndedMs, this.#exposedMs.get(proxy) ?? -Infinity);
    if (podEndedMs > startedMs || this.#stood(proxy, startedMs)) return;
    if (ending === "not_greeted") {
      if (this.#seated.has(id)) return;
      return this.#fail(`${where} has got no sign of a server within the time that gRPC clients wait`);
    }
    const { plan } = progress;
    const choice = choiceOf(plan, proxy);
    // Nobody may serve it: it may be told so at once.
    if (choice === undefined || choice.may.length === 0) return;
    if (plan.wakesForSeconds !== undefined && proxy.settings.observe) return;
    if (this.#isHeldOut(progress, proxy, startedMs)) return this.#heldOut(where, proxy, waited);
    this.#notServed(progress, choice, proxy, where, startedMs);
  }

  /** Whether a client was told that too many wait, or was refused without a word, as far as that may be. */
  #isHeldOut(progress: Progress, { settings }: ProxyProcess, startedMs: number): boolean {
    const { told } = progress;
    if (told !== undefined) return HELD_OUT.test(told.message);
    if (settings.maxHeld >= FEW_HELD) return false;
    const afterMs = this.#world.time.nowMs() - startedMs;
    if (this.#isMute(progress)) return afterMs < FIRST_CALL_MS;
    // Where the network is slow, its call comes when the proxy waits for none any more.
    return progress.plan.waitsForGreeting && afterMs >= LINGER_MS && afterMs < 2 * LINGER_MS;
  }

  /** Whether nobody can tell it anything. A proxy whose clients' bytes come late takes a request for a session. */
  #isMute({ plan: { http2, wakesForSeconds }, told }: Progress): boolean {
    return !http2 && (wakesForSeconds === undefined || (told === undefined && !this.seesClearly));
  }

  /** A client was refused since too many wait: so they do, and it would have had to wait, too. */
  #heldOut(where: string, proxy: ProxyProcess, waited: WaitingClient | undefined): void {
    // What is told late was decided when others waited.
    if (!this.seesClearly) return;
    const { maxHeld } = proxy.settings;
    const count = this.#unseatedAt(proxy);
    if (count < maxHeld) this.#fail(`${where} is one of ${count} that wait, and ${maxHeld} may`);
    const nowMs = this.#world.time.nowMs();
    if (waited === undefined || nowMs - waited.startedMs > FIRST_CALL_MS) return;
    if (!this.#isPromptnessClear) return;
    const pod = this.#prompt.roomFor(waited, this.#now(), nowMs);
    if (pod !== undefined) this.#fail(`${where} is refused since too many wait, and ${pod} has room for it`);
  }

  /** Connections to a proxy that have no seat, with one that was just closed. */
  #unseatedAt({ machine }: ProxyProcess): number {
    let count = 1;
    for (const { ends: [dialler, listener] } of this.#world.network.pairs) {
      if (listener.machine !== machine || dialler.closed) continue;
      if (dialler.client === undefined || !this.#seated.has(dialler.client)) count++;
    }
    return count;
  }

  /** A client was not served, and no fault has done it: then its time was up, it is told so, and nobody could serve it. */
  #notServed(
    progress: Progress,
    { pool, may, limit }: ClientChoice,
    { memberships }: ProxyProcess,
    where: string,
    startedMs: number,
  ): void {
    const { plan: { id, http2, watches, wakesForSeconds }, told } = progress;
    const { readyWaitTimeoutMs, queueTimeoutMs } = pool;
    const nowMs = this.#world.time.nowMs();
    const queues = limit < Infinity;
    const wasQueued = told?.status === QUEUED_OUT.status;
    const limitMs = wasQueued || (queues && !http2 && (wakesForSeconds === undefined || told === undefined))
      ? Math.min(queueTimeoutMs, readyWaitTimeoutMs)
      : readyWaitTimeoutMs;
    // One that only watches ends with its pod, and may build when that happens.
    if (watches?.buildsAfterMs !== undefined || (watches !== undefined && this.#seated.has(id))) return;
    if (watches !== undefined || (nowMs - startedMs) * this.slack < limitMs) {
      return this.#fail(`${where} was lost while it waited, and no fault has done it`);
    }
    if (this.#isMute(progress) || this.#seated.has(id)) return;
    const isTold = told !== undefined &&
      [TIMED_OUT, QUEUED_OUT].some(({ status, message }) =>
        (told.status === status || wakesForSeconds !== undefined) && message.test(told.message)
      );
    if (!isTold) {
      return this.#fail(
        `${where} was not served and not told why: ${told === undefined ? "nothing" : told.message}`,
      );
    }
    if (!this.seesClearly || this.lenient || queues) return;
    const sinceMs = nowMs - readyWaitTimeoutMs * USABLE_PART;
    // One that only observes waits for long before it serves.
    const own = may.filter((set) => (memberships.get(set)?.readyMs ?? Infinity) <= sinceMs);
    // A pod above the count is about to go, however long that takes.
    const pod = this.usable.all.find((pod) =>
      pod.sinceMs <= sinceMs && own.includes(pod.set) &&
      pod.ordinal < this.#world.cluster.set(pod.set).replicas
    );
    if (pod !== undefined) {
      this.#fail(`${where} was not served, and ${pod.name} could have served it: ${told.message}`);
    }
  }

  /** How far the clocks of two machines may be apart after a while, as a factor. */
  get slack(): number {
    return this.lenient ? 1.5 : 1.05;
  }

  /** A proxy's process has ended. */
  exited(proxy: ProxyProcess, error: unknown): void {
    const { name } = proxy.machine;
    const alone = error !== undefined && messageOf(error).includes("without access to Leases");
    if (error !== undefined && !alone) this.#fail(`${name} has failed: ${describe(error)}`);
    if (error === undefined && proxy.open > 0 && !proxy.cuts) this.#fail(`${name} has left sessions`);
    if (error === undefined && !proxy.stopping) this.#fail(`${name} has ended by itself`);
  }

  /** A write of a count arrives. Call the function that is returned when it is answered: they are answered in turn. */
  writeArrives(set: string, sentMs: number): () => void {
    const arriving = this.#arriving.get(set) ?? [];
    this.#arriving.set(set, arriving);
    arriving.push(sentMs);
    return () => void arriving.splice(arriving.indexOf(sentMs), 1);
  }

  /** Something was written in the cluster; `byHand` by somebody else than the proxies. */
  stored({ resource, before, after }: StoreEvent, byHand: boolean): void {
    if (resource === STATEFULSETS) {
      const { name, resourceVersion = "" } = (before ?? after!).metadata;
      const [was, is] = [before, after].map((set): number => set?.spec.replicas ?? 0);
      this.#scaled(name, was!, is!, resourceVersion, byHand);
    } else if (resource === LEASES) this.#recorded(before, after, byHand);
    else if (resource === PODS) {
      this.usable.stored(before, after, this.#world.time.nowMs());
      const uid = after?.metadata.uid ?? before?.metadata.uid;
      const gone = after?.metadata.deletionTimestamp !== undefined &&
        before?.metadata.deletionTimestamp === undefined;
      if (gone) this.#world.trace("cluster", `pod ${after.metadata.name} ${uid?.slice(-3)} is deleted`);
    }
  }

  /** A daemon is told to stop. */
  podStops(daemon: Daemon): void {
    this.#world.trace("cluster", `daemon ${daemon.pod.name} ${daemon.pod.uid.slice(-3)} is told to stop`);
    this.#stoppedMs.set(daemon.pod.uid, this.#world.time.nowMs());
    this.lowering();
    for (const carried of this.#carried()) {
      if (carried.daemon !== daemon) continue;
      if (this.doomed.has(daemon.pod.uid)) this.excuse(carried.client, "pod removed by somebody else");
      else if (this.#removed.has(daemon.pod.uid)) {
        this.#exposed(carried, "The scale-down that has landed stops the pod");
      }
    }
  }

  /** A daemon ends. */
  podEnds(daemon: Daemon): void {
    const { network, time, trace } = this.#world;
    trace.call(this.#world, "cluster", `daemon ${daemon.pod.name} ${daemon.pod.uid.slice(-3)} ends`);
    this.lowering();
    const ours = this.#removed.has(daemon.pod.uid) && !this.doomed.has(daemon.pod.uid);
    this.#turns.forget();
    if (!ours) {
      this.#podEndedMs = time.nowMs();
      for (const { keptUntilMs } of this.#world.proxies) keptUntilMs.delete(setNameOf(daemon.pod.name));
    }
    for (const pair of network.pairs) {
      const [dialler] = pair.ends;
      if (dialler.remoteAddr.hostname !== daemon.pod.address.hostname) continue;
      if (ours) {
        this.#stayed(dialler, daemon);
        this.#unknownExposed(dialler, daemon);
        continue;
      }
      pair.broken = true;
      this.excuse(dialler.client, "pod ended");
    }
  }

  /** A pod that our write has removed ends: its watchers should have ended long before, since they do not keep it. */
  #stayed({ client, over }: End, { pod: { uid, name } }: Daemon): void {
    if (client === undefined || over || !this.#watches(client) || !this.seesClearly || this.lenient) return;
    const stoppedMs = this.#stoppedMs.get(uid) ?? Infinity;
    if (this.#world.time.nowMs() - stoppedMs >= WATCHERS_END_MS) {
      this.#fail(`Client ${client} only watches, and has kept ${name} from ending`);
    }
  }

  #fail(what: string): void {
    this.#world.fail(what);
  }

  /** Whether it stood still, or could not reach the pods, since then. */
  #stood({ machine, podsCutOffMs }: ProxyProcess, sinceMs: number): boolean {
    return machine.stopped || Math.max(machine.lastStoppedMs, podsCutOffMs) > sinceMs;
  }

  /** A client's first bytes go to a daemon. */
  #placed(end: End): void {
    const carried = this.#carriedOn(end);
    if (carried === undefined) return;
    const { client, proxy, daemon: { pod } } = carried;
    this.#seated.add(client);
    this.#world.trace(`client${client}`, `gets to ${pod.name}`);
    this.#inTurn(carried, this.#prompt.ends(client));
    if (end.observed <= pod.ordinal) {
      this.#fail(
        `${proxy.machine.name} sends client ${client} to ${pod.name}, and has seen a count of ${end.observed}`,
      );
    }
    if (isCordonedAt(pod.name, proxy)) {
      this.#fail(`${proxy.machine.name} sends client ${client} to ${pod.name}, which is cordoned`);
    }
    if (this.#watches(client)) return;
    this.#surplus.used(setNameOf(pod.name), pod.ordinal);
    this.#limited(carried);
    this.#joinsSibling(carried);
  }

  /** A seat is given to whose turn it is, as far as one proxy alone that sees clearly can see to that. */
  #inTurn({ client, daemon: { pod }, end }: Carried, waited: WaitingClient | undefined): void {
    const nowMs = this.#world.time.nowMs();
    this.#prompt.seated(pod.uid, nowMs);
    if (waited === undefined || !this.seesClearly || this.lenient || this.#world.proxies.length > 1) return;
    // Siblings of a session that runs need not wait for their turn.
    if (this.#hasSibling(client)) return this.#turns.siblingSeated(waited, nowMs);
    const set = setNameOf(pod.name);
    const others = [...this.#prompt.waiting].filter(({ progress: { plan }, proxy }) =>
      plan.wakesForSeconds === undefined && (this.#lastOfTrace(plan, proxy)?.set ?? set) === set
    );
    const builders = this.#builders(this.#world.cluster);
    // Others may have left since it was dialled.
    const load = Math.max(this.#mostLoads().get(pod.name) ?? 0, 1 + end.beside);
    const isAbove = load > waited.choice.target;
    const seat = { set, isAbove };
    this.#turns.seated(waited, seat, others, builders, nowMs);
  }

  /** Connections of one trace go to one builder while that has a pod, as far as a proxy that sees clearly can tell. */
  #joinsSibling({ client, proxy, daemon: { pod } }: Carried): void {
    const { plan } = this.#clients.get(client)!;
    if (!tellsTrace(plan)) return;
    const nowMs = this.#world.time.nowMs();
    const set = setNameOf(pod.name);
    const choice = choiceOf(plan, proxy);
    const last = this.#lastOfTrace(plan, proxy);
    this.#traces.set(traceKeyOf(plan, proxy), { set, placedMs: nowMs });
    if (last === undefined || last.set === set || nowMs - last.placedMs > SIBLING_MS) return;
    // A promise may have closed that pod meanwhile, and a full builder takes none but for those that still run.
    if (!this.seesClearly || this.lenient || choice === undefined || choice.limit < Infinity) return;
    if (this.#loweringMs + ANSWERS_MS >= last.placedMs) return;
    const other = this.usable.since(last.placedMs, [last.set]);
    if (other !== undefined) {
      this.#fail(`Client ${client} goes to ${pod.name}, and a connection of its trace went to ${other}`);
    }
  }

  /** Where a connection of the same trace went last, and when. */
  #lastOfTrace(
    plan: ClientPlan,
    proxy: ProxyProcess,
  ): { readonly set: string; readonly placedMs: number } | undefined {
    return tellsTrace(plan) ? this.#traces.get(traceKeyOf(plan, proxy)) : undefined;
  }

  /** A pod takes no more than its hard limit, as far as one proxy alone can see to that; but for siblings. */
  #limited({ client, proxy, daemon: { pod } }: Carried): void {
    const { proxies, plan } = this.#world;
    const limit = poolOf(setNameOf(pod.name), proxy)?.maxSessionsPerReplica ?? 0;
    if (limit === 0 || proxies.length > 1 || plan.watchers > 0 || this.#hasSibling(client)) return;
    const there = this.#carried().filter((it) => it.daemon.pod.uid === pod.uid && !this.#isSilent(it));
    // Those that joined the first of their trace took no place.
    const count =
      new Set(there.map((it) => this.#clients.get(it.client)?.plan.headers.traceId ?? it.client)).size;
    if (count > limit) {
      this.#fail(`Client ${client} is on ${pod.name} as one of ${count}, and ${limit} are the most`);
    }
  }

  /** Whether a fault keeps the session silent: then it is no load after a while. */
  #isSilent({ client, end }: Carried): boolean {
    return end.pair.silent || this.#clients.get(client)?.conn?.pair.silent === true;
  }

  #hasSibling(client: number): boolean {
    const traceId = this.#clients.get(client)?.plan.headers.traceId;
    if (traceId === undefined) return false;
    return [...this.#clients.values()].some(({ plan }) =>
      plan.id !== client && plan.headers.traceId === traceId
    );
  }

  /** Connections that carry the bytes of a client that does not just watch to a daemon that runs, as far as both ends know. */
  #carried(proxy?: ProxyProcess): Carried[] {
    const found: Carried[] = [];
    for (const { ends: [dialler, listener] } of this.#world.network.pairs) {
      if (dialler.client === undefined || dialler.over || listener.over || dialler.machine.dead) continue;
      if (proxy !== undefined && dialler.machine !== proxy.machine) continue;
      const carried = this.#carriedOn(dialler);
      if (carried !== undefined && !this.#watches(carried.client)) found.push(carried);
    }
    return found;
  }

  #carriedOn(end: End): Carried | undefined {
    const { daemons, proxies } = this.#world;
    const proxy = proxies.find(({ machine }) => machine === end.machine);
    const daemon = daemons.byAddress.get(end.remoteAddr.hostname);
    if (end.client === undefined || proxy === undefined || !daemon?.alive) return undefined;
    return { client: end.client, proxy, daemon, end };
  }

  #isGoing(set: string, uid: string): boolean {
    const pod = this.#world.cluster.set(set).pods.find(({ metadata }) => metadata.uid === uid);
    return pod === undefined || pod.metadata.deletionTimestamp !== undefined;
  }

  #scaled(set: string, before: number, after: number, version: string, byHand: boolean): void {
    if (after === before) return;
    const who = byHand ? "by hand" : "by a proxy";
    this.#world.trace("cluster", `replicas of ${set} ${before} -> ${after} ${who}`);
    if (after < before) this.lowering();
    if (!byHand) this.report[after > before ? "scaleUps" : "scaleDowns"]++;
    const fault = this.#surplus.scaled(set, before, after, byHand, this.#world.time.nowMs());
    if (fault !== undefined && this.#thinsOut) this.#fail(fault);
    for (const pod of this.#world.cluster.set(set).pods) {
      const { uid } = pod.metadata;
      if (ordinalOf(pod) < after) continue;
      if (byHand) this.doomed.add(uid);
      else this.#removed.set(uid, this.#arriving.get(set)?.[0] ?? Infinity);
    }
    if (byHand && after < before) {
      for (const { keptUntilMs } of this.#world.proxies) {
        keptUntilMs.delete(set);
      }
    }
    if (byHand || after > before) return;
    this.#kept(set, after);
    for (const carried of this.#carried()) {
      const { name, ordinal, uid } = carried.daemon.pod;
      if (setNameOf(name) !== set || ordinal < after || ordinal >= before) continue;
      // Somebody else has deleted it before.
      if (this.doomed.has(uid) && this.#isGoing(set, uid)) continue;
      this.#exposed(carried, `A write of ours (${before} -> ${after}) removes the pod`, version);
    }
    this.#world.moments.happens("lowered", undefined);
  }

  /** What a proxy keeps awake, as it has promised, is not taken away, as far as the others can know of it. */
  #kept(set: string, after: number): void {
    if (after > 0 || !this.seesClearly || this.lenient) return;
    for (const { keptUntilMs, ended, stopping, machine } of this.#world.proxies) {
      if (ended || stopping || (keptUntilMs.get(set) ?? -Infinity) < this.#world.time.nowMs()) continue;
      this.#fail(`${machine.name} keeps ${set} awake, and a proxy lowers its count to ${after}`);
    }
  }

  /** Whether it can be told when a surplus may go: from what one proxy alone has seen, and seen at once. */
  get #thinsOut(): boolean {
    const { proxies, plan } = this.#world;
    return plan.replicas > 1 && this.seesClearly && !this.lenient && proxies.length === 1;
  }

  /** A proxy has made a plan. */
  planned({ machine: { name } }: ProxyProcess, record: PlanRecord): void {
    const fault = faultOfPlan(record);
    if (fault !== undefined) this.#fail(`A plan of ${name} is wrong: ${fault}`);
  }

  /** A session of a live proxy is on a pod that our write has removed. */
  #exposed({ client, proxy, end, daemon }: Carried, what: string, version?: string): void {
    if (this.#exempt.has(client)) return;
    const { name } = proxy.machine;
    const exposed = membershipAt(proxy, daemon)?.exposed;
    const exposure = this.#unheard(proxy, daemon) ?? (exposed?.version === version ? exposed : undefined);
    const why = this.lenient
      ? "clocks beyond the margin"
      : exposure !== undefined && end.seatedMs <= exposure.seatedByMs
      ? exposure.why
      : this.#isOverdue(end, daemon)
      ? "served while cut off, with an earlier scale-down still under way"
      : undefined;
    if (why === undefined) return this.#fail(`${what} of client ${client}, whose proxy ${name} lives`);
    this.excuse(client, why);
    this.#exempt.add(client);
    this.report.exceptions[why] = (this.report.exceptions[why] ?? 0) + 1;
    this.#world.trace("exception", `${what} of client ${client} of ${name}: ${why}`);
  }

  /** The pod that our write has removed ends, and nobody can tell yet whose session is on this connection. */
  #unknownExposed(end: End, daemon: Daemon): void {
    const { client, machine, seatedMs } = end;
    const proxy = this.#world.proxies.find((it) => it.machine === machine);
    if (client !== undefined || proxy === undefined) return;
    const exposure = this.#unheard(proxy, daemon);
    const covered = exposure !== undefined && seatedMs <= exposure.seatedByMs;
    if (this.lenient || covered || this.#isOverdue(end, daemon)) {
      this.#exposedMs.set(proxy, this.#world.time.nowMs());
    }
  }

  /** Whether the write that has removed the pod was sent before the session got its seat, from a proxy that was cut off. */
  #isOverdue({ seatedCutOff, seatedMs }: End, { pod }: Daemon): boolean {
    return seatedCutOff && (this.#removed.get(pod.uid) ?? Infinity) < seatedMs;
  }

  /** By which of the named exceptions the others do not know now that a proxy uses this pod. */
  #unheard(proxy: ProxyProcess, daemon: Daemon): Exposure | undefined {
    const membership = membershipAt(proxy, daemon);
    return membership && this.#unheardIn(proxy, membership);
  }

  #unheardIn(proxy: ProxyProcess, { unrecorded, recordedMs }: Membership): Exposure | undefined {
    if (unrecorded) return { why: "record deleted by hand", seatedByMs: Infinity };
    const { recordExpiryMs, whenCutOff } = proxy.settings;
    const silentMs = this.#world.time.nowMs() - recordedMs;
    if (silentMs < recordExpiryMs * EXPOSED_PART || proxy.impairedUntilMs <= recordedMs) {
      return undefined;
    }
    // With `hold` a proxy that has lapsed gives no more seats.
    const seatedByMs = whenCutOff === "serve" ? Infinity : recordedMs + recordExpiryMs * LAPSED_PART;
    return { why: "not heard of for longer than the expiry", seatedByMs };
  }

  #recorded(before: KubeObject | undefined, after: KubeObject | undefined, byHand: boolean): void {
    const name = (after ?? before)?.metadata.name;
    for (const proxy of this.#world.proxies) {
      for (const [set, membership] of proxy.memberships) {
        if (membership.record !== name) continue;
        if (after !== undefined) this.#heard(proxy, set, membership);
        else if (byHand) membership.unrecorded = true;
        return;
      }
    }
  }

  /** A proxy's record was written. */
  #heard(proxy: ProxyProcess, name: string, membership: Membership): void {
    // A write that was agreed on meanwhile lands only as long as nothing else has changed.
    const exposure = this.#unheardIn(proxy, membership);
    const set = this.#world.cluster.set(name);
    const version = set.exists ? set.object.metadata.resourceVersion ?? "" : "";
    if (exposure !== undefined) membership.exposed = { ...exposure, version };
    membership.recordedMs = this.#world.time.nowMs();
    membership.unrecorded = false;
  }
}

/** Without an HTTP/2 call there is nothing that could tell of a trace. */
function tellsTrace({ http2, headers: { traceId } }: ClientPlan): boolean {
  return http2 && traceId !== undefined;
}

function traceKeyOf({ door, headers: { traceId } }: ClientPlan, { machine }: ProxyProcess): string {
  return `${machine.name} ${door.pool} ${traceId}`;
}

/** The pool of a StatefulSet, as a proxy knows it. */
function poolOf(set: string, { pools }: ProxyProcess): PoolSettings | undefined {
  return pools.find(({ builders }) => builders.some(({ name }) => name === set));
}

/** Whether the builder of a pod takes no new sessions of this proxy. */
function isCordonedAt(pod: string, { pools }: ProxyProcess): boolean {
  const set = setNameOf(pod);
  return pools.some(({ builders }) => builders.some(({ name, isCordoned }) => name === set && isCordoned));
}

/** What a proxy has to do with the StatefulSet of a pod. */
function membershipAt({ memberships }: ProxyProcess, { pod }: Daemon): Membership | undefined {
  return memberships.get(setNameOf(pod.name));
}

/** An error, with its cause. */
export function describe(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : "";
  return `${messageOf(error)}${cause}`;
}
