/** Tests of making Markdown tables and of putting them into documents. @module */
import assert from "node:assert/strict";
import { replaceBetween, settingsTable, table } from "../../../lib/config/settings_table.ts";
import { settingRows, TOPICS } from "../../../lib/config/settings.ts";

Deno.test("table() writes a head, a rule and a line for each row, with bars escaped", () => {
  assert.deepEqual(table(["a", "b"], [["1", "2|3|4"], ["", "5"]]), [
    "| a | b |",
    "| --- | --- |",
    "| 1 | 2\\|3\\|4 |",
    "|  | 5 |",
  ]);
  assert.deepEqual(table(["a"], []), ["| a |", "| --- |"]);
});

Deno.test("replaceBetween() keeps the markers, and puts the gap on both sides", () => {
  const markers = ["<a>", "<b>"] as const;
  assert.equal(replaceBetween("x<a>old<b>y", markers, "new"), "x<a>\n\nnew\n\n<b>y");
  assert.equal(replaceBetween("<a><b>", markers, "new", " "), "<a> new <b>");
  for (const text of ["<a>", "<b>", "<b><a>", ""]) {
    assert.throws(
      () => replaceBetween(text, markers, "new"),
      /^Error: Cannot find "<a>" and "<b>" in the document$/,
    );
  }
});

Deno.test("settingsTable() has a table for each topic, in order, and each setting once", () => {
  const text = settingsTable();
  const titles = [...text.matchAll(/^\*\*(.+)\*\*$/gm)].map(([, title]) => title);
  assert.deepEqual(titles, Object.values(TOPICS));
  const flags = [...text.matchAll(/^\| `(--[a-z-]+)` \|/gm)].map(([, flag]) => flag);
  assert.deepEqual(flags.sort(), settingRows().map(([, { flag }]) => flag).sort());
  assert.match(
    text,
    /^\*\*Proxy\*\*\n\n\| Flag \| Variable \| Default \| Values \| What it does \|\n\| --- \|/,
  );
  assert.match(text, /\n\n\*\*Scale target\*\*\n\n\| Flag/);
  assert.match(text, /\n\| `--kubeconfig` \| `KUBECONFIG_PATH` \| - \| [a-z ]+ \| /);
  assert.match(
    text,
    /\n\| `--listen-addr` \| `PROXY_LISTEN_ADDR` \| `:8080` \| address \| where BuildKit clients connect without TLS, or off \|\n/,
  );
});
