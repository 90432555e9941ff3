/**
 * All parts that belong to one StatefulSet: its watches, the seats on its pods, its replicas, the other proxies in
 * front of it, and the health of its pods. Makes these parts, connects them and starts them. Decides nothing itself.
 * A part calls only parts that are made before it, and hears of the others through listeners (`subscribe`, `on...`).
 *
 * @module
 */
import { BUILDER_STATES, builderMetrics, type BuilderState } from "../base/metrics.ts";
import type { BasePorts, BuilderPorts } from "../base/ports.ts";
import type { TaskGroup } from "../base/task_group.ts";
import { Proxies } from "../ha/proxies.ts";
import { Standing } from "../ha/standing.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Agreement } from "../scaler/agreement.ts";
import { type Room, sum } from "../scaler/capacity.ts";
import { ColdStart } from "../scaler/cold_start.ts";
import { waitExplainer } from "../scaler/explain.ts";
import { Observer, type ScaleTarget } from "../scaler/observer.ts";
import { Placement } from "../scaler/placement.ts";
import { ResetExplainer } from "../scaler/reset_explainer.ts";
import type { Scaling } from "../scaler/scaling.ts";
import { type Presence, StateRunner } from "../scaler/state_runner.ts";
import { verifySuspects } from "../scaler/verification.ts";
import { warmAt } from "../scaler/warm.ts";
import { type Counting, type Deciding, makeCount, makeScaler, type ShadowParts } from "./counting.ts";
import { type Joining, joiningAtStart, runProxies, untilJoined } from "./joining.ts";
import { tellLatePods } from "./late_pods.ts";
import { PodHealthChecks } from "./pod_health.ts";
import type { BuilderSeats } from "./seats.ts";
import type { SharedParts } from "./shared_parts.ts";
import { TargetSeats } from "./target_seats.ts";
import { capacityOf, type TargetSettings } from "./target_settings.ts";
import { Upstream } from "./upstream.ts";
import type { UpstreamTls } from "./upstream_tls.ts";

/** What a target needs. */
export interface TargetPorts extends BasePorts {
  /** Talks to the API. */
  readonly client: KubeClient;
  /** What all targets of the process have in common. */
  readonly shared: SharedParts;
  /** Knows why pods cannot be connected to in TLS, where the network speaks that. */
  readonly upstreamTls?: Pick<UpstreamTls, "fault" | "connect"> | undefined;
}

/** What the router must know of a target. */
export interface TargetFacts extends Room {
  /** The StatefulSet's name. */
  readonly name: string;
  /** How far it can be used. */
  readonly state: BuilderState;
}

/** Facts, and how long they hold. */
interface Known {
  readonly facts: TargetFacts;
  /** What they rest on: a promise changes it, and tells nobody. */
  readonly agreement: Agreement;
  /** When they may change without any event, monotonic ms. */
  readonly untilMs: number;
}

/** One StatefulSet, and this proxy's part in it. */
export class Target {
  /** What sessions see of it. */
  readonly seats: BuilderSeats;
  /** How far this proxy has joined the others. */
  readonly joining: Joining = joiningAtStart();
  /** The pods, who is on them, and the promises that bind. */
  readonly placement: Placement;
  /** This proxy among all in front of the StatefulSet. */
  readonly proxies: Proxies;
  /** Watches. */
  readonly observer: Observer;
  /** Decides about the count, and has it written unless this proxy observes. */
  readonly scaler: Scaling;
  /** What would be done to the count; only with `--observe`. */
  readonly shadow: ShadowParts | undefined;
  /** Finds out how the containers ended that have reset sessions. */
  readonly resets: ResetExplainer;
  readonly #ports: TargetPorts & BuilderPorts;
  readonly #at: ScaleTarget;
  readonly #count: Counting["count"];
  readonly #countOwners: Deciding["countOwners"];
  readonly #podHealth: PodHealthChecks;
  readonly #state: StateRunner;
  /** What is remembered for `facts`; undefined when something has changed since. */
  #known: Known | undefined;
  readonly #explainWait: (signal: AbortSignal) => Promise<string>;

