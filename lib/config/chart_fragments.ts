/**
 * The parts of the Helm chart that are generated from the table of settings: the container's variables, the values with
 * their comments, and their part of the values schema. Pure.
 *
 * @module
 */
import { type ChartValue, type Setting, settingRows } from "./settings.ts";

/** The path of the settings in the chart's values. */
export const CONFIG_PATH = "autoscaler.autoscalerConfig";

/** {@link configValues} is written between these lines of the chart's values. */
export const CONFIG_MARKERS = ["    # settings:start", "    # settings:end"] as const;

/**
 * The templates `buildkitd-stack.settings` (a variable for each value that is not null), `buildkitd-stack.settingRows`
 * (for the checks that the program also makes) and `buildkitd-stack.flagVariables` (to refuse a flag that its variable
 * would override).
 */
export function settingsTemplate(): string {
  const lines = chartRows().flatMap(([{ key }, { variable, type }]) => {
    const value = `.Values.${CONFIG_PATH}.${key}`;
    // Helm reads numbers as floating point and would write 1e+06.
    const text = type.schema.type === "integer" ? `${value} | int64 | quote` : `${value} | quote`;
    return [
      `{{- if not (kindIs "invalid" ${value}) }}`,
      `- name: ${variable}`,
      `  value: {{ ${text} }}`,
      `{{- end }}`,
    ];
  });
  return [
    "{{/* Made by `deno task generate` from the program's table of settings. */}}",
    '{{- define "buildkitd-stack.settings" -}}',
    ...lines,
    "{{- end -}}",
    "",
    "{{/* The flag of each value, and the limits of durations. */}}",
    '{{- define "buildkitd-stack.settingRows" -}}',
    ...chartRows().map(([{ key }, { flag, type: { limits } }]) =>
      limits === undefined
        ? `${key}: { flag: ${flag} }`
        : `${key}: { flag: ${flag}, min: ${limits[0]}, max: ${limits[1]} }`
    ),
    "{{- end -}}",
    "",
    "{{/* The variable of each flag. */}}",
    '{{- define "buildkitd-stack.flagVariables" -}}',
    ...settingRows().map(([, { flag, variable }]) => `${flag}: ${variable}`),
    "{{- end -}}",
    "",
  ].join("\n");
}

/** The values below {@link CONFIG_PATH} with their comments, from which the chart's README is made. */
export function configValues(): string {
  return chartRows().flatMap(([{ key, default: chartDefault }, { flag, type, help, default: preset }]) => {
    const value = (chartDefault ?? preset)!; // what the chart sets has a default
    return [
      `    # -- ${capitalized(help)} (\`${flag}\`: ${type.rangeOfOne ?? type.range})`,
      `    ${key}: ${type.schema.type === "string" ? JSON.stringify(value) : value}`,
    ];
  }).join("\n");
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** The schema of the values below {@link CONFIG_PATH}. */
export function configSchema(): Readonly<Record<string, unknown>> {
  const properties = chartRows().map(([{ key }, { type, help }]) => [
    key,
    { description: help, ...type.schema },
  ]);
  return { type: "object", additionalProperties: false, properties: Object.fromEntries(properties) };
}

function chartRows(): readonly (readonly [ChartValue, Setting<unknown>])[] {
  return settingRows().flatMap(([, setting]) =>
    setting.chart === undefined ? [] : [[setting.chart, setting] as const]
  );
}
