/**
 * Tests of when a daemon is asked for its health: at once and quickly while a client waits, now and then otherwise. The
 * daemon is in memory, and the test moves the time.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setUp, warm } from "../../support/pod_health.ts";
import { arrive, awaitSeat } from "../../support/seating.ts";

/** The longest time from one check to the next while a client waits and the daemon is not there. */
const LONGEST_PAUSE_MS = 60;

Deno.test("PodHealthChecks asks a daemon that is not there all the time while a client waits, and never in a hot loop", async () => {
  await using setting = setUp("refused", { backend: { ready: false } });
  const { clock, placement, since } = setting;
  await clock.advance(1_000);
  assert.deepEqual(setting.checks, [], "nobody waits");
  arrive(placement, 1);
  const startMs = clock.nowMs();
  await clock.advance(20_000);
  const times = since(startMs);
  assert.equal(times[0], 0);
  const pauses = times.slice(1).map((ms, i) => ms - times[i]!);
  assert.equal(Math.max(...pauses), LONGEST_PAUSE_MS, "also after a while");
  assert.ok(Math.min(...pauses) >= LONGEST_PAUSE_MS / 2);
});

Deno.test("PodHealthChecks asks a daemon now and then while its pod is stuck, though nobody waits, and sees that it serves", async () => {
  await using setting = setUp("refused", { mode: "grpc", backend: { ready: false } });
  const { clock, placement, world, show, since } = setting;
  await clock.advance(10_000);
  assert.deepEqual(setting.checks, [], "nobody waits");
  world.isStuck = true;
  const stuckMs = clock.nowMs();
  show();
  await clock.advance(10_000);
  assert.deepEqual(since(stuckMs), [0, 5_000, 10_000]);
  assert.deepEqual(placement.usable, []);
  world.fate = "serving";
  await clock.advance(5_000);
  assert.deepEqual(placement.usable, [0]);
  world.isStuck = false;
  const usableMs = clock.nowMs() + 1;
  await clock.advance(20_000);
  assert.deepEqual(since(usableMs), []);
});

Deno.test("PodHealthChecks asks a daemon that alone decides until it serves, once its pod is ready, for those of other builders", async () => {
  await using setting = setUp("refused", { mode: "grpc" });
  const { clock, placement, world, since } = setting;
  const readyMs = clock.nowMs();
  await clock.advance(10_000);
  assert.deepEqual(since(readyMs), [0, 5_000, 10_000]);
  world.fate = "serving";
  await clock.advance(5_000);
  assert.deepEqual(placement.usable, [0]);
  const usableMs = clock.nowMs() + 1;
  await clock.advance(20_000);
  assert.deepEqual(since(usableMs), []);
});

Deno.test("PodHealthChecks asks at once when a dial has failed and a client waits", async () => {
  await using setting = await warm();
  const { clock, placement, world, since } = setting;
  world.fate = "refused";
  const crashMs = clock.nowMs();
  assert.notEqual(arrive(placement, 2), undefined, "the pod is believed to serve");
  placement.pods.dialFailed("pod-1");
  const session = awaitSeat(placement, 2);
  await clock.advance(0);
  assert.deepEqual(since(crashMs), [0]);
  await clock.advance(500);
  world.fate = "serving";
  await clock.advance(LONGEST_PAUSE_MS);
  assert.equal(session.seat()?.backend.uid, "pod-1");
});

Deno.test("PodHealthChecks asks at once when the pod's condition falls and a client waits, and when it rises", async () => {
  await using setting = await warm();
  const { clock, placement, world, show, since } = setting;
  setting.gate.open = false;
  arrive(placement, 2);
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
  assert.equal(placement.pods.healthOf("pod-1").missed, 0);
});

Deno.test("PodHealthChecks stops checking an old address of the pod, and checks the new one at once", async () => {
  await using setting = setUp("unanswered", { backend: { ready: false } });
  const { clock, placement, world, show, checks } = setting;
  arrive(placement, 1);
  await clock.advance(1_000);
  world.fate = "serving";
  show({ ready: false, addresses: ["192.0.2.2"] });
  await clock.advance(0);
  assert.deepEqual(checks.map(({ hostname }) => hostname), ["192.0.2.1", "192.0.2.2"]);
  assert.ok(placement.pods.healthOf("pod-1").served);
});

Deno.test("PodHealthChecks asks a pod of another uid at once", async () => {
  await using setting = await warm();
  const { clock, placement, world, show, since } = setting;
  world.fate = "refused";
  setting.gate.open = false;
  arrive(placement, 2);
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
  assert.equal(placement.pods.healthOf("pod-1").missed, 3);
  const newMs = clock.nowMs();
  assert.equal(arrive(placement, 2), undefined);
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
  setting.gate.open = false;
  const sinceMs = clock.nowMs();
  arrive(placement, 2);
  await clock.advance(5_000);
  assert.deepEqual(since(sinceMs), [4_000]);
});

