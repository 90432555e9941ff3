/** Tests of the scaler's shell: what it writes, when, and what becomes of sessions in between. @module */
import assert from "node:assert/strict";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { ColdStart } from "../../../lib/scaler/cold_start.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../../lib/scaler/replica_count.ts";
import { CLAIM_PATIENCE_MS, Scaler } from "../../../lib/scaler/scaler.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { FakeScale } from "../../support/fake_scale.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive, awaitSeat } from "../../support/seating.ts";
import { soleProxy } from "../../../lib/scaler/sole_proxy.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const IDLE_MS = 60_000;

function setUp({ replicas = 0, watch = true, minReplicas = 0, leads = true } = {}) {
  const clock = new VirtualClock();
  const scale = new FakeScale(replicas);
  const log = recordingLog();
  const placement = new Placement(clock, ONE_POD, "pod");
  const coldStart = new ColdStart({ clock, log, metrics: noMetrics });
  const count = new ReplicaCount({ scale, placement, log, metrics: noMetrics, identity: "one" });
  const scaler = new Scaler(
    {
      clock,
      random: () => 0.5,
      log,
      metrics: noMetrics,
      count,
      placement,
      peers: { ...soleProxy(placement, clock.nowMs()), leads },
      coldStart,
    },
    { minReplicas, capacity: ONE_POD, idleTimeoutMs: IDLE_MS },
  );
  const world = { watch };
  scale.onChange = (count) => {
    if (world.watch) placement.see(count, "watch");
  };
  placement.see({ replicas, version: String(scale.version) });
  const controller = new AbortController();
  const running = scaler.run(controller.signal).catch(() => {});
  let uids = 0;
  const pod = (ready: boolean, terminating = false, fresh = true) =>
    placement.pods.set([{
      ordinal: 0,
      pod: "b-0",
      uid: `uid-${fresh ? ++uids : uids}`,
      addresses: ["192.0.2.1"],
      ready,
      terminating,
    }]);
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return { clock, scale, log, placement, scaler, world, pod, stop };
}

Deno.test("Scaler raises the count at once for a held session, and the session is seated when the pod is ready", async () => {
  const { clock, scale, placement, pod, stop } = setUp();
  await clock.advance(0);
  const session = awaitSeat(placement, 1);
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["apply 1"]);
  pod(false);
  await clock.advance(5_000);
  assert.equal(session.seat(), undefined);
  pod(true, false, false);
  await clock.advance(0);
  assert.equal(session.seat()?.backend.pod, "b-0");
  await stop();
});

Deno.test("Scaler asks the API nothing for a session to a ready backend", async () => {
  const { clock, scale, placement, pod, stop } = setUp({ replicas: 1 });
  pod(true);
  await clock.advance(0);
  for (let id = 1; id <= 300; id++) {
    assert.ok(arrive(placement, id) !== undefined);
    await clock.advance(1);
    placement.end(id);
  }
  assert.deepEqual(scale.requests, []);
  await stop();
});

Deno.test("Scaler follows a Retry-After for a few seconds where clients wait, and for a minute where nobody does", async () => {
  const { clock, scale, placement, pod, stop } = setUp();
  await clock.advance(0);
  scale.fates({ retryAfterMs: 50_000 });
  const session = awaitSeat(placement, 1);
  await clock.advance(0);
  await clock.advance(CLAIM_PATIENCE_MS - 1);
  assert.deepEqual(scale.requests, ["apply 1"]);
  await clock.advance(1);
  assert.deepEqual(scale.requests, ["apply 1", "apply 1"]);
  pod(true);
  await clock.advance(0);
  assert.ok(session.seat() !== undefined);
  placement.end(1);
  scale.fates({ retryAfterMs: 90_000 });
  await clock.advance(IDLE_MS + 60_000 - 1);
  assert.equal(scale.requests.length, 3);
  await clock.advance(1);
  assert.equal(scale.replicas, 0);
  await stop();
});

Deno.test("Scaler lowers the count one idle timeout after the last session, and not before", async () => {
  const { clock, scale, placement, pod, log, stop } = setUp({ replicas: 1 });
  pod(true);
  await clock.advance(IDLE_MS - 1);
  assert.ok(arrive(placement, 1) !== undefined);
  await clock.advance(10 * IDLE_MS);
  placement.end(1);
  await clock.advance(IDLE_MS - 1);
  assert.deepEqual(scale.requests, []);
  await clock.advance(1);
  assert.deepEqual(scale.requests, ["read", "update 0"]);
  assert.equal(scale.replicas, 0);
  assert.deepEqual(log.of("scaled").map(({ fields }) => fields["reason"]), ["idle"]);
  await stop();
});

Deno.test("Scaler converges from whatever it finds at the start", async () => {
  for (
    const [replicas, minReplicas, want] of [[1, 0, 0], [3, 0, 0], [3, 1, 1], [0, 1, 1], [0, 0, 0]] as const
  ) {
    const { clock, scale, stop } = setUp({ replicas, minReplicas });
    await clock.advance(IDLE_MS - 1);
    assert.equal(scale.replicas, Math.max(replicas, minReplicas), "nothing is taken before one idle timeout");
    await clock.advance(1);
    assert.equal(scale.replicas, want);
    await stop();
  }
});

