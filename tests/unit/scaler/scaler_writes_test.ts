/** Tests of what the scaler reports, and of when it refrains from a write. @module */
import assert from "node:assert/strict";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { arrive } from "../../support/seating.ts";
import { DONE, gate, IDLE_MS, setUp } from "./scaler_world.ts";

Deno.test("Scaler says in words and in metrics what it wants, what there is, and what it has written", async () => {
  const { clock, scale, log, placement, values, scaler, start, stop } = setUp();
  assert.equal(scaler.because, "the StatefulSet has not been read yet");
  await start();
  assert.equal(scaler.because, "it was in use recently");
  const counts = () => [values.get("replicas_desired"), values.get("replicas_observed")];
  assert.deepEqual(counts(), [1, 1]);
  await clock.advance(IDLE_MS);
  const because = "nothing has been in use for 1m0s";
  assert.deepEqual(log.of("scaled")[0], {
    level: "info",
    code: "scaled",
    fields: { from: 1, to: 0, reason: "idle", because },
  });
  assert.equal(values.get("scale_writes_total down idle"), 1);
  assert.deepEqual(counts(), [0, 0]);
  assert.equal(scaler.because, "nothing is in use");
  arrive(placement, 1);
  await clock.advance(0);
  assert.deepEqual(log.of("scaled")[1]?.fields, {
    from: 0,
    to: 1,
    reason: "held_session",
    because: "1 held session",
  });
  assert.equal(values.get("scale_writes_total up held_session"), 1);
  assert.deepEqual(counts(), [1, 1]);
  assert.equal(scale.replicas, 1);
  await stop();
});

Deno.test("Scaler says that a claim of the same count is made for a session that a scale-down keeps out", async () => {
  const { clock, scale, log, placement, values, start, stop } = setUp();
  const slow = gate();
  await start();
  scale.fates(DONE, slow);
  await clock.advance(IDLE_MS);
  arrive(placement, 1);
  await clock.advance(0);
  assert.deepEqual(log.of("scaled").map(({ fields }) => fields), [
    { from: 1, to: 1, reason: "closed_by_scale_down", because: "1 held session" },
  ]);
  assert.equal(values.get("scale_writes_total same closed_by_scale_down"), 1);
  slow.open();
  await stop();
});

Deno.test("Scaler tries again with pauses where a webhook limits the count, and says so", async () => {
  const capacity = { ...ONE_POD, maxReplicas: 3, sessionsPerReplica: 1 };
  const { clock, scale, log, placement, scaler, start, stop } = setUp({ replicas: 0, capacity });
  await start();
  const apply = scale.apply.bind(scale);
  scale.apply = (wanted, ...more) => apply({ ...wanted, replicas: Math.min(1, wanted.replicas) }, ...more);
  for (const id of [1, 2]) arrive(placement, id);
  await clock.advance(0);
  assert.equal(scale.replicas, 1);
  const cause =
    "Cannot scale to 2 replicas: the API server has written 1 instead; look for a webhook or a policy that " +
    "limits them";
  assert.equal(scaler.fault, cause);
  assert.equal(log.of("scaling_failed")[0]?.level, "warn");
  const before = scale.requests.length;
  await clock.advance(60_000);
  const tries = scale.requests.length - before;
  assert.ok(tries >= 3 && tries <= 30, `${tries} requests in a minute`);
  scale.apply = apply;
  await clock.advance(60_000);
  assert.equal(scale.replicas, 2);
  assert.equal(scaler.fault, undefined);
  await stop();
});

Deno.test("Scaler measures the phases of a cold start", async () => {
  const { clock, placement, values, coldStart, start, pods, stop } = setUp({ replicas: 0 });
  await start();
  coldStart.begin();
  arrive(placement, 1);
  await clock.advance(0);
  const phases = () =>
    ["scale_write", "pod_address", "ready"].map((it) => values.get(`cold_start_seconds ${it}`));
  assert.deepEqual(phases(), [0, undefined, undefined]);
  await clock.advance(1_000);
  pods(1, false);
  await clock.advance(1_000);
  assert.deepEqual(phases(), [0, 1, undefined]);
  pods(1);
  await clock.advance(0);
  assert.deepEqual(phases(), [0, 1, 2]);
  await stop();
});

Deno.test("Scaler forgets a cold start for which nobody waits any more", async () => {
  const { clock, placement, values, coldStart, start, pods, stop } = setUp({ replicas: 0 });
  await start();
  coldStart.begin();
  arrive(placement, 1);
  await clock.advance(0);
  placement.end(1);
  await clock.advance(1_000);
  pods(1);
  await clock.advance(0);
  assert.equal(values.get("cold_start_seconds ready"), undefined);
  await stop();
});

