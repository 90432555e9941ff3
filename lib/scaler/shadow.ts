/**
 * Observe mode: what the scaler would do to the count, and would save. `decide` runs on the same facts, but for the count:
 * that is a virtual one, which starts as the real one, follows what somebody does to that, and else becomes what `decide`
 * wants. Nothing here can write the real one: this file has no port that writes. What a scaler would have done is logged and
 * counted.
 *
 * In front of pods that always run, sessions that would have waited are served at once. So a rise of the virtual count costs
 * nobody anything, and stands for a cold start.
 *
 * @module
 */
import { Listeners } from "../base/listeners.ts";
import { CauseLog } from "../base/log.ts";
import { Notifier } from "../base/notifier.ts";
import type { BuilderPorts } from "../base/ports.ts";
import type { ColdStart } from "./cold_start.ts";
import { decide, type Decision } from "./decide.ts";
import { factsOf } from "./facts.ts";
import type { Peers } from "./peers.ts";
import type { Placement } from "./placement.ts";
import type { PodStart } from "./pod_start.ts";
import type { ScalerPolicy } from "./scaler.ts";
import type { Scaling } from "./scaling.ts";
import { asleepText } from "./asleep_text.ts";
import { WarmMinimum } from "./warm_minimum.ts";

/** What it looks at. */
export interface ShadowPorts extends Pick<BuilderPorts, "clock" | "log" | "metrics"> {
  /** Sessions and pods. */
  readonly placement: Placement;
  /** The other proxies. */
  readonly peers: Pick<Peers, "use" | "subscribe">;
  /** Told of pods. */
  readonly coldStart: ColdStart;
  /** The StatefulSet's name. */
  readonly name: string;
  /** Knows how long a cold start would have taken. */
  readonly start: Pick<PodStart, "ms" | "isMeasured" | "run">;
}

/** Decides about a virtual count. */
export class Shadow implements Scaling {
  /** How long a cold start would have taken. */
  readonly start: ShadowPorts["start"];
  readonly #ports: ShadowPorts;
  readonly #policy: ScalerPolicy;
  readonly #warm: WarmMinimum;
  readonly #withheld: CauseLog;
  readonly #changed = new Notifier();
  readonly #listeners = new Listeners();
  #decision: Decision | undefined;
  /** The real count as last seen. */
  #seen: number | undefined;
  #replicas: number | undefined;
  /** How many of the virtual replicas somebody else has brought about. */
  #given = 0;

  /** Looks at every change from now on; `run` also looks when time alone changes something. */
  constructor(ports: ShadowPorts, policy: ScalerPolicy) {
    this.start = ports.start;
    this.#ports = ports;
    this.#policy = policy;
    this.#warm = new WarmMinimum(ports.clock, policy.warmAt);
    this.#withheld = new CauseLog(ports.log, "wake_withheld");
    const { placement, peers } = ports;
    // At once: a short session that would have waited would be over before a loop sees it.
    placement.subscribe(() => {
      this.#look();
      this.#changed.notify();
    });
    peers.subscribe(() => {
      placement.others = peers.use().sessions;
      this.#look();
      this.#changed.notify();
    });
  }

  /** The virtual count: what the real one would be; undefined while that is not known. */
  get replicas(): number | undefined {
    return this.#replicas;
  }

  /** Calls `listener` when the virtual count has changed. It must be quick and must not throw. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
  }

  get decision(): Decision | undefined {
    return this.#decision;
  }

  get because(): string {
    if (this.#replicas === undefined) return "the StatefulSet has not been read yet";
    return `observe mode; without it ${this.#replicas}: ${this.#decision?.because}`;
  }

  get floor(): number {
    const { minReplicas, capacity: { maxReplicas } } = this.#policy;
    return Math.max(minReplicas, Math.min(maxReplicas, this.#warm.now.count));
  }

  /** Replicas that were not started for clients: the minimum, warm windows, and those that somebody else has brought about. */
  get unasked(): number {
    return Math.max(this.floor, this.#given);
  }

  get fault(): string | undefined {
    return this.#withheld.cause;
  }

  stopLowering(): void {}

  idle(): Promise<void> {
    return Promise.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, placement, coldStart } = this.#ports;
    for (;;) {
      placement.lookAgain();
      coldStart.look(placement.pods);
      if (placement.usage.needing === 0) coldStart.settle();
      this.#look();
      const { wakeAtMs = Infinity } = this.#decision ?? {};
      const untilMs = Math.min(wakeAtMs, placement.pods.nextVerifiedMs, this.#warm.nextLookMs);
      await this.#changed.wait(clock, untilMs, signal);
    }
  }

  #look(): void {
    const { clock, placement: { agreement, usage, needed }, metrics, name } = this.#ports;
    const before = this.#replicas;
    const seen = agreement.seen?.replicas;
    if (seen !== undefined) this.#follow(seen);
    this.#decision = this.#decide();
    const { desired } = this.#decision;
    if (this.#replicas !== undefined && desired !== this.#replicas) {
      this.#would(this.#replicas, this.#decision);
      this.#replicas = desired;
      this.#decision = this.#decide();
    }
    metrics.record("replicas_desired", desired, {});
    metrics.record("replicas_observed", seen ?? 0, {});
    metrics.record("observe_replicas", this.#replicas ?? 0, {});
    const idleMs = clock.nowMs() - usage.lastNeededMs;
    if (usage.needing > 0 && seen !== undefined && needed > seen) this.#withheld.failed(asleepText(name));
    // Some clients try again every second: they are one call for a pod.
    else if ((seen ?? 0) > 0 || idleMs >= this.#policy.idleTimeoutMs) this.#withheld.succeeded();
    this.#given = Math.min(this.#given, this.#replicas ?? 0);
    if (this.#replicas !== before) this.#listeners.tell();
  }

  /** What somebody does to the real count would have happened to the virtual one, too. */
  #follow(seen: number): void {
    const before = this.#seen;
    this.#seen = seen;
    if (seen === before) return;
    const virtual = this.#replicas ?? seen;
    const isRise = before === undefined || seen > before;
    this.#replicas = isRise ? Math.max(virtual, seen) : Math.min(virtual, seen);
    if (isRise && seen > virtual) this.#given = seen;
  }

  #decide(): Decision {
    const { clock, placement, peers } = this.#ports;
    const facts = { ...factsOf(placement, peers, this.#warm.now), replicas: this.#replicas };
    return decide(facts, clock.nowMs(), this.#policy);
  }

  #would(from: number, { desired: to, reason, because }: Decision): void {
    const { log, metrics } = this.#ports;
    const direction = to > from ? "up" : "down";
    // It cannot be another one: those are of writes that are for other proxies.
    const why = reason === "closed_by_scale_down" || reason === "join" ? "held_session" : reason;
    metrics.record("observe_scalings_total", 1, { direction, reason: why });
    const waits = to > from && reason === "held_session" ? this.#wouldWait(from) : undefined;
    log.info("would_scale", { from, to, reason: why, because: waits ?? because });
  }

  /** Whom a pod would be for that would not be there. */
  #wouldWait(from: number): string {
    const { placement: { usage, load } } = this.#ports;
    const above = [...load].filter(([ordinal]) => ordinal >= from);
    const sessions = above.reduce((sum, [, count]) => sum + count, usage.needing);
    return sessions === 1 ? "1 session would wait" : `${Math.max(1, sessions)} sessions would wait`;
  }
}
