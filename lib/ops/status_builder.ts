/**
 * One builder for the status page: listens to its target, keeps its history and its savings, and says what it looks like
 * now. Reads only; decides nothing. What listeners do is done at every session, so it is little.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { sleep } from "../base/clock.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Pool } from "../route/pool.ts";
import type { Backend } from "../scaler/backends.ts";
import { sum } from "../scaler/capacity.ts";
import type { Target } from "../target/target.ts";
import type { TargetSettings } from "../target/target_settings.ts";
import { History, type Moment, MOST_PODS, type PodPhase, type Point } from "./history.ts";
import { Account, type Saved, shortestPauseMs, UseHistory, type WhatIf, whatIf } from "./savings.ts";
import type { PodFacts } from "./status_facts.ts";

/** What is looked at of a builder. */
export interface WatchedBuilder {
  /** The StatefulSet's name. */
  readonly name: string;
  /** The pool that it belongs to. */
  readonly pool: Pick<Pool, "queued" | "subscribe" | "policy" | "unseated" | "held">;
  /** Its settings. */
  readonly settings: Pick<TargetSettings, "idleTimeoutMs" | "maxReplicas">;
  /** Its parts. */
  readonly target: Pick<
    Target,
    "state" | "placement" | "scaler" | "shadow" | "observer" | "proxies" | "seats" | "subscribe"
  >;
}

/** How long a page waits for the reason why clients wait, in ms. It shows the last one that is known. */
const REASON_MS = 500;

/** Watches one builder. */
export class BuilderWatch {
  /** What is watched. */
  readonly builder: WatchedBuilder;
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #history = new History();
  readonly #uses: UseHistory;
  /** As last looked at. */
  #queued = 0;
  readonly #real: Account;
  /** What would be saved, in observe mode. */
  readonly #virtual: Account | undefined;
  #asking: Promise<void> | undefined;
  #reason: string | undefined;

