/**
 * The table of the Grafana dashboard: rows of panels with their queries. `dashboard_file.ts` makes the JSON from it; the
 * running program does not load it. Add a panel here when you add a metric: a test wants every metric on the dashboard.
 * Pure.
 *
 * @module
 */
import { METRICS } from "../base/metrics.ts";
import { buckets, isOfBuilder, type Matchers, processSeries, series } from "./promql.ts";

/** What a panel's values are, in Grafana's names of units. */
export type Unit = "short" | "s" | "bytes" | "Bps" | "reqps" | "cpm" | "percentunit" | "none";

/** One query of a panel. */
export interface Query {
  /** PromQL, with variables of the dashboard and of Grafana. */
  readonly expr: string;
  /** The name of its series: text with `{{label}}`. */
  readonly legend: string;
}

/** One panel. */
export interface Panel {
  /** Unique on the dashboard. */
  readonly title: string;
  /** What it shows, and how to read it. */
  readonly description: string;
  /** `stat`: one present number. `total`: one number about the whole time range. `lines`, `bars`: over time. */
  readonly kind: "stat" | "total" | "lines" | "bars";
  /** What the values are. */
  readonly unit: Unit;
  /** Its series. */
  readonly queries: readonly Query[];
  /** From which value on a stat is orange. */
  readonly warnFrom?: number;
  /** Digits after the point; as many as Grafana finds right unless said otherwise. */
  readonly decimals?: number;
  /** Columns of 24; a stat has 4 and others 12 unless said otherwise. */
  readonly width?: number;
  /** Areas on top of each other instead of lines. */
  readonly isStacked?: true;
}

/** A row of the dashboard, which can be folded. */
export interface DashboardRow {
  /** Shown above the panels. */
  readonly title: string;
  /** From left to right, line by line. */
  readonly panels: readonly Panel[];
  /** It is folded until somebody unfolds it. */
  readonly isFolded?: true;
}

/** The row of observe mode. */
export const OBSERVE_ROW = "Observe mode (--observe): what the autoscaler would do and save";

/** The proxies that the variables of the dashboard choose. */
const PROXIES = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"';
const BUILDERS = `${PROXIES},builder=~"$builder"`;

type Series = Parameters<typeof series>[0];
type Histogram = Parameters<typeof buckets>[0];

/** The series of the chosen proxies and builders. */
function of<Name extends Series>(name: Name, matchers: Matchers<Name> = {}): string {
  return series(name, isOfBuilder(name) ? BUILDERS : PROXIES, matchers);
}

/** The sum over proxies, each of which counts what is its own. */
function sum(name: Series, by = ""): string {
  return `sum${by && ` by (${by})`} (${of(name)})`;
}

/** The labels of one builder: other installations may have one of the same name. */
const BUILDER_LABELS = "namespace, job, builder";

/** What all proxies see alike, for each builder: one of them is enough. */
function seen(inner: string): string {
  return `max by (${BUILDER_LABELS}) (${inner})`;
}

/** How often something happens in a minute, over all proxies. */
function perMinute(name: Series, by = ""): string {
  return `sum${by && ` by (${by})`} (rate(${of(name)}[$__rate_interval])) * 60`;
}

function perSecond(name: Series, by: string): string {
  return `sum by (${by}) (rate(${of(name)}[$__rate_interval]))`;
}

/**
 * How much a counter that all proxies count alike has grown in the time range. Proxies come and go, so that no single one
 * has counted it all: the greatest growth of each moment is added up.
 */
function total(name: Series): string {
  const perSecond = `sum(${seen(`rate(${of(name)}[$__rate_interval])`)})`;
  return `sum_over_time((${perSecond})[$__range:$__interval]) * $__interval_ms / 1000`;
}

/** The median, and the times that one in twenty and one in a hundred exceed. */
function quantiles(name: Histogram): readonly Query[] {
  return [[0.5, "median"], [0.95, "95 %"], [0.99, "99 %"]].map(([quantile, legend]) => ({
    expr: `histogram_quantile(${quantile}, sum by (le) (rate(${buckets(name, PROXIES)}[$__rate_interval])))`,
    legend: String(legend),
  }));
}

/** The largest value over proxies and builders. */
function largest(name: Series): string {
  return `max(${of(name)})`;
}

