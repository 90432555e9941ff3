/**
 * Tests of the table of `advise`: which settings it tries, and how it prints them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type AdviceOptions, advise, DEFAULT_START_MS, namesFor } from "../../../lib/advise/advice.ts";
import type { History } from "../../../lib/advise/history.ts";
import { adviceJson, adviceText } from "../../../lib/advise/report.ts";
import { runAdvise } from "../../../lib/app/advise_command.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import { MINUTE_MS, past, SECOND_MS, settingsOf, turn } from "../../support/replays.ts";

/** A session a quarter of an hour, four times, on the first of January. */
const HISTORY: History = {
  format: "log",
  sessions: [0, 15, 30, 45].map((minutes) =>
    past(Date.UTC(2026, 0, 1) + minutes * MINUTE_MS, 60 * SECOND_MS, { heldMs: 3 * SECOND_MS })
  ),
  skippedLines: 2,
  builders: [],
  others: new Map(),
  coldStartsMs: [9_000, 3_000, 4_000],
};

const advised = (own: Partial<AdviceOptions> = {}, history: Partial<History> = {}) =>
  advise({ ...HISTORY, ...history }, { settings: settingsOf(), ...own }, turn);

Deno.test("advise() tries the timeouts of the status page and the one that is set", async () => {
  const { trials, fromMs, untilMs } = await advised({ settings: settingsOf({ idleTimeoutMs: "7m" }) });
  assert.deepEqual(
    trials.map(({ idleTimeoutMs, isSet, builders }) => [idleTimeoutMs / MINUTE_MS, isSet, builders]),
    [[1, false, 1], [2, false, 1], [5, false, 1], [7, true, 1], [10, false, 1], [30, false, 1]],
  );
  assert.equal(untilMs - fromMs, (46 + 30) * MINUTE_MS + 4 * SECOND_MS);
});

Deno.test("advise() tries as many builders as sessions were on, or as are declared", async () => {
  const countsOf = async (own: Partial<AdviceOptions>, builders: readonly string[]) =>
    (await advised({ idleTimeoutsMs: [MINUTE_MS], ...own }, { builders })).trials.map((each) =>
      each.builders
    );
  assert.deepEqual(await countsOf({}, ["b1", "b2", "b3"]), [1, 2, 3]);
  assert.deepEqual(await countsOf({}, ["b1", "b2", "b3", "b4"]), [1, 2, 4]);
  assert.deepEqual(await countsOf({ settings: settingsOf({ builders: "x,y" }) }, ["b1", "b2", "b3"]), [1, 2]);
  assert.deepEqual(await countsOf({ builderCounts: [4, 2, 2] }, []), [2, 4]);
});

Deno.test("advise() refuses a file with more builders than there can be, but tries the numbers that are given", async () => {
  const builders = Array.from({ length: 65 }, (_, i) => `pod-${i}`);
  const own = { idleTimeoutsMs: [MINUTE_MS] };
  await assert.rejects(advised(own, { builders }), (error) => {
    assert.ok(error instanceof UsageError);
    assert.match(
      error.message,
      /found sessions of 65 builders .*\("pod-0", .* and 60 more\), want at most 64: .* "--builder-counts"$/,
    );
    assert.deepEqual([error.preventsStart, error.command], [false, "advise"]);
    return true;
  });
  assert.equal((await advised({ ...own, builderCounts: [2] }, { builders })).trials.length, 1);
  assert.equal(
    (await advised({ ...own, builderCounts: undefined }, { builders: builders.slice(1) })).trials.length,
    7,
  );
});

Deno.test("namesFor() adds builders as the chart would name them", () => {
  assert.deepEqual(namesFor(["b"], 3), ["b", "b-b2", "b-b3"]);
  assert.deepEqual(namesFor(["b", "b-b2", "b-b3"], 2), ["b", "b-b2"]);
  assert.deepEqual(namesFor(["b", "b-b3"], 4), ["b", "b-b3", "b-b2", "b-b4"]);
});

Deno.test("advise() takes the start time that is given, else the median of the history, else an assumed one", async () => {
  const idleTimeoutsMs = [MINUTE_MS];
  const given = await advised({ idleTimeoutsMs, startMs: 0 });
  assert.deepEqual([given.startMs, given.startFrom, given.trials[0]!.waitedMs], [0, "flag", 0]);
  const median = await advised({ idleTimeoutsMs });
  assert.deepEqual([median.startMs, median.startFrom, median.trials[0]!.waitedMs], [
    4_000,
    "history",
    16_000,
  ]);
  const assumed = await advised({ idleTimeoutsMs }, { coldStartsMs: [] });
  assert.deepEqual([assumed.startMs, assumed.startFrom], [DEFAULT_START_MS, "default"]);
  assert.equal(DEFAULT_START_MS, 30_000, "--help and the docs say so");
});

