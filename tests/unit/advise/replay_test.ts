/**
 * Tests of replays on sessions that can be worked out by hand, and of what holds for all sessions.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { PastSession } from "../../../lib/advise/history.ts";
import { replay as replayUses, UseHistory } from "../../../lib/ops/savings.ts";
import { loadZonedTimes } from "../../../lib/base/temporal.ts";
import { rank } from "../../../lib/route/rank.ts";
import { MINUTE_MS, past, replay, SECOND_MS } from "../../support/replays.ts";

const S = SECOND_MS;

Deno.test("replaySessions() starts a pod for one session, and stops it after the idle timeout", async () => {
  const { timeline, ...replayed } = await replay([past(0, 10 * S)], { startMs: 5 * S });
  assert.deepEqual(timeline, ["0s b1 0->1", "75s b1 1->0"]);
  assert.deepEqual(replayed, {
    podMs: 75 * S,
    alwaysOnMs: 60 * MINUTE_MS,
    peakPods: 1,
    untilMs: 60 * MINUTE_MS,
    coldStarts: 1,
    waitedMs: 5 * S,
    p95WaitMs: 5 * S,
    longestWaitMs: 5 * S,
    unserved: 0,
  });
});

Deno.test("replaySessions() keeps the pod in a pause shorter than the idle timeout, and not in a longer one", async () => {
  const sessions = (pauseMs: number) => [past(0, 10 * S), past(10 * S + pauseMs, 10 * S)];
  const short = await replay(sessions(59 * S));
  assert.deepEqual(short.timeline, ["0s b1 0->1", "139s b1 1->0"]);
  assert.equal(short.coldStarts, 1);
  const long = await replay(sessions(61 * S));
  assert.deepEqual(long.timeline, ["0s b1 0->1", "70s b1 1->0", "71s b1 0->1", "141s b1 1->0"]);
  assert.equal(long.coldStarts, 2);
});

Deno.test("replaySessions() has sessions work as long as they did, whatever they waited then", async () => {
  const { timeline } = await replay([past(0, 50 * S, { heldMs: 40 * S })], { startMs: 5 * S });
  assert.deepEqual(timeline, ["0s b1 0->1", "75s b1 1->0"]);
});

Deno.test("replaySessions() puts sessions that overlap on one pod without limits, and counts the wait of each", async () => {
  const sessions = [past(0, 30 * S), past(2 * S, 30 * S), past(20 * S, 30 * S)];
  const { timeline, ...replayed } = await replay(sessions, { startMs: 5 * S });
  assert.deepEqual(timeline, ["0s b1 0->1", "110s b1 1->0"]);
  assert.equal(replayed.waitedMs, 5 * S + 3 * S);
  assert.equal(replayed.longestWaitMs, 5 * S);
});

Deno.test("replaySessions() sends what exceeds the target to the second builder, and stops each by itself", async () => {
  const sessions = [past(0, 30 * S), past(1 * S, 100 * S)];
  const { timeline, ...replayed } = await replay(sessions, {
    builders: ["b1", "b2"],
    settings: { sessionsPerReplica: "1" },
  });
  assert.deepEqual(timeline, ["0s b1 0->1", "1s b2 0->1", "90s b1 1->0", "161s b2 1->0"]);
  assert.equal(replayed.alwaysOnMs, 2 * 60 * MINUTE_MS);
  assert.equal(replayed.podMs, 90 * S + 160 * S);
});

Deno.test("replaySessions() adds replicas up to --max-replicas", async () => {
  const sessions = [0, 1, 2].map((at) => past(at * S, 30 * S));
  const { timeline } = await replay(sessions, { settings: { maxReplicas: "2", sessionsPerReplica: "1" } });
  assert.deepEqual(timeline, ["0s b1 0->1", "1s b1 1->2", "91s b1 2->1", "92s b1 1->0"]);
});

Deno.test("replaySessions() asks how long each pod takes to start", async () => {
  const starts: Readonly<Record<string, number>> = { "b1-0": 20 * S, "b1-1": 1 * S };
  const { waitedMs, longestWaitMs } = await replay([past(0, 30 * S), past(1 * S, 30 * S)], {
    startMs: (pod) => starts[pod]!,
    settings: { maxReplicas: "2", sessionsPerReplica: "1" },
  });
  // The second pod is ready at 2 s, and takes the first session. The other one waits for the first pod.
  assert.deepEqual([waitedMs, longestWaitMs], [2 * S + 19 * S, 19 * S]);
});

Deno.test("replaySessions() keeps a project on its builder", async () => {
  const sessions = [0, 100, 200, 300].map((at) => past(at * S, S, { project: "team-a" }));
  const { timeline } = await replay(sessions, { builders: ["b1", "b2", "b3"] });
  assert.equal(new Set(timeline.map((change) => change.split(" ")[1])).size, 1);
});

Deno.test("replaySessions() has a project wait for its own builder, although another one has room", async () => {
  const builders = ["b1", "b2"];
  const projectOf = (home: string) =>
    Array.from({ length: 100 }, (_, i) => `team-${i}`).find((name) => rank(builders, name)[0] === home)!;
  const sessions = [
    past(0, 30 * S, { project: projectOf("b1") }),
    past(10 * S, 30 * S, { project: projectOf("b2") }),
  ];
  const { timeline } = await replay(sessions, { builders, startMs: 5 * S });
  assert.deepEqual(timeline, ["0s b1 0->1", "10s b2 0->1", "95s b1 1->0", "105s b2 1->0"]);
});

Deno.test("replaySessions() queues sessions at the hard limit, and gives their time up after --queue-timeout", async () => {
  const settings = { sessionsPerReplica: "1", maxSessionsPerReplica: "1", queueTimeoutMs: "50s" };
  const sessions = [past(0, 40 * S), past(10 * S, 40 * S), past(20 * S, 10 * S)];
  const { timeline, waitedMs, unserved, longestWaitMs } = await replay(sessions, { settings });
  // The second begins at 40 s and the third cannot begin before 80 s, which is later than 70 s.
  assert.deepEqual(timeline, ["0s b1 0->1", "140s b1 1->0"]);
  assert.equal(unserved, 1);
  assert.equal(waitedMs, 30 * S + 50 * S);
  assert.equal(longestWaitMs, 50 * S);
});

Deno.test("replaySessions() gives up on a pod that takes longer than --ready-wait-timeout", async () => {
  const { unserved, waitedMs } = await replay([past(0, 10 * S)], {
    startMs: 60 * S,
    settings: { readyWaitTimeoutMs: "20s" },
  });
  assert.equal(unserved, 1);
  assert.equal(waitedMs, 20 * S);
});

Deno.test("replaySessions() has a client that left while it waited leave at the same time", async () => {
  const left = past(0, 10 * S, { heldMs: 10 * S, wasServed: false });
  const slow = await replay([left], { startMs: 30 * S });
  assert.equal(slow.unserved, 1);
  assert.deepEqual(slow.timeline, ["0s b1 0->1", "70s b1 1->0"]);
  const fast = await replay([left], { startMs: 3 * S });
  assert.equal(fast.unserved, 0);
  assert.equal(fast.waitedMs, 3 * S);
  assert.deepEqual(fast.timeline, ["0s b1 0->1", "70s b1 1->0"]);
});

Deno.test("replaySessions() takes no start for a cold one that keeps the minimum or a warm window", async () => {
  const minimum = await replay([past(10 * S, 10 * S)], { settings: { minReplicas: "1" } });
  assert.deepEqual([minimum.timeline, minimum.coldStarts], [["10s b1 0->1"], 0]);
  await loadZonedTimes();
  // The epoch was a Thursday.
  const settings = { warm: "Thu 00:10-00:20 UTC=1" };
  const warm = await replay([past(0, 1 * S), past(15 * MINUTE_MS, 1 * S)], { settings });
  assert.deepEqual(warm.timeline, ["0s b1 0->1", "61s b1 1->0", "600s b1 0->1", "1260s b1 1->0"]);
  assert.equal(warm.coldStarts, 1);
});

Deno.test("replaySessions() begins with the pods that stay without clients: nobody waits for them", async () => {
  await loadZonedTimes();
  for (const settings of [{ minReplicas: "2" }, { warm: "Thu 00:00-00:20 UTC=2" }] as const) {
    const { timeline, waitedMs, coldStarts } = await replay([past(0, 10 * S)], {
      startMs: 5 * S,
      builders: ["b1", "b2"],
      settings: { ...settings, maxReplicas: "2" },
    });
    assert.deepEqual(timeline.slice(0, 2), ["0s b1 0->1", "0s b2 0->1"]);
    assert.deepEqual([waitedMs, coldStarts], [0, 0]);
  }
});

Deno.test("replaySessions() counts pods until the end that is asked for, or that of the last idle timeout", async () => {
  const settings = { minReplicas: "1" };
  const longer = await replay([past(0, 10 * S)], { untilMs: 90 * S, settings });
  assert.deepEqual([longer.podMs, longer.untilMs], [90 * S, 90 * S]);
  const shorter = await replay([past(0, 10 * S)], { untilMs: 30 * S });
  assert.deepEqual([shorter.podMs, shorter.untilMs], [70 * S, 70 * S]);
});

/** Sessions of up to some minutes, in order. */
const sessionsOf = (most: number) =>
  fc.array(
    fc.record({
      pauseMs: fc.integer({ min: 0, max: 300_000 }),
      durationMs: fc.integer({ min: 1, max: 200_000 }),
    }),
    { minLength: 1, maxLength: most },
  ).map((drawn): readonly PastSession[] => {
    let atMs = 0;
    return drawn.map(({ pauseMs, durationMs }) => past(atMs += pauseMs, durationMs));
  });

