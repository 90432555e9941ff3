/** Tests of the scaling decision. @module */
import assert from "node:assert/strict";
import { decide, type Facts, type Policy } from "../../../lib/scaler/decide.ts";
import { ONE_POD } from "../../support/capacity.ts";

const POLICY: Policy = { minReplicas: 0, capacity: ONE_POD, idleTimeoutMs: 1_000 };
const IDLE: Facts = {
  replicas: 1,
  startedMs: -100_000,
  highestBusy: -1,
  needing: 0,
  load: new Map(),
  lastNeededMs: -Infinity,
  lastUsedMs: new Map(),
  roseMs: new Map(),
};

Deno.test("decide() wants nothing when nothing is in use", () => {
  const { desired, reason, wakeAtMs } = decide(IDLE, 0, POLICY);
  assert.deepEqual({ desired, reason, wakeAtMs }, { desired: 0, reason: "idle", wakeAtMs: Infinity });
});

Deno.test("decide() wants one replica for any number of held sessions", () => {
  for (const needing of [1, 2, 1000]) {
    const { desired, reason } = decide({ ...IDLE, replicas: 0, needing }, 0, POLICY);
    assert.deepEqual({ desired, reason }, { desired: 1, reason: "held_session" });
  }
});

Deno.test("decide() keeps one replica while a session is open, however long", () => {
  const { desired, wakeAtMs } = decide({ ...IDLE, highestBusy: 0 }, 1e12, POLICY);
  assert.deepEqual({ desired, wakeAtMs }, { desired: 1, wakeAtMs: Infinity });
});

Deno.test("decide() keeps a replica for one idle timeout after its last session, to the millisecond", () => {
  const facts = { ...IDLE, lastUsedMs: new Map([[0, 500]]) };
  assert.deepEqual(pick(decide(facts, 1_499, POLICY)), { desired: 1, wakeAtMs: 1_500 });
  assert.deepEqual(pick(decide(facts, 1_500, POLICY)), { desired: 0, wakeAtMs: Infinity });
});

Deno.test("decide() keeps a replica for one idle timeout after an abandoned hold", () => {
  const facts = { ...IDLE, lastNeededMs: 500 };
  assert.deepEqual(pick(decide(facts, 1_499, POLICY)), { desired: 1, wakeAtMs: 1_500 });
  assert.deepEqual(pick(decide(facts, 1_500, POLICY)), { desired: 0, wakeAtMs: Infinity });
});

Deno.test("decide() starts no replica for a hold that was abandoned before one was started", () => {
  assert.equal(decide({ ...IDLE, replicas: 0, lastNeededMs: 500 }, 600, POLICY).desired, 0);
});

Deno.test("decide() never lowers the count before one idle timeout after the start", () => {
  const facts = { ...IDLE, replicas: 3, startedMs: 500 };
  assert.deepEqual(pick(decide(facts, 1_499, POLICY)), { desired: 3, wakeAtMs: 1_500 });
  assert.equal(decide(facts, 1_500, POLICY).desired, 0);
});

Deno.test("decide() keeps what somebody has scaled up by hand for one idle timeout", () => {
  const facts = { ...IDLE, replicas: 3, roseMs: new Map([[1, 500], [2, 700]]) };
  assert.deepEqual(pick(decide(facts, 1_000, POLICY)), { desired: 3, wakeAtMs: 1_700 });
  assert.equal(decide({ ...facts, roseMs: new Map([[1, 900], [2, 500]]) }, 1_600, POLICY).desired, 2);
  assert.equal(decide(facts, 1_700, POLICY).desired, 0);
});

Deno.test("decide() takes no ordinal that is in use, even beyond the maximum", () => {
  assert.equal(decide({ ...IDLE, replicas: 4, highestBusy: 2 }, 0, POLICY).desired, 3);
});

Deno.test("decide() goes no lower than the minimum and raises to it", () => {
  assert.equal(decide(IDLE, 0, { ...POLICY, minReplicas: 1 }).desired, 1);
  const { desired, reason } = decide({ ...IDLE, replicas: 0 }, 0, { ...POLICY, minReplicas: 1 });
  assert.deepEqual({ desired, reason }, { desired: 1, reason: "min_replicas" });
});

Deno.test("decide() with an idle timeout of 0 wants a replica gone as soon as nothing uses it", () => {
  const policy = { ...POLICY, idleTimeoutMs: 0 };
  assert.equal(decide({ ...IDLE, lastUsedMs: new Map([[0, 500]]), startedMs: 500 }, 500, policy).desired, 0);
});

const REASONS:
  readonly (readonly [facts: Partial<Facts>, policy: Partial<Policy>, reason: string, because: string])[] = [
    [{ needing: 1 }, {}, "held_session", "1 held session"],
    [{ needing: 2, replicas: 3 }, {}, "held_session", "2 held sessions"],
    [{ needing: 1, highestBusy: 0 }, { minReplicas: 1 }, "held_session", "1 held session"],
    [{ needing: 1, highestBusy: 1, replicas: 2 }, {}, "held_session", "sessions are running"],
    [{}, {}, "idle", "nothing has been in use for 1s"],
    [{ highestBusy: 0, replicas: 2 }, {}, "idle", "no pod above has been in use for 1s"],
    [{ replicas: 3 }, { minReplicas: 1 }, "idle", "no pod above has been in use for 1s"],
    [{ replicas: 0 }, {}, "idle", "nothing is in use"],
    [{ replicas: undefined }, {}, "idle", "nothing is in use"],
    [{ highestBusy: 0 }, {}, "held_session", "sessions are running"],
    [{ highestBusy: 0, replicas: 0 }, { minReplicas: 1 }, "held_session", "sessions are running"],
    [{ lastNeededMs: -1 }, {}, "held_session", "it was in use recently"],
    [{}, { minReplicas: 1 }, "min_replicas", "at least 1 wanted"],
    [{ highestBusy: 0 }, { minReplicas: 2 }, "min_replicas", "at least 2 wanted"],
    [{ needing: 1 }, { minReplicas: 2 }, "min_replicas", "at least 2 wanted"],
  ];

for (const [facts, policy, reason, because] of REASONS) {
  const given = Deno.inspect({ ...facts, ...policy }, { breakLength: Infinity });
  Deno.test(`decide() says "${because}" of an idle replica with ${given}`, () => {
    const decision = decide({ ...IDLE, ...facts }, 0, { ...POLICY, ...policy });
    assert.deepEqual([decision.reason, decision.because], [reason, because]);
  });
}

Deno.test("decide() looks again only when time alone can lower what is wanted", () => {
  const facts = { ...IDLE, lastUsedMs: new Map([[0, 0]]) };
  for (const more of [{ highestBusy: 0 }, { needing: 1 }]) {
    assert.equal(decide({ ...facts, ...more }, 1, POLICY).wakeAtMs, Infinity);
  }
  assert.equal(decide(facts, 1, { ...POLICY, minReplicas: 1 }).wakeAtMs, Infinity);
  const both = { ...facts, replicas: 2, highestBusy: 0, roseMs: new Map([[1, 500]]) };
  assert.equal(decide(both, 1, POLICY).wakeAtMs, 1_500, "the running session holds only its own pod");
});

function pick({ desired, wakeAtMs }: { desired: number; wakeAtMs: number }) {
  return { desired, wakeAtMs };
}
