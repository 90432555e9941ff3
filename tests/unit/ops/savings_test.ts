/**
 * Tests of what was saved, and of what other idle timeouts would have saved.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  Account,
  advance,
  CANDIDATES_MS,
  MOST_USES,
  NOTHING_SAVED,
  type Present,
  replay,
  shortestPauseMs,
  UseHistory,
  type UsePoint,
  whatIf,
} from "../../../lib/ops/savings.ts";

const MINUTE_MS = 60_000;

const used = (atMs: number, used: number, floor = 0): UsePoint => ({ atMs, used, floor });

Deno.test("advance() counts pods that are not there, those that were started, and the time of those who wait", () => {
  const present = (atMs: number, more: Partial<Present> = {}): Present => ({
    atMs,
    replicas: 0,
    peak: 1,
    floor: 0,
    waiting: 0,
    ...more,
  });
  const steps = [
    present(0, { replicas: undefined }),
    present(1_000),
    present(11_000, { waiting: 2 }),
    present(11_500, { waiting: 2, replicas: 1 }),
    present(15_500, { replicas: 1 }),
    present(60_000, { replicas: 3, peak: 3 }),
    present(70_000, { replicas: 1, peak: 3 }),
    present(80_000, { replicas: 1, peak: 3 }),
  ];
  const saved = steps.slice(1).reduce(
    (before, step, index) => advance(before, steps[index]!, step),
    NOTHING_SAVED,
  );
  assert.deepEqual(saved, {
    asleepMs: 10_500 + 2 * 10_000,
    coldStarts: 3,
    waitedMs: 2 * 500 + 2 * 4_000,
  });
});

Deno.test("advance() takes no start for a cold one that keeps the minimum", () => {
  const before: Present = { atMs: 0, replicas: 0, peak: 1, floor: 0, waiting: 0 };
  assert.equal(advance(NOTHING_SAVED, before, { ...before, replicas: 2, floor: 1 }).coldStarts, 1);
  assert.equal(advance(NOTHING_SAVED, before, { ...before, replicas: 1, floor: 1 }).coldStarts, 0);
});

Deno.test("replay() keeps a pod for the idle timeout after its last use", () => {
  const points = [
    used(0, 0),
    used(10 * MINUTE_MS, 1),
    used(11 * MINUTE_MS, 0),
    used(14 * MINUTE_MS, 1),
    used(
      15 * MINUTE_MS,
      0,
    ),
  ];
  const at = (minutes: number) => {
    const { runMs, asleepMs, coldStarts } = replay(points, 60 * MINUTE_MS, minutes * MINUTE_MS);
    return [runMs / MINUTE_MS, asleepMs / MINUTE_MS, coldStarts];
  };
  assert.deepEqual(at(0), [2, 58, 2]);
  assert.deepEqual(at(1), [4, 56, 2]);
  // As long as the pause: the pod goes at the moment at which it is wanted again, as in `decide`.
  assert.deepEqual(at(3), [1 + 3 + 1 + 3, 52, 2]);
  assert.deepEqual(at(10), [15, 45, 1]);
  assert.deepEqual(at(100), [50, 10, 1]);
});

Deno.test("replay() keeps each of several pods for itself", () => {
  const points = [used(0, 0), used(1_000, 2), used(2_000, 1), used(4_000, 0)];
  // Two pods until 2,000 + 3,000, then one until 4,000 + 3,000.
  assert.deepEqual(replay(points, 20_000, 3_000), {
    runMs: 2 * 4_000 + 2_000,
    asleepMs: 2 * 20_000 - 10_000,
    coldStarts: 2,
  });
});

Deno.test("replay() keeps the minimum, and takes what it starts for no cold start", () => {
  const points = [used(0, 0, 1), used(10_000, 1, 1), used(20_000, 2, 1), used(30_000, 0, 1)];
  const { runMs, coldStarts } = replay(points, 40_000, 0);
  assert.deepEqual([runMs, coldStarts], [50_000, 1]);
  assert.deepEqual(replay([used(0, 0), used(10_000, 0, 1)], 20_000, 0).coldStarts, 0);
});

Deno.test("replay() has at least one pod asleep where none was ever wanted", () => {
  assert.deepEqual(replay([used(0, 0)], 1_000, 0), { runMs: 0, asleepMs: 1_000, coldStarts: 0 });
});

Deno.test("replay() of nothing is nothing", () => {
  assert.deepEqual(replay([], 1_000, MINUTE_MS), { runMs: 0, asleepMs: 0, coldStarts: 0 });
});

/** Use in steps, as it comes about: gaps of any length, levels of some pods. */
const uses = fc.array(
  fc.record({ gapMs: fc.integer({ min: 1, max: 300_000 }), used: fc.nat(3), floor: fc.nat(1) }),
  { minLength: 1, maxLength: 40 },
);

function pointsOf(steps: readonly { gapMs: number; used: number; floor: number }[]): UsePoint[] {
  let atMs = 0;
  return steps.map(({ gapMs, used, floor }) => ({ atMs: atMs += gapMs, used, floor }));
}

/** What `replay` does, one pod after the other and moment by moment: simple, and slow. */
function replaySimply(points: readonly UsePoint[], untilMs: number, idleTimeoutMs: number) {
  let runMs = 0;
  for (let ordinal = 0; ordinal < 4; ordinal++) {
    const wanted = points.flatMap(({ atMs, used, floor }, index) =>
      Math.max(used, floor) > ordinal
        ? [[atMs, (points[index + 1]?.atMs ?? untilMs) + idleTimeoutMs] as const]
        : []
    );
    let coveredMs = -Infinity;
    for (const [fromMs, toMs] of wanted) {
      runMs += Math.max(0, Math.min(toMs, untilMs) - Math.max(fromMs, coveredMs));
      coveredMs = Math.max(coveredMs, Math.min(toMs, untilMs));
    }
  }
  return runMs;
}

