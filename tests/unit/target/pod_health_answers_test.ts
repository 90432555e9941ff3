/**
 * Tests of what health checks make of the answers of a daemon, and of what they say about it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setUp, warm } from "../../support/pod_health.ts";
import { arrive } from "../../support/seating.ts";

for (
  const [mode, then] of [
    ["auto", "the pod's condition decides"],
    ["grpc", "the pod becomes ready only by an answer SERVING (--readiness grpc)"],
  ] as const
) {
  Deno.test(`PodHealthChecks (${mode}) believes three answers in a row that there is no health service, and warns once`, async () => {
    await using setting = setUp("unimplemented", { mode, backend: { ready: false } });
    const { clock, placement, log, checks } = setting;
    arrive(placement, 1);
    while (checks.length < 3) {
      assert.ok(!placement.pods.healthOf("pod-1").unsupported);
      await clock.advance(10);
    }
    await clock.advance(0);
    assert.ok(placement.pods.healthOf("pod-1").unsupported);
    await clock.advance(60_000);
    assert.deepEqual(log.of("pod_health_unsupported"), [
      {
        level: "warn",
        code: "pod_health_unsupported",
        fields: { pod: "buildkitd-0", uid: "pod-1", then },
      },
    ]);
    assert.equal(checks.length > 3, mode === "grpc", "only in grpc there is nothing else to go by");
  });
}

Deno.test("PodHealthChecks (grpc) lets a pod without a health service be used once it answers SERVING", async () => {
  await using setting = setUp("unimplemented", { mode: "grpc", backend: { ready: false } });
  const { clock, placement, world, log } = setting;
  arrive(placement, 1);
  await clock.advance(5_000);
  assert.equal(log.of("pod_health_unsupported").length, 1);
  assert.deepEqual(placement.pods.all.map((pod) => placement.pods.isReady(pod)), [false]);
  world.fate = "serving";
  await clock.advance(5_000);
  assert.deepEqual(placement.pods.all.map((pod) => placement.pods.isReady(pod)), [true]);
});

Deno.test("PodHealthChecks ignores unexpected answers that a good one interrupts", async () => {
  await using setting = setUp("unimplemented", { backend: { ready: false } });
  const { clock, placement, world, checks } = setting;
  setting.gate.open = false;
  arrive(placement, 1);
  for (let round = 0; round < 3; round++) {
    world.fate = "unimplemented";
    while (checks.length < 3 * round + 2) await clock.advance(10);
    await clock.advance(0);
    world.fate = "not_serving";
    while (checks.length < 3 * round + 3) await clock.advance(10);
    await clock.advance(0);
  }
  assert.ok(!placement.pods.healthOf("pod-1").unsupported);
});

Deno.test("PodHealthChecks takes connections that end without a byte for a daemon that starts, and after 10 s for one without a health service", async () => {
  await using starts = setUp("closes", { backend: { ready: false } });
  arrive(starts.placement, 1);
  await starts.clock.advance(9_900);
  assert.ok(starts.checks.length > 10, "it is asked all the time");
  assert.ok(!starts.placement.pods.healthOf("pod-1").unsupported);
  starts.world.fate = "serving";
  await starts.clock.advance(1_000);
  assert.ok(starts.placement.pods.healthOf("pod-1").served);

  await using setting = setUp("closes", { backend: { ready: false } });
  arrive(setting.placement, 1);
  await setting.clock.advance(9_900);
  assert.ok(!setting.placement.pods.healthOf("pod-1").unsupported);
  await setting.clock.advance(1_000);
  assert.ok(setting.placement.pods.healthOf("pod-1").unsupported);
});

Deno.test("PodHealthChecks counts those 10 s anew after any other answer", async () => {
  await using setting = setUp("closes", { backend: { ready: false } });
  const { clock, placement, world } = setting;
  arrive(placement, 1);
  for (let round = 0; round < 4; round++) {
    world.fate = "closes";
    await clock.advance(8_000);
    world.fate = "refused";
    await clock.advance(200);
  }
  assert.ok(!placement.pods.healthOf("pod-1").unsupported);
});

Deno.test("PodHealthChecks takes them for no health service soon where the pod is ready: a sidecar that is has its daemon", async () => {
  await using setting = setUp("closes", { mode: "grpc" });
  arrive(setting.placement, 1);
  await setting.clock.advance(1_000);
  assert.ok(setting.placement.pods.healthOf("pod-1").unsupported);
});

Deno.test("PodHealthChecks counts those 10 s anew after a pause without checks", async () => {
  await using setting = setUp("closes", { backend: { ready: false } });
  const { clock, placement } = setting;
  arrive(placement, 1);
  await clock.advance(5_000);
  placement.end(1);
  await clock.advance(60_000);
  arrive(placement, 2);
  await clock.advance(9_000);
  assert.ok(!placement.pods.healthOf("pod-1").unsupported);
  await clock.advance(2_000);
  assert.ok(placement.pods.healthOf("pod-1").unsupported);
});

Deno.test("PodHealthChecks says once that a pod serves, that it answers no more, and that it answers again", async () => {
  await using setting = await warm("grpc");
  const { clock, log, world } = setting;
  const events = () =>
    log.records.filter(({ code }) => code.startsWith("pod_")).map(({ level, code, fields }) => {
      assert.deepEqual(fields, { pod: "buildkitd-0", uid: "pod-1" });
      return `${level} ${code}`;
    });
  assert.deepEqual(events(), ["debug pod_health_check_passed"]);
  world.fate = "refused";
  await clock.advance(2 * 5_000);
  world.fate = "serving";
  await clock.advance(5_000);
  assert.deepEqual(events(), ["debug pod_health_check_passed"], "two misses are nothing to speak of");
  world.fate = "refused";
  await clock.advance(10 * 5_000);
  assert.deepEqual(events().slice(1), ["warn pod_health_check_failed"]);
  world.fate = "serving";
  await clock.advance(10 * 5_000);
  assert.deepEqual(events().slice(2), ["info pod_health_check_failed_recovered"]);
});