function one(expr: string, legend: string): readonly Query[] {
  return [{ expr, legend }];
}

const OVERVIEW: DashboardRow = {
  title: "Overview",
  panels: [
    {
      title: "Replicas now",
      description: "Pods of buildkitd that the StatefulSets ask for now.",
      kind: "stat",
      unit: "none",
      queries: one(`sum(${seen(of("replicas_observed"))})`, "replicas"),
    },
    {
      title: "Sessions now",
      description: "Connections of clients that are open now, waiting ones included.",
      kind: "stat",
      unit: "none",
      queries: one(sum("sessions_open"), "sessions"),
    },
    {
      title: "Held now",
      description: "Clients that wait for a pod now.",
      kind: "stat",
      unit: "none",
      queries: one(sum("sessions_held"), "held"),
    },
    {
      title: "Queued now",
      description: "Clients that wait now until a builder has room.",
      kind: "stat",
      unit: "none",
      warnFrom: 1,
      queries: one(sum("sessions_queued"), "queued"),
    },
    {
      title: "Builders that cannot be used",
      description: "Builders that are missing or stuck. Clients use the others of their pool.",
      kind: "stat",
      unit: "none",
      warnFrom: 1,
      queries: one(`sum(${seen(of("builder_state", { state: ["missing", "stuck"] }))})`, "builders"),
    },
    {
      title: "Proxies now",
      description: "Proxies that Prometheus scrapes.",
      kind: "stat",
      unit: "none",
      queries: one(`count(${of("build_info")})`, "proxies"),
    },
    {
      title: "Replicas",
      description: "Wanted: what the present state calls for. Observed: what the StatefulSet has.",
      kind: "lines",
      unit: "short",
      queries: [
        { expr: seen(of("replicas_desired")), legend: "{{builder}} wanted" },
        { expr: seen(of("replicas_observed")), legend: "{{builder}} observed" },
      ],
    },
    {
      title: "Sessions",
      description: "Of all proxies: open ones, and those of them that wait for a pod or for room.",
      kind: "lines",
      unit: "short",
      queries: [
        { expr: sum("sessions_open"), legend: "open" },
        { expr: sum("sessions_held"), legend: "held" },
        { expr: sum("sessions_queued"), legend: "queued" },
      ],
    },
    {
      title: "States of the builders",
      description: "How many builders are in which state.",
      kind: "bars",
      unit: "short",
      isStacked: true,
      queries: one(
        `sum by (state) (max by (${BUILDER_LABELS}, state) (${of("builder_state")}))`,
        "{{state}}",
      ),
    },
    {
      title: "Sessions of each builder",
      description: "Sessions that count for the builder's load. Clients that only watch builds do not.",
      kind: "lines",
      unit: "short",
      isStacked: true,
      queries: one(sum("builder_sessions", BUILDER_LABELS), "{{builder}}"),
    },
  ],
};

/** Pod hours asleep for each minute that clients have waited. */
const HOURS_A_MINUTE = `(${total("pod_asleep_seconds_total")} / 3600) / ` +
  `(sum(increase(${of("waited_seconds_total")}[$__range])) / 60)`;