Deno.test("advise() replays with the other settings", async () => {
  const { trials } = await advised({
    idleTimeoutsMs: [MINUTE_MS, 30 * MINUTE_MS],
    settings: settingsOf({ minReplicas: "1" }),
  });
  assert.deepEqual(trials.map(({ coldStarts, waitedMs }) => [coldStarts, waitedMs]), [[0, 0], [0, 0]]);
});

Deno.test("advise() counts the pods of all rows until the sessions of the row that queues longest have ended", async () => {
  const sessions = Array.from({ length: 6 }, (_, i) => past(i * SECOND_MS, 10 * MINUTE_MS));
  const limits = { sessionsPerReplica: "1", maxSessionsPerReplica: "1", queueTimeoutMs: "2h" };
  const own = { idleTimeoutsMs: [MINUTE_MS], builderCounts: [1, 2, 6], startMs: 0 };
  const { trials, untilMs } = await advised({ ...own, settings: settingsOf(limits) }, { sessions });
  assert.equal(untilMs, 61 * MINUTE_MS);
  assert.deepEqual(
    trials.map(({ podMs, alwaysOnMs }) => [podMs / MINUTE_MS, alwaysOnMs / MINUTE_MS]),
    [[61, 61], [2 * 31, 2 * 61], [6 * 11, 6 * 61]],
  );
  // Pods that stay without clients cost until the same end, also in rows that are over before it.
  const kept = await advised({ ...own, settings: settingsOf({ ...limits, minReplicas: "1" }) }, { sessions });
  assert.deepEqual(kept.trials.map(({ podMs }) => podMs / MINUTE_MS), [61, 61 + 31, 61 + 5 * 11]);
  const later = { ...own, idleTimeoutsMs: [MINUTE_MS, 5 * MINUTE_MS], builderCounts: [1] };
  for (const [minReplicas, minutes] of [["0", [61, 65]], ["1", [65, 65]]] as const) {
    const settings = settingsOf({ ...limits, minReplicas });
    const rows = (await advised({ ...later, settings }, { sessions })).trials;
    assert.deepEqual(rows.map(({ podMs }) => podMs / MINUTE_MS), minutes);
    assert.deepEqual(rows.map(({ alwaysOnMs }) => alwaysOnMs / MINUTE_MS), [65, 65]);
  }
});

Deno.test("adviceText() prints a table of which each row is a pair of settings", async () => {
  const settings = settingsOf({ pricePerHour: "0.34 EUR" });
  const advice = await advised({ settings, idleTimeoutsMs: [2, 30].map((minutes) => minutes * MINUTE_MS) });
  assert.deepEqual(adviceText({ history: HISTORY, advice, price: settings.pricePerHour }).split("\n"), [
    "Read:        4 sessions from a log; 2 lines skipped",
    "Time:        2026-01-01 00:00 UTC to 2026-01-01 01:16 UTC, 1.27 hours",
    "Waited then: 0.2 minutes",
    "Pod start:   4s (the median of 3 cold starts in the log)",
    "",
    "builders  idle timeout  pod-hours  of always on   EUR  cold starts  minutes waited  95% waited up to  longest wait",
    "       1          2m0s       0.20         15.9%  0.07            4             0.3                4s            4s  (set)",
    "       1         30m0s       1.27         99.8%  0.43            1             0.1                4s            4s",
    "",
  ]);
});

Deno.test("adviceText() says where the start time is from, and what a price without a currency comes to", async () => {
  const settings = settingsOf({ pricePerHour: "2" });
  const own = { settings, idleTimeoutsMs: [2 * MINUTE_MS] };
  const textOf = async (options: Partial<AdviceOptions>, coldStartsMs: readonly number[]) => {
    const history = { ...HISTORY, coldStartsMs };
    return adviceText({
      history,
      advice: await advised({ ...own, ...options }, history),
      price: settings.pricePerHour,
    });
  };
  const given = await textOf({ startMs: 4_000 }, []);
  assert.match(given, /\nPod start: +4s \(--start-time\)\n/);
  assert.match(given, / {2}cost {2}cold starts .*\n.* 0\.40 /);
  assert.match(await textOf({}, []), /\nPod start: +30s \(assumed; --start-time sets it\)\n/);
  assert.match(await textOf({}, [5_000]), /\nPod start: +5s \(the median of 1 cold start in the log\)\n/);
});

