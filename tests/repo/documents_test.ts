/**
 * The documents name only what exists, and their blocks of code are what they are marked as.
 *
 * @module
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import {
  anchorsOf,
  type Document,
  documents,
  eventViolations,
  linkViolations,
  loggedEvents,
  messageViolations,
  metricViolations,
  pathViolations,
  settingViolations,
  undocumentedEvents,
  unreadableEvents,
} from "./documents.ts";
import { ROOT } from "./generated.ts";
import { sourceFiles } from "./source.ts";

const all = await documents(ROOT);
const exists = (path: string) => existsSync(new URL(path, ROOT));

function at(text: string, path = "docs/a.md"): Document {
  return { path, text };
}

Deno.test("repo: links of the documents lead somewhere", () => {
  assert.ok(all.length >= 6, "the documents were found");
  assert.deepEqual(all.flatMap((each) => linkViolations(each, all, exists)), []);
});

Deno.test("linkViolations() finds missing files and headings, and passes over other sites", () => {
  const other = at("# A title: `x`\n## A title: `x`\n", "docs/b.md");
  const links = (target: string) => linkViolations(at(`[x](${target})`), [other], exists).length;
  assert.equal(links("../README.md"), 0);
  assert.equal(links("nowhere.md"), 1);
  assert.equal(links("https://example.com/nowhere.md"), 0);
  const known = (path: string) => path === "docs/b.md";
  assert.deepEqual(linkViolations(at("[x](b.md#a-title-x-1)"), [other], known), []);
  assert.equal(linkViolations(at("[x](b.md#a-title)"), [other], known).length, 1);
});

Deno.test("anchorsOf() takes no comment in a block of code for a heading", () => {
  assert.deepEqual([...anchorsOf("# One, two\n```sh\n# three\n```\n")], ["one-two"]);
});

Deno.test("repo: files that the documents name exist", () => {
  assert.deepEqual(all.flatMap((each) => pathViolations(each, exists)), []);
});

Deno.test("repo: E2E_TESTING.md names every end-to-end test, and no other", () => {
  const { text } = all.find(({ path }) => path === "E2E_TESTING.md")!;
  const named = [...text.matchAll(/^\| (`\w+_test\.ts`[^|]*)\|/gm)]
    .flatMap(([, cell]) => [...cell!.matchAll(/`(\w+_test\.ts)`/g)].map(([, name]) => name!));
  const files = [...Deno.readDirSync(new URL("tests/e2e/", ROOT))].map(({ name }) => name)
    .filter((name) => name.endsWith("_test.ts"));
  assert.ok(files.length >= 20, "the tests were found");
  assert.deepEqual(named.sort(), files.sort());
});

Deno.test("repo: no table of a document is wider than a wide screen", () => {
  const rows = all.flatMap(({ path, text }) => text.split("\n").map((line) => ({ path, line })))
    .filter(({ line }) => line.startsWith("|"));
  assert.ok(rows.length > 200, "the tables were found");
  assert.deepEqual(rows.filter(({ line }) => line.length > 240), []);
});

Deno.test("pathViolations() finds a file that is not there", () => {
  assert.equal(pathViolations(at("`lib/scaler/decide.ts` and `lib/nothing.ts`"), exists).length, 1);
});

Deno.test("repo: flags and variables that the documents name exist", () => {
  assert.deepEqual(all.flatMap(settingViolations), []);
});

Deno.test("settingViolations() finds unknown flags and variables", () => {
  assert.equal(settingViolations(at("`--idle-timeout`, `--idle`, `AUTOSCALER_IDLE`")).length, 2);
});

Deno.test("repo: metrics that the documents name exist", () => {
  assert.deepEqual(all.flatMap(metricViolations), []);
});

Deno.test("metricViolations() finds an unknown metric", () => {
  const text = "buildkitd_autoscaler_hold_seconds_bucket buildkitd_autoscaler_sessions_lost";
  assert.equal(metricViolations(at(text)).length, 1);
});

Deno.test("repo: events that the documents name are logged", async () => {
  const sources = (await sourceFiles(ROOT)).filter(({ path }) => !path.startsWith("tests/"))
    .map(({ text }) => text).join("\n");
  const operations = all.find(({ path }) => path === "docs/operations.md")!;
  assert.deepEqual(eventViolations(operations, "Other events", sources), []);
});

Deno.test("repo: every event at info and above is in docs/operations.md", async () => {
  const files = (await sourceFiles(ROOT)).filter(({ path }) => path === "main.ts" || path.startsWith("lib/"))
    .filter(({ path }) => !/^lib\/(?:demo|miniature)\//.test(path));
  assert.deepEqual(files.flatMap(unreadableEvents), []);
  const sources = files.map(({ text }) => text).join("\n");
  assert.ok(loggedEvents(sources).size > 30, "the events were found");
  const operations = all.find(({ path }) => path === "docs/operations.md")!;
  assert.deepEqual(undocumentedEvents(operations, sources), []);
});

Deno.test("loggedEvents() finds the events of calls and of lasting faults", () => {
  const source = 'log.info("a", {});\nthis.#ports.log.warn(\n"b");log.debug("c");log[level]("d");' +
    'new CauseLog(ports.log, `e ${x}`, above); new CauseLog(log, "f")';
  assert.deepEqual([...loggedEvents(source)], ["a", "b", "d", "e ", "f"]);
  assert.deepEqual(unreadableEvents({ path: "a.ts", text: source }), []);
  const hidden = "log.warn(event, {}); new CauseLog(log, event)";
  assert.equal(unreadableEvents({ path: "a.ts", text: hidden }).length, 2);
});

Deno.test("undocumentedEvents() finds an event that the document does not name", () => {
  const document = at('| `a`, `e x` | y |\n\n{"event":"b"}\n');
  assert.equal(
    undocumentedEvents(document, 'log.info("a"); log.info("b"); new CauseLog(log, `e ${x}`)').length,
    0,
  );
  assert.equal(undocumentedEvents(document, 'log.warn("c")').length, 1);
});

Deno.test("repo: messages that docs/troubleshooting.md explains are those of the program", async () => {
  const sources = (await sourceFiles(ROOT)).filter(({ path }) => path.startsWith("lib/")).map(({ text }) =>
    text
  );
  const troubleshooting = all.find(({ path }) => path === "docs/troubleshooting.md")!;
  assert.deepEqual(messageViolations(troubleshooting, sources.join("\n")), []);
});

Deno.test("messageViolations() finds a message that no source has, and a document without messages", () => {
  const document = at(
    '`Cannot read the file "x": found 3 old and stale bytes (a b c)`, `kubectl get all pods`\n',
  );
  const source = 'throw `Cannot read the file "${x}": found ${n} ` +\n  "old and stale bytes"';
  assert.deepEqual(messageViolations(document, source), []);
  assert.equal(messageViolations(document, "Cannot read a file").length, 2);
  assert.equal(messageViolations(at("`kubectl get all pods`"), source).length, 1);
});

Deno.test("eventViolations() finds an event that nobody logs, and a missing table", () => {
  const document = at("## Events\n\n| Event | What |\n| --- | --- |\n| `here`, `gone` | x |\n");
  assert.equal(eventViolations(document, "Events", 'log.info("here")').length, 1);
  assert.equal(eventViolations(document, "Nothing", "").length, 1);
});