const SAVINGS: DashboardRow = {
  title: "Savings: what an idle timeout saves, and what clients pay for it",
  panels: [
    {
      title: "Pod hours asleep",
      description:
        "Hours of pods that were not there, in the time range, compared with pods that run all the time.",
      kind: "total",
      unit: "none",
      decimals: 1,
      queries: one(`${total("pod_asleep_seconds_total")} / 3600`, "asleep"),
    },
    {
      title: "Money saved",
      description: "Pod hours asleep, times --price-per-hour, in its currency. 0 without a price.",
      kind: "total",
      unit: "none",
      decimals: 2,
      queries: one(
        `${total("pod_asleep_seconds_total")} / 3600 * scalar(${largest("price_per_hour")})`,
        "saved",
      ),
    },
    {
      title: "Cold starts in all",
      description: "Pods that were started for clients in the time range.",
      kind: "total",
      unit: "none",
      decimals: 0,
      queries: one(total("cold_starts_total"), "cold starts"),
    },
    {
      title: "Minutes waited",
      description: "Minutes that clients have waited for pods in the time range, added up.",
      kind: "total",
      unit: "none",
      decimals: 1,
      queries: one(`sum(increase(${of("waited_seconds_total")}[$__range])) / 60`, "waited"),
    },
    {
      title: "Pod hours saved for each minute waited",
      description:
        "An average over the time range. Nights and weekends dominate it, so it does not say which idle timeout is better. " +
        "The table of idle timeouts on the status page does.",
      kind: "total",
      unit: "none",
      decimals: 2,
      queries: one(HOURS_A_MINUTE, "hours a minute"),
    },
    {
      title: "Money saved for each minute waited",
      description: "The same average times --price-per-hour, in its currency. 0 without a price.",
      kind: "total",
      unit: "none",
      decimals: 2,
      queries: one(`${HOURS_A_MINUTE} * scalar(${largest("price_per_hour")})`, "money a minute"),
    },
    {
      title: "Pods asleep",
      description: "Pods that are not there, of as many as were seen to run at once.",
      kind: "lines",
      unit: "short",
      isStacked: true,
      queries: one(seen(`rate(${of("pod_asleep_seconds_total")}[$__rate_interval])`), "{{builder}}"),
    },
    {
      title: "Clients that wait for pods",
      description: "How many wait at a time, on average. The area is the time that they have waited.",
      kind: "lines",
      unit: "short",
      isStacked: true,
      queries: one(perSecond("waited_seconds_total", BUILDER_LABELS), "{{builder}}"),
    },
  ],
};

const WAITING: DashboardRow = {
  title: "Clients: how long they wait, and how they end",
  panels: [
    {
      title: "Time until served",
      description: "From accept to a connected pod, of all clients that were served.",
      kind: "lines",
      unit: "s",
      queries: quantiles("hold_seconds"),
    },
    {
      title: "Time until served, warm",
      description: "The same of clients that found a pod ready: what the proxy itself adds.",
      kind: "lines",
      unit: "s",
      queries: quantiles("connect_seconds"),
    },
    {
      title: "Time in the queue",
      description: "Of clients that were queued and then got a builder.",
      kind: "lines",
      unit: "s",
      queries: quantiles("queue_seconds"),
    },
    {
      title: "Sessions that ended, per minute",
      description: "By how they ended. docs/operations.md explains the outcomes.",
      kind: "bars",
      unit: "cpm",
      isStacked: true,
      queries: one(perMinute("sessions_ended_total", "outcome"), "{{outcome}}"),
    },
    {
      title: "Sessions that buildkitd broke, per minute",
      description:
        "It reset the connection, or closed it and its pod or container is known to have ended (which needs the right to " +
        "get pods).",
      kind: "bars",
      unit: "cpm",
      queries: one(perMinute("sessions_broken_total"), "broken"),
    },
    {
      title: "New sessions, per minute",
      description: "Connections that were accepted.",
      kind: "bars",
      unit: "cpm",
      queries: one(perMinute("sessions_opened_total"), "accepted"),
    },
    {
      title: "Connections that became no session, per minute",
      description:
        "In the TLS handshake or the PROXY header, and HTTP requests, which are answered by the proxy.",
      kind: "bars",
      unit: "cpm",
      isStacked: true,
      queries: [
        { expr: perMinute("entrance_failures_total", "cause"), legend: "{{cause}}" },
        { expr: perMinute("http_requests_total", "what"), legend: "HTTP {{what}}" },
      ],
    },
  ],
};

const DECISIONS: DashboardRow = {
  title: "Decisions and cold starts",
  panels: [
    {
      title: "Writes of the count, per minute",
      description: "By direction and reason. docs/operations.md explains the reasons.",
      kind: "bars",
      unit: "cpm",
      isStacked: true,
      queries: one(perMinute("scale_writes_total", "direction, reason"), "{{direction}}: {{reason}}"),
    },
    {
      title: "Changes of the count by others, per minute",
      description: "Changes that no proxy has written. Many of them mean that somebody else scales as well.",
      kind: "bars",
      unit: "cpm",
      queries: one(
        `${seen(`rate(${of("replicas_changed_externally_total")}[$__rate_interval])`)} * 60`,
        "{{builder}}",
      ),
    },
    {
      title: "Cold starts",
      description:
        "95 % of cold starts end each phase in this time, counted from the first client that waits.",
      kind: "lines",
      unit: "s",
      queries: one(
        `histogram_quantile(0.95, sum by (le, phase) (rate(${
          buckets("cold_start_seconds", BUILDERS)
        }[$__rate_interval])))`,
        "{{phase}}",
      ),
    },
    {
      title: "Where sessions go, per minute",
      description: "By why it was this builder. docs/operations.md explains the reasons.",
      kind: "bars",
      unit: "cpm",
      isStacked: true,
      queries: one(perMinute("routed_total", "why"), "{{why}}"),
    },
  ],
};