Deno.test("Scaler keeps what was scaled up by hand for one idle timeout", async () => {
  const { clock, scale, stop } = setUp();
  await clock.advance(5 * IDLE_MS);
  scale.set(2);
  await clock.advance(IDLE_MS - 1);
  assert.equal(scale.replicas, 2);
  await clock.advance(1);
  assert.equal(scale.replicas, 0);
  await stop();
});

Deno.test("Scaler places nothing while a scale-down is under way; a session that arrives claims, and wins if it lands first", async () => {
  const { clock, scale, placement, pod, stop } = setUp({ replicas: 1 });
  pod(true);
  const { promise: slow, resolve: land } = Promise.withResolvers<void>();
  scale.fates({ after: Promise.resolve() }, { before: slow });
  await clock.advance(IDLE_MS);
  assert.deepEqual(scale.requests, ["read", "update 0"]);
  const session = awaitSeat(placement, 1);
  assert.equal(session.seat(), undefined, "the promise closes the ordinal");
  await clock.advance(0);
  assert.deepEqual(scale.requests.slice(2), ["apply 1"]);
  assert.equal(session.seat()?.backend.ordinal, 0, "the claim has changed the version");
  land();
  await clock.advance(1_000);
  assert.equal(scale.replicas, 1, "the slow write met a conflict");
  await stop();
});

Deno.test("Scaler uses no pod when its scale-down met a conflict: a fall of the count that nobody told of may have been first", async () => {
  const { clock, scale, placement, world, pod, stop } = setUp({ replicas: 1 });
  pod(true);
  world.watch = false;
  const { promise: slow, resolve: land } = Promise.withResolvers<void>();
  const { promise: later, resolve: goOn } = Promise.withResolvers<void>();
  const now = { after: Promise.resolve() };
  scale.fates(now, { before: slow }, now, { before: later });
  await clock.advance(IDLE_MS);
  assert.deepEqual(scale.requests, ["read", "update 0"]);
  // Somebody else was quicker, the controller has begun to delete the pod, and another proxy has claimed since.
  scale.set(0);
  scale.set(1);
  land();
  await clock.advance(0);
  assert.deepEqual(placement.agreement, { seen: { replicas: 1, version: "102" }, promises: [] });
  assert.equal(arrive(placement, 1), undefined, "it looks ready, and is suspect");
  placement.end(1);
  goOn();
  await stop();
});

Deno.test("Scaler raises the count again when the scale-down has won, and uses only a new pod", async () => {
  const { clock, scale, placement, pod, stop } = setUp({ replicas: 1 });
  pod(true);
  const { promise: slow, resolve: land } = Promise.withResolvers<void>();
  scale.fates({ after: Promise.resolve() }, { after: slow });
  await clock.advance(IDLE_MS);
  assert.equal(scale.replicas, 0);
  const session = awaitSeat(placement, 1);
  await clock.advance(0);
  assert.equal(scale.replicas, 1);
  assert.equal(session.seat(), undefined, "the pod that still looks ready is suspect");
  land();
  pod(false, true, false);
  await clock.advance(1_000);
  pod(true);
  await clock.advance(0);
  assert.equal(session.seat()?.backend.uid, "uid-2");
  await stop();
});

Deno.test("Placement believes no earlier answer of a daemon whose pod's condition has fallen: it may have been restarted", () => {
  for (const mode of ["auto", "grpc"] as const) {
    const placement = new Placement(new VirtualClock(), ONE_POD, mode);
    const pod = (ready: boolean) =>
      placement.pods.set([
        { ordinal: 0, pod: "b-0", uid: "uid-1", addresses: ["192.0.2.1"], ready, terminating: false },
      ]);
    const isReady = () => placement.pods.isReady(placement.pods.all[0]!);
    pod(false);
    placement.pods.checked("uid-1", "serving");
    pod(false);
    assert.ok(isReady(), "its condition has not risen yet");
    pod(true);
    pod(false);
    assert.equal(isReady(), false);
    placement.pods.checked("uid-1", "missed");
    assert.equal(isReady(), false);
    placement.pods.checked("uid-1", "serving");
    assert.ok(isReady());
  }
});

Deno.test("Placement uses no pod when a promise ends by a version that may have skipped the fall of the count", async () => {
  for (
    const [proof, isUsed] of [[undefined, false], ["watch", true], ["101", true], ["99", false]] as const
  ) {
    const { clock, placement, pod, stop } = setUp();
    placement.see({ version: "101", replicas: 1 }, "watch");
    pod(true);
    assert.ok(placement.promise({ below: 0, version: "101" }));
    placement.see({ version: "103", replicas: 1 }, proof);
    assert.equal(arrive(placement, 1) !== undefined, isUsed, `proof ${proof}`);
    placement.end(1);
    await clock.advance(0);
    await stop();
  }
});

