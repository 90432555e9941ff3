/**
 * The table of all metrics, and the port to record them. `docs/metrics.md` is made from the table. Names follow the
 * Prometheus conventions (base units, `_total`). Labels have closed sets of values.
 *
 * @module
 */

/** How a session ended; the label `outcome`. */
export const OUTCOMES = [
  "completed",
  "client_left",
  "timed_out",
  "queue_timeout",
  "watch_ended",
  "limited",
  "cordoned",
  "protocol_error",
  "downstream_reset",
  "upstream_reset",
  "drain_timeout",
  "idle_timeout",
  "failed",
] as const;
/** One of {@link OUTCOMES}. */
export type Outcome = typeof OUTCOMES[number];

/** Why an accept failed; the label `cause`. */
export const ACCEPT_FAULTS = ["exhausted", "client", "other"] as const;
/**
 * One of {@link ACCEPT_FAULTS}. `exhausted`: no free descriptors or kernel memory. `client`: the connection ended
 * before it was accepted.
 */
export type AcceptFault = typeof ACCEPT_FAULTS[number];

/** Why a connection did not become a session; the label `cause`. */
export const ENTRANCE_FAULTS = ["left", "timed_out", "crowded_out", "proxy_header", "tls"] as const;
/** One of {@link ENTRANCE_FAULTS}. */
export type EntranceFault = typeof ENTRANCE_FAULTS[number];

/** What was asked by HTTP on the address of the clients; the label `what`. */
export const HTTP_WISHES = ["look", "wake", "other"] as const;

/** Why the replica count was written; the label `reason`. */
export const SCALE_REASONS = [
  "held_session",
  "min_replicas",
  "warm_window",
  "closed_by_scale_down",
  "join",
  "idle",
] as const;
/** Why observe mode would have changed it; the label `reason`. */
export const OBSERVE_REASONS = ["held_session", "min_replicas", "warm_window", "idle"] as const;
/** One of {@link SCALE_REASONS}. */
export type ScaleReason = typeof SCALE_REASONS[number];

/** Why a session went to its builder; the label `why`. */
export const ROUTE_REASONS = [
  "home",
  "sibling",
  "overflow",
  "shared",
  "moved",
  "queued",
  "unusable",
] as const;

/** How far a builder can be used; the label `state`. */
export const BUILDER_STATES = ["missing", "ready", "stuck", "starting", "unknown", "asleep"] as const;
/** One of {@link BUILDER_STATES}. */
export type BuilderState = typeof BUILDER_STATES[number];

/** The verbs of the Kubernetes API that the program uses; the label `verb`. */
export const API_VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"] as const;
/** One of {@link API_VERBS}. */
export type ApiVerb = typeof API_VERBS[number];

interface Metric {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Label names with their values. A string describes values that are not known in advance. */
  readonly labels: Readonly<Record<string, readonly string[] | string>>;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/** The label of what belongs to one builder. */
const BUILDER = "the StatefulSet's name";

const COLD_START_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 240, 300, 600];

