/**
 * Tests of reading past sessions from logs and CSV, and of what is said of lines that cannot be read.
 *
 * @module
 */
import assert from "node:assert/strict";
import { bytesOf as bytesIn, linesOf } from "../../../lib/advise/lines.ts";
import { readHistory } from "../../../lib/advise/read_history.ts";
import { readTime } from "../../../lib/advise/read_time.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import { logged } from "../../support/log_lines.ts";

async function* bytesOf(text: string, pieceBytes = 7): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
}

function read(text: string) {
  return readHistory(linesOf(bytesOf(text)));
}

async function problemsOf(text: string): Promise<readonly string[]> {
  try {
    await read(text);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    assert.equal(error.preventsStart, false);
    return error.problems;
  }
  return assert.fail("no error");
}

const ended = (time: string, more: Record<string, unknown> = {}) =>
  JSON.stringify({
    time,
    level: "info",
    code: "session_ended",
    outcome: "completed",
    pod: "buildkitd-0",
    heldMs: 4_740,
    durationMs: 5_105,
    ...more,
  });

Deno.test("readHistory() finds a session's start from the end of its record: the duration includes the wait", async () => {
  const { sessions, format } = await read(ended("2026-11-24T11:02:04.382Z"));
  assert.equal(format, "log");
  assert.deepEqual(sessions, [{
    startMs: Date.UTC(2026, 10, 24, 11, 1, 59, 277),
    durationMs: 5_105,
    heldMs: 4_740,
    wasServed: true,
  }]);
});

Deno.test("readHistory() reads what the program writes", async () => {
  let endedMs = 0;
  const lines = await logged(async (log, clock) => {
    await clock.advance(60_000);
    endedMs = clock.wallMs();
    log.info("session_ended", {
      session: 1,
      pod: "b-0",
      project: "team-a.ci",
      builder: "b",
      heldMs: 5,
      durationMs: 9,
    });
    log.info("cold_start_ended", { raisedMs: 3, readyMs: 2_000 });
    log.info("ready");
  });
  const history = await read(`${lines.join("\n")}\n`);
  assert.deepEqual(history, {
    format: "log",
    sessions: [{
      startMs: endedMs - 9,
      durationMs: 9,
      heldMs: 5,
      wasServed: true,
      project: "team-a.ci",
    }],
    skippedLines: 0,
    builders: ["b"],
    others: new Map(),
    coldStartsMs: [2_000],
  });
});

Deno.test("readHistory() reads logs of several proxies, with prefixes, and counts the lines that are no records", async () => {
  const { sessions, skippedLines, coldStartsMs } = await read([
    "Defaulted container",
    `[pod/autoscaler-0/autoscaler] ${ended("2026-11-24T11:00:10.000Z", { durationMs: 2_000, heldMs: 0 })}`,
    "",
    `2026-11-24T11:00:09Z ${
      ended("2026-11-24T11:00:09.000Z", { durationMs: 5_000, heldMs: 0, pod: undefined })
    }`,
    '{"time":"2026-11-24T11:00:09.000Z","code":"ready"}',
    ended("2026-11-24T11:00:12.000Z", { watched: true }),
    '{"time":"2026-11-24T11:00:11.000Z","level":"info","code":"session_en',
    "[]",
  ].join("\r\n"));
  assert.deepEqual(sessions.map(({ durationMs, wasServed }) => [durationMs, wasServed]), [[5_000, false], [
    2_000,
    true,
  ]]);
  assert.equal(skippedLines, 3);
  assert.deepEqual(coldStartsMs, []);
});

Deno.test("readHistory() reads CSV with an end or a duration, in any order, quoted or not", async () => {
  const withEnd = await read(
    '\ufeffBuilder,Start,"end",note\nb2,2026-11-24T11:00:00Z,2026-11-24T12:01:00.5+01:00,"a, ""b"""\n' +
      " b1 , 1795518000 ,1795518060.25,\n",
  );
  assert.equal(withEnd.format, "csv");
  assert.deepEqual(withEnd.sessions.map(({ durationMs }) => durationMs), [60_500, 60_250]);
  assert.deepEqual(withEnd.builders, ["b1", "b2"]);
  const withDuration = await read("project,duration,start,held\nteam-a,1m30s,100,10s\n,5s,50,\n");
  assert.deepEqual(withDuration.sessions, [
    { startMs: 50_000, durationMs: 5_000, heldMs: 0, wasServed: true },
    { startMs: 100_000, durationMs: 90_000, heldMs: 10_000, wasServed: true, project: "team-a" },
  ]);
});

