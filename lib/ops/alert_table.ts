/**
 * The table of alerts for Prometheus. `alert_files.ts` makes the chart's rules and others from it; the running program
 * does not load it. Pure.
 *
 * @module
 */
import type { Outcome } from "../base/metrics.ts";
import { buckets, processSeries, series, type Wanted } from "./promql.ts";

/** What rules are about: facts that differ from one installation to another, as text. */
export interface AlertSite {
  /** The inner part of a selector of the proxies' metrics. */
  readonly targets: string;
  /** Labels of all alerts, which say of which installation they are: sums and absent() have none of the targets. */
  readonly labels: Readonly<Record<string, string>>;
  /** Names of builders that are cordoned, with bars between them; a pattern. */
  readonly cordoned: string;
  /** Replicas that stay without clients. */
  readonly minReplicas: string;
  /** How long a builder may stay without clients; a duration of Prometheus. */
  readonly idleFor: string;
  /**
   * A cold start of more than so many seconds is slow. The end of a bucket of the histogram, because a quantile between
   * two of them is a guess; but not the last one, 600, over which no quantile gets.
   */
  readonly slowSeconds: string;
  /** `--max-held`. */
  readonly maxHeld: string;
  /** Where clients connect. */
  readonly address: string;
  /** The StatefulSets, in words. */
  readonly builders: string;
  /** The value of a label, in annotations. */
  readonly label: (name: string) => string;
}

/** One alert. */
export interface Alert {
  /** The condition in PromQL. */
  readonly expr: (site: AlertSite) => string;
  /** For how long it has to hold; a duration of Prometheus. */
  readonly for?: string | ((site: AlertSite) => string);
  /** How urgent it is: somebody has to look now, soon, or some day. */
  readonly severity: "critical" | "warning" | "info";
  /** What has happened, in one line. */
  readonly summary: string;
  /** Details, and where to look first. */
  readonly description: (site: AlertSite) => string;
  /** It makes no sense where a warm window or the minimum of a pool keeps builders that nobody uses. */
  readonly notIfKept?: true;
}

/** A rule of Prometheus. */
export interface AlertRule {
  /** The alert's name. */
  readonly alert: string;
  /** The condition in PromQL. */
  readonly expr: string;
  /** For how long it has to hold. */
  readonly for?: string;
  /** Labels of the alert. */
  readonly labels: Readonly<Record<string, string>>;
  /** What people are told. */
  readonly annotations: Readonly<Record<"summary" | "description" | "runbook_url", string>>;
}

const RUNBOOKS = "https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md";

