/**
 * The lists of values in the chart's README. Lists, because some descriptions would make a table wider than a screen.
 *
 * @module
 */
import type { ChartValueEntry } from "./chart_values.ts";

/** {@link valuesLists} writes between these lines of the chart's README. */
export const VALUES_MARKERS = ["<!-- values:start -->", "<!-- values:end -->"] as const;

/** Titles by the start of a path. The longest start that fits counts. */
const SECTIONS: readonly (readonly [string, string])[] = [
  ["", "For all objects"],
  ["autoscaler", "Autoscaler"],
  ["autoscaler.autoscalerConfig", "Settings of the autoscaler"],
  ["autoscaler.service", "Service for clients"],
  ["autoscaler.metrics", "Metrics and alerts"],
  ["buildkitd", "buildkitd"],
  ["buildkitd.persistence", "Cache of buildkitd"],
  ["pools", "Pools of builders"],
  ["projects", "Projects"],
  ["networkPolicy", "Network policies"],
];

/** A Markdown list for each section, one item a value. */
export function valuesLists(entries: readonly ChartValueEntry[]): string {
  return SECTIONS.map(([prefix, title]) => {
    const items = entries.filter((entry) => sectionOf(entry) === prefix).map((entry) =>
      `- **\`${entry.path.join(".")}\`** (${defaultOf(entry)}): ${entry.description}`
    );
    return [`### ${title}`, "", ...items].join("\n");
  }).join("\n\n");
}

/** A longer default would hide the description. */
const LONGEST_DEFAULT = 60;

function defaultOf(entry: ChartValueEntry): string {
  const text = JSON.stringify(entry.default);
  return text.length > LONGEST_DEFAULT ? "default in `values.yaml`" : `\`${text}\``;
}

function sectionOf({ path }: ChartValueEntry): string {
  const dotted = path.join(".");
  const fitting = SECTIONS.map(([prefix]) => prefix).filter((prefix) =>
    prefix === "" || dotted === prefix || dotted.startsWith(`${prefix}.`)
  );
  return fitting.reduce((longest, prefix) => prefix.length > longest.length ? prefix : longest, "");
}
