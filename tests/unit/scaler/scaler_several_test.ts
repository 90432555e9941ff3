/** Tests of a scaler that may have several pods, beside somebody else who writes the count, and with warm windows. @module */
import assert from "node:assert/strict";
import type { Capacity } from "../../../lib/scaler/capacity.ts";
import { arrive } from "../../support/seating.ts";
import { IDLE_MS, setUp } from "./scaler_world.ts";

/** One session a pod, three pods. */
const THREE: Capacity = {
  maxReplicas: 3,
  sessionsPerReplica: 1,
  maxSessionsPerReplica: 0,
  spread: "lowest",
};

Deno.test("Scaler raises the count in one write to what the held sessions need, and takes the pods away one by one", async () => {
  const { clock, scale, placement, start, pods, stop } = setUp({ replicas: 0, capacity: THREE });
  await start();
  for (const id of [1, 2]) arrive(placement, id, true, "nothing");
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["apply 2"]);
  pods(2);
  for (const id of [1, 2]) placement.seat(id, true, "nothing");
  arrive(placement, 3, true, "nothing");
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["apply 2", "apply 3"]);
  pods(3);
  assert.equal(placement.seat(3, true, "nothing")?.backend.ordinal, 2);
  await clock.advance(10 * IDLE_MS);
  placement.end(3);
  await clock.advance(IDLE_MS - 1);
  assert.equal(scale.replicas, 3);
  await clock.advance(1);
  assert.equal(scale.replicas, 2);
  placement.end(1);
  await clock.advance(2 * IDLE_MS);
  assert.equal(scale.replicas, 2, "the session on the second pod keeps the first");
  placement.end(2);
  await clock.advance(IDLE_MS);
  assert.equal(scale.replicas, 0);
  await stop();
});

Deno.test("Scaler raises the count for its own sessions only as far as others leave no room", async () => {
  const { clock, scale, placement, others, start, stop } = setUp({ replicas: 1, capacity: THREE });
  others.leads = false;
  await start();
  others.use = { sessions: new Map([[0, 1]]), highestBusy: 0, needing: 1 };
  others.changed();
  await clock.advance(0);
  assert.deepEqual(scale.requests, [], "the other proxy claims for its own");
  arrive(placement, 1, true, "nothing");
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["apply 3"], "two wait, and the first pod is full");
  await stop();
});

Deno.test("Scaler: a claim ends the promise of a pod that a held session needs beside one in use", async () => {
  const { clock, scale, placement, start, pods, stop } = setUp({ replicas: 2, capacity: THREE });
  await start();
  arrive(placement, 1, true, "nothing");
  assert.ok(placement.promise({ below: 1, version: String(scale.version) }));
  assert.equal(arrive(placement, 2, true, "nothing"), undefined);
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["apply 2"], "the same count");
  pods(2);
  assert.equal(placement.seat(2, true, "nothing")?.backend.ordinal, 1);
  await stop();
});

/** Somebody else raises the count, as the observer sees it. */
function raise({ scale, placement }: ReturnType<typeof setUp>, to: number): void {
  scale.set(to);
  placement.raisedByOther(to);
}

Deno.test("Scaler keeps a surplus twice as long each time that somebody else raises it again, until it is used", async () => {
  const world = setUp({ replicas: 1, capacity: THREE });
  const { clock, scale, placement, scaler, start, pods, stop } = world;
  await start();
  arrive(placement, 1);
  await clock.advance(10 * IDLE_MS);
  /** For how long a surplus stays, in idle timeouts. */
  const kept = async () => {
    raise(world, 2);
    await clock.advance(0);
    for (let times = 1; times <= 64; times *= 2) {
      await clock.advance(IDLE_MS * times / 2 + (times === 1 ? IDLE_MS / 2 : 0) - 1);
      assert.ok(scale.replicas === 2);
      await clock.advance(1);
      if (Number(scale.replicas) === 1) return times;
    }
    return Infinity;
  };
  assert.deepEqual([await kept(), await kept(), await kept(), await kept()], [1, 2, 4, 8]);
  raise(world, 2);
  pods(2);
  await clock.advance(0);
  assert.equal(scaler.because, "somebody else has raised it again, so it stays for 16m0s");
  arrive(placement, 2, true, "nothing");
  await clock.advance(0);
  placement.end(2);
  await clock.advance(IDLE_MS);
  assert.equal(scale.replicas, 1, "a session has used it");
  await clock.advance(2 * IDLE_MS);
  assert.equal(await kept(), 1, "raised later, it is no answer to the scale-down");
  assert.equal(scale.requests.filter((request) => request.startsWith("apply")).length, 0);
  await stop();
});

/** Warm from 10 to 20 minutes after the start. */
const warmAt = (startMs: number) => (wallMs: number) => {
  const [beginMs, endMs] = [startMs + 600_000, startMs + 1_200_000];
  if (wallMs < beginMs) return { count: 0, untilMs: beginMs };
  return wallMs < endMs ? { count: 2, untilMs: endMs } : { count: 0, untilMs: Infinity };
};

Deno.test("Scaler raises the count at a warm window's start, and lowers it one idle timeout after its end", async () => {
  let startMs = 0;
  const { clock, scale, log, scaler, start, stop } = setUp({
    replicas: 0,
    capacity: THREE,
    warmAt: (wallMs) => warmAt(startMs)(wallMs),
  });
  startMs = clock.wallMs();
  await start();
  await clock.advance(599_999);
  assert.deepEqual(scale.requests, []);
  await clock.advance(1);
  assert.deepEqual(scale.requests, ["apply 2"]);
  assert.equal(log.of("scaled").at(-1)?.fields["reason"], "warm_window");
  await clock.advance(600_000 + IDLE_MS - 1);
  assert.equal(scale.replicas, 2);
  assert.equal(scaler.because, "a warm window has ended recently");
  await clock.advance(1);
  assert.equal(scale.replicas, 0);
  await stop();
});

Deno.test("Scaler leaves a warm window to the leader, and begins it late if that changes", async () => {
  let startMs = 0;
  const { clock, scale, others, start, stop } = setUp({
    replicas: 0,
    warmAt: (wallMs) => warmAt(startMs)(wallMs),
  });
  startMs = clock.wallMs();
  others.leads = false;
  await start();
  await clock.advance(700_000);
  assert.deepEqual(scale.requests, []);
  others.leads = true;
  others.changed();
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["apply 1"], "no more than there may be");
  await stop();
});
