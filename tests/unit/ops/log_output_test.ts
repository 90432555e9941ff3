/**
 * What the log writes, as text and as JSON.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { LogLevel } from "../../../lib/base/events.ts";
import type { Log, LogFields } from "../../../lib/base/log.ts";
import { formatBytes, type LogOptions, openLog } from "../../../lib/ops/log_output.ts";
import { logged } from "../../support/log_lines.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

async function jsonOf(fields: LogFields): Promise<Record<string, unknown>> {
  const lines = await logged((log) => log.info("ready", fields));
  assert.equal(lines.length, 1);
  return JSON.parse(lines[0]!);
}

Deno.test("openLog() writes one JSON object a line: time, level, code, event, then the fields", async () => {
  const lines = await logged((log) => {
    log.warn("session_ended", {
      id: 3,
      heldMs: 1.5,
      cause: undefined,
      pod: null,
      tags: ["a", "b"],
      ok: true,
    });
  });
  assert.deepEqual(lines, [
    '{"time":"2024-01-01T00:00:01.000Z","level":"warn","code":"session_ended","event":"session ended","id":3,"heldMs":1.5,"pod":null,"tags":["a","b"],"ok":true}',
  ]);
});

Deno.test("openLog() leaves out what is below the level", async () => {
  const levels: LogLevel[] = ["debug", "info", "warn", "error"];
  for (const [i, level] of levels.entries()) {
    const lines = await logged((log) => levels.forEach((at) => log[at]("ready")), { level });
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
    const [line] = await logged((log) => log.info("ready"), { format, terminal });
    assert.equal(line!.startsWith("{"), json, `${format} ${terminal}`);
  }
});

Deno.test("openLog() writes text with readable durations and sizes, in columns", async () => {
  const use = (log: Log) => {
    log.info("session_ended", {
      id: 3,
      heldMs: 1234.5,
      sentBytes: 3_500_000,
      how: "client left",
      pod: "buildkitd-0",
    });
    log.error("ready", { empty: "", list: ["a", "b"], none: null });
  };
  const [first, second] = await logged(use, { format: "text" });
  assert.match(
    first!,
    /^\S+ +info +session ended {16}id=3 held=1.235s sent=3.3MiB how="client left" pod=buildkitd-0$/,
  );
  assert.match(second!, /^\S+ +error +ready {24}empty="" list=a,b none=null$/);
  assert.equal(first!.indexOf("id="), second!.indexOf("empty="));
});

Deno.test("openLog() colours text only on a terminal that wants it", async () => {
  const text = async (options: Partial<LogOptions>) =>
    (await logged((log) => log.error("ready"), { format: "text", ...options }))[0]!;
  assert.ok((await text({ terminal: true, colors: true })).includes("\u001b[31merror"));
  assert.ok(!(await text({ terminal: true, colors: false })).includes("\u001b"));
  assert.ok(!(await text({ terminal: false, colors: true })).includes("\u001b"));
});

Deno.test("openLog() redacts fields whose names suggest a secret", async () => {
  const secrets = {
    token: "s3cret",
    Authorization: "s3cret",
    adminPassword: "s3cret",
    clientSecret: "s3cret",
  };
  for (const format of ["json", "text"] as const) {
    const [line] = await logged((log) => log.info("ready", { ...secrets, tokenFile: "/a" }), { format });
    assert.ok(!line!.includes("s3cret") && line!.includes("[redacted]") && line!.includes("/a"), line);
  }
});

Deno.test("openLog() renames fields that have the name of one of its own", async () => {
  assert.deepEqual(await jsonOf({ code: "x", event: "y", level: "z", time: 1 }), {
    time: "2024-01-01T00:00:01.000Z",
    level: "info",
    code: "ready",
    event: "ready",
    code_: "x",
    event_: "y",
    level_: "z",
    time_: 1,
  });
});

Deno.test("openLog() pads levels and events of text, and nothing after them", async () => {
  const use = (log: Log) => {
    log.debug("scaled");
    log.info("scaled");
    log.warn("scaled");
    log.error("scaled");
    log.info("admin_accept_failed", { a: 1 });
  };
  const lines = await logged(use, { format: "text", level: "debug" });
  assert.deepEqual(lines.map((line) => line.replace(/^\S+ +/, "")), [
    "debug  scaled",
    "info   scaled",
    "warn   scaled",
    "error  scaled",
    "info   cannot accept connections on the admin port a=1",
  ]);
});

const TEXTS: readonly (readonly [string, unknown, string])[] = [
  ["heldMs", 1.4, "held=1ms"],
  ["heldMs", 1.5, "held=2ms"],
  ["heldMs", NaN, "heldMs=NaN"],
  ["heldMs", Infinity, "heldMs=Infinity"],
  ["heldMs", "soon", "heldMs=soon"],
  ["heldMs", true, "heldMs=true"],
  ["sentBytes", 1024, "sent=1.0KiB"],
  ["sentBytes", "all", "sentBytes=all"],
  ["pod", "a=b", 'pod="a=b"'],
  ["pod", 'a"b', 'pod="a\\"b"'],
  ["pod", "a\u001bb\u202ec", "pod=a\\u001bb\\u202ec"],
  ["pods", [], 'pods=""'],
  ["pods", ["a", "b c"], 'pods="a,b c"'],
];
for (const [name, value, text] of TEXTS) {
  Deno.test(`openLog() writes as text: ${text}`, async () => {
    const fields = { [name]: value } as LogFields;
    const [line] = await logged((log) => log.info("ready", fields), { format: "text" });
    assert.ok(line!.endsWith(`info   ready${" ".repeat(24)}${text}`), line);
  });
}

Deno.test("openLog() writes numbers that JSON does not have as text", async () => {
  const { a, b, c } = await jsonOf({ a: NaN, b: -Infinity, c: 0 });
  assert.deepEqual([a, b, c], ["NaN", "-Infinity", 0]);
});

Deno.test("openLog() redacts every kind of secret, and nothing else", async () => {
  const secrets = ["token", "authorization", "password", "secret", "cookie", "aTOKEN"];
  const others = ["tokens", "tokenFile", "secretly", "x"];
  const given = Object.fromEntries([...secrets, ...others].map((name) => [name, name]));
  const { time: _, level: _level, code: _code, event: _event, ...seen } = await jsonOf(given);
  assert.deepEqual(seen, {
    ...Object.fromEntries(secrets.map((name) => [name, "[redacted]"])),
    ...Object.fromEntries(others.map((name) => [name, name])),
  });
});

Deno.test("openLog() keeps 4096 characters and 50 items, and marks what it cuts", async () => {
  const whole = "a".repeat(4096);
  const items = Array.from({ length: 51 }, (_, i) => `${whole}${i === 0 ? "" : "b"}`);
  const { fits, tooLong, list } = await jsonOf({ fits: whole, tooLong: `${whole}b`, list: items });
  assert.equal(fits, whole);
  assert.equal(tooLong, `${whole}…`);
  assert.deepEqual(list, [whole, ...Array(49).fill(`${whole}…`)]);
});

Deno.test("openLog() says how many records were lost, and why", async () => {
  let written = "";
  let fails = true;
  const writer = {
    write(bytes: Uint8Array) {
      if (fails) return Promise.reject(new Error("No space left"));
      written += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  };
  const options = { level: "info", format: "json", terminal: false, colors: false } as const;
  const { log, flush } = await openLog({ ...options, clock: new VirtualClock(), writer });
  log.info("proxy_joined");
  await flush(1000);
  fails = false;
  log.info("ready");
  await flush(1000);
  const [b, lost] = written.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.equal(b.code, "ready");
  const { level, code, records, cause } = lost;
  assert.deepEqual([level, code, records, cause], ["warn", "log_records_dropped", 1, "No space left"]);
});

Deno.test("openLog() cuts what is too long", async () => {
  const { long, list } = await jsonOf({ long: "a".repeat(10_000), list: Array(1000).fill("b") });
  assert.ok((long as string).length < 5_000 && (list as string[]).length <= 50);
});

/** Marks, joiners, fillers, selectors and tags that no terminal shows, some of them beyond U+FFFF. */
const INVISIBLE =
  "\u00ad\u061c\u115f\u180e\u200b\u200d\u2028\u2060\u2064\u3164\ufe0f\ufeff\ufff9\u{1d173}\u{e0041}";

