/**
 * The tables of values in the chart's README.
 *
 * @module
 */
import { table } from "../../lib/config/settings_table.ts";
import type { ChartValueEntry } from "./chart_values.ts";

/** Between these lines of the chart's README stands what {@link valuesTables} makes. */
export const VALUES_MARKERS = ["<!-- values:start -->", "<!-- values:end -->"] as const;

/** Titles by the start of the path; the longest that fits counts. */
const SECTIONS: readonly (readonly [string, string])[] = [
  ["", "Names, labels and images of everything"],
  ["autoscaler", "Autoscaler"],
  ["autoscaler.autoscalerConfig", "Settings of the autoscaler"],
  ["autoscaler.service", "Service that clients connect to"],
  ["autoscaler.metrics", "Metrics and alerts"],
  ["buildkitd", "buildkitd"],
  ["buildkitd.persistence", "Cache of buildkitd"],
  ["networkPolicy", "Network policies"],
];

/** A Markdown table for each section, one row a value. */
export function valuesTables(entries: readonly ChartValueEntry[]): string {
  return SECTIONS.map(([prefix, title]) => {
    const rows = entries.filter((entry) => sectionOf(entry) === prefix).map((entry) => [
      `\`${entry.path.join(".")}\``,
      defaultOf(entry),
      entry.description,
    ]);
    return [`### ${title}`, "", ...table(["Value", "Default", "What it is for"], rows)].join("\n");
  }).join("\n\n");
}

/** What is longer would widen the table for all. */
const WIDEST_DEFAULT = 60;

function defaultOf(entry: ChartValueEntry): string {
  const text = JSON.stringify(entry.default);
  return text.length > WIDEST_DEFAULT ? "see `values.yaml`" : `\`${text}\``;
}

function sectionOf({ path }: ChartValueEntry): string {
  const dotted = path.join(".");
  const fitting = SECTIONS.map(([prefix]) => prefix).filter((prefix) =>
    prefix === "" || dotted.startsWith(`${prefix}.`)
  );
  return fitting.reduce((longest, prefix) => prefix.length > longest.length ? prefix : longest, "");
}
