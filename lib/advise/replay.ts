/**
 * Replays past sessions with other settings: each connects when it did, waits as long as it has to, and then works as long
 * as it did. Where it goes is decided by the program's own router and plan, how many replicas run by its own scaler and
 * `decide`, all on virtual time. Reads no real time.
 *
 * Known simplifications: requests take no time and never fail; a pod starts in the given time and stops at once; a session
 * is a build that can wait (what only watches is not told apart), and its pauses and its other connections are not known.
 *
 * @module
 */
import { logTo } from "../base/log.ts";
import { noMetrics } from "../base/metrics.ts";
import { poolsOf } from "../config/builders.ts";
import type { Settings } from "../config/settings.ts";
import { WaitLimit } from "../proxy/wait_limit.ts";
import { Router } from "../route/router.ts";
import type { WaitsFor } from "../target/seats.ts";
import type { PastSession } from "./history.ts";
import { type CountChange, VirtualBuilder } from "./virtual_builder.ts";
import { VirtualTime } from "./virtual_time.ts";

/** What is replayed, and how. */
export interface ReplayOptions {
  /** The first to connect first. */
  readonly sessions: readonly PastSession[];
  /** They describe one pool of builders. */
  readonly settings: Settings;
  /** How long a pod takes from the write of the count until it takes sessions, in ms. Asked at each start. */
  startMs(pod: string): number;
  /**
   * Pods are counted from the first session until then, in ms since the epoch; longer if the last session ends so late
   * that its idle timeout is not over by then.
   */
  readonly untilMs: number;
  /** Resolves when everything has run that can run without time passing. */
  turn(): Promise<void>;
  /** Told of each change of a replica count. */
  onCount?(change: CountChange): void;
}

/** What a replay has shown. */
export interface Replayed {
  /** Pods times the time that they were wanted by the count, in ms. */
  readonly podMs: number;
  /** As many as ran at once at most, at least one. */
  readonly peakPods: number;
  /** Until when pods were counted, in ms since the epoch. */
  readonly untilMs: number;
  /** Pods that were started other than to keep the minimum. */
  readonly coldStarts: number;
  /** How long sessions waited, added up, in ms. */
  readonly waitedMs: number;
  /** 95 of 100 sessions waited no longer than this, in ms. */
  readonly p95WaitMs: number;
  /** The longest wait of a session, in ms. */
  readonly longestWaitMs: number;
  /** Sessions whose time was up before there was a pod for them, or who left before. */
  readonly unserved: number;
}

/** Replays. */
export async function replaySessions(options: ReplayOptions): Promise<Replayed> {
  const { sessions, turn } = options;
  const replay = new Replay(options);
  const over = new AbortController();
  const run = replay.run(over.signal);
  const { time } = replay;
  for (let next = 0;;) {
    const arrivesMs = sessions[next]?.startMs ?? Infinity;
    const timerMs = time.nextMs;
    const atMs = Math.min(arrivesMs, timerMs);
    if (atMs === Infinity || (arrivesMs === Infinity && replay.open === 0 && atMs > replay.untilMs)) break;
    time.moveTo(atMs);
    if (timerMs <= arrivesMs) time.fire();
    else replay.begin(sessions[next]!, ++next);
    await turn();
    if (replay.failure !== undefined) break;
  }
  over.abort(OVER);
  await run;
  if (replay.failure !== undefined) throw replay.failure;
  return replay.result();
}

const OVER = new Error("The replay is over");

class Replay {
  readonly time: VirtualTime;
  /** Sessions that are connected. */
  open = 0;
  /** What a builder has thrown: a bug. */
  failure: unknown;
  readonly #options: ReplayOptions;
  readonly #router: Router;
  readonly #pool: string;
  readonly #builders: readonly VirtualBuilder[];
  readonly #waitsMs: Float64Array;
  readonly #idleTimeoutMs: number;
  #waits = 0;
  #unserved = 0;
  #coldStarts = 0;
  #podMs = 0;
  #pods = 0;
  #peak = 1;
  /** Until when pods have been counted. */
  #countedMs: number;
  #untilMs: number;