Deno.test("replay() has each pod there as long as a simple model, and a longer timeout saves less and starts fewer", () => {
  fc.assert(
    fc.property(uses, fc.integer({ min: 0, max: 400_000 }), fc.nat(200_000), (steps, idleMs, moreMs) => {
      const points = pointsOf(steps);
      const untilMs = points.at(-1)!.atMs + 200_000;
      const shorter = replay(points, untilMs, idleMs);
      const longer = replay(points, untilMs, idleMs + moreMs);
      assert.equal(shorter.runMs, replaySimply(points, untilMs, idleMs));
      assert.ok(longer.asleepMs <= shorter.asleepMs);
      assert.ok(longer.coldStarts <= shorter.coldStarts);
      assert.ok(longer.asleepMs >= 0);
    }),
  );
});

Deno.test("UseHistory leaves out short pauses, and no timeout that is longer notices", () => {
  fc.assert(
    fc.property(uses, fc.integer({ min: 1, max: 120_000 }), fc.nat(300_000), (steps, shortestMs, moreMs) => {
      const points = pointsOf(steps);
      const history = new UseHistory(shortestMs);
      for (const { atMs, ...use } of points) history.note(use, atMs);
      const untilMs = points.at(-1)!.atMs + 100_000;
      const idleMs = shortestMs + moreMs;
      assert.deepEqual(replay(history.points, untilMs, idleMs), replay(points, untilMs, idleMs));
      assert.ok(history.points.length <= points.length);
    }),
  );
});

Deno.test("UseHistory takes the connections of a client that opens one a second for one use", () => {
  const history = new UseHistory(MINUTE_MS);
  for (let ms = 0; ms < 600_000; ms += 1_000) {
    history.note({ used: 1, floor: 0 }, ms);
    history.note({ used: 0, floor: 0 }, ms + 100);
  }
  assert.deepEqual(history.points, [used(0, 1), used(599_100, 0)]);
});

Deno.test("UseHistory fills a short pause up to the lower of its neighbours, without a point that changes nothing", () => {
  const history = new UseHistory(1_000);
  for (const [ms, level] of [[0, 2], [5_000, 0], [5_500, 1], [9_000, 0]] as const) {
    history.note({ used: level, floor: 0 }, ms);
  }
  assert.deepEqual(history.points, [used(0, 2), used(5_000, 1), used(9_000, 0)]);
});

Deno.test("UseHistory forgets the oldest", () => {
  const history = new UseHistory(1);
  for (let at = 0; at < 3 * MOST_USES; at++) history.note({ used: at % 2, floor: 0 }, at * MINUTE_MS);
  assert.equal(history.points.length, MOST_USES);
  assert.equal(history.points[0]!.atMs, 2 * MOST_USES * MINUTE_MS);
});

Deno.test("whatIf() has a row for each idle timeout to choose from and for the one that is set, shortest first", () => {
  const points = [used(0, 0), used(1_000, 1), used(2_000, 0)];
  const rows = whatIf(points, MINUTE_MS, 90_000, 30_000);
  const timeouts = rows.map(({ idleTimeoutMs }) => idleTimeoutMs / 1_000);
  assert.deepEqual(timeouts, [60, 90, 120, 300, 600, 1_800]);
  assert.deepEqual(rows.filter(({ isSet }) => isSet).map(({ idleTimeoutMs }) => idleTimeoutMs), [90_000]);
  assert.deepEqual(rows.map(({ waitedMs }) => waitedMs), Array(6).fill(30_000));
  assert.equal(whatIf(points, MINUTE_MS, 120_000, 30_000).length, CANDIDATES_MS.length);
});

Deno.test("whatIf() does not know what clients would have waited while it is not known what a cold start costs", () => {
  const [row] = whatIf([used(0, 0), used(1_000, 1)], MINUTE_MS, MINUTE_MS, undefined);
  assert.deepEqual([row!.coldStarts, row!.waitedMs], [1, undefined]);
  const [none] = whatIf([used(0, 1)], MINUTE_MS, MINUTE_MS, undefined);
  assert.deepEqual([none!.coldStarts, none!.waitedMs], [0, 0]);
});

Deno.test("shortestPauseMs() is the shortest timeout of interest", () => {
  assert.deepEqual([0, 6_000, 120_000].map(shortestPauseMs), [1, 6_000, 60_000]);
});

Deno.test("Account adds up what advance() says, and tells the news since the last time", () => {
  const account = new Account(0);
  const at = (atMs: number, replicas: number | undefined, most = 1) =>
    account.advance({ atMs, replicas, most, floor: 0, waiting: 0 });
  at(1_000, 1);
  at(11_000, 0);
  at(21_000, undefined);
  assert.deepEqual(account.saved, { asleepMs: 10_000, coldStarts: 0, waitedMs: 0 });
  assert.deepEqual(account.news(), account.saved);
  at(31_000, 2, 2);
  assert.deepEqual(account.news(), { asleepMs: 10_000, coldStarts: 2, waitedMs: 0 });
  at(41_000, 1, 1);
  at(51_000, 1, 1);
  assert.deepEqual(account.news(), { asleepMs: 10_000, coldStarts: 0, waitedMs: 0 }, "of two at most");
  assert.deepEqual(account.news(), NOTHING_SAVED);
});
