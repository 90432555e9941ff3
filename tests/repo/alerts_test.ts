/**
 * Each alert has a section in `docs/alerts.md`, to which its `runbook_url` leads.
 *
 * @module
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { DEFAULT_SITE } from "../../lib/ops/alert_files.ts";
import { type AlertRule, alertRules } from "../../lib/ops/alert_table.ts";
import { DASHBOARD } from "../../lib/ops/dashboard_table.ts";
import { anchorsOf } from "./documents.ts";
import { ROOT } from "./generated.ts";

const REPOSITORY = "https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/";

const rules = alertRules(DEFAULT_SITE);

/** Rules whose page or heading does not exist. */
function runbookViolations(rules: readonly AlertRule[]): string[] {
  return rules.flatMap(({ alert, annotations: { runbook_url: url } }) => {
    const [path = "", anchor = ""] = url.slice(REPOSITORY.length).split("#");
    const file = new URL(path, ROOT);
    if (!url.startsWith(REPOSITORY) || !existsSync(file)) return [`${alert}: no page at ${url}`];
    return anchorsOf(Deno.readTextFileSync(file)).has(anchor) ? [] : [`${alert}: no heading at ${url}`];
  });
}

Deno.test("repo: each alert's runbook exists", () => {
  assert.ok(rules.length >= 15, "the alerts were found");
  assert.deepEqual(runbookViolations(rules), []);
});

Deno.test("runbookViolations() finds a page and a heading that do not exist", () => {
  const at = (url: string) => ({
    ...rules[0]!,
    annotations: { ...rules[0]!.annotations, runbook_url: url },
  });
  assert.equal(runbookViolations([at(`${REPOSITORY}docs/nowhere.md#x`)]).length, 1);
  assert.equal(runbookViolations([at(`${REPOSITORY}docs/alerts.md#nothing`)]).length, 1);
});

Deno.test("repo: docs/alerts.md tells of each alert what it means, where to look and what to do, and of no other", async () => {
  const text = await Deno.readTextFile(new URL("docs/alerts.md", ROOT));
  const sections = text.split(/^## /m).slice(1).map((section) => section.split("\n", 1)[0]!);
  assert.deepEqual(sections, rules.map(({ alert }) => alert));
  for (const section of text.split(/^## /m).slice(1)) {
    for (const part of ["**Meaning**", "**Look**", "**Do**"]) assert.ok(section.includes(part), section);
  }
});

Deno.test("repo: panels that docs/alerts.md names are on the dashboard", async () => {
  const text = await Deno.readTextFile(new URL("docs/alerts.md", ROOT));
  const titles = DASHBOARD.flatMap(({ panels }) => panels).map(({ title }) => title);
  const named = [
    ...text.replace(/\s+/g, " ").matchAll(/(?:the panels?|and) "([^"]+)"(?= (?:and|of the \[dashboard))/g),
  ]
    .map(([, title]) => title!);
  assert.ok(named.length >= 5, "the names were found");
  assert.deepEqual(named.filter((title) => !titles.includes(title)), []);
});