Deno.test("adviceText() says how many sessions would not be served, where there are some", async () => {
  const sessions = [past(0, 5_000, { heldMs: 5_000, wasServed: false })];
  const advice = await advised({ idleTimeoutsMs: [0], startMs: 10_000 }, { sessions });
  const text = adviceText({ history: { ...HISTORY, sessions, format: "csv" }, advice, price: undefined });
  assert.match(text, /^Read: +1 session from CSV/);
  assert.match(text, /longest wait {2}not served\n.* 1\n\nnot served: the client left/);
});

Deno.test("adviceText() shows these sessions also if other rows have none", async () => {
  const sessions = [past(0, 60_000), past(0, 60_000)];
  const settings = settingsOf({ sessionsPerReplica: "1", maxSessionsPerReplica: "1", queueTimeoutMs: "10s" });
  const own = { settings, idleTimeoutsMs: [0], startMs: 0, builderCounts: [1, 2] };
  const advice = await advised(own, { sessions });
  assert.deepEqual(advice.trials.map(({ unserved }) => unserved), [1, 0]);
  const text = adviceText({ history: { ...HISTORY, sessions }, advice, price: undefined });
  assert.match(text, /not served\n.* 1\n.* 0\n\nnot served: /);
});

Deno.test("adviceJson() has the same for programs", async () => {
  const settings = settingsOf({ pricePerHour: "2" });
  const advice = await advised({ settings, idleTimeoutsMs: [2 * MINUTE_MS] });
  assert.deepEqual(JSON.parse(adviceJson({ history: HISTORY, advice, price: settings.pricePerHour })), {
    format: "log",
    sessions: 4,
    skippedLines: 2,
    leftOut: [],
    from: "2026-01-01T00:00:00.000Z",
    until: "2026-01-01T00:48:04.000Z",
    startMs: 4_000,
    startFrom: "history",
    coldStarts: 3,
    trials: [{
      builders: 1,
      idleTimeoutMs: 120_000,
      isSet: true,
      podMs: 4 * (4_000 + 57_000 + 120_000),
      peakPods: 1,
      alwaysOnMs: 48 * MINUTE_MS + 4 * SECOND_MS,
      coldStarts: 4,
      waitedMs: 16_000,
      p95WaitMs: 4_000,
      longestWaitMs: 4_000,
      unserved: 0,
      cost: 0.4,
      currency: "",
    }],
  });
});

Deno.test("runAdvise() reads, replays and prints, or throws the problems of the file", async () => {
  const bytes = async function* (text: string) {
    yield new TextEncoder().encode(text);
  };
  const command = { settings: settingsOf(), idleTimeoutsMs: [MINUTE_MS], startMs: 0 } as const;
  const run = (text: string, output: "text" | "json") =>
    runAdvise({ ...command, output }, { bytes: bytes(text), turn });
  assert.match(await run("start,duration\n0,10s\n", "text"), /^Read: +1 session from CSV\n/);
  assert.equal(JSON.parse(await run("start,duration\n0,10s\n", "json")).trials[0].podMs, 70_000);
  await assert.rejects(run("start,duration\nx,10s\n", "text"), UsageError);
});

Deno.test("runAdvise() leaves out and counts the sessions of builders that --builders does not name", async () => {
  const command = {
    settings: settingsOf({ builders: "x,y" }),
    idleTimeoutsMs: [MINUTE_MS],
    startMs: 0,
  } as const;
  const run = (rows: string, output: "text" | "json") => {
    const bytes = async function* () {
      yield new TextEncoder().encode(`start,duration,builder\n${rows}`);
    };
    return runAdvise({ ...command, output }, { bytes: bytes(), turn });
  };
  const rows = "0,10s,x\n1,10s,a\n2,10s,\n3,10s,a\n4,10s,b\n";
  assert.match(
    await run(rows, "text"),
    /^Read: +2 sessions from CSV\nLeft out: +3 sessions of builders that "--builders" does not name: "a", "b"\n/,
  );
  assert.deepEqual(JSON.parse(await run(rows, "json")).leftOut, [{ builder: "a", sessions: 2 }, {
    builder: "b",
    sessions: 1,
  }]);
  await assert.rejects(run("0,10s,a\n", "text"), {
    name: "UsageError",
    message: 'Cannot replay: found only sessions of "a", want sessions of "x", "y": "--builders" names them',
  });
});
