/**
 * The text of `docs/metrics.md`, made from the tables of metrics. Pure.
 *
 * @module
 */
import { METRICS } from "../base/metrics.ts";
import { table } from "../config/settings_table.ts";
import { PROCESS_METRICS } from "./prometheus.ts";

/** The whole document. */
export function metricsDocument(): string {
  const own = Object.entries(METRICS).map(([name, { type, help, labels }]) => {
    const sets = Object.entries(labels as Readonly<Record<string, readonly string[] | string>>)
      .map(([label, values]) =>
        `\`${label}\`: ${
          typeof values === "string" ? values : values.map((value) => `\`${value}\``).join(", ")
        }`
      );
    return [`\`${name}\``, type, sets.join("; ") || "-", help];
  });
  const process = Object.entries(PROCESS_METRICS).map((
    [name, { type, help }],
  ) => [`\`${name}\``, type, help]);
  return `# Metrics

Served as text for Prometheus on \`/metrics\` of the admin port (\`--admin-addr\`). This page is made from the code by
\`deno task generate\`. Every combination of labels from a closed set is there from the start, with 0.

${table(["Name", "Type", "Labels", "What it counts"], own).join("\n")}

Of the process itself:

${table(["Name", "Type", "What it is"], process).join("\n")}
`;
}
