/**
 * The fault mix: random clients and random faults around the whole program on real sockets, for as long as is asked.
 *
 * What must hold: a client that stays is served, unless a fault has killed its own pod or connection; no pod is told to
 * go while a session is on it; once the faults stop, everything settles at nothing.
 *
 * The program's clock is fast, so that its deadlines of seconds are met many times a run. The seed draws what clients
 * and faults do; on real sockets the same seed is the same mix, not the same run.
 *
 * @module
 */
import assert from "node:assert/strict";
import { logTo } from "../../../lib/base/log.ts";
import { fastClock } from "../../support/fast_clock.ts";
import { type Program, startProgram } from "../../support/program.ts";
import type { PodSession } from "../../support/server_pods.ts";
import { type SeededRandom, seededRandom } from "../../support/seeded_random.ts";
import { drawPattern, type Loss, type Pattern, PATTERNS, pause, runSession } from "./clients.ts";
import { type FaultMixState, makeTrouble } from "./faults.ts";
import { numberedEcho } from "./pods.ts";

/** How long, and from which seed. */
export interface FaultMixOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Clients at a time. */
  readonly clients?: number;
}

const CLOCK_FACTOR = 20;

/** So many clients are remembered after their sessions have ended: fewer than there are ports, which come again. */
const RECORDS_OF_CLIENTS = 2_000;
/** On the program's clock: a quarter of a second of the machine's. */
const IDLE_TIMEOUT = "5s";
/** Records that a failure shows. */
const RECORDS = 60;

/** What a run has seen. */
export interface FaultMixReport {
  readonly seed: number;
  readonly seconds: number;
  readonly sessions: Readonly<Record<string, number>>;
  readonly served: number;
  readonly left: number;
  /** Lost to a fault that killed their own pod or connection. */
  readonly lostToFaults: number;
  readonly scaleUps: number;
  readonly scaleDowns: number;
  /** Scale-downs that clients came in the middle of. */
  readonly ambushes: number;
  readonly claimsOfTheSameCount: number;
  readonly watchRestarts: number;
  readonly apiErrors: number;
  readonly dialErrors: number;
  readonly podsStarted: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly rssMb: readonly [warm: number, end: number];
  readonly heapMb: readonly [warm: number, end: number];
}

