/** Tests of how far a builder can be used. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Pod } from "../../../lib/kube/types.ts";
import {
  advance,
  awaitedBy,
  type BuilderFacts,
  CLAIM_MS,
  CLAIM_STUCK_MS,
  isBroken,
  isGrowthStuck,
  nextChangeMs,
  type Progress,
  type State,
  stateOf,
  STUCK_MS,
} from "../../../lib/scaler/builder_state.ts";

/** What no waiting ends, by the kubelet's names. */
const REASONS = [
  "CrashLoopBackOff",
  "CreateContainerConfigError",
  "CreateContainerError",
  "ErrImageNeverPull",
  "ErrImagePull",
  "ImageInspectError",
  "ImagePullBackOff",
  "InvalidImageName",
  "PostStartHookError",
  "PreCreateHookError",
  "PreStartHookError",
  "RegistryUnavailable",
  "RunContainerError",
];

/** A pod may be awaited for so long. */
const LONGEST_MS = 150_000;

const ASLEEP: BuilderFacts = {
  isMissing: false,
  isForbidden: false,
  isSeen: true,
  usable: [],
  wanted: 0,
  isClaiming: false,
  isBroken: false,
};
const STARTING = { ...ASLEEP, wanted: 1 };
const READY = { ...STARTING, usable: [0] };
const GROWING = { ...READY, wanted: 2 };

/** A builder that is looked at whenever it may change. */
function builder() {
  let progress: Progress = {};
  let nowMs = 1_000;
  let facts = ASLEEP;
  const look = () => progress = advance(progress, facts, nowMs, LONGEST_MS);
  /** The state after these facts have been the case for so long. */
  const after = (ms: number, changed: Partial<BuilderFacts> = {}): State => {
    facts = { ...facts, ...changed };
    look();
    const endMs = nowMs + ms;
    for (let nextMs; (nextMs = nextChangeMs(progress, LONGEST_MS)) <= endMs; look()) {
      assert.ok(nextMs >= nowMs, "what is due is done");
      nowMs = nextMs;
    }
    nowMs = endMs;
    look();
    return stateOf(facts, progress);
  };
  return { after, grows: () => !isGrowthStuck(facts, progress) };
}

Deno.test("stateOf() is the first that fits of missing, ready, stuck, starting, unknown, asleep", () => {
  const stuck: Progress = { stuck: { ordinal: 0, cause: "slow", untilMs: 1 } };
  const all: BuilderFacts = { ...READY, isMissing: true };
  assert.equal(stateOf(all, stuck), "missing");
  assert.equal(stateOf({ ...all, isMissing: false }, stuck), "ready");
  const forbidden: BuilderFacts = { ...READY, isForbidden: true };
  assert.equal(stateOf(forbidden, stuck), "ready", "its pods go on serving");
  assert.equal(stateOf({ ...forbidden, isMissing: true }, stuck), "missing");
  assert.equal(stateOf({ ...forbidden, usable: [] }, stuck), "missing");
  assert.equal(stateOf(STARTING, stuck), "stuck");
  assert.equal(stateOf(STARTING, {}), "starting");
  assert.equal(stateOf({ ...ASLEEP, isSeen: false }, {}), "unknown");
  assert.equal(stateOf({ ...STARTING, isSeen: false }, {}), "starting");
  assert.equal(stateOf(ASLEEP, {}), "asleep");
  assert.equal(stateOf(ASLEEP, stuck), "stuck", "it is remembered while nobody wants a pod");
});

Deno.test("awaitedBy() is the lowest wanted pod that takes no session", () => {
  assert.equal(awaitedBy({ usable: [], wanted: 0 }), undefined);
  assert.equal(awaitedBy({ usable: [], wanted: 2 }), 0);
  assert.equal(awaitedBy({ usable: [0], wanted: 2 }), 1);
  assert.equal(awaitedBy({ usable: [1], wanted: 2 }), 0);
  assert.equal(awaitedBy({ usable: [0, 1], wanted: 1 }), undefined);
});