Deno.test("readHistory() tells all wrong lines at once, with their numbers, up to 20", async () => {
  assert.deepEqual(
    await problemsOf("start,end,held\n1,2,0\nyesterday,3,x\n\n9,4,1s\n1,2,1m\n1"),
    [
      'Line 3: cannot read "start": found "yesterday", want RFC 3339 such as "2026-11-26T08:00:00Z" in the years 1970 to 9999, or seconds since 1970',
      'Line 3: cannot read "held": found "x", want a duration such as "2m0s", at most 8760h0m0s',
      'Line 5: the session ends before it starts: found "9" and then "4"',
      "Line 6: the session was held for longer than it lasted: found 1m0s, want at most its 1s",
      'Line 7: cannot read "end": found "", want RFC 3339 such as "2026-11-26T08:00:00Z" in the years 1970 to 9999, or seconds since 1970',
    ],
  );
  assert.deepEqual(await problemsOf("start,duration\n1,-5s"), [
    'Line 2: cannot read "duration": found "-5s", want a duration such as "2m0s", at most 8760h0m0s',
  ]);
  assert.match((await problemsOf("start,end\n\u001b[2J,1"))[0]!, /found "\\u001b\[2J"/);
  const many = await problemsOf(`start,end\n${"x,1\n".repeat(30)}`);
  assert.equal(many.length, 21);
  assert.equal(many.at(-1), "… and 10 more problems");
});

Deno.test("readHistory() leaves out the cold starts of builders that were not asked for", async () => {
  const time = "2026-11-24T11:00:10Z";
  const started = (builder: string | undefined, readyMs: number) =>
    JSON.stringify({ time, code: "cold_start_ended", builder, readyMs });
  const lines = [ended(time, { builder: "a" }), started("a", 1), started("b", 2), started(undefined, 3)];
  const { coldStartsMs, others } = await readHistory(linesOf(bytesOf(lines.join("\n"))), ["a"]);
  assert.deepEqual([coldStartsMs, others], [[1, 3], new Map()]);
});

Deno.test("readHistory() tells what is wrong with a header, and with a record", async () => {
  assert.deepEqual(await problemsOf("start,project\n1,x"), [
    'Line 1: cannot read the header: found "start,project", want the columns start, and end or duration',
  ]);
  assert.deepEqual(await problemsOf("start,end,duration\n1,2,1s"), [
    'Line 1: cannot read the header: found "start,end,duration", want the columns start, and end or duration',
  ]);
  assert.deepEqual(
    await problemsOf(
      `${ended("today", { durationMs: "5s" })}\n${ended("2026-11-24T11:00:10Z", { heldMs: -1 })}`,
    ),
    [
      'Line 1: cannot read "time": found "today", want a time as the program writes it, in the years 1970 to 9999',
      'Line 1: cannot read "durationMs": found "5s", want a number of milliseconds from 0 to 31536000000 (a year)',
      'Line 2: cannot read "heldMs": found -1, want a number of milliseconds from 0 to 31536000000 (a year)',
    ],
  );
  // Columns that the program does not know help to see what the file is.
  assert.match((await problemsOf("start,finish\n1,2"))[0]!, /found "start,finish", want/);
});

Deno.test("readHistory() refuses lengths and moments that no replay would come to an end with", async () => {
  const want = "want a number of milliseconds from 0 to 31536000000 (a year)";
  const text = (name: string, value: string) =>
    ended("2026-11-24T11:00:10Z", { heldMs: 0 }).replace(/"durationMs":\d+/, `"${name}":${value}`);
  for (
    const [value, found] of [["1e308", "1e+308"], ["1e999", "Infinity"], ["1e14", "100000000000000"]] as const
  ) {
    assert.deepEqual(await problemsOf(text("durationMs", value)), [
      `Line 1: cannot read "durationMs": found ${found}, ${want}`,
    ]);
    const coldStart = `{"time":"2026-11-24T11:00:10Z","code":"cold_start_ended","readyMs":${value}}`;
    assert.deepEqual(await problemsOf(coldStart), [`Line 1: cannot read "readyMs": found ${found}, ${want}`]);
  }
  assert.deepEqual(await problemsOf(ended("1970-01-01T00:00:01Z", { durationMs: 5_000 })), [
    'Line 1: cannot read "durationMs": found 5000, want a session that began in 1970 or later',
  ]);
  assert.deepEqual(await problemsOf("start,duration\n1,8760h1s"), [
    'Line 2: cannot read "duration": found "8760h1s", want a duration such as "2m0s", at most 8760h0m0s',
  ]);
  assert.deepEqual(await problemsOf("start,end\n0,31536001"), [
    "Line 2: the session is too long: found 8760h0m1s, want at most 8760h0m0s",
  ]);
  assert.equal((await read("start,duration\n1,8760h\n")).sessions[0]!.durationMs, 365 * 86_400_000);
});