Deno.test("openLog() escapes each character that no terminal shows, and JSON gives it back", async () => {
  for (const format of ["json", "text"] as const) {
    const [line] = await logged((log) => log.info("ready", { pod: `a${INVISIBLE}b` }), { format });
    const units = Array.from({ length: INVISIBLE.length }, (_, i) => INVISIBLE.charCodeAt(i));
    const escaped = units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
    assert.ok(line!.includes(`a${escaped}b`), line);
    if (format === "json") assert.equal(JSON.parse(line!).pod, `a${INVISIBLE}b`);
  }
});

Deno.test("openLog() writes one line without control characters, whatever the values", async () => {
  const value = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom(INVISIBLE, "\u001b[2J", "a\nb", "\u0007", "\u009b31m", "\u202eabc", "\r"),
    fc.double(),
    fc.boolean(),
    fc.array(fc.string({ unit: "binary" }), { maxLength: 3 }),
  );
  const fields = fc.dictionary(fc.string({ maxLength: 8 }), value, { maxKeys: 5 });
  await fc.assert(
    fc.asyncProperty(fields, fc.constantFrom("json", "text"), async (given, format) => {
      const lines = await logged((log) => log.info("ready", given), { format });
      assert.equal(lines.length, 1);
      assert.doesNotMatch(lines[0]!, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u);
      if (format === "json") assert.equal(JSON.parse(lines[0]!).code, "ready");
    }),
    { numRuns: 200 },
  );
});

Deno.test("openLog() keeps several logs in one process apart", async () => {
  const [a, b] = await Promise.all([
    logged((log) => log.info("proxy_joined")),
    logged((log) => log.debug("ready"), { level: "debug" }),
  ]);
  assert.deepEqual([a.length, b.length], [1, 1]);
});

Deno.test("formatBytes() uses binary units", () => {
  assert.deepEqual([2 ** 20, 2 ** 30, 2 ** 50].map(formatBytes), ["1.0MiB", "1.0GiB", "1024.0TiB"]);
  assert.deepEqual([0, 1023, 1024, 1_572_864, 2 ** 40].map(formatBytes), [
    "0B",
    "1023B",
    "1.0KiB",
    "1.5MiB",
    "1.0TiB",
  ]);
});