Deno.test("Scaler is busy while the count is to be written or is being written, and idle() waits for the latter", async () => {
  const { clock, scale, placement, scaler, start, stop } = setUp({ replicas: 0 });
  const slow = gate();
  assert.equal(scaler.busy, false);
  await start();
  assert.equal(scaler.busy, false);
  scale.fates("lost", slow);
  arrive(placement, 1);
  await clock.advance(0);
  assert.equal(scaler.busy, true, "it waits for the next try");
  await scaler.idle();
  await clock.advance(1_000);
  let idle = false;
  void scaler.idle().then(() => idle = true);
  placement.end(1);
  await clock.advance(0);
  assert.deepEqual([scaler.busy, idle], [true, false], "it is being written although nobody waits any more");
  slow.open();
  await clock.advance(0);
  assert.deepEqual([scaler.busy, idle], [false, true]);
  await stop();
});

Deno.test("Scaler.run() ends when the write that is under way has ended", async () => {
  const { clock, scale, placement, log, start, stop } = setUp({ replicas: 0 });
  const slow = gate();
  await start();
  scale.fates(slow);
  arrive(placement, 1);
  await clock.advance(0);
  let stopped = false;
  const stopping = stop().then(() => stopped = true);
  await clock.advance(0);
  assert.equal(stopped, false);
  slow.open();
  await stopping;
  assert.equal(log.of("scaled").length, 1);
});

Deno.test("Scaler reads the count before it lowers it, and looks again if it is needed after all", async () => {
  const { clock, scale, placement, start, stop } = setUp();
  const slow = gate();
  await start();
  scale.fates(slow);
  await clock.advance(IDLE_MS);
  arrive(placement, 1);
  slow.open();
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["read"]);
  assert.deepEqual(placement.agreement.promises, []);
  await stop();
});

Deno.test("Scaler asks for no consent if the count has changed since the read, and logs no fault", async () => {
  const { clock, scale, log, others, start, stop } = setUp();
  const { promise: after, resolve: answers } = Promise.withResolvers<void>();
  const asked: unknown[] = [];
  const { consent } = others;
  others.consent = (wanted, signal) => {
    asked.push(wanted.version);
    return consent(wanted, signal);
  };
  await start();
  scale.fates({ after });
  await clock.advance(IDLE_MS);
  scale.set(1);
  answers();
  await clock.advance(0);
  assert.deepEqual(asked, ["101"]);
  assert.deepEqual(scale.requests, ["read", "read", "update 0"]);
  assert.deepEqual(log.of("scaling_failed"), []);
  await stop();
});

Deno.test("Scaler does not begin to lower while a claim is under way", async () => {
  const { clock, scale, placement, start, stop } = setUp();
  await start();
  const slow = gate();
  const slower = gate();
  scale.fates(DONE, slow, slower);
  await clock.advance(IDLE_MS);
  arrive(placement, 1);
  await clock.advance(0);
  placement.end(1);
  slow.open();
  await clock.advance(IDLE_MS);
  assert.deepEqual(scale.requests, ["read", "update 0", "apply 1"]);
  slower.open();
  await stop();
});

for (
  const [fate, status, reads] of [
    ["is lost", undefined, true],
    ["meets a conflict", 409, true],
    ["meets a fault of the server", 500, true],
    ["is refused", 403, false],
    ["is refused as nonsense", 400, false],
  ] as const
) {
  Deno.test(`Scaler, a claim that ${fate}: the next one begins ${reads ? "with" : "without"} a read`, async () => {
    const { clock, scale, placement, start, stop } = setUp({ replicas: 0 });
    await start();
    const apply = scale.apply.bind(scale);
    scale.apply = (...count) => {
      scale.apply = apply;
      scale.requests.push("failed");
      const target = { verb: "patch", group: "", resource: "", namespace: "", name: "" } as const;
      return Promise.reject(
        status === undefined ? new Error(`lost ${count[0]}`) : new ApiError(target, status, {}),
      );
    };
    arrive(placement, 1);
    await clock.advance(10_000);
    assert.deepEqual(scale.requests, ["failed", ...reads ? ["read"] : [], "apply 1"]);
    scale.set(0);
    await clock.advance(0);
    assert.deepEqual(scale.requests.slice(-1), ["apply 1"], "and the one after that without");
    assert.equal(scale.requests.filter((request) => request === "read").length, reads ? 1 : 0);
    await stop();
  });
}

Deno.test("Scaler does not claim after a read that shows that somebody else has", async () => {
  const { clock, scale, placement, scaler, start, stop } = setUp({ replicas: 0 });
  await start();
  scale.onChange = () => {};
  scale.fates("lost");
  arrive(placement, 1);
  await clock.advance(0);
  scale.set(1);
  await clock.advance(1_000);
  assert.deepEqual(scale.requests, ["apply 1", "read"]);
  assert.equal(placement.agreement.seen?.replicas, 1);
  assert.equal(scaler.fault, undefined);
  await stop();
});
