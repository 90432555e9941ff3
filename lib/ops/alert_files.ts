/**
 * What is made from the table of alerts: a template of the chart, a file of rules for people without the chart, and a part
 * of a document. The running program does not load it. Pure.
 *
 * @module
 */
import { table } from "../config/settings_table.ts";
import { type AlertRule, alertRules, ALERTS, type AlertSite } from "./alert_table.ts";

/** The table of `docs/alerts.md` is written between these lines. */
export const ALERT_MARKERS = ["<!-- alerts:start -->", "<!-- alerts:end -->"] as const;

/** What Helm puts in. Where a value could stand next to a brace, the template trims the space between. */
const CHART_SITE: AlertSite = {
  targets: " {{- .targets -}} ",
  labels: { namespace: "{{ .namespace }}", job: "{{ .job }}" },
  cordoned: "{{ .cordoned }}",
  minReplicas: "{{ .minReplicas }}",
  idleFor: "{{ .idleFor }}",
  slowSeconds: "{{ .slowSeconds }}",
  maxHeld: "{{ .maxHeld }}",
  address: "{{ .address }}",
  builders: "{{ .builders }}",
  label: (name) => `{{ "{{" }} $labels.${name} }}`,
};

/** The program's defaults, for a job of a name that people may change. */
export const DEFAULT_SITE: AlertSite = {
  targets: 'job="buildkitd-autoscaler"',
  labels: { job: "buildkitd-autoscaler" },
  cordoned: "",
  minReplicas: "0",
  idleFor: "30m",
  slowSeconds: "120",
  maxHeld: "1000",
  address: "buildkitd",
  builders: "the StatefulSets of buildkitd",
  label: (name) => `{{ $labels.${name} }}`,
};

/** The chart's template `buildkitd-stack.alertRules`: a list of rules, from a dictionary of what an {@link AlertSite} has. */
export function alertsTemplate(): string {
  return [
    "{{/* Made by `deno task generate` from the table of alerts. */}}",
    '{{- define "buildkitd-stack.alertRules" -}}',
    ...alertRules(CHART_SITE).flatMap(ruleLines),
    "{{- end -}}",
    "",
  ].join("\n");
}

function ruleLines(rule: AlertRule): string[] {
  const lines = [
    `- alert: ${rule.alert}`,
    "  expr: >-",
    `    ${rule.expr}`,
    ...(rule.for === undefined ? [] : [`  for: ${rule.for}`]),
    ...["labels", "annotations"].flatMap((field) => [
      `  ${field}:`,
      ...Object.entries(rule[field as "labels" | "annotations"]).flatMap(
        ([key, text]) => [`    ${key}: >-`, `      ${text}`],
      ),
    ]),
  ];
  return ALERTS[rule.alert]!.notIfKept ? ["{{- if not .kept }}", ...lines, "{{- end }}"] : lines;
}

/** A file of rules for Prometheus. */
export function alertGroups(site: AlertSite): Readonly<Record<string, unknown>> {
  return { groups: [{ name: "buildkitd-autoscaler", rules: alertRules(site) }] };
}

/** The table of `docs/alerts.md`. */
export function alertsDocument(): string {
  const rows = alertRules(DEFAULT_SITE).map(({ alert: name, for: wait = "-", labels, annotations }) => [
    `[${name}](#${name.toLowerCase()})`,
    labels["severity"]!,
    wait,
    annotations.summary,
  ]);
  return table(["Alert", "Severity", "For", "What has happened"], rows).join("\n");
}
