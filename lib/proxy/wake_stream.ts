/**
 * What a client of `POST /wake` waits for, step by step, until the builder serves. It counts as one held session while it
 * waits, and ends like one: when its time is up, when the client leaves, when the program knows that no pod will come, and
 * when all sessions are cut. Knows no HTTP.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, deadline } from "../base/clock.ts";
import { TimeoutError } from "../base/errors.ts";
import type { BuilderState } from "../base/metrics.ts";
import { Notifier } from "../base/notifier.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { Door, Outlook, Seats, Waking } from "../target/seats.ts";
import { HoldEnded, lateText } from "./goodbye.ts";
import type { SessionEnds } from "./wait.ts";

/** One step on the way. */
export interface WakeStep {
  /** How far the builder is; `failed` is the last step of a wait in vain. */
  readonly state: BuilderState | "failed";
  /** Why it does not serve, if that is known. */
  readonly reason?: string | undefined;
  /** Since the request, in ms. */
  readonly waitedMs: number;
  /** How long the builder is kept awake from now on, in ms; 0 if it is not. */
  readonly keptForMs: number;
}

/** What is asked for. */
export interface Wish {
  /** Where the client has connected. */
  readonly door: Door;
  /** The host that it has dialled, if it says so. */
  readonly host: string | undefined;
  /** How long the builder shall stay awake, in ms; 0: as after a session. */
  readonly keepForMs: number;
}

/** What a wait is made of. */
export interface WakePorts {
  /** Measures it. */
  readonly clock: Clock;
  /** Knows the builders. */
  readonly seats: Seats;
}

/** How long the reason why a builder does not serve may take to find out, in ms. */
const REASON_MS = 1_000;

/** The reason is asked for this often, in ms. */
const LOOK_MS = 1_000;

/** A step is told again after so long, in ms: something between here and the client may end a silent connection. */
const REPEAT_MS = 15_000;

/** Why a builder does not serve; undefined if it does, or sleeps, or if that is not known in time. Never throws. */
export async function reasonOf(
  outlook: Outlook,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (outlook.state === "ready" || outlook.state === "asleep") return undefined;
  using limit = deadline(clock, REASON_MS, signal, () => new TimeoutError("The reason is not known in time"));
  return await orAborted(outlook.explain(signal), limit.signal).catch(() => undefined);
}

/** One wait. */
export class WakeWait {
  readonly #wish: Wish;
  readonly #ports: WakePorts;
  readonly #startedMs: number;
  readonly #changed = new Notifier();
  readonly #before: Outlook["state"];
  readonly #waking: Waking;

  /** Begins to wait, and calls for a pod. @throws HoldEnded if too many wait already */
  constructor(wish: Wish, ports: WakePorts) {
    const { seats, clock } = ports;
    const { door, host, keepForMs } = wish;
    this.#wish = wish;
    this.#ports = ports;
    this.#startedMs = clock.nowMs();
    this.#before = seats.outlook(door, host).state;
    this.#waking = seats.wake(door, host, keepForMs, () => this.#changed.notify());
    const { refusal } = this.#waking;
    if (refusal === undefined) return;
    this.#waking.end();
    throw new HoldEnded("limited", refusal);
  }

  /** For the log: the builder that it waits for, and for how long it has waited. */
  get facts(): { readonly builder: string; readonly project: string | undefined; readonly tookMs: number } {
    const { builder, project } = this.#waking.outlook;
    return { builder, project, tookMs: Math.round(this.#ports.clock.nowMs() - this.#startedMs) };
  }

  /** It waits no more. Harmless when called twice. */
  end(): void {
    this.#waking.end();
  }

  /** The steps. The last one is `ready`. @throws HoldEnded after the step `failed`, or the reason of `left` or `cut` */
  async *steps(left: AbortSignal, { cut, refuse }: SessionEnds): AsyncGenerator<WakeStep, void> {
    const { clock, seats } = this.#ports;
    const { readyWaitTimeoutMs } = seats.limitsOf(this.#wish.door);
    using cutting = anySignal(cut);
    using ends = anySignal(left, cutting.signal, refuse);
    using limit = deadline(clock, readyWaitTimeoutMs, ends.signal, () => new HoldEnded("timed_out", ""));
    try {
      if (!this.#waking.isServed) yield this.#step(this.#before);
      yield* this.#untilServed(limit.signal, cutting.signal);
      yield this.#step("ready");
    } catch (error) {
      if (!(error instanceof HoldEnded) || left.aborted || cut.aborted) throw error;
      const ended = error.message === "" ? await this.#timedOut(readyWaitTimeoutMs, cutting.signal) : error;
      yield this.#step("failed", ended.message);
      throw ended;
    } finally {
      this.end();
    }
  }

  async *#untilServed(signal: AbortSignal, cut: AbortSignal): AsyncGenerator<WakeStep, void> {
    const { clock } = this.#ports;
    let told = { state: this.#before as WakeStep["state"], reason: undefined as string | undefined };
    let toldMs = this.#startedMs;
    let lookMs = this.#startedMs + LOOK_MS;
    for (; !this.#waking.isServed; await this.#changed.wait(clock, lookMs, signal)) {
      const { outlook } = this.#waking;
      const { state } = outlook;
      const isDue = clock.nowMs() >= lookMs;
      const reason = isDue ? await reasonOf(outlook, clock, cut) : told.reason;
      if (isDue) lookMs = clock.nowMs() + LOOK_MS;
      signal.throwIfAborted();
      if (this.#waking.isServed) return;
      if (state === told.state && reason === told.reason && clock.nowMs() < toldMs + REPEAT_MS) continue;
      told = { state, reason };
      toldMs = clock.nowMs();
      yield this.#step(state, reason);
    }
  }

  async #timedOut(waitedMs: number, cut: AbortSignal): Promise<HoldEnded> {
    return new HoldEnded("timed_out", lateText(waitedMs, await this.#waking.outlook.explain(cut)));
  }

  #step(state: WakeStep["state"], reason?: string): WakeStep {
    const keptForMs = state === "ready" ? this.#waking.outlook.keptForMs : 0;
    return { state, reason, waitedMs: this.#ports.clock.nowMs() - this.#startedMs, keptForMs };
  }
}