const TOGETHER: DashboardRow = {
  title: "Several proxies",
  panels: [
    {
      title: "Proxies that are alive",
      description: "As the proxies of each builder see each other by their records: the smallest number.",
      kind: "lines",
      unit: "short",
      queries: one(`min by (${BUILDER_LABELS}) (${of("proxies_alive")})`, "{{builder}}"),
    },
    {
      title: "Leaders",
      description: "1 is right: nobody else scales down. Without a leader, nothing scales down.",
      kind: "lines",
      unit: "short",
      queries: one(sum("leader"), "leaders"),
    },
    {
      title: "States of the proxies",
      description: "Joined is the normal one. Each proxy has one state for each builder.",
      kind: "bars",
      unit: "short",
      isStacked: true,
      queries: one(sum("member_state", "state"), "{{state}}"),
    },
    {
      title: "Versions",
      description: "How many proxies run which version.",
      kind: "bars",
      unit: "short",
      isStacked: true,
      queries: one(`count by (version, deno) (${of("build_info")})`, "{{version}} on Deno {{deno}}"),
    },
  ],
};

const API: DashboardRow = {
  title: "Kubernetes API and pods",
  panels: [
    {
      title: "Requests to the Kubernetes API",
      description: "By verb.",
      kind: "lines",
      unit: "reqps",
      queries: one(perSecond("api_requests_total", "verb"), "{{verb}}"),
    },
    {
      title: "Errors of the Kubernetes API",
      description: 'By verb and status; "none" is no answer. 409 is normal: another proxy was first.',
      kind: "lines",
      unit: "reqps",
      // There is no series before the first error.
      queries: one(`${perSecond("api_errors_total", "verb, code")} or on () vector(0)`, "{{verb}} {{code}}"),
    },
    {
      title: "Watches that were started again, per minute",
      description: "By resource and cause. That a watch has ended is normal.",
      kind: "bars",
      unit: "cpm",
      isStacked: true,
      queries: one(perMinute("watch_restarts_total", "resource, cause"), "{{resource}}: {{cause}}"),
    },
    {
      title: "Failed connections, per minute",
      description: "To a ready pod, which was tried again; and from clients, which could not be accepted.",
      kind: "bars",
      unit: "cpm",
      isStacked: true,
      queries: [
        { expr: perMinute("dial_errors_total", BUILDER_LABELS), legend: "to {{builder}}" },
        { expr: perMinute("accept_errors_total", "cause"), legend: "accept: {{cause}}" },
      ],
    },
  ],
};

const PROCESS: DashboardRow = {
  title: "Bytes, limits and the process",
  panels: [
    {
      title: "Bytes relayed",
      description: "Upstream is from clients to buildkitd.",
      kind: "lines",
      unit: "Bps",
      queries: one(perSecond("bytes_total", "direction"), "{{direction}}"),
    },
    {
      title: "Bytes kept for held clients",
      description: "About 32 MiB at most for each proxy.",
      kind: "lines",
      unit: "bytes",
      queries: one(sum("hold_bytes", "instance"), "{{instance}}"),
    },
    {
      title: "Share of the limits",
      description:
        "Open sessions of those that may be open: --max-connections, or what the file descriptors allow.",
      kind: "lines",
      unit: "percentunit",
      queries: one(`${of("sessions_open")} / ${of("sessions_limit")}`, "{{instance}}"),
    },
    {
      title: "Free file descriptors",
      description: "When last counted: at the start, and when many more sessions come. At most 4200 or so.",
      kind: "lines",
      unit: "short",
      queries: one(sum("descriptors_free", "instance"), "{{instance}}"),
    },
    {
      title: "Memory",
      description: "Resident memory of each proxy, and the part of it that JavaScript uses.",
      kind: "lines",
      unit: "bytes",
      queries: [
        { expr: processSeries("process_resident_memory_bytes", PROXIES), legend: "{{instance}} resident" },
        { expr: processSeries("process_heap_bytes", PROXIES), legend: "{{instance}} heap" },
      ],
    },
    {
      title: "CPU",
      description: "Cores that each proxy uses.",
      kind: "lines",
      unit: "short",
      queries: one(
        `rate(${processSeries("process_cpu_seconds_total", PROXIES)}[$__rate_interval])`,
        "{{instance}}",
      ),
    },
    {
      title: "Time since the start",
      description: "Of each proxy. It falls to 0 when a proxy starts again.",
      kind: "lines",
      unit: "s",
      queries: one(`time() - ${processSeries("process_start_time_seconds", PROXIES)}`, "{{instance}}"),
    },
    {
      title: "Time until the certificate expires",
      description: "Of the certificate that clients with TLS are shown. Empty without TLS.",
      kind: "lines",
      unit: "s",
      queries: one(`(${of("certificate_expiry_seconds")} > 0) - time()`, "{{instance}}"),
    },
  ],
};