Deno.test("Scaler uses a suspect pod again once it is verified by time", async () => {
  const { clock, scale, placement, pod, stop } = setUp({ replicas: 1 });
  pod(true);
  await clock.advance(IDLE_MS);
  const session = awaitSeat(placement, 1);
  await clock.advance(0);
  assert.equal(scale.replicas, 1);
  placement.pods.settled();
  await clock.advance(4_999);
  assert.equal(session.seat(), undefined);
  await clock.advance(1);
  assert.equal(session.seat()?.backend.uid, "uid-1");
  await stop();
});

for (const fate of ["lost", "unanswered"] as const) {
  Deno.test(`Scaler takes a scale-down that was ${fate} for no outcome: nothing is placed until a claim has ended the promise`, async () => {
    const { clock, scale, placement, pod, world, stop } = setUp({ replicas: 1 });
    pod(true);
    world.watch = false;
    scale.fates({ after: Promise.resolve() }, fate);
    await clock.advance(IDLE_MS);
    assert.equal(placement.agreement.promises.length, 1);
    const session = awaitSeat(placement, 1);
    assert.equal(session.seat(), undefined);
    await clock.advance(5_000);
    assert.equal(scale.replicas, 1);
    assert.equal(placement.agreement.promises.length, 0);
    assert.equal(
      session.seat() === undefined,
      fate === "unanswered",
      "a write that landed has made the pod suspect",
    );
    await stop();
  });
}

Deno.test("Scaler retries a scale-down later when the API server was away", async () => {
  const { clock, scale, placement, pod, log, scaler, stop } = setUp({ replicas: 1 });
  pod(true);
  scale.fates(...Array.from({ length: 8 }, () => "lost" as const));
  await clock.advance(IDLE_MS + 5_000);
  assert.equal(scale.replicas, 1);
  assert.ok(arrive(placement, 1) !== undefined, "a session to a ready backend is served meanwhile");
  placement.end(1);
  assert.match(scaler.fault ?? "", /no answer/);
  await clock.advance(2 * IDLE_MS);
  assert.equal(scale.replicas, 0);
  assert.equal(scaler.fault, undefined);
  assert.equal(log.of("scaling_failed").filter(({ level }) => level === "warn").length, 1);
  await stop();
});

Deno.test("Scaler keeps trying to claim while the API server is away", async () => {
  const { clock, scale, placement, stop } = setUp();
  scale.fates("lost", "lost", "lost");
  awaitSeat(placement, 1);
  await clock.advance(0);
  assert.equal(scale.replicas, 0);
  await clock.advance(30_000);
  assert.equal(scale.replicas, 1);
  await stop();
});

Deno.test("Scaler looks again after a conflict, and takes over the count that it finds", async () => {
  const { clock, scale, placement, world, stop } = setUp();
  world.watch = false;
  scale.set(2);
  awaitSeat(placement, 1);
  await clock.advance(1_000);
  assert.deepEqual(scale.requests, ["apply 1", "read"]);
  assert.equal(scale.replicas, 2, "a claim never lowers");
  await stop();
});

Deno.test("Scaler handles any count that another client sets", async () => {
  const { clock, scale, placement, stop } = setUp();
  await clock.advance(5 * IDLE_MS);
  for (const replicas of [200_000, 2 ** 31 - 1]) {
    scale.set(replicas);
    assert.ok(placement.roseMs.size <= 2);
    await clock.advance(IDLE_MS - 1);
    assert.equal(scale.replicas, replicas);
    await clock.advance(1);
    assert.equal(scale.replicas, 0);
  }
  await stop();
});

Deno.test("Scaler, follower: it raises the count at once for a running session whose pod somebody else takes, and for nothing else", async () => {
  const { clock, scale, placement, pod, stop } = setUp({ replicas: 1, leads: false });
  pod(true);
  awaitSeat(placement, 1);
  scale.set(0);
  await clock.advance(0);
  assert.equal(scale.replicas, 1);
  placement.end(1);
  scale.set(0);
  await clock.advance(10 * IDLE_MS);
  assert.equal(scale.replicas, 0, "what was used until a moment ago is the leader's affair");
  await stop();
});

Deno.test("Scaler never lowers after stopLowering(), but still claims", async () => {
  const { clock, scale, placement, scaler, stop } = setUp({ replicas: 1 });
  scaler.stopLowering();
  await clock.advance(10 * IDLE_MS);
  assert.equal(scale.replicas, 1);
  scale.set(0);
  awaitSeat(placement, 1);
  await clock.advance(0);
  assert.equal(scale.replicas, 1);
  await stop();
});

Deno.test("Scaler: when the API's data is restored from a backup, a held session is served all the same", async () => {
  const { clock, scale, placement, log, pod, stop } = setUp({ replicas: 0 });
  await clock.advance(0);
  scale.version = 40;
  const session = awaitSeat(placement, 1);
  await clock.advance(10_000);
  assert.equal(scale.replicas, 1);
  assert.equal(log.of("resource_versions_regressed").length, 1);
  pod(true);
  await clock.advance(0);
  assert.ok(session.seat() !== undefined);
  placement.end(1);
  await clock.advance(2 * IDLE_MS);
  assert.equal(scale.replicas, 0);
  await stop();
});