Deno.test("advance(): a pod is stuck once it was awaited for too long, and is tried again after 10 min", () => {
  const { after } = builder();
  assert.equal(after(LONGEST_MS - 1, STARTING), "starting");
  assert.equal(after(1), "stuck");
  assert.equal(after(STUCK_MS - 1), "stuck");
  assert.equal(after(1), "starting");
  assert.equal(after(LONGEST_MS - 1), "starting");
  assert.equal(after(1), "stuck");
});

Deno.test("advance(): that a pod is stuck is remembered when nobody wants it any more, and ends when it is usable", () => {
  const { after } = builder();
  assert.equal(after(LONGEST_MS, STARTING), "stuck");
  assert.equal(after(1_000, { wanted: 0 }), "stuck");
  assert.equal(after(STUCK_MS - 1_001), "stuck");
  assert.equal(after(1), "asleep");
  assert.equal(after(LONGEST_MS, STARTING), "stuck");
  assert.equal(after(0, { usable: [0] }), "ready");
  assert.equal(after(LONGEST_MS - 1, { usable: [] }), "starting", "it begins anew");
});

Deno.test("advance(): a pod that is wanted again begins anew", () => {
  const { after } = builder();
  after(LONGEST_MS - 1, STARTING);
  assert.equal(after(10, { wanted: 0 }), "asleep");
  assert.equal(after(LONGEST_MS - 1, STARTING), "starting");
});

Deno.test("advance(): a claim that fails for 10 s makes the builder stuck, until it has succeeded", () => {
  const { after } = builder();
  assert.equal(after(CLAIM_MS - 1, { ...STARTING, isClaiming: true }), "starting");
  assert.equal(after(1), "stuck");
  assert.equal(after(10 * CLAIM_STUCK_MS), "stuck", "it goes on failing");
  assert.equal(after(0, { isClaiming: false }), "starting");
  assert.equal(after(LONGEST_MS - 1), "starting", "the pod has its time from then on");
});

Deno.test("advance(): a failed claim is forgotten after a minute when nobody claims any more", () => {
  const { after } = builder();
  after(CLAIM_MS, { ...STARTING, isClaiming: true });
  assert.equal(after(CLAIM_STUCK_MS - 1, ASLEEP), "stuck");
  assert.equal(after(1), "asleep");
  assert.equal(
    after(CLAIM_MS - 1, { ...STARTING, isClaiming: true }),
    "starting",
    "the next one has its time",
  );
});

Deno.test("advance(): a claim that succeeds in between begins anew", () => {
  const { after } = builder();
  after(CLAIM_MS - 1, { ...STARTING, isClaiming: true });
  after(1, { isClaiming: false });
  assert.equal(after(CLAIM_MS - 1, { isClaiming: true }), "starting");
});

Deno.test("advance(): a broken container makes the builder stuck at once, also when it is tried again", () => {
  const { after } = builder();
  assert.equal(after(0, STARTING), "starting");
  assert.equal(after(0, { isBroken: true }), "stuck");
  assert.equal(after(STUCK_MS), "stuck");
  assert.equal(after(STUCK_MS - 1, { isBroken: false }), "stuck", "a container that crashes runs in between");
  assert.equal(after(1), "starting");
});

Deno.test("advance(): growth is stuck where one pod is ready and the next is stuck", () => {
  const { after, grows } = builder();
  assert.equal(after(LONGEST_MS - 1, GROWING), "ready");
  assert.ok(grows());
  assert.equal(after(1), "ready");
  assert.ok(!grows());
  after(1_000, { wanted: 1 });
  assert.ok(!grows(), "it is remembered");
  after(0, { wanted: 2, usable: [0, 1] });
  assert.ok(grows());
});