  /** Calls `changed` after every change. */
  constructor(builder: WatchedBuilder, clock: Clock, changed: () => void) {
    const { pool, settings, target } = builder;
    this.builder = builder;
    this.#clock = clock;
    this.#changed = changed;
    this.#uses = new UseHistory(shortestPauseMs(settings.idleTimeoutMs));
    this.#real = new Account(clock.nowMs());
    this.#virtual = target.shadow && new Account(clock.nowMs());
    const look = () => this.#look();
    target.subscribe(look);
    target.shadow?.subscribe(look);
    target.proxies.subscribe(look);
    // Its held sessions change far more often, and concern all of its builders.
    pool.subscribe(() => {
      if (pool.queued === this.#queued) return;
      this.#queued = pool.queued;
      look();
    });
    this.#look();
  }

  /** What it looked like, the oldest first. */
  get timeline(): readonly Point[] {
    return this.#history.points(this.#clock.nowMs());
  }

  /** What was saved until now. */
  get saved(): Saved {
    this.#account();
    return this.#real.saved;
  }

  /** What would have been saved without observe mode; undefined outside it. */
  get wouldSave(): Saved | undefined {
    this.#account();
    const { shadow } = this.builder.target;
    const saved = this.#virtual?.saved;
    return saved && shadow && { ...saved, waitedMs: saved.coldStarts * shadow.start.ms };
  }

  /** What each idle timeout would have saved. */
  get whatIf(): readonly WhatIf[] {
    const { settings: { idleTimeoutMs }, target: { shadow } } = this.builder;
    const { coldStarts, waitedMs } = this.saved;
    const measuredMs = coldStarts === 0 ? undefined : waitedMs / coldStarts;
    const perStartMs = shadow === undefined ? measuredMs : shadow.start.ms;
    return whatIf(this.#uses.points, this.#clock.nowMs(), idleTimeoutMs, perStartMs);
  }

  /** Since when sessions are known, monotonic ms; undefined before the count was read. */
  get knownSinceMs(): number | undefined {
    return this.#uses.points[0]?.atMs;
  }

  /** Its pods, and those that the count wants. */
  get pods(): readonly PodFacts[] {
    const { placement: { pods, usage } } = this.builder.target;
    const seen = pods.all.map((backend): PodFacts => ({
      name: backend.pod,
      ordinal: backend.ordinal,
      phase: this.#phaseOf(backend),
      sessions: usage.on(backend.ordinal),
    }));
    const known = new Set(seen.map(({ ordinal }) => ordinal));
    const wanted = Array.from({ length: Math.min(this.#replicas ?? 0, MOST_PODS) }, (_, ordinal) => ordinal)
      .filter((ordinal) => !known.has(ordinal))
      .map((ordinal): PodFacts => ({ ordinal, phase: "wanted", sessions: 0 }));
    return [...seen, ...wanted].sort((a, b) => a.ordinal - b.ordinal);
  }

  /** When the next scale-down is due unless a client comes, monotonic ms; undefined if none is. */
  get scaleDownAtMs(): number | undefined {
    const { scaler: { decision }, shadow } = this.builder.target;
    const replicas = shadow === undefined ? this.#replicas : shadow.replicas;
    if (decision === undefined || replicas === undefined || replicas === 0) return undefined;
    if (decision.desired < replicas) return this.#clock.nowMs();
    return decision.fallsAtMs === Infinity ? undefined : decision.fallsAtMs;
  }

  /** Why clients wait for a pod, while some do and no pod is ready. */
  get waitsBecause(): string | undefined {
    return this.#isAwaited ? this.#reason : undefined;
  }

  /** Asks why clients wait, if some do, and waits a moment for the answer. */
  async ask(signal: AbortSignal): Promise<void> {
    if (!this.#isAwaited) {
      this.#reason = undefined;
      return;
    }
    this.#asking ??= this.builder.target.seats.explainWait(signal)
      .then((reason) => {
        this.#reason = reason;
      }, () => {})
      .finally(() => {
        this.#asking = undefined;
      });
    const over = new AbortController();
    const pause = sleep(this.#clock, REASON_MS, over.signal).catch(() => {});
    await Promise.race([this.#asking, pause]);
    over.abort();
  }

  /** Counts what was saved since the last time. */
  report(metrics: Metrics): void {
    const { name: builder } = this.builder;
    this.#account();
    const { asleepMs, coldStarts, waitedMs } = this.#real.news();
    metrics.record("pod_asleep_seconds_total", asleepMs / 1000, { builder });
    metrics.record("cold_starts_total", coldStarts, { builder });
    metrics.record("waited_seconds_total", waitedMs / 1000, { builder });
    const { shadow } = this.builder.target;
    if (this.#virtual === undefined || shadow === undefined) return;
    const would = this.#virtual.news();
    metrics.record("observe_pod_asleep_seconds_total", would.asleepMs / 1000, { builder });
    metrics.record("observe_cold_starts_total", would.coldStarts, { builder });
    metrics.record("observe_start_seconds", shadow.start.ms / 1000, { builder });
    metrics.record("observe_waited_seconds", (this.wouldSave?.waitedMs ?? 0) / 1000, { builder });
  }

  get #replicas(): number | undefined {
    return this.builder.target.placement.agreement.seen?.replicas;
  }

  get #isAwaited(): boolean {
    const { state, placement } = this.builder.target;
    return state !== "ready" && placement.usage.needing > 0;
  }

  #look(): void {
    this.#account();
    this.#history.note(this.#moment(), this.#clock.nowMs());
    if (this.#replicas !== undefined) {
      const { floor } = this.builder.target.scaler;
      this.#uses.note({ used: this.#used(), floor }, this.#clock.nowMs());
    }
    this.#changed();
  }

  /** Brings what was saved up to now. */
  #account(): void {
    const { settings: { maxReplicas }, target: { placement: { usage }, scaler: { floor }, shadow } } =
      this.builder;
    const atMs = this.#clock.nowMs();
    const replicas = this.#replicas;
    // A count that somebody else has written by mistake saves nothing when it is gone.
    const most = Math.min(maxReplicas, replicas ?? 0);
    this.#real.advance({ atMs, replicas, most, floor, waiting: usage.needing });
    if (shadow === undefined) return;
    // Nobody waits for a pod that would not be there: what it would cost is estimated.
    this.#virtual?.advance({ atMs, replicas: shadow.replicas, most, floor: shadow.unasked, waiting: 0 });
  }

  /** How many pods clients use or wait for, those of other proxies included. */
  #used(): number {
    const { placement, proxies } = this.builder.target;
    const others = proxies.use();
    const own = placement.usage.needing === 0 ? 0 : placement.needed;
    const theirs = Math.min(1 + others.highestBusy, this.#replicas ?? 0);
    return Math.max(1 + placement.usage.highest, own, theirs, others.needing > 0 ? 1 : 0);
  }

  #phaseOf(backend: Backend): PodPhase {
    if (backend.terminating) return "terminating";
    return this.builder.target.placement.pods.isReady(backend) ? "ready" : "starting";
  }

  #moment(): Moment {
    const { pool, target: { placement: { pods, usage } } } = this.builder;
    const wanted = Math.min(this.#replicas ?? 0, MOST_PODS);
    const phases: (PodPhase | undefined)[] = Array(wanted).fill("wanted");
    for (const backend of pods.all) {
      const { ordinal, terminating } = backend;
      if (ordinal >= MOST_PODS) continue;
      // A new pod may be there before the old one of its name is gone.
      if (terminating && phases[ordinal] !== undefined && phases[ordinal] !== "wanted") continue;
      phases[ordinal] = this.#phaseOf(backend);
    }
    const { shadow } = this.builder.target;
    return {
      replicas: this.#replicas,
      ...(shadow !== undefined && { virtual: shadow.replicas }),
      pods: Array.from(phases),
      sessions: sum(usage.load.values()),
      held: usage.needing,
      queued: pool.queued,
    };
  }
}
