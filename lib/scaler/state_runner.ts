/**
 * Keeps the state of a builder: looks whenever something has changed or time has passed, and asks the API server for the
 * awaited pod while somebody waits for it, where the rights permit. What it all means is judged by `builder_state.ts`.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import { Notifier } from "../base/notifier.ts";
import {
  advance,
  awaitedBy,
  type BuilderFacts,
  isBroken,
  isGrowthStuck,
  nextChangeMs,
  type Progress,
  type State,
  stateOf,
} from "./builder_state.ts";
import type { Placement } from "./placement.ts";
import { askForPod, type PodInquiryPorts } from "./pod_inquiry.ts";

/** Whether a builder is there at all. */
export interface Presence {
  /** It does not exist, or this proxy shall not use it. */
  readonly isMissing: boolean;
  /** This proxy has no right to see it. */
  readonly isForbidden: boolean;
  /** Calls `listener` when that may have changed. */
  onPresence(listener: () => void): void;
  /** The name of the pod of an ordinal. */
  podName(ordinal: number): string;
}

/** What it is made of. */
export interface StateRunnerPorts extends PodInquiryPorts {
  /** Knows the pods and who waits for them, and is told whether growth is stuck. */
  readonly placement: Placement;
  /** Knows whether the builder is there. */
  readonly presence: Presence;
}

/** What is set. */
export interface StatePolicy {
  /** The pods' namespace. */
  readonly namespace: string;
  /** For how long clients wait for a pod, in ms: one that is awaited for half of that is stuck. */
  readonly readyWaitTimeoutMs: number;
  /** Whether to ask for pods. It is no use where sessions have no other pod to go to. */
  readonly asks: boolean;
}

/** Between two questions, in ms. */
const ASK_MS = 3_000;

/** The same after the right to ask was missing. */
const ASK_AGAIN_MS = 60_000;

/** Knows the state of one builder. */
export class StateRunner {
  readonly #policy: StatePolicy;
  readonly #ports: StateRunnerPorts;
  readonly #longestMs: number;
  readonly #listeners = new Listeners();
  readonly #timer = new Notifier();
  readonly #asking = new Notifier();
  #progress: Progress = {};
  /** What was told last. */
  #told: State | undefined;
  /** The ordinal whose pod the API server has shown to be broken, while somebody waits for it. */
  #broken: number | undefined;

  /** Asks nothing yet: `run` does. */
  constructor(policy: StatePolicy, ports: StateRunnerPorts) {
    this.#policy = policy;
    this.#ports = ports;
    this.#longestMs = policy.readyWaitTimeoutMs / 2;
    ports.placement.subscribeBeyondLoad(() => this.#look());
    ports.presence.onPresence(() => this.#look());
    this.#look();
  }

  /** The state now. Reading it changes nothing, so that a change which is due is still told. */
  get state(): State {
    const facts = this.#facts;
    return stateOf(facts, this.#advanced(facts));
  }

  /** The pod that is awaited makes no progress; while none is awaited: that of the last one is remembered. */
  get isAwaitedStuck(): boolean {
    const { awaited, stuck } = this.#progress;
    return stuck !== undefined && (awaited === undefined || awaited.ordinal === stuck.ordinal);
  }

  /** When the state may change without an event, monotonic ms; Infinity if it will not. */
  get nextChangeMs(): number {
    return nextChangeMs(this.#progress, this.#longestMs);
  }

  /** Since when a pod is awaited, monotonic ms; undefined if none is. */
  get awaitedSinceMs(): number | undefined {
    return this.#progress.awaited?.sinceMs;
  }

  /** The pod that is awaited, or should come next, makes no progress. */
  get isStuck(): boolean {
    return this.#progress.stuck !== undefined;
  }

  /** Calls `listener` when the state has changed. It must be quick and must not throw. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Runs until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#watchTime(signal), this.#policy.asks ? this.#ask(signal) : undefined]);
  }

  get #facts(): BuilderFacts {
    const { placement, presence } = this.#ports;
    const { usable, wanted, isClaiming, agreement: { seen } } = placement;
    const { isMissing, isForbidden } = presence;
    const facts = { isMissing, isForbidden, isSeen: seen !== undefined, usable, wanted, isClaiming };
    return { ...facts, isBroken: this.#broken !== undefined && this.#broken === awaitedBy(facts) };
  }

  #advanced(facts: BuilderFacts): Progress {
    return advance(this.#progress, facts, this.#ports.clock.nowMs(), this.#longestMs);
  }

  #look(): void {
    const facts = this.#facts;
    const progress = this.#progress = this.#advanced(facts);
    const state = stateOf(facts, progress);
    this.#timer.notify();
    this.#asking.notify();
    this.#ports.placement.isGrowthStuck = isGrowthStuck(facts, progress);
    if (state === this.#told) return;
    this.#told = state;
    this.#listeners.tell();
  }

  async #watchTime(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#timer.wait(this.#ports.clock, this.nextChangeMs, signal);
      if (this.#ports.clock.nowMs() >= this.nextChangeMs) this.#look();
    }
  }

  /** Asks for the awaited pod while somebody waits. */
  async #ask(signal: AbortSignal): Promise<void> {
    const { clock, presence, placement } = this.#ports;
    for (;;) {
      const ordinal = placement.usage.needing > 0 ? awaitedBy(this.#facts) : undefined;
      if (ordinal === undefined) {
        this.#broken = undefined;
        await this.#asking.wait(clock, Infinity, signal);
        continue;
      }
      const found = await askForPod(this.#policy.namespace, presence.podName(ordinal), this.#ports, signal);
      signal.throwIfAborted();
      this.#broken = typeof found === "object" && isBroken(found) ? ordinal : undefined;
      this.#look();
      await sleep(clock, found === "forbidden" ? ASK_AGAIN_MS : ASK_MS, signal);
    }
  }
}
