/**
 * The metrics port over prom-client, with its own registry for each instance. Registers the metrics of the table
 * `METRICS`. All combinations of label values start at 0, so that a rate is right from the first event.
 *
 * Imports only the four parts of prom-client that it uses. The rest (clusters, gateways, process metrics from `/proc`)
 * would cost 5 MB.
 *
 * @module
 */
import type * as prom from "prom-client";
import CounterClass from "prom-client/lib/counter.js";
import GaugeClass from "prom-client/lib/gauge.js";
import HistogramClass from "prom-client/lib/histogram.js";
import RegistryClass from "prom-client/lib/registry.js";
import { type Labels, METRIC_PREFIX, type MetricName, METRICS, type Metrics } from "../base/metrics.ts";

// The parts have no types of their own. They are the classes that the package exports.
const Counter = CounterClass as unknown as typeof prom.Counter;
const Gauge = GaugeClass as unknown as typeof prom.Gauge;
const Histogram = HistogramClass as unknown as typeof prom.Histogram;
const Registry = RegistryClass as unknown as typeof prom.Registry;

/** Facts about the process. */
export interface ProcessFacts {
  /** Resident memory, in bytes. */
  readonly residentBytes: number;
  /** Used memory on the JavaScript heap, in bytes. */
  readonly heapBytes: number;
  /** CPU time since the start, in seconds. */
  readonly cpuSeconds: number;
  /** When the process started, in seconds since the epoch. */
  readonly startSeconds: number;
}

/** Metrics of the process, by name. Also in docs/metrics.md. */
export const PROCESS_METRICS = {
  process_resident_memory_bytes: {
    type: "gauge",
    help: "Resident memory of the process.",
    value: (facts: ProcessFacts): number => facts.residentBytes,
  },
  process_heap_bytes: {
    type: "gauge",
    help: "JavaScript heap in use.",
    value: (facts: ProcessFacts): number => facts.heapBytes,
  },
  process_cpu_seconds_total: {
    type: "counter",
    help: "CPU time of the process, user and system.",
    value: (facts: ProcessFacts): number => facts.cpuSeconds,
  },
  process_start_time_seconds: {
    type: "gauge",
    help: "When the process started, in seconds since the epoch.",
    value: (facts: ProcessFacts): number => facts.startSeconds,
  },
} as const;

/** Metrics that can be read. */
export interface PrometheusMetrics extends Metrics {
  /** Starts the series of these builders at 0, too. Call it before anything is recorded of them. */
  expectBuilders(names: readonly string[]): void;
  /** All metrics in Prometheus' text format. */
  text(): Promise<string>;
}

/** Label names and values, as prom-client takes them. */
type LabelValues = Record<string, string>;

/** Makes the metrics of one program. Without `processFacts`, it has no metrics of the process. */
export function prometheusMetrics(processFacts?: () => ProcessFacts): PrometheusMetrics {
  const registry = new Registry();
  const recorders = new Map<string, Recorder>();
  for (const [name, metric] of Object.entries(METRICS)) {
    const recorder = register(registry, name, metric);
    recorders.set(name.slice(METRIC_PREFIX.length), recorder);
    for (const labels of labelCombinations(metric.labels)) recorder.start(labels);
  }
  if (processFacts !== undefined) registerProcess(registry, processFacts);
  return {
    record<Name extends MetricName>(name: Name, value: number, labels: Labels<Name>): void {
      if (!Number.isFinite(value)) return;
      recorders.get(name)?.record(value, labels as LabelValues);
    },
    expectBuilders(builder) {
      for (const [name, { labels }] of Object.entries(METRICS)) {
        if (!("builder" in labels)) continue;
        for (const each of labelCombinations({ ...labels, builder })) {
          recorders.get(name.slice(METRIC_PREFIX.length))?.start(each);
        }
      }
    },
    text() {
      for (const recorder of recorders.values()) recorder.pass();
      return registry.metrics();
    },
  };
}

type Metric = typeof METRICS[keyof typeof METRICS] & { readonly buckets?: readonly number[] };

/** Records the values of one metric. */
interface Recorder {
  record(value: number, labels: LabelValues): void;
  /** The series begins at 0. */
  start(labels: LabelValues): void;
  /** Passes to prom-client what was recorded since the last time. */
  pass(): void;
}

/**
 * Values by labels, until somebody reads them. prom-client checks and joins the labels at every call, and a session makes
 * some twenty.
 */
class Cells {
  readonly #names: readonly string[];
  readonly #cells = new Map<string, { readonly labels: LabelValues; value: number }>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** The cell of these labels; a new one begins at 0. */
  of(labels: LabelValues): { value: number } {
    const key = this.#names.length === 0 ? "" : this.#keyOf(labels);
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = { labels: { ...labels }, value: 0 };
      this.#cells.set(key, cell);
    }
    return cell;
  }

  /** Takes all cells out. */
  take(each: (labels: LabelValues, value: number) => void): void {
    for (const { labels, value } of this.#cells.values()) each(labels, value);
    this.#cells.clear();
  }

  #keyOf(labels: LabelValues): string {
    let key = "";
    for (const name of this.#names) key += `${labels[name]}\0`;
    return key;
  }
}

function register(registry: prom.Registry, name: string, metric: Metric): Recorder {
  const labelNames = Object.keys(metric.labels);
  const options = { name, help: metric.help, labelNames, registers: [registry] };
  switch (metric.type) {
    case "counter": {
      const counter = new Counter(options);
      const cells = new Cells(labelNames);
      return {
        record(value, labels) {
          // prom-client throws for a negative value; a wrong value must not end a session.
          if (value >= 0) cells.of(labels).value += value;
        },
        start: (labels) => counter.inc(labels, 0),
        pass: () => cells.take((labels, value) => counter.inc(labels, value)),
      };
    }
    case "gauge": {
      const gauge = new Gauge(options);
      const cells = new Cells(labelNames);
      return {
        record(value, labels) {
          cells.of(labels).value = value;
        },
        start: (labels) => gauge.set(labels, 0),
        pass: () => cells.take((labels, value) => gauge.set(labels, value)),
      };
    }
    case "histogram": {
      const histogram = new Histogram({ ...options, buckets: [...metric.buckets] });
      return {
        record: (value, labels) => histogram.observe(labels, value),
        start: (labels) => histogram.zero(labels),
        pass() {},
      };
    }
  }
}

/** All combinations of label values, or none if the values of a label are not known in advance. */
export function labelCombinations(
  labels: Readonly<Record<string, readonly string[] | string>>,
): Record<string, string>[] {
  let combinations: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    if (typeof values === "string") return [];
    combinations = combinations.flatMap((rest) => values.map((value) => ({ ...rest, [label]: value })));
  }
  return combinations;
}

function registerProcess(registry: prom.Registry, facts: () => ProcessFacts): void {
  for (const [name, { type, help, value }] of Object.entries(PROCESS_METRICS)) {
    const options = { name, help, registers: [registry] };
    if (type === "gauge") {
      new Gauge({
        ...options,
        collect() {
          this.set(value(facts()));
        },
      });
    } else {
      new Counter({
        ...options,
        collect() {
          this.reset();
          this.inc(value(facts()));
        },
      });
    }
  }
}
