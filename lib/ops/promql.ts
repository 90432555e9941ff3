/**
 * Series in Prometheus' query language: names, labels and values of labels are those of the tables of metrics, so a query
 * of what does not exist is an error of the compiler. For what is made from the tables; the running program does not load
 * it. Pure.
 *
 * @module
 */
import { type Labels, type MetricName, METRICS } from "../base/metrics.ts";
import type { PROCESS_METRICS } from "./prometheus.ts";

/** Values that a label must have, or must not have. */
export type Wanted<Value> = Value | readonly Value[] | { readonly not: Value };

/** What labels of a metric must be. */
export type Matchers<Name extends MetricName> = {
  readonly [Label in keyof Labels<Name>]?: Wanted<Labels<Name>[Label]>;
};

/** Names of metrics of one type. */
export type Of<Type extends string> = {
  [Name in MetricName]: typeof METRICS[`buildkitd_autoscaler_${Name}`]["type"] extends Type ? Name : never;
}[MetricName];

/**
 * The series of a metric among `targets`, which is the inner part of a selector, such as `job="x"`, as text. A histogram
 * has none of that name: see {@link buckets}.
 */
export function series<Name extends Of<"counter" | "gauge">>(
  name: Name,
  targets: string,
  matchers: Matchers<Name> = {},
): string {
  return selected(`buildkitd_autoscaler_${name}`, targets, matchers);
}

/** The buckets of a histogram among `targets`. */
export function buckets<Name extends Of<"histogram">>(
  name: Name,
  targets: string,
  matchers: Matchers<Name> = {},
): string {
  return selected(`buildkitd_autoscaler_${name}_bucket`, targets, matchers);
}

/** The series of a metric of the process among `targets`. */
export function processSeries(name: keyof typeof PROCESS_METRICS, targets: string): string {
  return selected(name, targets, {});
}

/** Whether the metric has one series for each builder. */
export function isOfBuilder(name: MetricName): boolean {
  return "builder" in METRICS[`buildkitd_autoscaler_${name}`].labels;
}

function selected(name: string, targets: string, matchers: Readonly<Record<string, unknown>>): string {
  const all = Object.entries(matchers).map(([label, wanted]) => matcher(label, wanted as Wanted<string>));
  return `${name}{${[...all, targets].join(",")}}`;
}

function matcher(label: string, wanted: Wanted<string>): string {
  if (typeof wanted === "string") return `${label}="${wanted}"`;
  return "not" in wanted ? `${label}!="${wanted.not}"` : `${label}=~"${wanted.join("|")}"`;
}
