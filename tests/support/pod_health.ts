/**
 * The health checks of one pod, in memory: the test is the network and the daemon, and moves the time.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Network } from "../../lib/base/network.ts";
import type { Backend } from "../../lib/scaler/backends.ts";
import { Placement } from "../../lib/scaler/placement.ts";
import type { ReadinessMode } from "../../lib/scaler/readiness.ts";
import { PodHealthChecks } from "../../lib/target/pod_health.ts";
import { ONE_POD } from "./capacity.ts";
import { directDialler } from "./dialler.ts";
import { HealthDaemon, type HealthHabit } from "./health_daemons.ts";
import { MemoryConn } from "./memory_network.ts";
import { recordingLog } from "./recording_log.ts";
import { awaitSeat } from "./seating.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** The pod. */
const BACKEND: Backend = {
  ordinal: 0,
  pod: "buildkitd-0",
  uid: "pod-1",
  addresses: ["192.0.2.1"],
  ready: true,
  terminating: false,
};

const SETTINGS = {
  upstream: "slices",
  targetPort: 1234,
  connectTimeoutMs: 5_000,
  headlessServiceName: "bk-pods",
  stsNamespace: "builds",
  clusterDomain: "cluster.local",
} as const;

/** What becomes of a dial to the pod: it is refused, not answered, cannot even be tried, or finds a daemon with a habit. */
export type Fate = HealthHabit | "refused" | "unanswered" | "EMFILE";

/** One check, by when it began. */
interface Check {
  readonly atMs: number;
  readonly hostname: string;
}

/** The one pod of a placement, and its checks under way. */
export function setUp(fate: Fate, options: { mode?: ReadinessMode; backend?: Partial<Backend> } = {}) {
  const clock = new VirtualClock();
  const gate = { open: true, subscribe: () => {} };
  const placement = new Placement(clock, ONE_POD, options.mode ?? "auto", gate);
  placement.see({ version: "1", replicas: 1 });
  const show = (change: Partial<Backend> = {}) =>
    placement.pods.set([{ ...BACKEND, ...options.backend, ...change }]);
  show();
  const daemon = new HealthDaemon("serving");
  const checks: Check[] = [];
  const world = { fate, isStuck: false };
  const network: Network = {
    listen: () => assert.fail("nobody listens here"),
    connect({ hostname }, signal) {
      checks.push({ atMs: clock.nowMs(), hostname });
      const { fate } = world;
      if (fate === "refused") return Promise.reject(new Deno.errors.ConnectionRefused("refused"));
      if (fate === "EMFILE") return Promise.reject(Object.assign(new Error("EMFILE"), { code: "EMFILE" }));
      if (fate === "unanswered") {
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        });
      }
      daemon.habit = fate;
      const [ours, theirs] = MemoryConn.pair();
      const pod = { name: "buildkitd-0", uid: "pod-1", ordinal: 0, address: { hostname, port: 1234 } };
      const session = { pod, state: "open" as const, interrupted: false, cut: () => {} };
      daemon.serve(theirs, pod, session).catch(() => {});
      return Promise.resolve(ours);
    },
  };
  const log = recordingLog();
  const health = new PodHealthChecks({
    clock,
    random: () => 1,
    log,
    placement,
    state: {
      get isStuck() {
        return world.isStuck;
      },
      subscribe: () => {},
    },
    dialler: directDialler(SETTINGS, network, clock),
  });
  const stop = new AbortController();
  const running = health.run(stop.signal).catch(() => {});
  return {
    clock,
    placement,
    log,
    checks,
    gate,
    world,
    show,
    /** When each check began, from a time on. */
    since: (ms: number) => checks.filter(({ atMs }) => atMs >= ms).map(({ atMs }) => atMs - ms),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("over"));
      await clock.advance(0);
      await running;
    },
  };
}

/** A pod that serves, by its own word and by its condition, and has a session, a second after its last check. */
export async function warm(mode: ReadinessMode = "auto") {
  const setting = setUp("serving", { mode, backend: { ready: false } });
  const session = awaitSeat(setting.placement, 1);
  await setting.clock.advance(0);
  assert.ok(session.seat() !== undefined);
  setting.show({ ready: true });
  await setting.clock.advance(1_000);
  assert.ok(setting.placement.pods.healthOf("pod-1").served);
  return setting;
}