const UNTIL_MS = 4 * 60 * MINUTE_MS;

Deno.test("a longer idle timeout never has fewer pod-hours or more cold starts, if pods start at once", async () => {
  await fc.assert(
    fc.asyncProperty(
      sessionsOf(20),
      fc.array(fc.integer({ min: 0, max: 400_000 }), { minLength: 2, maxLength: 3 }),
      fc.integer({ min: 1, max: 2 }),
      async (sessions, timeouts, builders) => {
        const rows = [];
        for (const idleTimeoutMs of timeouts.toSorted((a, b) => a - b)) {
          rows.push(
            await replay(sessions, {
              idleTimeoutMs,
              untilMs: UNTIL_MS,
              builders: ["b1", "b2"].slice(0, builders),
              settings: { placement: "packed", sessionsPerReplica: "0" },
            }),
          );
        }
        for (const [at, row] of rows.entries()) {
          assert.equal(row.unserved, 0);
          assert.equal(row.waitedMs, 0);
          assert.ok(row.podMs >= (rows[at - 1]?.podMs ?? 0));
          assert.ok(row.coldStarts <= (rows[at - 1]?.coldStarts ?? Infinity));
        }
      },
    ),
    { numRuns: 60 },
  );
});

/** What one pod is used for, as the status page notes it. */
function usesOf(sessions: readonly PastSession[]): UseHistory {
  const uses = new UseHistory(1);
  const moments = sessions.flatMap(({ startMs, durationMs }) =>
    [[startMs, 1], [startMs + durationMs, -1]] as const
  ).sort(([a, up], [b, down]) => a - b || down - up);
  let open = 0;
  uses.note({ used: 0, floor: 0 }, moments[0]![0]);
  for (const [atMs, change] of moments) {
    open += change;
    uses.note({ used: Math.min(1, open), floor: 0 }, atMs);
  }
  return uses;
}

Deno.test("replaySessions() agrees with the savings of the status page about one builder", async () => {
  const startMs = 20 * S;
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(
      sessionsOf(20),
      fc.integer({ min: 0, max: 400_000 }),
      async (sessions, idleTimeoutMs) => {
        const page = replayUses(usesOf(sessions).points, UNTIL_MS, idleTimeoutMs);
        const atOnce = await replay(sessions, { idleTimeoutMs, untilMs: UNTIL_MS });
        assert.deepEqual([atOnce.podMs, atOnce.coldStarts], [page.runMs, page.coldStarts]);
        assert.equal(atOnce.alwaysOnMs - atOnce.podMs, page.asleepMs);
        // The page leaves out that sessions which wait end later: each start is at most that much longer.
        const slow = await replay(sessions, { idleTimeoutMs, untilMs: UNTIL_MS, startMs });
        assert.ok(slow.podMs >= page.runMs && slow.podMs <= page.runMs + page.coldStarts * startMs);
        compared += page.coldStarts;
      },
    ),
    { numRuns: 100 },
  );
  assert.ok(compared > 100);
});