const OBSERVING: DashboardRow = {
  title: OBSERVE_ROW,
  isFolded: true,
  panels: [
    {
      title: "Proxies that observe",
      description: "They write no replica count. Without one, the numbers of this row say nothing.",
      kind: "stat",
      unit: "none",
      queries: one(`sum(${of("observes")})`, "proxies"),
    },
    {
      title: "Pod hours that would be asleep",
      description: "In the time range, compared with pods that run all the time, as they do now.",
      kind: "total",
      unit: "none",
      decimals: 1,
      queries: one(`${total("observe_pod_asleep_seconds_total")} / 3600`, "asleep"),
    },
    {
      title: "Money that would be saved",
      description: "Those pod hours, times --price-per-hour, in its currency. 0 without a price.",
      kind: "total",
      unit: "none",
      decimals: 2,
      queries: one(
        `${total("observe_pod_asleep_seconds_total")} / 3600 * scalar(${largest("price_per_hour")})`,
        "saved",
      ),
    },
    {
      title: "Cold starts that there would be",
      description: "Pods that would have been started for clients in the time range.",
      kind: "total",
      unit: "none",
      decimals: 0,
      queries: one(total("observe_cold_starts_total"), "cold starts"),
    },
    {
      title: "Minutes that clients would wait",
      description: "Since the proxies started: cold starts, times what a pod takes to start.",
      kind: "stat",
      unit: "none",
      decimals: 1,
      queries: one(`sum(${seen(of("observe_waited_seconds"))}) / 60`, "minutes"),
    },
    {
      title: "What a pod takes to start",
      description:
        "From its creation until it is ready, as far as the proxy could see; 30 s if it could not.",
      kind: "stat",
      unit: "s",
      queries: one(largest("observe_start_seconds"), "start"),
    },
    {
      title: "Replicas with and without observe mode",
      description: "What there is, and what there would be.",
      kind: "lines",
      unit: "short",
      queries: [
        { expr: seen(of("replicas_observed")), legend: "{{builder}} is" },
        { expr: seen(of("observe_replicas")), legend: "{{builder}} would be" },
      ],
    },
    {
      title: "Changes that would be made, per minute",
      description: "Of the replica count, by direction and reason.",
      kind: "bars",
      unit: "cpm",
      queries: one(
        `max by (${BUILDER_LABELS}, direction, reason) (rate(${
          of("observe_scalings_total")
        }[$__rate_interval])) * 60`,
        "{{builder}} {{direction}}: {{reason}}",
      ),
    },
  ],
};

/** The rows, from the top. */
export const DASHBOARD: readonly DashboardRow[] = [
  OVERVIEW,
  SAVINGS,
  OBSERVING,
  WAITING,
  DECISIONS,
  TOGETHER,
  API,
  PROCESS,
];

/** Metrics that no panel shows. */
export function missingMetrics(rows: readonly DashboardRow[]): readonly string[] {
  const queries = rows.flatMap(({ panels }) => panels).flatMap(({ queries }) => queries).map(({ expr }) =>
    expr
  );
  return Object.keys(METRICS).filter((name) =>
    !queries.some((expr) => new RegExp(`\\b${name}(?:_bucket)?\\{`).test(expr))
  );
}