Deno.test("readHistory() tells a line of CSV that is too long, and skips one of a log", async () => {
  const long = "x".repeat(70_000);
  assert.deepEqual(await problemsOf(`start,duration\n1,1s\n1,1s,${long}\n`), [
    "Line 3: the line is too long: want at most 65536 characters",
  ]);
  assert.equal((await read(`${long}\n${ended("2026-11-24T11:00:10Z")}`)).skippedLines, 1);
});

Deno.test("readHistory() skips sessions that were refused at a limit", async () => {
  const limited = ended("2026-11-24T11:00:10Z", {
    outcome: "limited",
    pod: undefined,
    heldMs: 0,
    durationMs: 1,
  });
  const { sessions, skippedLines } = await read(`${limited}\n${ended("2026-11-24T11:00:11Z")}`);
  assert.deepEqual([sessions.length, skippedLines], [1, 1]);
});

Deno.test("readHistory() quotes no more than 80 characters", async () => {
  const long = "x".repeat(1_000);
  for (const text of [`start,end\n${long},1`, ended(long)]) {
    const [problem] = await problemsOf(text);
    assert.ok(problem!.length < 300, problem);
  }
});

Deno.test("readHistory() says what it wants if there is no session", async () => {
  for (
    const text of ["", "hello\nworld\n", '{"time":"2026-11-24T11:00:09.000Z","code":"ready"}']
  ) {
    const [problem, ...more] = await problemsOf(text);
    assert.match(
      problem!,
      /^Cannot replay: found no session in \d lines?, want the log of "--log-format json"/,
    );
    assert.deepEqual(more, []);
  }
});

Deno.test("readHistory() says that CSV has no rows", async () => {
  for (const text of ["start,end\n", "start,duration\n\n", '"start","end"']) {
    assert.deepEqual(await problemsOf(text), [
      "Cannot replay: found a header of CSV and no rows, want a row for each session",
    ]);
  }
});

Deno.test("linesOf() keeps no line that is too long, and finds the next one", async () => {
  const found: (string | undefined)[] = [];
  const long = "ü".repeat(70_000);
  for await (const line of linesOf(bytesOf(`a\n${long}\n\nb${long}\nüc`, 1_000))) found.push(line);
  assert.deepEqual(found, ["a", undefined, "", undefined, "üc"]);
  const { sessions, skippedLines } = await readHistory(
    linesOf(bytesOf(`${ended("2026-11-24T11:00:10Z")}\n${long}`, 1_000)),
  );
  assert.deepEqual([sessions.length, skippedLines], [1, 1]);
});

Deno.test("bytesOf() ends with the signal's reason while it reads, and a signal after the end has no effect", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "x");
    const later = new AbortController();
    const chunks = await Array.fromAsync(bytesIn((await Deno.open(path)).readable, later.signal));
    assert.deepEqual(chunks, [new TextEncoder().encode("x")]);
    // An error in a listener is one of the whole test.
    later.abort();
  } finally {
    await Deno.remove(path);
  }
  const stop = new AbortController();
  let isCancelled = false;
  const silent = new ReadableStream<Uint8Array>({ cancel: () => void (isCancelled = true) });
  const read = bytesIn(silent, stop.signal).next();
  stop.abort(new Error("stopped"));
  await assert.rejects(read, /^Error: stopped$/);
  assert.ok(isCancelled);
  await assert.rejects(bytesIn(new ReadableStream(), stop.signal).next(), /^Error: stopped$/);
});

Deno.test("readTime() reads RFC 3339 and seconds, and nothing else", () => {
  assert.equal(readTime("1970-01-01T00:00:01Z"), 1_000);
  assert.equal(readTime("1970-01-01T01:00:01.25+01:00"), 1_250);
  assert.equal(readTime("1970-01-01 00:00:01z"), 1_000);
  assert.equal(readTime("12.5"), 12_500);
  assert.equal(readTime("2028-02-29T00:00:00+02:00"), Date.UTC(2028, 1, 28, 22));
  for (
    const text of [
      "",
      "x",
      "1970-01-01",
      "1970-13-01T00:00:00Z",
      "2026-02-30T00:00:00Z",
      "2026-06-31T00:00:00Z",
      "2027-02-29T00:00:00Z",
      "2026-06-30T24:00:00Z",
      "1969-12-31T23:59:59Z",
      "9999-12-31T23:59:59-01:00",
      "1970-01-01T00:00:00",
      "1795518000000",
      "-1",
    ]
  ) {
    assert.equal(readTime(text), undefined, text);
  }
});