  constructor(options: ReplayOptions) {
    const { sessions, settings, startMs } = options;
    this.#options = options;
    this.#countedMs = sessions[0]?.startMs ?? options.untilMs;
    this.#untilMs = options.untilMs;
    const time = this.time = new VirtualTime(this.#countedMs);
    this.#waitsMs = new Float64Array(sessions.length);
    const [pool] = poolsOf(settings);
    this.#pool = pool!.name;
    this.#idleTimeoutMs = pool!.idleTimeoutMs;
    const onCount = (change: CountChange) => this.#counted(change);
    this.#builders = pool!.builders.map(({ name }) =>
      new VirtualBuilder(name, settings, pool!, { time, startMs, onCount })
    );
    this.#router = new Router([{ policy: { ...settings, ...pool! }, builders: this.#builders }], {
      clock: time,
      log: logTo(() => {}),
      metrics: noMetrics,
      // Projects are in the history as the program knew them.
      projectOf: (host) => host,
    });
  }

  /** Until when pods are to be counted, if all sessions that are to come have ended. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Runs the builders until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#builders.map((builder) =>
      builder.run(signal).catch((error) => {
        if (!signal.aborted) this.failure ??= error;
      })
    ));
  }

  /** A session connects. */
  begin(past: PastSession, id: number): void {
    this.open++;
    const router = this.#router;
    const door = { pool: this.#pool };
    const arrivedMs = this.time.nowMs();
    let onWait = (_waitsFor: WaitsFor) => {};
    const seated = () => {
      this.#waited(arrivedMs);
      const leftMs = past.wasServed ? past.durationMs - past.heldMs : this.#patienceMs(past);
      this.time.setTimer(leftMs, () => this.#end(id));
    };
    const seat = router.open(id, {
      door,
      counts: true,
      onWait: (waitsFor) => onWait(waitsFor),
      onEnd: () => {},
    });
    if (seat !== undefined) return seated();

    const leave = new AbortController();
    const limit = new WaitLimit(this.time, router.limitsOf(door), () => leave.abort(OVER));
    onWait = (waitsFor) => limit.waitFor(waitsFor);
    const stay = past.wasServed ? Infinity : past.durationMs;
    const cancel = this.time.setTimer(stay, () => leave.abort(OVER));
    router.wait(id, leave.signal).then(seated, () => {
      this.#unserved++;
      this.#waited(arrivedMs);
      this.#end(id);
    }).finally(() => {
      cancel();
      limit.end();
    });
    router.identify(id, { host: past.project, purpose: "build", isPatient: true });
  }

  /** What it has shown, once it is over. */
  result(): Replayed {
    const untilMs = this.#untilMs;
    this.#countPods(untilMs);
    const waitsMs = this.#waitsMs.subarray(0, this.#waits).sort();
    return {
      podMs: this.#podMs,
      peakPods: this.#peak,
      untilMs,
      coldStarts: this.#coldStarts,
      waitedMs: waitsMs.reduce((sum, ms) => sum + ms, 0),
      p95WaitMs: waitsMs[Math.max(0, Math.ceil(waitsMs.length * 0.95) - 1)] ?? 0,
      longestWaitMs: waitsMs.at(-1) ?? 0,
      unserved: this.#unserved,
    };
  }

  /** A client that left before it had a pod leaves at the same time now. */
  #patienceMs({ startMs, durationMs }: PastSession): number {
    return startMs + durationMs - this.time.nowMs();
  }

  #waited(arrivedMs: number): void {
    this.#waitsMs[this.#waits++] = this.time.nowMs() - arrivedMs;
  }

  #end(id: number): void {
    this.open--;
    this.#untilMs = Math.max(this.#untilMs, this.time.nowMs() + this.#idleTimeoutMs);
    this.#router.end(id);
  }

  #counted(change: CountChange): void {
    const { atMs, from, to, floor } = change;
    this.#countPods(atMs);
    this.#pods += to - from;
    this.#peak = Math.max(this.#peak, this.#pods);
    this.#coldStarts += Math.max(0, to - Math.max(from, floor));
    this.#options.onCount?.(change);
  }

  #countPods(toMs: number): void {
    // While a session is open or is to come, the end is not known: then nothing is counted that is later than now.
    const ms = toMs - this.#countedMs;
    if (ms <= 0) return;
    this.#podMs += ms * this.#pods;
    this.#countedMs += ms;
  }
}
