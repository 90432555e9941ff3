/**
 * One builder of a replay: the program's own placement, scaler and state over a StatefulSet that exists only here. A pod
 * takes sessions so long after the count has risen above its ordinal, and is gone as soon as the count falls. Requests to
 * the API take no time and never fail.
 *
 * @module
 */
import { logTo } from "../base/log.ts";
import { builderMetrics, noMetrics } from "../base/metrics.ts";
import type { PoolSettings } from "../config/builders.ts";
import type { Settings } from "../config/settings.ts";
import type { Count, ScaleApi } from "../kube/scale.ts";
import type { RoutedBuilder } from "../route/pool_parts.ts";
import type { Backend } from "../scaler/backends.ts";
import { ColdStart } from "../scaler/cold_start.ts";
import { Placement } from "../scaler/placement.ts";
import { ReplicaCount } from "../scaler/replica_count.ts";
import { Scaler } from "../scaler/scaler.ts";
import { soleProxy } from "../scaler/sole_proxy.ts";
import { StateRunner } from "../scaler/state_runner.ts";
import { warmAt } from "../scaler/warm.ts";
import type { BuilderSeats } from "../target/seats.ts";
import { TargetSeats } from "../target/target_seats.ts";
import { capacityOf, targetSettingsOf } from "../target/target_settings.ts";
import type { VirtualTime } from "./virtual_time.ts";

/** A change of the replica count. */
export interface CountChange {
  /** When, in ms since the epoch. */
  readonly atMs: number;
  /** The StatefulSet. */
  readonly builder: string;
  /** The count before. */
  readonly from: number;
  /** The count after. */
  readonly to: number;
  /** The replicas that stay without clients at that moment. */
  readonly floor: number;
}

/** What a builder is made of. */
export interface VirtualBuilderPorts {
  /** Virtual time. */
  readonly time: VirtualTime;
  /** How long a pod takes from the write of the count until it takes sessions, in ms. Asked at each start. */
  startMs(pod: string): number;
  /** Told of each change of the count. */
  onCount(change: CountChange): void;
}

/** A pod that the count keeps. */
interface VirtualPod {
  readonly backend: Backend;
  isReady: boolean;
}

/** Nothing of a replay is logged. */
const NO_LOG = logTo(() => {});

/** One builder. */
export class VirtualBuilder implements RoutedBuilder {
  readonly name: string;
  readonly isCordoned = false;
  readonly seats: BuilderSeats;
  readonly othersQueuedSinceMs: undefined;
  readonly #time: VirtualTime;
  readonly #ports: VirtualBuilderPorts;
  readonly #placement: Placement;
  readonly #scaler: Scaler;
  readonly #state: StateRunner;
  #facts: RoutedBuilder["facts"] | undefined;
  /** Until when `#facts` hold, if nothing happens, in ms. */
  #factsUntilMs = Infinity;
  #replicas = 0;
  #version = 1;
  /** By ordinal. */
  readonly #alive: VirtualPod[] = [];
  #born = 0;

