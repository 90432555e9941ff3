/**
 * What is made from the code: parts of documents and of the chart. `deno task generate` (this file as a program)
 * writes it; a test compares it.
 *
 * @module
 */
import { dump } from "js-yaml";
import { CONFIG_MARKERS, configValues, settingsTemplate } from "../../lib/config/chart_fragments.ts";
import { replaceBetween, SETTINGS_MARKERS, settingsTable } from "../../lib/config/settings_table.ts";
import {
  ALERT_MARKERS,
  alertGroups,
  alertsDocument,
  alertsTemplate,
  DEFAULT_SITE,
} from "../../lib/ops/alert_files.ts";
import { dashboard } from "../../lib/ops/dashboard_file.ts";
import { metricsDocument } from "../../lib/ops/metrics_table.ts";
import { VALUES_MARKERS, valuesLists } from "./chart_readme.ts";
import { EVENT_MARKERS, eventTables } from "./event_tables.ts";
import { chartSchema } from "./chart_schema.ts";
import { chartValues } from "./chart_values.ts";

/** The repository's root. */
export const ROOT = new URL("../../", import.meta.url);

const CHART = "helm/buildkitd-stack";

const ALERTS_HEAD =
  "# Alerts for Prometheus without the chart. Change `job` to the name of your scrape job. `deno task " +
  "generate` writes this file.\n";

/** Each file's path to its right content, formatted as `deno fmt` does. */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));
  const settings = await read("docs/settings.md");
  const alerts = await read("docs/alerts.md");
  const operations = await read("docs/operations.md");
  const values = replaceBetween(await read(`${CHART}/values.yaml`), CONFIG_MARKERS, configValues(), "\n");
  const entries = chartValues(values);
  const chartReadme = await read(`${CHART}/README.md`);
  return new Map([
    ["docs/settings.md", await format("md", replaceBetween(settings, SETTINGS_MARKERS, settingsTable()))],
    ["docs/operations.md", await format("md", replaceBetween(operations, EVENT_MARKERS, eventTables()))],
    ["docs/metrics.md", await format("md", metricsDocument())],
    ["docs/alerts.md", await format("md", replaceBetween(alerts, ALERT_MARKERS, alertsDocument()))],
    [
      "docs/examples/prometheus/alerts.yaml",
      await format("yaml", ALERTS_HEAD + dump(alertGroups(DEFAULT_SITE), { lineWidth: -1 })),
    ],
    [`${CHART}/templates/_alert_rules.tpl`, alertsTemplate()],
    [
      `${CHART}/dashboards/buildkitd-autoscaler.json`,
      await format("json", JSON.stringify(dashboard(), null, 2)),
    ],
    [`${CHART}/templates/_settings.tpl`, settingsTemplate()],
    [`${CHART}/values.yaml`, await format("yaml", values)],
    [`${CHART}/values.schema.json`, await format("json", JSON.stringify(chartSchema(entries), null, 2))],
    [
      `${CHART}/README.md`,
      await format("md", replaceBetween(chartReadme, VALUES_MARKERS, valuesLists(entries))),
    ],
  ]);
}

async function format(extension: string, text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", extension, "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("Cannot format a generated file");
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  for (const [path, content] of await generatedFiles()) {
    await Deno.writeTextFile(new URL(path, ROOT), content);
  }
}
