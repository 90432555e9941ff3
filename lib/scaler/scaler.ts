/**
 * The shell around `decide`: feeds it the facts and carries out what it wants by writing the count. It is
 * level-triggered: each turn looks at the whole state, so a lost event or a failed write is put right by the next turn.
 * Everything that could cut a session is checked by `placement.ts` and `agreement.ts`, not here.
 *
 * @module
 */
import { CauseLog } from "../base/log.ts";
import { Notifier } from "../base/notifier.ts";
import type { BuilderPorts } from "../base/ports.ts";
import { ApiError, isConflict } from "../kube/api_error.ts";
import { placeableBelow } from "./agreement.ts";
import { Attempt, NoConsent, OutOfDate } from "./attempt.ts";
import type { ColdStart } from "./cold_start.ts";
import { decide, type Decision, type Facts, type Policy } from "./decide.ts";
import { factsOf } from "./facts.ts";
import type { Peers } from "./peers.ts";
import type { Placement } from "./placement.ts";
import type { ReplicaCount } from "./replica_count.ts";
import type { Scaling } from "./scaling.ts";
import { keptForMs, NO_SURPLUS, note } from "./surplus.ts";
import type { Warmth } from "./warm.ts";
import { WarmMinimum } from "./warm_minimum.ts";

/** What the scaler is made of. */
export interface ScalerPorts extends Pick<BuilderPorts, "clock" | "random" | "log" | "metrics"> {
  /** The fault under which its own stands: that there is no access to the API. */
  readonly access?: CauseLog;
  /** Reads and writes the count. */
  readonly count: ReplicaCount;
  /** Sessions, pods and promises. */
  readonly placement: Placement;
  /** The other proxies. */
  readonly peers: Peers;
  /** Told when a claim has succeeded. */
  readonly coldStart: ColdStart;
}

/** What the scaler is to do. */
export interface ScalerPolicy extends Policy {
  /** What warm windows ask for at a wall time. Without it, there are none. */
  readonly warmAt?: ((wallMs: number) => Warmth) | undefined;
}

/** A claim, for which clients wait, follows a server's `Retry-After` for at most this long, in ms. */
export const CLAIM_PATIENCE_MS = 5_000;

/** A scale-down, for which nobody waits, follows it for at most this long, in ms. */
const LOWER_PATIENCE_MS = 60_000;

/** Has the count written. */
export class Scaler implements Scaling {
  readonly #ports: ScalerPorts;
  readonly #policy: ScalerPolicy;
  readonly #warm: WarmMinimum;
  readonly #faults: CauseLog;
  readonly #claim: Attempt;
  readonly #lower: Attempt;
  readonly #changed = new Notifier();
  readonly #underWay = new Set<Promise<void>>();
  /** A write has failed and may have changed the count or its version, so the next claim reads the count first. */
  #mustRead = false;
  /** The count is to be raised or lowered, as of the last turn. */
  #wants = false;
  /** False once the program ends. */
  #lowers = true;
  #surplus = NO_SURPLUS;
  #decision: Decision | undefined;