  /** At first it has the pods that stay without clients, and they take sessions. Does nothing before `run`. */
  constructor(name: string, settings: Settings, pool: PoolSettings, ports: VirtualBuilderPorts) {
    const { time } = ports;
    const own = targetSettingsOf(settings, pool, pool.builders.find((each) => each.name === name)!);
    const capacity = capacityOf(own);
    const metrics = builderMetrics(noMetrics, name);
    const parts = { clock: time, random: () => 0, log: NO_LOG, metrics };
    this.name = name;
    this.#time = time;
    this.#ports = ports;
    const placement = this.#placement = new Placement(time, capacity, "pod");
    placement.subscribe(() => this.#facts = undefined);
    const coldStart = new ColdStart(parts);
    const count = new ReplicaCount({ ...parts, scale: this.#scale, placement, identity: "replay" });
    this.#scaler = new Scaler({
      ...parts,
      count,
      placement,
      peers: soleProxy(placement, -Infinity),
      coldStart,
    }, {
      minReplicas: own.minReplicas,
      capacity,
      idleTimeoutMs: own.idleTimeoutMs,
      warmAt: own.warm.length === 0 ? undefined : (wallMs) => warmAt(own.warm, wallMs),
    });
    const { stsNamespace: namespace, readyWaitTimeoutMs } = own;
    this.#keep(this.#scaler.floor);
    this.#state = new StateRunner({ namespace, readyWaitTimeoutMs, asks: false }, {
      client: { json: () => Promise.reject(new Error("A replay has no API server")) },
      clock: time,
      placement,
      presence: { isMissing: false, isForbidden: false, onPresence: () => {}, podName: String },
    });
    this.#state.subscribe(() => this.#facts = undefined);
    this.seats = new TargetSeats({
      ...parts,
      placement,
      coldStart,
      dialler: { dial: () => Promise.reject(new Error("A replay dials nobody")) },
      resets: { explain: (_backend, _ms, tell) => tell(undefined) },
      explainWait: () => Promise.resolve(""),
    });
  }

  get facts(): RoutedBuilder["facts"] {
    if (this.#facts === undefined || this.#time.nowMs() >= this.#factsUntilMs) {
      this.#facts = { name: this.name, state: this.#state.state, ...this.#placement.room };
      this.#factsUntilMs = this.#state.nextChangeMs;
    }
    return this.#facts;
  }

  tellQueued(): void {}

  subscribe(listener: () => void): void {
    this.#placement.subscribe(listener);
    this.#state.subscribe(listener);
  }

  /** Runs until the signal is aborted. Rejects with its reason. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#scaler.run(signal), this.#state.run(signal)]);
  }

  /** The StatefulSet. One writer at a time, and each knows the newest version: nothing conflicts. */
  get #scale(): ScaleApi {
    const count = (): Count => ({ replicas: this.#replicas, version: `${this.#version}` });
    const write = ({ replicas }: Count) => {
      this.#set(replicas);
      return Promise.resolve(count());
    };
    return {
      read: () => Promise.resolve(count()),
      update: write,
      apply: write,
      giveUp: () => Promise.resolve(count()),
    };
  }

  /** Begins with so many pods, which have started before. */
  #keep(replicas: number): void {
    if (replicas > 0) {
      this.#ports.onCount({
        atMs: this.#time.nowMs(),
        builder: this.name,
        from: 0,
        to: replicas,
        floor: replicas,
      });
    }
    this.#replicas = replicas;
    while (this.#alive.length < replicas) this.#add().isReady = true;
    this.#placement.see({ version: `${this.#version}`, replicas }, "watch");
    this.#showPods();
  }

  #set(replicas: number): void {
    const from = this.#replicas;
    this.#replicas = replicas;
    this.#version++;
    const floor = this.#scaler.floor;
    this.#ports.onCount({ atMs: this.#time.nowMs(), builder: this.name, from, to: replicas, floor });
    this.#alive.splice(replicas);
    while (this.#alive.length < replicas) this.#start();
    this.#showPods();
  }

  #start(): void {
    const pod = this.#add();
    this.#time.setTimer(this.#ports.startMs(pod.backend.pod), () => {
      pod.isReady = true;
      if (this.#alive.includes(pod)) this.#showPods();
    });
  }

  #add(): VirtualPod {
    const ordinal = this.#alive.length;
    const pod: VirtualPod = {
      isReady: false,
      backend: {
        ordinal,
        pod: `${this.name}-${ordinal}`,
        uid: `${++this.#born}`,
        addresses: [],
        ready: true,
        terminating: false,
      },
    };
    this.#alive.push(pod);
    return pod;
  }

  /** A pod is shown once it takes sessions: by then the count that it belongs to has been seen. */
  #showPods(): void {
    this.#placement.pods.set(this.#alive.filter(({ isReady }) => isReady).map(({ backend }) => backend));
  }
}