for (const fate of ["not_serving", "unimplemented", "EMFILE"] as const) {
  Deno.test(`PodHealthChecks asks less often while the answer stays ${fate}`, async () => {
    await using setting = setUp(fate, { mode: "grpc" });
    const { clock, placement, checks } = setting;
    arrive(placement, 1);
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
    arrive(placement, 2);
    placement.pods.dialFailed("pod-1");
    placement.hold(2, true);
    await clock.advance(10);
  }
  const count = since(sinceMs).length;
  assert.ok(count > 2 && count <= 1_000 / (LONGEST_PAUSE_MS / 2), `${count} checks in a second`);
});

Deno.test("PodHealthChecks asks no pod that terminates or has no address, though a client waits", async () => {
  for (const state of [{ terminating: true }, { addresses: [] }]) {
    await using setting = setUp("serving", { backend: { ready: false, ...state } });
    arrive(setting.placement, 1);
    await setting.clock.advance(20_000);
    assert.deepEqual(setting.checks, []);
  }
});

Deno.test("PodHealthChecks counts no check as missed that it has given up, since the pod has another address", async () => {
  await using setting = await warm("grpc");
  const { clock, placement, world, show, checks } = setting;
  world.fate = "silent";
  await clock.advance(4_000);
  const count = checks.length;
  show({ ready: true, addresses: ["192.0.2.2"] });
  await clock.advance(0);
  assert.equal(placement.pods.healthOf("pod-1").missed, 0);
  await clock.advance(8_000);
  assert.equal(placement.pods.healthOf("pod-1").missed, 1);
  assert.deepEqual(checks.slice(count).map(({ hostname }) => hostname), ["192.0.2.2"]);
});

Deno.test("PodHealthChecks forgets a pod that is gone, and checks it at once when it is back", async () => {
  await using setting = setUp("not_serving", { mode: "grpc", backend: { ready: false } });
  const { clock, placement, show, checks, since } = setting;
  arrive(placement, 1);
  await clock.advance(20_000);
  while (checks.at(-1)!.atMs !== clock.nowMs()) await clock.advance(1);
  await clock.advance(100);
  placement.pods.set([]);
  await clock.advance(0);
  const backMs = clock.nowMs();
  show({ ready: false });
  await clock.advance(0);
  assert.deepEqual(since(backMs), [0]);
});

Deno.test("PodHealthChecks gives a daemon that takes connections 4 s to answer, and then asks again", async () => {
  await using setting = setUp("silent", { backend: { ready: false } });
  const { clock, placement, since } = setting;
  arrive(placement, 1);
  const startMs = clock.nowMs();
  await clock.advance(8_200);
  const times = since(startMs);
  assert.equal(times.length, 3, `${times}`);
  for (const [i, ms] of times.slice(1).entries()) {
    const pauseMs = ms - times[i]! - 4_000;
    assert.ok(pauseMs > 0 && pauseMs <= LONGEST_PAUSE_MS, `${times}`);
  }
});

Deno.test("PodHealthChecks connects to a pod that refuses sessions where its condition decides, and never asks it else", async () => {
  for (const mode of ["pod", "auto"] as const) {
    await using setting = setUp("serving", { mode });
    const { clock, placement, world, since } = setting;
    if (mode === "auto") { for (let i = 0; i < 3; i++) placement.pods.checked("pod-1", "unsupported"); }
    const seat = arrive(placement, 1)!;
    await clock.advance(20_000);
    placement.hold(1, true);
    await clock.advance(20_000);
    assert.deepEqual(setting.checks, [], "nothing is wrong with it");
    world.fate = "refused";
    for (let dial = 0; dial < 3; dial++) {
      placement.failed(seat);
      await clock.advance(5_000);
    }
    assert.deepEqual(placement.usable, []);
    const times = since(0);
    assert.ok(times.length > 3 && times.length < 20, `it is asked less and less often: ${times}`);
    await clock.advance(60_000);
    assert.ok(since(0).length - times.length <= 60, "at most once a second");
    placement.end(1);
    await clock.advance(1_000);
    const goneMs = clock.nowMs();
    await clock.advance(20_000);
    assert.equal(since(goneMs).length, 4, "nobody waits here, and those who wait elsewhere may use it");
    placement.hold(2, true);
    world.fate = "silent";
    await clock.advance(1_000);
    assert.deepEqual(placement.usable, [0], "it takes connections, whatever it says");
    const checks = setting.checks.length;
    await clock.advance(20_000);
    assert.equal(setting.checks.length, checks);
  }
});