Deno.test("advance(): a builder whose second pod is stuck is not stuck when it loses its first", () => {
  const { after, grows } = builder();
  after(LONGEST_MS, GROWING);
  assert.equal(after(LONGEST_MS - 1, { usable: [] }), "starting");
  assert.equal(after(1), "stuck");
  assert.equal(after(0, { usable: [0] }), "ready");
  assert.ok(grows(), "the second pod may be tried again");
});

Deno.test("nextChangeMs() names the time of every change that comes with time alone", () => {
  const facts = fc.record<BuilderFacts>({
    isMissing: fc.boolean(),
    isForbidden: fc.boolean(),
    isSeen: fc.boolean(),
    usable: fc.subarray([0, 1, 2]),
    wanted: fc.nat(3),
    isClaiming: fc.boolean(),
    isBroken: fc.boolean(),
  });
  const steps = fc.array(fc.tuple(facts, fc.integer({ min: 0, max: 800_000 })), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 700_000 }), (steps, laterMs) => {
      let progress: Progress = {};
      let nowMs = 0;
      for (const [facts, ms] of steps) {
        nowMs += ms;
        progress = advance(progress, facts, nowMs, LONGEST_MS);
        assert.deepEqual(
          advance(progress, facts, nowMs, LONGEST_MS),
          progress,
          "looking twice changes nothing",
        );
        assert.ok(nextChangeMs(progress, LONGEST_MS) > nowMs);
      }
      const [last] = steps.at(-1)!;
      const beforeMs = Math.min(nowMs + laterMs, nextChangeMs(progress, LONGEST_MS) - 1);
      assert.deepEqual(advance(progress, last, beforeMs, LONGEST_MS), progress, "nothing before it");
    }),
    { numRuns: 1000 },
  );
});

Deno.test("isBroken() knows what no waiting ends, in any container of a pod that is not being deleted", () => {
  const waiting = (reason: string) => [{
    name: "buildkitd",
    image: "",
    imageID: "",
    ready: false,
    restartCount: 0,
    state: { waiting: { reason } },
  }];
  const pod = (reason: string): Pod => ({ status: { containerStatuses: waiting(reason) } });
  for (const reason of REASONS) {
    assert.equal(isBroken(pod(reason)), true, reason);
    assert.equal(isBroken({ status: { initContainerStatuses: waiting(reason) } }), true, reason);
    assert.equal(
      isBroken({ ...pod(reason), metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }),
      false,
    );
  }
  for (const reason of ["ContainerCreating", "PodInitializing"]) {
    assert.equal(isBroken(pod(reason)), false, reason);
  }
  assert.equal(isBroken({}), false);
  for (const state of [{}, { running: {} }]) {
    assert.equal(isBroken({ status: { containerStatuses: [{ ...waiting("")[0]!, state }] } }), false);
  }
});

Deno.test("A claim may fail for 10 s, and its pod is tried again after 1 min; any other after 10 min", () => {
  assert.deepEqual([CLAIM_MS, CLAIM_STUCK_MS, STUCK_MS], [10_000, 60_000, 600_000]);
});

Deno.test("isGrowthStuck() only where a pod takes sessions", () => {
  const stuck: Progress = { stuck: { ordinal: 1, cause: "slow", untilMs: 1 } };
  assert.equal(isGrowthStuck(GROWING, stuck), true);
  assert.equal(isGrowthStuck({ ...GROWING, usable: [] }, stuck), false);
});

Deno.test("advance() does what is due when nextChangeMs() says so, however the times are rounded", () => {
  fc.assert(fc.property(
    fc.double({ min: 0, max: 1e9, noNaN: true }),
    fc.double({ min: 1_000, max: 600_000, noNaN: true }),
    fc.boolean(),
    (nowMs, longestMs, isClaiming) => {
      const facts = { ...STARTING, isClaiming };
      const before = advance({}, facts, nowMs, longestMs);
      const dueMs = nextChangeMs(before, longestMs);
      assert.ok(nextChangeMs(advance(before, facts, dueMs, longestMs), longestMs) > dueMs);
    },
  ));
});