/** The table, by name. */
export const METRICS = {
  buildkitd_autoscaler_sessions_opened_total: {
    type: "counter",
    help: "Connections accepted from clients.",
    labels: {},
  },
  buildkitd_autoscaler_sessions_ended_total: {
    type: "counter",
    help: "Sessions that ended, by how they ended.",
    labels: { outcome: OUTCOMES },
  },
  buildkitd_autoscaler_sessions_broken_total: {
    type: "counter",
    help:
      "Sessions that buildkitd broke: it reset the connection, or closed it and its pod or container is known to have ended.",
    labels: {},
  },
  buildkitd_autoscaler_sessions_open: {
    type: "gauge",
    help: "Sessions that are open now, held ones included.",
    labels: {},
  },
  buildkitd_autoscaler_sessions_held: {
    type: "gauge",
    help: "Sessions that are held now: they wait for a backend.",
    labels: {},
  },
  buildkitd_autoscaler_sessions_limit: {
    type: "gauge",
    help: "Sessions that may be open at a time: --max-connections, or what the file descriptors allow.",
    labels: {},
  },
  buildkitd_autoscaler_descriptors_free: {
    type: "gauge",
    help:
      "File descriptors that were free when last counted: at start, and when more sessions come; at most 4200 or so.",
    labels: {},
  },
  buildkitd_autoscaler_sessions_queued: {
    type: "gauge",
    help: "Sessions that are queued now: they wait until a builder has room.",
    labels: {},
  },
  buildkitd_autoscaler_hold_bytes: {
    type: "gauge",
    help: "Bytes that held clients have sent and that are kept for the backend.",
    labels: {},
  },
  buildkitd_autoscaler_hold_seconds: {
    type: "histogram",
    help: "Time from accept to connected upstream, of sessions that were served.",
    labels: {},
    buckets: [0.001, 0.005, 0.01, ...COLD_START_BUCKETS],
  },
  buildkitd_autoscaler_queue_seconds: {
    type: "histogram",
    help: "Time in the queue, of sessions that were queued and then got a builder.",
    labels: {},
    buckets: [0.1, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600],
  },
  buildkitd_autoscaler_connect_seconds: {
    type: "histogram",
    help: "Time from accept to connected upstream, of sessions that found a pod ready.",
    labels: {},
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  },
  buildkitd_autoscaler_cold_start_seconds: {
    type: "histogram",
    help: "Time from the first held session of a cold start to the end of each phase.",
    labels: { builder: BUILDER, phase: ["scale_write", "pod_address", "ready", "first_byte"] },
    buckets: COLD_START_BUCKETS,
  },
  buildkitd_autoscaler_bytes_total: {
    type: "counter",
    help: "Bytes relayed; upstream is from client to buildkitd.",
    labels: { direction: ["upstream", "downstream"] },
  },
  buildkitd_autoscaler_dial_errors_total: {
    type: "counter",
    help: "Dials to a ready backend that failed and were tried again.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_accept_errors_total: {
    type: "counter",
    help:
      "Accepts that failed: for want of descriptors or memory, or since the client had left before, which is harmless.",
    labels: { cause: ACCEPT_FAULTS },
  },
  buildkitd_autoscaler_entrance_failures_total: {
    type: "counter",
    help:
      "Connections that ended before they were sessions, in the TLS handshake or the PROXY header, by cause.",
    labels: { cause: ENTRANCE_FAULTS },
  },
  buildkitd_autoscaler_certificate_expiry_seconds: {
    type: "gauge",
    help: "When the certificate for clients with TLS expires, in seconds since the epoch; 0 without TLS.",
    labels: {},
  },
  buildkitd_autoscaler_http_requests_total: {
    type: "counter",
    help:
      "HTTP/1.1 requests to the address of the clients: to look, to wake the builder, or others, which are refused.",
    labels: { what: HTTP_WISHES },
  },
  buildkitd_autoscaler_scale_writes_total: {
    type: "counter",
    help: "Writes of the replica count that the API server took, by direction and reason.",
    labels: { builder: BUILDER, direction: ["up", "same", "down"], reason: SCALE_REASONS },
  },
  buildkitd_autoscaler_replicas_changed_externally_total: {
    type: "counter",
    help: "Changes of the replica count that no proxy has written, as this proxy has seen it.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_replicas_desired: {
    type: "gauge",
    help: "Replicas that the present state calls for.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_replicas_observed: {
    type: "gauge",
    help: "Replicas in the newest version of the StatefulSet that was seen.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_builder_sessions: {
    type: "gauge",
    help: "Sessions of this proxy that count for the builder's load.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_builder_state: {
    type: "gauge",
    help: "1 for the state that the builder is in, as this proxy sees it.",
    labels: { builder: BUILDER, state: BUILDER_STATES },
  },
  buildkitd_autoscaler_routed_total: {
    type: "counter",
    help:
      "Sessions that were connected to the builder, by why it was this one; and, once each, those that were queued.",
    labels: { builder: BUILDER, why: ROUTE_REASONS },
  },
  buildkitd_autoscaler_pod_asleep_seconds_total: {
    type: "counter",
    help:
      "Seconds that pods were not there, times the pods: of as many as this proxy has seen to run at once, at least one.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_cold_starts_total: {
    type: "counter",
    help:
      "Pods that were started other than to keep the minimum or for a warm window, as this proxy has seen it.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_waited_seconds_total: {
    type: "counter",
    help: "Seconds that clients of this proxy have waited for pods, added up, those that wait now included.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_observes: {
    type: "gauge",
    help: "1 if this proxy only observes (--observe): it writes no replica count.",
    labels: {},
  },
  buildkitd_autoscaler_observe_replicas: {
    type: "gauge",
    help: "With --observe: the replicas that there would be without it.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_observe_scalings_total: {
    type: "counter",
    help: "With --observe: changes of the replica count that would have been made, by direction and reason.",
    labels: { builder: BUILDER, direction: ["up", "down"], reason: OBSERVE_REASONS },
  },
  buildkitd_autoscaler_observe_pod_asleep_seconds_total: {
    type: "counter",
    help: "With --observe: what pod_asleep_seconds_total would be without it.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_observe_cold_starts_total: {
    type: "counter",
    help: "With --observe: what cold_starts_total would be without it.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_observe_waited_seconds: {
    type: "gauge",
    help:
      "With --observe: estimated seconds that clients would have waited so far: cold starts times observe_start_seconds.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_observe_start_seconds: {
    type: "gauge",
    help:
      "With --observe: how long a pod took from its creation until it was ready; 30 while that is not known.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_price_per_hour: {
    type: "gauge",
    help: "What a pod costs in an hour: --price-per-hour; 0 if it is not set.",
    labels: {},
  },
  buildkitd_autoscaler_leader: {
    type: "gauge",
    help: "1 while this proxy leads: it is the one that scales down.",
    labels: {},
  },
  buildkitd_autoscaler_proxies_alive: {
    type: "gauge",
    help: "Proxies in front of the builder that are alive, this one included.",
    labels: { builder: BUILDER },
  },
  buildkitd_autoscaler_member_state: {
    type: "gauge",
    help: "1 for the state that this proxy is in among the others: joined is the normal one.",
    labels: { builder: BUILDER, state: ["joining", "joined", "cut_off", "alone"] },
  },
  buildkitd_autoscaler_watch_restarts_total: {
    type: "counter",
    help: "Watches that were started again, by resource and cause.",
    labels: {
      resource: ["statefulsets", "endpointslices", "leases"],
      cause: ["ended", "expired", "silent", "failed"],
    },
  },
  buildkitd_autoscaler_api_errors_total: {
    type: "counter",
    help: 'Requests to the Kubernetes API that failed; code is the HTTP status or "none" without an answer.',
    labels: { verb: API_VERBS, code: "an HTTP status, or none" },
  },
  buildkitd_autoscaler_api_requests_total: {
    type: "counter",
    help: "Requests sent to the Kubernetes API.",
    labels: { verb: API_VERBS },
  },
  buildkitd_autoscaler_build_info: {
    type: "gauge",
    help: "Always 1; the labels say what runs.",
    labels: { version: "the program's version", deno: "the runtime's version" },
  },
} as const satisfies Readonly<Record<string, Metric>>;