/** Runs it. Throws when something that must hold did not. */
export async function runFaultMix(
  { seed, durationMs, clients = 12 }: FaultMixOptions,
): Promise<FaultMixReport> {
  const random = seededRandom(seed);
  const times = random.fork();
  const byNumber = new Map<number, PodSession>();
  const ambushed = new Set<Promise<void>>();
  let ambushes = 0;
  const state: FaultMixState = {
    killedMs: [],
    ambush() {
      ambushes++;
      for (let n = 0; n < 3; n++) {
        const own = random.fork();
        const coming = pause(own.integer(0, 150)).then(() => session(own.pick(["short", "long"]), own));
        ambushed.add(coming);
        coming.then(() => ambushed.delete(coming), () => {});
      }
    },
  };
  const recent: string[] = [];
  /** By the client's address: when its session was connected to a pod, monotonic ms; undefined if it never was. */
  const connectedMs = new Map<string, number | undefined>();
  const openedMs = new Map<string, number>();
  const log = logTo((level, code, fields) => {
    const client = String(fields["client"]);
    if (code === "session_opened") openedMs.set(client, performance.now());
    if (level === "debug") return;
    recent.push(`${performance.now().toFixed(0)} ${level} ${code} ${JSON.stringify(fields)}`);
    if (recent.length > RECORDS) recent.shift();
    if (code !== "session_ended") return;
    // Not from the end on: this line may wait until it is known how the pod ended.
    const opened = openedMs.get(client)!;
    openedMs.delete(client);
    connectedMs.delete(client);
    const { pod, heldMs } = fields;
    connectedMs.set(client, pod === undefined ? undefined : opened + Number(heldMs) / CLOCK_FACTOR);
    // The oldest go; a client that was lost may ask for its own long after the program has written its line.
    if (connectedMs.size > RECORDS_OF_CLIENTS) connectedMs.delete(connectedMs.keys().next().value!);
  });
  await using program = await startProgram({
    clock: fastClock(CLOCK_FACTOR),
    log,
    debug: true,
    serve: numberedEcho(byNumber),
    settings: { idleTimeoutMs: IDLE_TIMEOUT, readyWaitTimeoutMs: "100h" },
    cluster: {
      startMs: () => times.chance(0.2) ? times.integer(100, 800) : times.integer(0, 60),
      probeMs: () => times.integer(0, 80),
      restartMs: () => times.integer(0, 200),
      reactionMs: () => times.integer(0, 20),
    },
  });
  const { metrics, pods } = program;
  await program.until("it is ready", () => metrics.value("api_requests_total", { verb: "watch" }) >= 2);

  const counts: Record<string, number> = Object.fromEntries(PATTERNS.map((pattern) => [pattern, 0]));
  const losses: Loss[] = [];
  let served = 0, left = 0, interrupted = 0, active = 0, quiet = false, nextNumber = 1;
  const stop = new AbortController();
  const startedMs = performance.now();

  const client = async (own: SeededRandom) => {
    while (!stop.signal.aborted) {
      await pause(own.chance(0.1) ? own.integer(200, 1_500) : own.integer(0, 120));
      if (!quiet) await session(drawPattern(own), own);
    }
  };
  const session = async (pattern: Pattern, own: SeededRandom) => {
    const number = nextNumber++;
    counts[pattern]!++;
    active++;
    const outcome = await runSession(number, pattern, program.address, own).finally(() => active--);
    if (outcome.ended === "served") served++;
    else if (outcome.ended === "left") left++;
    else losses.push(await explain(outcome.loss));
    if (byNumber.get(number)?.interrupted) interrupted++;
    byNumber.delete(number);
    if (number % 50 === 0) {
      pods.forget();
      state.killedMs.splice(0, Math.max(0, state.killedMs.length - 200));
    }
  };
  /** A loss that a fault explains, or an error. */
  const explain = async (loss: Loss): Promise<Loss> => {
    const session = byNumber.get(loss.number);
    if (session?.state === "cut" && !session.interrupted) return loss;
    // Its number had not been read: then it was lost by a kill while it was connected.
    if (session === undefined && loss.client !== "") {
      await program.until(`the log line of ${loss.client}`, () => connectedMs.has(loss.client));
      const sinceMs = connectedMs.get(loss.client);
      const slackMs = 100;
      if (
        sinceMs !== undefined && state.killedMs.some((ms) => ms >= sinceMs - slackMs && ms <= loss.lostMs)
      ) {
        return loss;
      }
    }
    throw new Error(
      `A session was lost and no fault explains it: ${JSON.stringify({ loss, session })}\n` +
        `killed at ${state.killedMs.slice(-10).map((ms) => ms.toFixed(0)).join(" ")}, now ${
          performance.now().toFixed(0)
        }\n` + recent.join("\n"),
    );
  };
  const quietTimes = async (own: SeededRandom) => {
    while (!stop.signal.aborted) {
      await pause(own.integer(300, 3_000));
      quiet = true;
      while (active > 0 && !stop.signal.aborted) await pause(20);
      // Half of the time clients come back about when the scale-down is being written.
      await pause(own.chance(0.5) ? own.integer(200, 400) : own.integer(300, 1_500));
      quiet = false;
    }
  };

  const running = Array.from({ length: clients }, () => client(random.fork()));
  const trouble = makeTrouble(program.world, random.fork(), state, stop.signal);
  const rest = quietTimes(random.fork());
  const failed = Promise.all([trouble, ...running]).then(() => new Promise<never>(() => {}));
  const warmMs = Math.min(durationMs / 4, 60_000);
  const over = new AbortController();
  let warm = Deno.memoryUsage();
  try {
    await Promise.race([failed, pauseUntil(warmMs, over.signal)]);
    warm = settledMemory();
    await Promise.race([failed, pauseUntil(durationMs - warmMs, over.signal)]);
  } finally {
    over.abort();
    stop.abort();
    await Promise.allSettled([trouble, rest, ...running]);
    program.cluster.api.faults.clear();
  }
  await Promise.all(running);
  while (ambushed.size > 0) await Promise.all(ambushed);
  await settle(program, recent);
  const end = settledMemory();
  const faults = Object.fromEntries([...await trouble].sort());
  const report: FaultMixReport = {
    seed,
    seconds: Math.round((performance.now() - startedMs) / 1000),
    sessions: counts,
    served,
    left,
    lostToFaults: losses.length,
    scaleUps: metrics.value("scale_writes_total", { direction: "up" }),
    scaleDowns: metrics.value("scale_writes_total", { direction: "down" }),
    ambushes,
    claimsOfTheSameCount: metrics.value("scale_writes_total", { direction: "same" }),
    watchRestarts: metrics.value("watch_restarts_total"),
    apiErrors: metrics.value("api_errors_total"),
    dialErrors: metrics.value("dial_errors_total"),
    podsStarted: pods.started.length,
    faults,
    rssMb: [mb(warm.rss), mb(end.rss)],
    heapMb: [mb(warm.heapUsed), mb(end.heapUsed)],
  };
  assert.equal(interrupted, 0, "no pod was told to go while a session was on it");
  for (const outcome of ["timed_out", "limited", "failed", "drain_timeout"] as const) {
    assert.equal(metrics.value("sessions_ended_total", { outcome }), 0, `no session ended as ${outcome}`);
  }
  assert.ok(end.heapUsed < warm.heapUsed + 64 * 1024 * 1024, `the heap grew: ${JSON.stringify(report)}`);
  return report;
}

/** Without faults and clients, everything goes to nothing; and a client is still served as ever. */
async function settle(program: Program, recent: readonly string[]): Promise<void> {
  const { metrics, cluster, pods } = program;
  const nothing = () =>
    cluster.replicas === 0 && cluster.pods.length === 0 && pods.open === 0 &&
    (["sessions_open", "sessions_held", "hold_bytes", "replicas_desired", "replicas_observed"] as const)
      .every((name) => metrics.value(name) === 0);
  try {
    await program.until("everything settles", nothing, 60_000);
    using client = await program.connect();
    const text = "000000000000 after the storm";
    assert.equal(await client.echo(text), text);
    client.close();
    await program.until("everything settles again", nothing, 60_000);
  } catch (error) {
    if (error instanceof Error) error.message += `\n${recent.join("\n")}`;
    throw error;
  }
}

function settledMemory(): Deno.MemoryUsage {
  (globalThis as { gc?: () => void }).gc?.();
  return Deno.memoryUsage();
}

function pauseUntil(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}

function mb(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}
