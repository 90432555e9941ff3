/**
 * Generates `docs/metrics.md` from the tables of metrics. Pure.
 *
 * @module
 */
import { METRICS } from "../base/metrics.ts";
import { table } from "../config/settings_table.ts";
import { PROCESS_METRICS } from "./prometheus.ts";

type Labels = Readonly<Record<string, readonly string[] | string>>;

/** The whole document. */
export function metricsDocument(): string {
  const own = Object.entries(METRICS).map(([name, { type, help, labels }]) => [
    `\`${name}\``,
    type,
    Object.keys(labels).map((label) => `\`${label}\``).join(", ") || "-",
    help,
  ]);
  const labels = Object.entries(METRICS).flatMap(([name, metric]) => labelLines(name, metric.labels));
  const process = Object.entries(PROCESS_METRICS).map((
    [name, { type, help }],
  ) => [`\`${name}\``, type, help]);
  return `# Metrics

The admin port (\`--admin-addr\`) serves these metrics on \`/metrics\` in the text format of Prometheus. [alerts.md](alerts.md)
has alerts, and [dashboard.md](dashboard.md) a dashboard. \`deno task generate\` writes this page from the code.

The label \`builder\` is the name of a StatefulSet. With [many builders](many-builders.md) there is one series for each: for
the whole installation, add them up. The numbers of sessions are those of one proxy: add them up over all proxies. No metric
has the project, because clients choose its name, and there may be any number of them. The project is on the
[session's line](operations.md#the-session-line) of the log.

${table(["Name", "Type", "Labels", "What it counts"], own).join("\n")}

## Labels

Every combination of listed values exists from the start, with the value 0.

${labels.join("\n")}

## The process

${table(["Name", "Type", "What it is"], process).join("\n")}
`;
}

/** One list item for each label of a metric; a table would be too wide. */
function labelLines(name: string, labels: Labels): string[] {
  return Object.entries(labels).map(([label, values]) => {
    const known = typeof values === "string" ? values : values.map((value) => `\`${value}\``).join(", ");
    return `- \`${label}\` of \`${name}\`: ${known}`;
  });
}
