/**
 * Tests of when a daemon is asked for its health: at once and quickly while a client waits, now and then otherwise. The
 * daemon is in memory, and the test moves the time.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Network } from "../../../lib/base/network.ts";
import { PodHealthChecks } from "../../../lib/proxy/pod_health.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import type { ReadinessMode } from "../../../lib/scaler/readiness.ts";
import { HealthDaemon, type HealthHabit } from "../../support/health_daemons.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

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
type Fate = HealthHabit | "refused" | "unanswered" | "EMFILE";

/** One check, by when it began. */
interface Check {
  readonly atMs: number;
  readonly hostname: string;
}

/** The one pod of a placement, and its checks under way. */
function setUp(fate: Fate, options: { mode?: ReadinessMode; backend?: Partial<Backend> } = {}) {
  const clock = new VirtualClock();
  const placement = new Placement(clock, 1, options.mode ?? "auto");
  placement.see({ version: "1", replicas: 1 });
  const show = (change: Partial<Backend> = {}) =>
    placement.setBackends([{ ...BACKEND, ...options.backend, ...change }]);
  show();
  const daemon = new HealthDaemon("serving");
  const checks: Check[] = [];
  const world = { fate };
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
  const health = new PodHealthChecks(SETTINGS, { clock, random: () => 1, log, network, placement });
  const stop = new AbortController();
  const running = health.run(stop.signal).catch(() => {});
  return {
    clock,
    placement,
    log,
    checks,
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
async function warm(mode: ReadinessMode = "auto") {
  const setting = setUp("serving", { mode, backend: { ready: false } });
  setting.placement.open(1, true);
  await setting.placement.wait(1, new AbortController().signal);
  setting.show({ ready: true });
  await setting.clock.advance(1_000);
  assert.ok(setting.placement.healthOf("pod-1").served);
  return setting;
}

/** The longest time from one check to the next while a client waits and the daemon is not there. */
const LONGEST_PAUSE_MS = 60;

Deno.test("PodHealthChecks asks a daemon that is not there all the time while a client waits, and never in a hot loop", async () => {
  await using setting = setUp("refused", { backend: { ready: false } });
  const { clock, placement, since } = setting;
  await clock.advance(1_000);
  assert.deepEqual(setting.checks, [], "nobody waits");
  placement.open(1, true);
  const startMs = clock.nowMs();
  await clock.advance(20_000);
  const times = since(startMs);
  assert.equal(times[0], 0);
  const pauses = times.slice(1).map((ms, i) => ms - times[i]!);
  assert.equal(Math.max(...pauses), LONGEST_PAUSE_MS, "also after a while");
  assert.ok(Math.min(...pauses) >= LONGEST_PAUSE_MS / 2);
});

Deno.test("PodHealthChecks asks at once when a dial has failed and a client waits", async () => {
  await using setting = await warm();
  const { clock, placement, world, since } = setting;
  world.fate = "refused";
  const crashMs = clock.nowMs();
  assert.notEqual(placement.open(2, true), undefined, "the pod is believed to serve");
  placement.doubt("pod-1");
  placement.holdAgain(2, true);
  await clock.advance(0);
  assert.deepEqual(since(crashMs), [0]);
  await clock.advance(500);
  world.fate = "serving";
  const waiting = placement.wait(2, new AbortController().signal);
  await clock.advance(LONGEST_PAUSE_MS);
  assert.equal((await waiting).backend.uid, "pod-1");
});

Deno.test("PodHealthChecks asks at once when the pod's condition falls and a client waits, and when it rises", async () => {
  await using setting = await warm();
  const { clock, placement, world, show, since } = setting;
  placement.gate = () => false;
  placement.open(2, true);
  world.fate = "silent";
  let changedMs = clock.nowMs();
  show({ ready: false });
  await clock.advance(0);
  assert.deepEqual(since(changedMs), [0]);
  await clock.advance(1_000);
  assert.deepEqual(since(changedMs), [0], "the daemon has its time to answer");
  changedMs = clock.nowMs();
  show({ ready: true });
  await clock.advance(0);
  assert.deepEqual(since(changedMs), [0], "what the check before asked is history");
  assert.equal(placement.healthOf("pod-1").missed, 0);
});

Deno.test("PodHealthChecks leaves an address that is the pod's no more, and asks at the new one at once", async () => {
  await using setting = setUp("unanswered", { backend: { ready: false } });
  const { clock, placement, world, show, checks } = setting;
  placement.open(1, true);
  await clock.advance(1_000);
  world.fate = "serving";
  show({ ready: false, addresses: ["192.0.2.2"] });
  await clock.advance(0);
  assert.deepEqual(checks.map(({ hostname }) => hostname), ["192.0.2.1", "192.0.2.2"]);
  assert.ok(placement.healthOf("pod-1").served);
});

Deno.test("PodHealthChecks asks a pod of another uid at once", async () => {
  await using setting = await warm();
  const { clock, placement, world, show, since } = setting;
  world.fate = "refused";
  placement.gate = () => false;
  placement.open(2, true);
  await clock.advance(0);
  const changedMs = clock.nowMs();
  show({ uid: "pod-2", ready: false });
  await clock.advance(0);
  assert.deepEqual(since(changedMs), [0]);
});

Deno.test("PodHealthChecks asks at once when a client begins to wait for a daemon that has missed checks", async () => {
  await using setting = await warm("grpc");
  const { clock, placement, world, since } = setting;
  world.fate = "refused";
  await clock.advance(3 * 5_000);
  assert.equal(placement.healthOf("pod-1").missed, 3);
  const newMs = clock.nowMs();
  assert.equal(placement.open(2, true), undefined);
  await clock.advance(0);
  assert.deepEqual(since(newMs), [0]);
});

Deno.test("PodHealthChecks asks a daemon with sessions every 5 s while nobody waits, whether it answers or not", async () => {
  for (const fate of ["serving", "refused", "EMFILE"] as const) {
    await using setting = await warm();
    const { clock, world, since } = setting;
    world.fate = fate;
    const sinceMs = clock.nowMs();
    await clock.advance(15_000);
    assert.deepEqual(since(sinceMs), [4_000, 9_000, 14_000], fate);
  }
});

Deno.test("PodHealthChecks does not hurry for clients that wait for something else than the daemon", async () => {
  await using setting = await warm();
  const { clock, placement, since } = setting;
  placement.gate = () => false;
  const sinceMs = clock.nowMs();
  placement.open(2, true);
  await clock.advance(5_000);
  assert.deepEqual(since(sinceMs), [4_000]);
});

for (const fate of ["not_serving", "unimplemented", "EMFILE"] as const) {
  Deno.test(`PodHealthChecks asks less often while the answer stays ${fate}`, async () => {
    await using setting = setUp(fate, { mode: "grpc" });
    const { clock, placement, checks } = setting;
    placement.open(1, true);
    await clock.advance(20_000);
    const times = checks.map(({ atMs }) => atMs);
    assert.equal(times.at(-1)! - times.at(-2)!, 1_000);
  });
}

Deno.test("PodHealthChecks asks no oftener than that, however often dials fail", async () => {
  await using setting = await warm();
  const { clock, placement, since } = setting;
  const sinceMs = clock.nowMs();
  for (let i = 0; i < 100; i++) {
    placement.open(2, true);
    placement.doubt("pod-1");
    placement.holdAgain(2, true);
    await clock.advance(10);
  }
  const count = since(sinceMs).length;
  assert.ok(count > 2 && count <= 1_000 / (LONGEST_PAUSE_MS / 2), `${count} checks in a second`);
});

Deno.test("PodHealthChecks asks no pod that terminates or has no address, though a client waits", async () => {
  for (const state of [{ terminating: true }, { addresses: [] }]) {
    await using setting = setUp("serving", { backend: { ready: false, ...state } });
    setting.placement.open(1, true);
    await setting.clock.advance(20_000);
    assert.deepEqual(setting.checks, []);
  }
});

for (
  const [mode, then] of [
    ["auto", "its condition decides"],
    ["grpc", "it never counts as ready (--readiness grpc)"],
  ] as const
) {
  Deno.test(`PodHealthChecks (${mode}) believes three answers in a row that there is no health service, and warns once`, async () => {
    await using setting = setUp("unimplemented", { mode, backend: { ready: false } });
    const { clock, placement, log, checks } = setting;
    placement.open(1, true);
    while (checks.length < 3) {
      assert.ok(!placement.healthOf("pod-1").unsupported);
      await clock.advance(10);
    }
    await clock.advance(0);
    assert.ok(placement.healthOf("pod-1").unsupported);
    await clock.advance(60_000);
    assert.deepEqual(log.of("pod has no health service"), [
      {
        level: "warn",
        event: "pod has no health service",
        fields: { pod: "buildkitd-0", uid: "pod-1", then },
      },
    ]);
    assert.equal(checks.length > 3, mode === "grpc", "only in grpc there is nothing else to go by");
  });
}

Deno.test("PodHealthChecks does not believe odd answers that a good one interrupts", async () => {
  await using setting = setUp("unimplemented", { backend: { ready: false } });
  const { clock, placement, world, checks } = setting;
  placement.gate = () => false;
  placement.open(1, true);
  for (let round = 0; round < 3; round++) {
    world.fate = "unimplemented";
    while (checks.length < 3 * round + 2) await clock.advance(10);
    await clock.advance(0);
    world.fate = "not_serving";
    while (checks.length < 3 * round + 3) await clock.advance(10);
    await clock.advance(0);
  }
  assert.ok(!placement.healthOf("pod-1").unsupported);
});

Deno.test("PodHealthChecks says once that a pod serves, that it answers no more, and that it answers again", async () => {
  await using setting = await warm("grpc");
  const { clock, log, world } = setting;
  const events = () =>
    log.records.filter(({ event }) => event.startsWith("pod ")).map(({ level, event, fields }) => {
      assert.deepEqual(fields, { pod: "buildkitd-0", uid: "pod-1" });
      return `${level} ${event}`;
    });
  assert.deepEqual(events(), ["debug pod serves"]);
  world.fate = "refused";
  await clock.advance(2 * 5_000);
  world.fate = "serving";
  await clock.advance(5_000);
  assert.deepEqual(events(), ["debug pod serves"], "two misses are nothing to speak of");
  world.fate = "refused";
  await clock.advance(10 * 5_000);
  assert.deepEqual(events().slice(1), ["warn pod does not answer health checks"]);
  world.fate = "serving";
  await clock.advance(10 * 5_000);
  assert.deepEqual(events().slice(2), ["info pod answers health checks again"]);
});

Deno.test("PodHealthChecks counts no check as missed that it has given up, since the pod has another address", async () => {
  await using setting = await warm("grpc");
  const { clock, placement, world, show, checks } = setting;
  world.fate = "silent";
  await clock.advance(4_000);
  const count = checks.length;
  show({ ready: true, addresses: ["192.0.2.2"] });
  await clock.advance(0);
  assert.equal(placement.healthOf("pod-1").missed, 0);
  await clock.advance(8_000);
  assert.equal(placement.healthOf("pod-1").missed, 1);
  assert.deepEqual(checks.slice(count).map(({ hostname }) => hostname), ["192.0.2.2"]);
});

Deno.test("PodHealthChecks knows nothing any more of a pod that was gone, and asks it at once when it is back", async () => {
  await using setting = setUp("not_serving", { mode: "grpc", backend: { ready: false } });
  const { clock, placement, show, checks, since } = setting;
  placement.open(1, true);
  await clock.advance(20_000);
  while (checks.at(-1)!.atMs !== clock.nowMs()) await clock.advance(1);
  await clock.advance(100);
  placement.setBackends([]);
  await clock.advance(0);
  const backMs = clock.nowMs();
  show({ ready: false });
  await clock.advance(0);
  assert.deepEqual(since(backMs), [0]);
});
