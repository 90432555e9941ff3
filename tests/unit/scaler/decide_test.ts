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

/** Two sessions a pod, three pods at most. */
const SEVERAL: Policy = { ...POLICY, capacity: { ...ONE_POD, maxReplicas: 3, sessionsPerReplica: 2 } };

Deno.test("decide() wants as many pods as held sessions find seats on, at most as many as there may be", () => {
  const desired = (needing: number, ...counts: number[]) => {
    const load = new Map(counts.entries());
    const highestBusy = counts.length - 1;
    return decide({ ...IDLE, needing, load, highestBusy }, 0, SEVERAL).desired;
  };
  assert.deepEqual([1, 2, 3, 4, 5, 9].map((needing) => desired(needing)), [1, 1, 2, 2, 3, 3]);
  assert.equal(desired(1, 1), 1);
  assert.equal(desired(1, 2), 2);
  assert.equal(desired(2, 1, 2), 3);
});

Deno.test("decide() keeps what a warm window asks for while it is open, and one idle timeout longer", () => {
  const open = { ...IDLE, replicas: 0, warm: { count: 2, untilMs: 5_000, endedMs: new Map() } };
  assert.deepEqual(decide(open, 0, SEVERAL), {
    desired: 2,
    reason: "warm_window",
    because: "a warm window wants 2",
    wakeAtMs: 5_000,
    fallsAtMs: Infinity,
  });
  assert.equal(decide(open, 0, POLICY).desired, 1, "at most as many as there may be");
  assert.equal(decide(open, 0, { ...SEVERAL, minReplicas: 2 }).reason, "min_replicas");
  const endedMs = new Map([[0, 5_000], [1, 5_000]]);
  const over = { ...IDLE, replicas: 2, warm: { count: 0, untilMs: 9_000, endedMs } };
  assert.deepEqual(decide(over, 5_999, SEVERAL), {
    desired: 2,
    reason: "held_session",
    because: "a warm window has ended recently",
    wakeAtMs: 6_000,
    fallsAtMs: 6_000,
  });
  assert.deepEqual(pick(decide(over, 6_000, SEVERAL)), { desired: 0, wakeAtMs: 9_000 });
  assert.equal(decide({ ...over, replicas: 0 }, 5_500, SEVERAL).desired, 0, "it starts nothing");
});

Deno.test("decide() keeps a surplus for longer that somebody else has raised again", () => {
  const roseMs = new Map([[1, 0]]);
  const surplus = { highest: 1, raisedMs: 0, keptForMs: 4_000 };
  const facts = { ...IDLE, replicas: 2, roseMs, surplus };
  assert.deepEqual(decide(facts, 3_999, SEVERAL), {
    desired: 2,
    reason: "held_session",
    because: "somebody else has raised it again, so it stays for 4s",
    wakeAtMs: 4_000,
    fallsAtMs: 4_000,
  });
  assert.equal(decide(facts, 4_000, SEVERAL).desired, 0);
  assert.equal(decide({ ...facts, replicas: 1 }, 3_000, SEVERAL).desired, 1, "it raises nothing");
  const isShorter = { ...facts, lastUsedMs: new Map([[1, 3_500]]) };
  assert.equal(decide(isShorter, 4_100, SEVERAL).because, "it was in use recently");
});

function pick({ desired, wakeAtMs }: { desired: number; wakeAtMs: number }) {
  return { desired, wakeAtMs };
}