  /** Starts nothing: `start` does. No session is seated before this proxy has joined the others. */
  constructor(settings: TargetSettings, given: TargetPorts) {
    const { client, clock, shared } = given;
    const { identity, election } = shared;
    const metrics = builderMetrics(given.metrics, settings.stsName);
    const ports = { ...given, metrics };
    const capacity = capacityOf(settings);
    this.#ports = ports;
    this.#at = {
      namespace: settings.stsNamespace,
      name: settings.stsName,
      service: settings.headlessServiceName,
      port: settings.targetPort,
    };
    const standing = new Standing(clock, settings);
    const placement = this.placement = new Placement(clock, capacity, settings.readiness, standing);
    // Before anybody else hears of the change, and reads them.
    placement.subscribe(() => this.#known = undefined);
    const coldStart = new ColdStart(ports);
    const counting = makeCount(settings.observe, this.#at, { ...ports, placement, identity });
    const count = this.#count = counting.count;
    const peers = this.proxies = new Proxies(this.#at, settings, {
      ...ports,
      ...shared.ofProxies,
      placement,
      standing,
      count,
      writer: counting.writing?.count,
    });
    const deciding = makeScaler(counting, this.#at, { ...ports, identity, placement, peers, coldStart }, {
      minReplicas: settings.minReplicas,
      capacity,
      idleTimeoutMs: settings.idleTimeoutMs,
      warmAt: settings.warm.length === 0 ? undefined : (wallMs) => warmAt(settings.warm, wallMs),
    });
    const scaler = this.scaler = deciding.scaler;
    const countOwners = this.#countOwners = deciding.countOwners;
    this.shadow = deciding.shadow;
    const observer = this.observer = new Observer(this.#at, {
      ...ports,
      slices: shared.slices,
      placement,
      count,
      countOwners,
    });
    peers.membership.onUnclaimed(() => observer.relist());
    observer.onPresence(() => election.see(this.#at.name, observer.uid));
    const presence = settings.isCordoned ? cordoned(observer) : observer;
    const { namespace } = this.#at;
    const { readyWaitTimeoutMs, isOnly } = settings;
    this.#state = new StateRunner({ namespace, readyWaitTimeoutMs, asks: !isOnly }, {
      client,
      clock,
      placement,
      presence,
    });
    this.#state.subscribe(() => {
      this.#known = undefined;
      this.#tellState();
    });
    this.#tellState();
    placement.subscribe(() => metrics.record("builder_sessions", sum(placement.usage.load.values()), {}));
    const upstream = new Upstream(settings, ports);
    this.#podHealth = new PodHealthChecks({ ...ports, placement, state: this.#state, dialler: upstream });
    const resets = this.resets = new ResetExplainer(this.#at.namespace, { client, clock });
    const { upstreamTls } = ports;
    const explain = { client, clock, placement, observer, scaler, peers, upstream, upstreamTls };
    const explainWait = this.#explainWait = waitExplainer(this.#at, explain);
    this.seats = new TargetSeats({ ...ports, dialler: upstream, placement, coldStart, resets, explainWait });
  }

  /** How far it can be used. */
  get state(): BuilderState {
    return this.#state.state;
  }

  /**
   * What the router must know of it: how far it can be used, and what it can take, held sessions not counted. Every plan
   * reads this of all builders, so it is remembered until something changes or until time alone may change it. A seat is
   * taken on what is true then.
   */
  get facts(): TargetFacts {
    const { agreement, pods } = this.placement;
    const nowMs = this.#ports.clock.nowMs();
    if (this.#known === undefined || this.#known.agreement !== agreement || nowMs >= this.#known.untilMs) {
      const facts = { name: this.#at.name, state: this.state, ...this.placement.room };
      this.#known = { facts, agreement, untilMs: Math.min(pods.nextVerifiedMs, this.#state.nextChangeMs) };
    }
    return this.#known.facts;
  }

  /** Calls `listener` when its state or its room may have changed. It must be quick and must not throw. */
  subscribe(listener: () => void): void {
    this.placement.subscribe(listener);
    this.#state.subscribe(listener);
  }

  /** Starts all its parts. */
  start(tasks: TaskGroup): void {
    const { placement, observer, scaler, proxies, joining } = this;
    const ports = { ...this.#ports, placement };
    const verification = { ...this.#ports, pods: placement.pods };
    const { client: { access }, shared: { places } } = ports;
    tasks.run("observer", (signal) => observer.run(signal));
    tasks.run("scaler", (signal) => scaler.run(signal));
    tasks.run("state", (signal) => this.#state.run(signal));
    const late = { ...ports, access, state: this.#state, explainWait: this.#explainWait };
    tasks.run("late pods", (signal) => tellLatePods(late, signal));
    tasks.run("verification", (signal) => verifySuspects(this.#at.namespace, verification, signal));
    const { shadow } = this;
    const countOwners = this.#countOwners;
    if (countOwners !== undefined) tasks.run("count owners", (signal) => countOwners.run(signal));
    if (shadow !== undefined) tasks.run("pod start", (signal) => shadow.start.run(signal));
    tasks.run("pod health", (signal) => this.#podHealth.run(signal));
    tasks.run("proxies", (signal) => runProxies(proxies, observer, this.#at, places, signal));
    tasks.run(
      "join",
      (signal) => untilJoined(this.#count, proxies, observer, { ...ports, access, places }, joining, signal),
    );
  }

  #tellState(): void {
    for (const state of BUILDER_STATES) {
      this.#ports.metrics.record("builder_state", state === this.state ? 1 : 0, { state });
    }
  }
}

/** A builder that this proxy shall not use. */
function cordoned(observer: Observer): Presence {
  return {
    isMissing: true,
    isForbidden: false,
    onPresence: (listener) => observer.onPresence(listener),
    podName: (ordinal) => observer.podName(ordinal),
  };
}