/** A name in {@link METRICS}, without the program's prefix. */
export type MetricName = keyof typeof METRICS extends `buildkitd_autoscaler_${infer Name}` ? Name : never;
/** The row of a metric. */
export type Row<Name extends MetricName> = typeof METRICS[`buildkitd_autoscaler_${Name}`];
/** The type of a label's values. */
export type Values<T> = T extends readonly (infer Value)[] ? Value : string;

/** The labels of a metric. */
export type Labels<Name extends MetricName> = {
  readonly [Label in keyof Row<Name>["labels"]]: Values<Row<Name>["labels"][Label]>;
};

/** The port to record metrics. A counter is increased by the value, a gauge is set to it, a histogram observes it. */
export interface Metrics {
  /** Records one value. */
  record<Name extends MetricName>(name: Name, value: number, labels: Labels<Name>): void;
}

/** The same for the parts of one builder, which do not name it. */
export interface BuilderMetrics extends Metrics {
  /** Records one value; the label `builder` is added where the metric has it. */
  record<Name extends MetricName>(name: Name, value: number, labels: Omit<Labels<Name>, "builder">): void;
}

/** What the name of each metric begins with. */
export const METRIC_PREFIX = "buildkitd_autoscaler_";

/** The names of those with the label `builder`, without the prefix. */
const OF_BUILDERS: ReadonlySet<string> = new Set(
  Object.entries(METRICS).filter(([, { labels }]) => "builder" in labels)
    .map(([name]) => name.slice(METRIC_PREFIX.length)),
);

/** The port for the parts of one builder. */
export function builderMetrics(metrics: Metrics, builder: string): BuilderMetrics {
  return {
    record<Name extends MetricName>(name: Name, value: number, labels: Omit<Labels<Name>, "builder">) {
      metrics.record(name, value, (OF_BUILDERS.has(name) ? { builder, ...labels } : labels) as Labels<Name>);
    },
  };
}

/** Records nothing. */
export const noMetrics: Metrics = { record: () => {} };
