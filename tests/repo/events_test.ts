/**
 * The table of events and the sources agree, and codes and texts have the form that operators rely on.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type EventCode, EVENTS } from "../../lib/base/events.ts";
import { EVENT_ROWS } from "../../lib/ops/event_table.ts";
import { eventTables, eventViolations, loggedCodes, unreadableCodes } from "./event_tables.ts";
import { ROOT } from "./generated.ts";
import { sourceFiles } from "./source.ts";

const files = (await sourceFiles(ROOT)).filter(({ path }) => path === "main.ts" || path.startsWith("lib/"))
  .filter(({ path }) => !/^lib\/(?:demo|miniature)\//.test(path));

Deno.test("repo: every code of the table of events is logged, every logged code is in the table, at its level", () => {
  assert.deepEqual(files.flatMap(unreadableCodes), []);
  assert.deepEqual(eventViolations(files.map(({ text }) => text).join("\n")), []);
});

Deno.test("repo: codes are words joined by underscores; texts differ, and have no full stop", () => {
  const texts = Object.values(EVENTS).map(({ text }) => text);
  assert.ok(texts.length > 60, "the table was found");
  assert.deepEqual(Object.keys(EVENTS).filter((code) => !/^[a-z]+(_[a-z]+)*$/.test(code)), []);
  assert.deepEqual(texts.filter((text) => text.endsWith(".")), []);
  assert.equal(new Set(texts).size, texts.length);
});

Deno.test("eventTables() has the end of a fault after the fault, and no event that is logged at debug only", () => {
  const codes = [...eventTables().matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code as EventCode);
  assert.equal(codes[codes.indexOf("scaling_failed") + 1], "scaling_failed_recovered");
  const above = Object.entries(EVENTS).filter(([, { level }]) => level !== "debug").map(([code]) => code);
  assert.deepEqual(codes.toSorted(), above.toSorted());
});

Deno.test("loggedCodes() finds the codes of calls, of faults with their ends, and of lost records", () => {
  const source = 'log.info("a", {});\nthis.#ports.log.warn(\n"b");log[level]("c");' +
    'new CauseLog(ports.log, "d", above); toLine("warn", "e", {})';
  assert.deepEqual(loggedCodes(source), [
    ["a", "info"],
    ["b", "warn"],
    ["c", undefined],
    ["d", "warn"],
    ["d_recovered", "info"],
    ["e", "warn"],
  ]);
  assert.deepEqual(unreadableCodes({ path: "a.ts", text: source }), []);
  const hidden = "log.warn(code, {}); new CauseLog(log, code)";
  assert.equal(unreadableCodes({ path: "a.ts", text: hidden }).length, 2);
});

Deno.test("eventViolations() finds unknown codes, unused rows and wrong levels", () => {
  const events = { a: { level: "warn" }, b: { level: "info" } } as const;
  const found = (source: string) => eventViolations(source, events).length;
  assert.equal(found('log.warn("a"); log.info("a"); log.info("b")'), 0);
  assert.equal(found('log.warn("a"); log[level]("b")'), 0, "a computed level may be any");
  assert.equal(found('log.warn("a"); log.info("b"); log.info("c")'), 1);
  assert.equal(found('log.warn("a")'), 1);
  assert.equal(found('log.info("a"); log.info("b")'), 1);
});

Deno.test("repo: docs/events.md has each Kubernetes Event with its type and the record that it is made from", async () => {
  const text = await Deno.readTextFile(new URL("docs/events.md", ROOT));
  const documented = [...text.matchAll(/^\| `(\w+)` +\| (\w+) +\| `(\w+)` +\|/gm)].map((row) => row.slice(1));
  const rows = Object.entries(EVENT_ROWS).flatMap(([code, rows]) =>
    rows.map(({ type, reason }) => [reason, type, code])
  );
  assert.deepEqual(documented.toSorted(), rows.toSorted());
});