  /** Starts nothing: `run` does. */
  constructor(ports: ScalerPorts, policy: ScalerPolicy) {
    this.#ports = ports;
    this.#policy = policy;
    this.#warm = new WarmMinimum(ports.clock, policy.warmAt);
    this.#faults = new CauseLog(ports.log, "scaling_failed", ports.access);
    this.#claim = new Attempt(ports, this.#faults, CLAIM_PATIENCE_MS);
    this.#lower = new Attempt(ports, this.#faults, LOWER_PATIENCE_MS);
    ports.placement.subscribeBeyondLoad(() => this.#changed.notify());
    // What those of another proxy need depends on how full the pods are.
    ports.placement.subscribe(() => {
      if (ports.peers.use().needing > 0) this.#changed.notify();
    });
    ports.peers.subscribe(() => {
      ports.placement.others = ports.peers.use().sessions;
      this.#changed.notify();
    });
  }

  /** The last decision; undefined before the first. */
  get decision(): Decision | undefined {
    return this.#decision;
  }

  /** Why the pods stay or go, for people. */
  get because(): string {
    return this.#decision?.because ?? "the StatefulSet has not been read yet";
  }

  /** The replicas that stay without clients: the minimum, or what an open warm window wants. */
  get floor(): number {
    const { minReplicas, capacity: { maxReplicas } } = this.#policy;
    return Math.max(minReplicas, Math.min(maxReplicas, this.#warm.now.count));
  }

  /** Why the count cannot be read or written at present; undefined if it can. */
  get fault(): string | undefined {
    return this.#faults.cause;
  }

  /** True while the count is to be written, or is being written. */
  get busy(): boolean {
    return this.#wants || this.#underWay.size > 0;
  }

  /** From now on this proxy never lowers the count: it ends, and another proxy can. Claims go on. */
  stopLowering(): void {
    this.#lowers = false;
  }

  /** Runs until the signal is aborted, and then until no write is under way. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, placement, coldStart } = this.#ports;
    try {
      for (;;) {
        placement.lookAgain();
        coldStart.look(placement.pods);
        if (placement.usage.needing === 0) coldStart.settle();
        const decision = this.#decide();
        this.#act(decision, signal);
        const untilMs = Math.min(
          decision.wakeAtMs,
          placement.pods.nextVerifiedMs,
          this.#nextTryMs(decision),
          this.#warm.nextLookMs,
        );
        await this.#changed.wait(clock, untilMs, signal);
      }
    } finally {
      await Promise.all(this.#underWay);
    }
  }

  /** Resolves when no write of the count is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #decide(): Decision {
    const { clock, placement: { agreement }, metrics } = this.#ports;
    const decision = decide(this.#facts(), clock.nowMs(), this.#policy);
    this.#decision = decision;
    metrics.record("replicas_desired", decision.desired, {});
    metrics.record("replicas_observed", agreement.seen?.replicas ?? 0, {});
    return decision;
  }

  #facts(): Facts {
    const { placement, peers } = this.#ports;
    const { changes } = placement;
    const facts = factsOf(placement, peers, this.#warm.now);
    this.#noteChanges(facts.highestBusy);
    const surplus = changes.raised === undefined || this.#surplus.times === 0 ? undefined : {
      highest: changes.raised.to - 1,
      raisedMs: changes.raised.atMs,
      keptForMs: keptForMs(this.#surplus, this.#policy.idleTimeoutMs),
    };
    return surplus === undefined ? facts : { ...facts, surplus };
  }

  #noteChanges(highestBusy: number): void {
    const { log, placement: { changes }, peers } = this.#ports;
    const { idleTimeoutMs } = this.#policy;
    const before = this.#surplus;
    this.#surplus = note(before, changes, highestBusy, idleTimeoutMs);
    const { times } = this.#surplus;
    if (times <= before.times || !peers.leads) return;
    log.warn("replicas_raised_again", {
      to: changes.raised?.to,
      times,
      keptMs: keptForMs(this.#surplus, idleTimeoutMs),
    });
  }

  /**
   * Each proxy claims for its own sessions, at once: for those that it holds, and for running ones whose pod is above a
   * count that somebody else wrote. Only the leader raises the count for any other reason, and ends its promise where the
   * scale-down was not agreed to: a pod that stays is closed to its clients otherwise, until one asks for it.
   */
  #wantsClaim({ desired }: Decision): boolean {
    const { placement: { agreement, closedToHeld, needed, usage }, peers } = this.#ports;
    const { seen } = agreement;
    if (seen === undefined) return false;
    const own = Math.max(usage.highest + 1, needed);
    return closedToHeld || own > seen.replicas || (peers.leads && desired > placeableBelow(agreement));
  }

  #wantsLower({ desired }: Decision): boolean {
    const { placement: { agreement: { seen } }, peers } = this.#ports;
    return this.#lowers && peers.leads && !this.#claim.running && seen !== undefined &&
      desired < seen.replicas;
  }

  #act(decision: Decision, signal: AbortSignal): void {
    this.#wants = this.#wantsClaim(decision) || this.#wantsLower(decision);
    if (this.#wantsClaim(decision)) this.#start(this.#claim, () => this.#tryClaim(signal), signal);
    else if (this.#wantsLower(decision)) this.#start(this.#lower, () => this.#tryLower(signal), signal);
  }

  #nextTryMs(decision: Decision): number {
    if (this.#wantsClaim(decision)) return this.#claim.nextTryMs;
    return this.#wantsLower(decision) ? this.#lower.nextTryMs : Infinity;
  }

  #start(attempt: Attempt, work: () => Promise<void>, signal: AbortSignal): void {
    const task = attempt.start(work, signal)?.then(({ error }) => {
      // A refusal (4xx) has certainly changed nothing, and only a conflict means that the count is another one.
      const saysNo = error instanceof ApiError && error.status >= 400 && error.status < 500;
      if (error !== undefined) this.#mustRead = !saysNo || isConflict(error);
      this.#underWay.delete(task!);
      this.#changed.notify();
    });
    if (task !== undefined) this.#underWay.add(task);
  }

  /**
   * Raises the count to what is needed, or writes the same count once more to end a promise of our own. Conditional on
   * the version that was seen; an unknown outcome counts as failed.
   */
  async #tryClaim(signal: AbortSignal): Promise<void> {
    const { placement, coldStart, count } = this.#ports;
    if (this.#mustRead) await count.read(signal);
    this.#mustRead = false;
    const { seen } = placement.agreement;
    const decision = this.#decide();
    if (seen === undefined || !this.#wantsClaim(decision)) return;
    const { replicas } = await count.claim(seen, decision.desired, decision, signal);
    if (replicas > seen.replicas) coldStart.raised();
    if (replicas >= decision.desired || replicas > seen.replicas) coldStart.reached("scale_write");
    if (replicas >= decision.desired) return;
    // Tried again, but not at once.
    throw new Error(
      `Cannot scale to ${decision.desired} replicas: the API server has written ${replicas} instead; look for a webhook ` +
        "or a policy that limits them",
    );
  }

  /**
   * Lowers the count, in an order that matters:
   *
   * 1. Read the count and its version, and decide again on that.
   * 2. Have every proxy promise to place nothing on the pods that go, until a newer version is seen.
   * 3. Decide once more, since 2 may take long.
   * 4. Write on condition of the version of 1.
   *
   * No failure ends a promise: a write that timed out may still land.
   */
  async #tryLower(signal: AbortSignal): Promise<void> {
    const { placement, peers, count } = this.#ports;
    const read = await count.read(signal);
    // The records of the other proxies belong to a uid: of a StatefulSet made anew, others would not be asked.
    if (read.uid !== undefined && peers.uid !== undefined && read.uid !== peers.uid) {
      throw new OutOfDate("The StatefulSet was made anew, and that was not seen yet");
    }
    const decision = this.#decide();
    if (!this.#wantsLower(decision)) return;
    const { seen } = placement.agreement;
    if (seen?.version !== read.version) {
      throw new OutOfDate(
        `Version ${read.version} of the count was read, and ${seen?.version} was seen meanwhile`,
      );
    }
    const wanted = { below: decision.desired, version: read.version };
    if (!await peers.consent(wanted, signal)) throw new NoConsent();
    // This proxy may not lead any more, or a session may need the pod after all.
    if (!this.#wantsLower(this.#decide()) || placement.agreement.seen?.version !== read.version) return;
    await count.lower(read, decision.desired, decision, signal);
  }
}
