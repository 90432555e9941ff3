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
  linkViolations,
  messageViolations,
  metricViolations,
  pathViolations,
  settingViolations,
} from "./documents.ts";
import { recordViolations, wordViolations } from "./event_tables.ts";
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

Deno.test("repo: log records that the documents show have a code of the table, and its text", () => {
  assert.ok(all.some(({ text }) => text.includes('"code":"session_ended"')), "records were found");
  assert.deepEqual(all.flatMap(recordViolations), []);
});

Deno.test("repo: codes of events that the documents name exist", () => {
  assert.deepEqual(all.flatMap(wordViolations), []);
});

Deno.test("wordViolations() finds a code that does not exist", () => {
  const text =
    '`scaling_failed`, `scaling_failed_recovered`, `idle_timeout`, `scaling_broken`, `"unclear_word"`';
  assert.equal(wordViolations(at(text)).length, 2);
});

Deno.test("recordViolations() finds an unknown code, another text, and a record without a code", () => {
  const lines = [
    '{"code":"scaled","event":"scaled"}',
    '{"code":"scaling","event":"scaled"}',
    '{"code":"scaled","event":"was scaled"}',
    '{"event":"scaled"}',
  ];
  assert.deepEqual(lines.map((line) => recordViolations(at(line)).length), [0, 1, 1, 1]);
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
