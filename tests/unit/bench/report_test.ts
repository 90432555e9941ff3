/**
 * The figures as Markdown, and their place in the document.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Part, Verdict } from "../../bench/figures.ts";
import { filledIn, partTable, report, table, verdictTable } from "../../bench/report.ts";

const PART: Part = {
  name: "streams",
  title: "Streams",
  meaning: "Bytes.",
  contenders: ["nginx", "program", "Go"],
  rows: [
    { id: "a", what: "up", unit: "GB/s", by: { program: [1, 3, 2], Go: [2] } },
    { id: "b", what: "up: memory", unit: "MB", by: { program: [70] } },
  ],
  plots: [{ name: "streams", title: "Rates", rows: ["a"] }],
};

const MISSED: Verdict = {
  row: PART.rows[0]!,
  bar: "at least 1 of Go",
  found: "0.90",
  bare: "0.95",
  holds: false,
  isAim: false,
};

Deno.test("table() aligns columns and escapes what would end a cell", () => {
  assert.equal(table(["a", "b"], [["x|y", "1"]]), "| a    | b   |\n| ---- | --- |\n| x\\|y | 1   |");
});

Deno.test("partTable() tells a peer that is not installed from a value that there is not", () => {
  assert.deepEqual(partTable(PART).split("\n").map((line) => line.replaceAll(/ +/g, " ")), [
    "| | unit | program | Go | nginx |",
    "| ---------- | ---- | ---------------- | ---- | ------------- |",
    "| up | GB/s | 2.00 (1.00–3.00) | 2.00 | not installed |",
    "| up: memory | MB | 70.0 | – | not installed |",
  ]);
});

Deno.test("verdictTable() tells a bar that fails from an aim that is missed", () => {
  const lines = verdictTable([MISSED, { ...MISSED, isAim: true }, {
    ...MISSED,
    holds: true,
    bare: undefined,
  }]).split("\n")
    .slice(2);
  assert.deepEqual(lines.map((line) => line.split("|").slice(2, -1).map((cell) => cell.trim())), [
    ["at least 1 of Go", "0.90", "0.95", "**fails**"],
    ["aim: at least 1 of Go", "0.90", "0.95", "missed"],
    ["at least 1 of Go", "0.90", "–", "holds"],
  ]);
});

Deno.test("report() has the conditions, the bars, and each part with its plots and table", () => {
  const text = report(["Machine: 2 CPUs"], [PART], [MISSED], (name) => `here/${name}.svg`);
  const expected = [
    "- Machine: 2 CPUs",
    "**fails**",
    "### Streams",
    "Bytes.",
    "![Rates](here/streams.svg)",
    "| up: memory",
  ];
  const places = expected.map((part) => text.indexOf(part));
  assert.ok(places.every((place) => place >= 0), text);
  assert.deepEqual(places, places.toSorted((a, b) => a - b));
});

Deno.test("filledIn() replaces only what is between the markers, and twice gives the same", async () => {
  const document = await Deno.readTextFile(new URL("../../../docs/performance.md", import.meta.url));
  const once = filledIn(document, "New figures");
  assert.match(once, /-->\n\nNew figures\n\n<!--/);
  assert.equal(once.slice(0, 100), document.slice(0, 100));
  assert.equal(filledIn(filledIn(once, "Others"), "New figures"), once);
  assert.throws(() => filledIn("# No markers", "text"), /Cannot write the figures: want the lines/);
});
