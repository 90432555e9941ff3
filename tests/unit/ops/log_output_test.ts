/**
 * What the log writes, as text and as JSON.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Log, LogFields, LogLevel } from "../../../lib/base/log.ts";
import { formatBytes, type LogOptions, openLog } from "../../../lib/ops/log_output.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** The lines that `use` writes. */
async function linesOf(use: (log: Log) => void, options: Partial<LogOptions> = {}): Promise<string[]> {
  const clock = new VirtualClock();
  let written = "";
  const decoder = new TextDecoder();
  const { log, flush } = await openLog({
    level: "info",
    format: "json",
    terminal: false,
    colors: false,
    clock,
    writer: {
      write(bytes) {
        written += decoder.decode(bytes, { stream: true });
        return Promise.resolve(bytes.length);
      },
    },
    ...options,
  });
  use(log);
  await flush(1000);
  assert.equal(clock.pending, 0, "no timer stays");
  return written === "" ? [] : written.replace(/\n$/, "").split("\n");
}

async function jsonOf(event: string, fields: LogFields): Promise<Record<string, unknown>> {
  const lines = await linesOf((log) => log.info(event, fields));
  assert.equal(lines.length, 1);
  return JSON.parse(lines[0]!);
}

Deno.test("openLog() writes one JSON object a line: time, level, event, then the fields", async () => {
  const lines = await linesOf((log) => {
    log.warn("session ended", {
      id: 3,
      heldMs: 1.5,
      cause: undefined,
      pod: null,
      tags: ["a", "b"],
      ok: true,
    });
  });
  assert.deepEqual(lines, [
    '{"time":"2024-01-01T00:00:01.000Z","level":"warn","event":"session ended","id":3,"heldMs":1.5,"pod":null,"tags":["a","b"],"ok":true}',
  ]);
});

Deno.test("openLog() leaves out what is below the level", async () => {
  const levels: LogLevel[] = ["debug", "info", "warn", "error"];
  for (const [i, level] of levels.entries()) {
    const lines = await linesOf((log) => levels.forEach((at) => log[at]("x")), { level });
    assert.deepEqual(lines.map((line) => JSON.parse(line).level), levels.slice(i));
  }
});

Deno.test("openLog() chooses text on a terminal and JSON elsewhere, unless told", async () => {
  const table: [LogOptions["format"], boolean, boolean][] = [
    ["auto", true, false],
    ["auto", false, true],
    ["text", false, false],
    ["json", true, true],
  ];
  for (const [format, terminal, json] of table) {
    const [line] = await linesOf((log) => log.info("x"), { format, terminal });
    assert.equal(line!.startsWith("{"), json, `${format} ${terminal}`);
  }
});

Deno.test("openLog() writes text with readable durations and sizes, in columns", async () => {
  const use = (log: Log) => {
    log.info("session ended", {
      id: 3,
      heldMs: 1234.5,
      sentBytes: 3_500_000,
      how: "client left",
      pod: "buildkitd-0",
    });
    log.error("bad", { empty: "", list: ["a", "b"], none: null });
  };
  const [first, second] = await linesOf(use, { format: "text" });
  assert.match(
    first!,
    /^\S+ +info +session ended {16}id=3 held=1.235s sent=3.3MiB how="client left" pod=buildkitd-0$/,
  );
  assert.match(second!, /^\S+ +error +bad {26}empty="" list=a,b none=null$/);
  assert.equal(first!.indexOf("id="), second!.indexOf("empty="));
});

Deno.test("openLog() colours text only on a terminal that wants it", async () => {
  const text = async (options: Partial<LogOptions>) =>
    (await linesOf((log) => log.error("x"), { format: "text", ...options }))[0]!;
  assert.ok((await text({ terminal: true, colors: true })).includes("\u001b[31merror"));
  assert.ok(!(await text({ terminal: true, colors: false })).includes("\u001b"));
  assert.ok(!(await text({ terminal: false, colors: true })).includes("\u001b"));
});

Deno.test("openLog() keeps secrets out, should one ever get there", async () => {
  const secrets = {
    token: "s3cret",
    Authorization: "s3cret",
    adminPassword: "s3cret",
    clientSecret: "s3cret",
  };
  for (const format of ["json", "text"] as const) {
    const [line] = await linesOf((log) => log.info("x", { ...secrets, tokenFile: "/a" }), { format });
    assert.ok(!line!.includes("s3cret") && line!.includes("[redacted]") && line!.includes("/a"), line);
  }
});

Deno.test("openLog() keeps its own names apart from fields of the same name", async () => {
  assert.deepEqual(await jsonOf("x", { event: "y", level: "z", time: 1 }), {
    time: "2024-01-01T00:00:01.000Z",
    level: "info",
    event: "x",
    event_: "y",
    level_: "z",
    time_: 1,
  });
});

Deno.test("openLog() cuts what is too long", async () => {
  const { long, list } = await jsonOf("x", { long: "a".repeat(10_000), list: Array(1000).fill("b") });
  assert.ok((long as string).length < 5_000 && (list as string[]).length <= 50);
});

Deno.test("openLog() writes one line without control characters, whatever the values", async () => {
  const value = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\u001b[2J", "a\nb", "\u0007", "\u009b31m", "\u202eabc", "\r"),
    fc.double(),
    fc.boolean(),
    fc.array(fc.string({ unit: "binary" }), { maxLength: 3 }),
  );
  const fields = fc.dictionary(fc.string({ maxLength: 8 }), value, { maxKeys: 5 });
  await fc.assert(
    fc.asyncProperty(fields, fc.constantFrom("json", "text"), async (given, format) => {
      const lines = await linesOf((log) => log.info("x", given), { format });
      assert.equal(lines.length, 1);
      // deno-lint-ignore no-control-regex
      assert.doesNotMatch(lines[0]!, /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
      if (format === "json") assert.equal(JSON.parse(lines[0]!).event, "x");
    }),
    { numRuns: 200 },
  );
});

Deno.test("openLog() gives several logs in one process nothing in common", async () => {
  const [a, b] = await Promise.all([
    linesOf((log) => log.info("a")),
    linesOf((log) => log.debug("b"), { level: "debug" }),
  ]);
  assert.deepEqual([a.length, b.length], [1, 1]);
});

Deno.test("formatBytes() uses binary units", () => {
  assert.deepEqual([0, 1023, 1024, 1_572_864, 2 ** 40].map(formatBytes), [
    "0B",
    "1023B",
    "1.0KiB",
    "1.5MiB",
    "1.0TiB",
  ]);
});
