/** Tests of when a write is tried, and which failures are said. @module */
import assert from "node:assert/strict";
import { CauseLog } from "../../../lib/base/log.ts";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { Attempt, NoConsent, OutOfDate } from "../../../lib/scaler/attempt.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const TARGET = {
  verb: "update",
  group: "apps",
  resource: "statefulsets/scale",
  namespace: "n",
  name: "b",
} as const;
const PATIENCE_MS = 5_000;

function setUp() {
  const clock = new VirtualClock();
  const log = recordingLog();
  const faults = new CauseLog(log, "scaling_failed");
  const attempt = new Attempt({ clock, random: () => 0.5 }, faults, PATIENCE_MS);
  const controller = new AbortController();
  /** Tries work that throws this, if anything; says how long the next try has to wait, or that this was not the time. */
  const tryOnce = async (error?: Error): Promise<number | "not now"> => {
    const work = () => error === undefined ? Promise.resolve() : Promise.reject(error);
    const result = await attempt.start(work, controller.signal);
    if (result === undefined) return "not now";
    assert.equal(result.error, error);
    assert.equal(attempt.running, false);
    return Math.max(0, attempt.nextTryMs - clock.nowMs());
  };
  return { clock, log, faults, attempt, controller, tryOnce };
}

const conflict = () => new ApiError(TARGET, 409, { reason: "Conflict" });

Deno.test("Attempt makes one try at a time", async () => {
  const { attempt, controller } = setUp();
  const { promise: working, resolve: end } = Promise.withResolvers<void>();
  let tries = 0;
  const work = () => {
    tries++;
    return working;
  };
  assert.equal(attempt.running, false);
  assert.equal(attempt.nextTryMs, -Infinity);
  const first = attempt.start(work, controller.signal);
  assert.equal(attempt.running, true);
  assert.equal(attempt.nextTryMs, Infinity);
  assert.equal(attempt.start(work, controller.signal), undefined);
  end();
  assert.deepEqual(await first, { error: undefined });
  assert.deepEqual(await attempt.start(work, controller.signal), { error: undefined });
  assert.equal(tries, 2);
});

for (
  const [what, error] of [
    ["a conflict", conflict()],
    ["a count that was out of date", new OutOfDate("1 was read, 2 was seen")],
  ] as const
) {
  Deno.test(`Attempt tries again at once after ${what}, three times in a row, and says so only then`, async () => {
    const { log, faults, tryOnce } = setUp();
    for (let n = 1; n <= 3; n++) {
      assert.equal(await tryOnce(error), 0);
      assert.equal(faults.cause, undefined);
    }
    assert.notEqual(await tryOnce(error), 0);
    assert.equal(log.of("scaling_failed").length, 1);
  });
}

Deno.test("Attempt waits before it tries again after a failure, longer after each, and not after a success", async () => {
  const { clock, log, faults, tryOnce } = setUp();
  const waits: number[] = [];
  for (let n = 1; n <= 3; n++) {
    const waitMs = Number(await tryOnce(new Error("lost")));
    assert.equal(await tryOnce(), "not now");
    await clock.advance(waitMs - 1);
    assert.equal(await tryOnce(), "not now");
    await clock.advance(1);
    waits.push(waitMs);
  }
  assert.ok(waits[0]! > 0 && waits[0]! < waits[1]! && waits[1]! < waits[2]!, `found ${waits}`);
  assert.equal(faults.cause, "lost");
  assert.equal(await tryOnce(), 0);
  assert.equal(faults.cause, undefined);
  assert.equal(log.of("scaling_failed_recovered").length, 1);
  assert.equal(await tryOnce(new Error("lost")), waits[0], "the series begins anew");
});

Deno.test("Attempt waits after a refusal of another proxy, which is no fault", async () => {
  const { log, tryOnce } = setUp();
  assert.notEqual(await tryOnce(new NoConsent()), 0);
  assert.deepEqual(log.records, []);
});

Deno.test("Attempt follows a Retry-After, up to its patience", async () => {
  for (const [askedMs, waitMs] of [[3_000, 3_000], [50_000, PATIENCE_MS]] as const) {
    const { tryOnce } = setUp();
    assert.equal(await tryOnce(new ApiError(TARGET, 429, {}, askedMs)), waitMs);
  }
});

Deno.test("Attempt takes for no failure what is thrown because the program ends", async () => {
  const { log, controller, tryOnce } = setUp();
  controller.abort(new Error("over"));
  assert.equal(await tryOnce(new Error("over")), 0);
  assert.deepEqual(log.records, []);
});
