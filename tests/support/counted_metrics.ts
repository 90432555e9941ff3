/**
 * Real Prometheus metrics that can also be read one by one, and that say when one of them has changed.
 *
 * @module
 */
import { type Labels, type MetricName, METRICS } from "../../lib/base/metrics.ts";
import { type PrometheusMetrics, prometheusMetrics } from "../../lib/ops/prometheus.ts";

/** Metrics for a test. */
export interface CountedMetrics extends PrometheusMetrics {
  /** A counter's sum, a gauge's last value, a histogram's number of observations: over all labels that match. */
  value<Name extends MetricName>(name: Name, labels?: Partial<Labels<Name>>): number;
}

/** Makes metrics; `onChange` is called after every record. */
export function countedMetrics(onChange: () => void): CountedMetrics {
  const real = prometheusMetrics();
  const values = new Map<string, { labels: Record<string, string>; value: number }>();
  return {
    text: () => real.text(),
    expectBuilders: (names) => real.expectBuilders(names),
    record(name, value, labels) {
      real.record(name, value, labels);
      const key = `${name} ${JSON.stringify(labels)}`;
      const before = values.get(key)?.value ?? 0;
      const { type } = METRICS[`buildkitd_autoscaler_${name}`];
      const now = type === "gauge" ? value : type === "counter" ? before + value : before + 1;
      values.set(key, { labels: labels as Record<string, string>, value: now });
      onChange();
    },
    value(name, wanted = {}) {
      let sum = 0;
      for (const [key, { labels, value }] of values) {
        const matches = Object.entries(wanted).every(([label, want]) => labels[label] === want);
        if (key.startsWith(`${name} `) && matches) sum += value;
      }
      return sum;
    },
  };
}