/** The table, by name. */
export const ALERTS: Readonly<Record<string, Alert>> = {
  BuildkitdAutoscalerDown: {
    expr: ({ targets }) => `absent(up{${targets}} == 1)`,
    for: "5m",
    severity: "critical",
    summary: "No proxy in front of buildkitd can be scraped",
    description: ({ address }) => `Clients of ${address} probably cannot connect.`,
  },
  BuildkitdAutoscalerRestarts: {
    expr: ({ targets }) => `changes(${processSeries("process_start_time_seconds", targets)}[30m]) > 2`,
    severity: "warning",
    summary: "A proxy restarts again and again",
    description: ({ label }) =>
      `${
        label("instance")
      } has restarted more than twice in 30 minutes. Each restart that is no drain cuts its builds.`,
  },
  BuildkitdAutoscalerFailed: {
    expr: ({ targets }) => ended("failed", targets),
    severity: "warning",
    summary: "The autoscaler ended a session by a fault of its own",
    description: () => "That is a bug. Its log has a record of level error.",
  },
  BuildkitdAutoscalerCutOff: {
    expr: ({ targets }) =>
      `(${series("member_state", targets, { state: ["joining", "cut_off"] })} == 1) ` +
      `unless ignoring (state) (${series("builder_state", targets, { state: "missing" })} == 1)`,
    for: "5m",
    severity: "warning",
    summary: "A proxy cannot renew its record in the Kubernetes API",
    description: ({ label }) =>
      `${label("instance")} is ${
        label("state")
      }: nothing scales down, and other proxies may not know of its builds.`,
  },
  BuildkitdAutoscalerNoLeader: {
    expr: ({ targets }) => `max(${series("leader", targets)}) == 0`,
    for: "5m",
    severity: "warning",
    summary: "No proxy leads, so nothing scales down",
    description: () =>
      "Builders stay, and cost money. Clients are served, and builders are started for them.",
  },
  BuildkitdAutoscalerApiErrors: {
    expr: ({ targets }) =>
      `sum(rate(${series("api_errors_total", targets, { code: { not: "409" } })}[10m])) > 0.1`,
    for: "10m",
    severity: "warning",
    summary: "Requests to the Kubernetes API fail",
    description: () => "Warm builders go on to serve; cold starts and scaling down wait.",
  },
  BuildkitdAutoscalerAcceptErrors: {
    expr: ({ targets }) =>
      `sum(increase(${series("accept_errors_total", targets, { cause: { not: "client" } })}[10m])) > 0`,
    severity: "warning",
    summary: "Connections cannot be accepted",
    description: () => "File descriptors or memory run out.",
  },
  BuildkitdAutoscalerNearLimit: {
    expr: ({ targets, maxHeld }) =>
      `${series("sessions_open", targets)} / ${series("sessions_limit", targets)} > 0.8 ` +
      `or ${series("sessions_held", targets)} / ${maxHeld} > 0.8`,
    for: "5m",
    severity: "warning",
    summary: "A proxy is near its limit of connections",
    description: ({ label }) =>
      `${
        label("instance")
      } uses more than 80 % of --max-connections (or of its file descriptors) or of --max-held. ` +
      "Beyond the limit it refuses clients.",
  },
  BuildkitdCertificateExpires: {
    expr: ({ targets }) => `(${series("certificate_expiry_seconds", targets)} > 0) - time() < 7 * 24 * 3600`,
    for: "15m",
    severity: "warning",
    summary: "The certificate for clients expires within a week",
    description: ({ label }) =>
      `Clients with TLS will not connect to ${
        label("instance")
      } then. The proxy reads a new certificate by itself.`,
  },
  BuildkitdClientsTimedOut: {
    expr: ({ targets }) => ended(["timed_out", "queue_timeout"], targets),
    severity: "warning",
    summary: "Clients gave up, since no builder came in time",
    description: ({ builders }) => `Look at the pods of ${builders}.`,
  },
  BuildkitdClientsRefused: {
    expr: ({ targets }) => ended("limited", targets),
    severity: "warning",
    summary: "Clients are turned away at a limit",
    description: () => "More clients connect or wait than --max-connections or --max-held allow.",
  },
  BuildkitdClientsQueue: {
    expr: ({ targets }) => `sum(${series("sessions_queued", targets)}) > 0`,
    for: "15m",
    severity: "info",
    summary: "Clients queue all the time",
    description: () =>
      "All builders of a pool are full. More builders, or a higher --max-sessions-per-replica, shorten the queue.",
  },
  BuildkitdBroke: {
    expr: ({ targets }) => `sum(increase(${series("sessions_broken_total", targets)}[15m])) > 0`,
    severity: "warning",
    summary: "Builds ended since buildkitd broke",
    description: () => "Look for an end of the container by memory, and at its log before the restart.",
  },
  BuildkitdBuilderUnusable: {
    // What is stuck is remembered for 10 minutes, so a longer `for` would never fire for it.
    expr: ({ targets, cordoned }) =>
      `max by (builder, state) (${
        series("builder_state", `builder!~"${cordoned}",${targets}`, { state: ["missing", "stuck"] })
      }) == 1`,
    for: "5m",
    severity: "warning",
    summary: "A builder is missing or does not start",
    description: ({ label }) =>
      `${label("builder")} is ${label("state")}. The log of the autoscaler and /healthz?verbose say why.`,
  },
  BuildkitdColdStartSlow: {
    expr: ({ targets, slowSeconds }) =>
      `histogram_quantile(0.95, sum by (le) (rate(${
        buckets("cold_start_seconds", targets, { phase: "ready" })
      }[1h]))) > ${slowSeconds}`,
    for: "10m",
    severity: "info",
    summary: "Builders take long to start",
    description: ({ slowSeconds }) =>
      `One cold start in twenty takes more than ${slowSeconds} s. See where the time goes by the label phase; nodes ` +
      "and images that have to come are the usual cause.",
  },
  BuildkitdScalingStuck: {
    expr: ({ targets }) =>
      `(${series("replicas_desired", targets)} != ${series("replicas_observed", targets)}) ` +
      `and ignoring(builder) ${series("leader", targets)} == 1 ` +
      // Nothing follows from what an observer wants.
      `unless ignoring(builder) ${series("observes", targets)} == 1`,
    for: "10m",
    severity: "warning",
    summary: "The number of builders is not the one that is wanted",
    description: () => "The log of the autoscaler has the failed write, or what a scale-down waits for.",
  },
  BuildkitdReplicasContested: {
    expr: ({ targets }) =>
      `max by (builder) (increase(${series("replicas_changed_externally_total", targets)}[1h])) > 3`,
    severity: "warning",
    summary: "Somebody else writes the replica count again and again",
    description: ({ label }) =>
      `The count of ${label("builder")} was changed more than 3 times in an hour by no proxy. ` +
      "buildkitd-autoscaler check names the other writer.",
  },
  BuildkitdIdle: {
    expr: ({ targets, minReplicas }) =>
      `max by (builder) (${series("replicas_observed", targets)}) > ${minReplicas} ` +
      `and on (builder) sum by (builder) (${series("builder_sessions", targets)}) == 0 ` +
      // A short build is there and gone between two scrapes of the gauge.
      `unless on (builder) sum by (builder) (increase(${series("routed_total", targets)}[5m])) > 0 ` +
      // Nobody stops what is only observed.
      `unless on () max(${series("observes", targets)}) == 1`,
    for: ({ idleFor }) => idleFor,
    severity: "warning",
    summary: "A builder costs money, and nobody builds there",
    description: ({ label }) => `The log of the autoscaler says what keeps ${label("builder")}.`,
    notIfKept: true,
  },
};

/** Sessions that ended in one of these ways in the last quarter of an hour. */
function ended(outcome: Wanted<Outcome>, targets: string): string {
  return `sum(increase(${series("sessions_ended_total", targets, { outcome })}[15m])) > 0`;
}

/** The rules of a site, in the order of the table. */
export function alertRules(site: AlertSite): readonly AlertRule[] {
  return Object.entries(ALERTS).map(([name, { expr, for: wait, severity, summary, description }]) => {
    const holds = typeof wait === "function" ? wait(site) : wait;
    return {
      alert: name,
      expr: expr(site),
      ...(holds !== undefined && { for: holds }),
      labels: { severity, ...site.labels },
      annotations: {
        summary,
        description: description(site),
        runbook_url: `${RUNBOOKS}#${name.toLowerCase()}`,
      },
    };
  });
}
