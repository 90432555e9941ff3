/**
 * The one table of settings. A row has a flag, its variable, type, bounds, default, topic, help and chart value. The
 * {@link Settings} type, parsing (`parse_settings.ts`), `--help`, shell completions, docs/settings.md and parts of the
 * chart are made from it.
 *
 * @module
 */
import { LOG_LEVELS } from "../base/events.ts";
import { builderList, builderNames, doorList } from "./builder_list.ts";
import { parseIpNetwork } from "./ip_networks.ts";
import { perPool } from "./per_pool.ts";
import { price } from "./price.ts";
import {
  address,
  addressOrOff,
  boolean,
  choice,
  duration,
  integer,
  label,
  list,
  subdomain,
  text,
  type ValueType,
} from "./value_types.ts";
import { MOST_REPLICAS, warmWindows } from "./warm_windows.ts";

/** The topics of `--help` and docs/settings.md, in their order. */
export const TOPICS = {
  proxy: "Proxy",
  entrance: "TLS and load balancers",
  target: "Scale target",
  scaling: "Scaling and waiting",
  builders: "Many builders",
  kubernetes: "Access to Kubernetes",
  proxies: "Several proxies",
  shutdown: "Shutdown",
  operations: "Logs, Events, health and metrics",
} as const;
/** A key of {@link TOPICS}. */
export type Topic = keyof typeof TOPICS;

/** The value of the chart that sets a setting. */
export interface ChartValue {
  /** Its key in `autoscaler.autoscalerConfig`. */
  readonly key: string;
  /** The chart's default, if it differs from the program's. */
  readonly default?: string;
}

/** One row of the table. */
export interface Setting<T> {
  /** With its dashes. */
  readonly flag: `--${string}`;
  /** The environment variable, which overrides the flag. */
  readonly variable: string;
  /** How the text is parsed and checked. */
  readonly type: ValueType<T>;
  /** The default as a user would write it, if there is one. */
  readonly default: string | undefined;
  /** The topic in `--help`. */
  readonly topic: Topic;
  /** One phrase in lower case, without the default. */
  readonly help: string;
  /** The chart's value that sets it. The chart sets the settings of the StatefulSet itself. */
  readonly chart?: ChartValue;
}

/** Infers the type of a row's value. */
function row<T>(setting: Setting<T>): Setting<T> {
  return setting;
}

/** The variable of a new setting is `AUTOSCALER_<FLAG>`. Some settings keep an older name. */
export const PREFIX = "AUTOSCALER_";

/** The table: the key in {@link Settings} to its row. Keys of durations end in `Ms`. */
export const SETTINGS = {
  listenAddr: row({
    flag: "--listen-addr",
    variable: "PROXY_LISTEN_ADDR",
    type: addressOrOff,
    default: ":8080",
    topic: "proxy",
    help: "where BuildKit clients connect without TLS, or off",
    chart: { key: "proxyListenAddr", default: ":8372" },
  }),
  connectTimeoutMs: row({
    flag: "--connect-timeout",
    variable: "AUTOSCALER_CONNECT_TIMEOUT",
    type: duration(1),
    default: "5s",
    topic: "proxy",
    help: "timeout of one TCP connection attempt to buildkitd",
    chart: { key: "connectTimeout" },
  }),
  maxConnections: row({
    flag: "--max-connections",
    variable: "AUTOSCALER_MAX_CONNECTIONS",
    type: integer(1, 1_000_000),
    default: "10000",
    topic: "proxy",
    help: "maximum of open connections, including held ones; more are refused",
    chart: { key: "maxConnections" },
  }),
  maxHeld: row({
    flag: "--max-held",
    variable: "AUTOSCALER_MAX_HELD",
    type: integer(1, 1_000_000),
    default: "1000",
    topic: "proxy",
    help: "maximum of connections that wait for one builder, or in one queue; more are refused",
    chart: { key: "maxHeld" },
  }),
  answerHttp: row({
    flag: "--answer-http",
    variable: "AUTOSCALER_ANSWER_HTTP",
    type: boolean,
    default: "true",
    topic: "proxy",
    help: "answer HTTP/1.1 on the clients' addresses: what this is, and POST /wake",
    chart: { key: "answerHttp" },
  }),
  upstream: row({
    flag: "--upstream",
    variable: "AUTOSCALER_UPSTREAM",
    type: choice("how", ["auto", "slices", "dns", "port-forward"]),
    default: "auto",
    topic: "proxy",
    help:
      "how to reach pods: by address (slices), DNS name or API server (port-forward), or by whichever works (auto)",
    chart: { key: "upstream" },
  }),
  clusterDomain: row({
    flag: "--cluster-domain",
    variable: "AUTOSCALER_CLUSTER_DOMAIN",
    type: subdomain,
    default: "cluster.local",
    topic: "proxy",
    help: "DNS domain of the cluster, for --upstream dns",
    chart: { key: "clusterDomain" },
  }),
  upstreamTlsCa: row({
    flag: "--upstream-tls-ca",
    variable: "AUTOSCALER_UPSTREAM_TLS_CA",
    type: text("file"),
    default: undefined,
    topic: "proxy",
    help: "PEM file with the CAs of buildkitd's certificate; the proxy then speaks TLS to buildkitd",
  }),
  upstreamTlsCert: row({
    flag: "--upstream-tls-cert",
    variable: "AUTOSCALER_UPSTREAM_TLS_CERT",
    type: text("file"),
    default: undefined,
    topic: "proxy",
    help: "client certificate for buildkitd, PEM, with the key of --upstream-tls-key",
  }),
  upstreamTlsKey: row({
    flag: "--upstream-tls-key",
    variable: "AUTOSCALER_UPSTREAM_TLS_KEY",
    type: text("file"),
    default: undefined,
    topic: "proxy",
    help: "private key of --upstream-tls-cert, PEM, not encrypted",
  }),
  upstreamTlsServerName: row({
    flag: "--upstream-tls-server-name",
    variable: "AUTOSCALER_UPSTREAM_TLS_SERVER_NAME",
    type: text("name"),
    default: undefined,
    topic: "proxy",
    help: "name that buildkitd's certificate must be for; without it: <headless service>.<namespace>.svc",
  }),
  tlsListenAddr: row({
    flag: "--tls-listen-addr",
    variable: "AUTOSCALER_TLS_LISTEN_ADDR",
    type: addressOrOff,
    default: "off",
    topic: "entrance",
    help: "where BuildKit clients connect with TLS, or off",
  }),
  tlsCert: row({
    flag: "--tls-cert",
    variable: "AUTOSCALER_TLS_CERT",
    type: text("file"),
    default: undefined,
    topic: "entrance",
    help: "PEM certificate that the proxy shows, with its intermediates; read again when it changes",
  }),
  tlsKey: row({
    flag: "--tls-key",
    variable: "AUTOSCALER_TLS_KEY",
    type: text("file"),
    default: undefined,
    topic: "entrance",
    help: "PEM key of that certificate; read again when it changes",
  }),
  tlsClientCa: row({
    flag: "--tls-client-ca",
    variable: "AUTOSCALER_TLS_CLIENT_CA",
    type: text("file"),
    default: undefined,
    topic: "entrance",
    help:
      "PEM certificates of the authorities of clients: with it, clients need a certificate of one of them",
  }),
  tlsClientNames: row({
    flag: "--tls-client-names",
    variable: "AUTOSCALER_TLS_CLIENT_NAMES",
    type: list("name", "ci.example.org,spiffe://example.org/ci", (name) => name || undefined, String),
    default: undefined,
    topic: "entrance",
    help:
      "clients that may connect, by an exact alternative name of their certificate, or its common name if it has no " +
      "alternative names",
  }),
  proxyProtocol: row({
    flag: "--proxy-protocol",
    variable: "AUTOSCALER_PROXY_PROTOCOL",
    type: choice("what", ["off", "require"]),
    default: "off",
    topic: "entrance",
    help: "whether connections of load balancers must begin with a PROXY header, version 1 or 2",
  }),
  proxyProtocolFrom: row({
    flag: "--proxy-protocol-from",
    variable: "AUTOSCALER_PROXY_PROTOCOL_FROM",
    type: list("network", "10.0.0.0/8,2001:db8::/32", parseIpNetwork, ({ text }) => text),
    default: undefined,
    topic: "entrance",
    help: "networks of the load balancers that send the header; from elsewhere it is not read",
  }),
  stsName: row({
    flag: "--sts-name",
    variable: "BUILDKITD_STATEFULSET_NAME",
    type: subdomain,
    default: "buildkitd",
    topic: "target",
    help: "StatefulSet that runs buildkitd",
  }),
  stsNamespace: row({
    flag: "--sts-namespace",
    variable: "BUILDKITD_STATEFULSET_NAMESPACE",
    type: label,
    default: "default",
    topic: "target",
    help: "its namespace (the namespace of the kubeconfig context is not used)",
  }),
  headlessServiceName: row({
    flag: "--headless-service-name",
    variable: "BUILDKITD_HEADLESS_SERVICE_NAME",
    type: label,
    default: "buildkitd-headless",
    topic: "target",
    help: "its headless Service",
  }),
  targetPort: row({
    flag: "--target-port",
    variable: "BUILDKITD_TARGET_PORT",
    type: integer(1, 65535),
    default: "8372",
    topic: "target",
    help: "port of buildkitd in the pod",
  }),
  idleTimeoutMs: row({
    flag: "--idle-timeout",
    variable: "SCALE_DOWN_IDLE_TIMEOUT",
    type: perPool(duration(0), "2m0s"),
    default: "2m0s",
    topic: "scaling",
    help: "scale down after this long without a connection",
    chart: { key: "scaleDownIdleTimeout" },
  }),
  readyWaitTimeoutMs: row({
    flag: "--ready-wait-timeout",
    variable: "READY_WAIT_TIMEOUT",
    type: perPool(duration(1), "5m0s"),
    default: "5m0s",
    topic: "scaling",
    help: "maximum time that a connection waits for buildkitd",
    chart: { key: "readyWaitTimeout" },
  }),
  minReplicas: row({
    flag: "--min-replicas",
    variable: "AUTOSCALER_MIN_REPLICAS",
    type: perPool(integer(0, MOST_REPLICAS), "0"),
    default: "0",
    topic: "scaling",
    help: "replicas to keep while no client is connected",
    chart: { key: "minReplicas" },
  }),
  wakeOn: row({
    flag: "--wake-on",
    variable: "AUTOSCALER_WAKE_ON",
    type: choice("what", ["connect", "data"]),
    default: "connect",
    topic: "scaling",
    help: "what starts buildkitd: a connection, or its first byte (so that a TCP check does not)",
    chart: { key: "wakeOn" },
  }),
  maxWakeForMs: row({
    flag: "--max-wake-for",
    variable: "AUTOSCALER_MAX_WAKE_FOR",
    type: duration(0),
    default: "8h0m0s",
    topic: "scaling",
    help: "longest time for which POST /wake?for= keeps buildkitd awake; 0 turns ?for= off",
    chart: { key: "maxWakeFor" },
  }),
  observe: row({
    flag: "--observe",
    variable: "AUTOSCALER_OBSERVE",
    type: boolean,
    default: "false",
    topic: "scaling",
    help: "write no replica count: carry connections to what runs, and tell what would be done and saved",
    chart: { key: "observe" },
  }),
  readiness: row({
    flag: "--readiness",
    variable: "AUTOSCALER_READINESS",
    type: choice("mode", ["auto", "pod", "grpc"]),
    default: "auto",
    topic: "scaling",
    help: "when a pod is ready: by its condition, buildkitd's health service, or whichever is first",
    chart: { key: "readiness" },
  }),
  warm: row({
    flag: "--warm",
    variable: "AUTOSCALER_WARM",
    type: warmWindows,
    default: undefined,
    topic: "scaling",
    help: "times at which to keep replicas without clients, as Mon-Fri 07:00-19:00 Europe/Berlin=1",
    chart: { key: "warm", default: "" },
  }),
  builders: row({
    flag: "--builders",
    variable: "AUTOSCALER_BUILDERS",
    type: builderList,
    default: undefined,
    topic: "builders",
    help: "StatefulSets that run buildkitd, as name, pool/name or pool/name@service, instead of --sts-name",
  }),
  listeners: row({
    flag: "--listeners",
    variable: "AUTOSCALER_LISTENERS",
    type: doorList,
    default: undefined,
    topic: "builders",
    help: "addresses of single projects and pools, as project team-a=:8401, pool arm64=:8373",
  }),
  cordoned: row({
    flag: "--cordoned",
    variable: "AUTOSCALER_CORDONED",
    type: builderNames,
    default: undefined,
    topic: "builders",
    help: "builders that take no new connections",
  }),
  maxReplicas: row({
    flag: "--max-replicas",
    variable: "AUTOSCALER_MAX_REPLICAS",
    type: integer(1, 500),
    default: "1",
    topic: "builders",
    help: "maximum of replicas of each builder",
  }),
  sessionsPerReplica: row({
    flag: "--sessions-per-replica",
    variable: "AUTOSCALER_SESSIONS_PER_REPLICA",
    type: perPool(integer(0, 1_000_000), "4"),
    default: "4",
    topic: "builders",
    help: "connections to a replica beyond which another one is used; 0 means no such target",
    chart: { key: "sessionsPerReplica" },
  }),
  maxSessionsPerReplica: row({
    flag: "--max-sessions-per-replica",
    variable: "AUTOSCALER_MAX_SESSIONS_PER_REPLICA",
    type: perPool(integer(0, 1_000_000), "0"),
    default: "0",
    topic: "builders",
    help: "connections to a replica beyond which clients queue; 0 means no limit",
    chart: { key: "maxSessionsPerReplica" },
  }),
  queueTimeoutMs: row({
    flag: "--queue-timeout",
    variable: "AUTOSCALER_QUEUE_TIMEOUT",
    type: perPool(duration(1), "1h0m0s"),
    default: "1h0m0s",
    topic: "builders",
    help: "maximum time that a connection queues while all builders are full",
    chart: { key: "queueTimeout" },
  }),
  placement: row({
    flag: "--placement",
    variable: "AUTOSCALER_PLACEMENT",
    type: choice("policy", ["affinity", "packed", "least-sessions", "round-robin"]),
    default: "affinity",
    topic: "builders",
    help: "which builder a connection prefers: its project's, the first, the least used or the next",
    chart: { key: "placement" },
  }),
  affinityPatienceMs: row({
    flag: "--affinity-patience",
    variable: "AUTOSCALER_AFFINITY_PATIENCE",
    type: duration(0),
    default: "0s",
    topic: "builders",
    help:
      "how long a connection waits for its project's builder while others are free; 0 means until it is stuck",
    chart: { key: "affinityPatience" },
  }),
  overflow: row({
    flag: "--overflow",
    variable: "AUTOSCALER_OVERFLOW",
    type: choice("when", ["full", "never"]),
    default: "full",
    topic: "builders",
    help: "whether a connection may use another builder when its project's is full",
    chart: { key: "overflow" },
  }),
  sessionIdleTimeoutMs: row({
    flag: "--session-idle-timeout",
    variable: "AUTOSCALER_SESSION_IDLE_TIMEOUT",
    type: duration(0),
    default: "0s",
    topic: "proxy",
    help:
      "close connections without traffic for this long; 0 means never (15m is safe: running builds send data more often)",
    chart: { key: "sessionIdleTimeout" },
  }),
  kubeconfig: row({
    flag: "--kubeconfig",
    variable: "KUBECONFIG_PATH",
    type: text("file"),
    default: undefined,
    topic: "kubernetes",
    help: "kubeconfig file; without it: the pod's service account, else KUBECONFIG, else ~/.kube/config",
  }),
  context: row({
    flag: "--context",
    variable: "AUTOSCALER_CONTEXT",
    type: text("name"),
    default: undefined,
    topic: "kubernetes",
    help: "context of the kubeconfig instead of its current one",
  }),
  whenCutOff: row({
    flag: "--when-cut-off",
    variable: "AUTOSCALER_WHEN_CUT_OFF",
    type: choice("what", ["serve", "hold"]),
    default: "serve",
    topic: "proxies",
    help: "what happens to new connections after the Kubernetes API was unreachable for --record-expiry",
    chart: { key: "whenCutOff" },
  }),
  recordExpiryMs: row({
    flag: "--record-expiry",
    variable: "AUTOSCALER_RECORD_EXPIRY",
    type: duration(10_000),
    default: "5m0s",
    topic: "proxies",
    help: "other proxies treat a proxy as dead if it has not renewed its record for this long",
    chart: { key: "recordExpiry" },
  }),
  leaseDurationMs: row({
    flag: "--lease-duration",
    variable: "AUTOSCALER_LEASE_DURATION",
    type: duration(1_000),
    default: "15s",
    topic: "proxies",
    help: "another proxy may become leader if the Lease was not renewed for this long",
    chart: { key: "leaseDuration" },
  }),
  renewDeadlineMs: row({
    flag: "--renew-deadline",
    variable: "AUTOSCALER_RENEW_DEADLINE",
    type: duration(1_000),
    default: "10s",
    topic: "proxies",
    help: "a leader that cannot renew its Lease for this long steps down",
    chart: { key: "renewDeadline" },
  }),
  retryPeriodMs: row({
    flag: "--retry-period",
    variable: "AUTOSCALER_RETRY_PERIOD",
    type: duration(100),
    default: "2s",
    topic: "proxies",
    help: "time between attempts to become leader or to renew the Lease",
    chart: { key: "retryPeriod" },
  }),
  shutdownDelayMs: row({
    flag: "--shutdown-delay",
    variable: "AUTOSCALER_SHUTDOWN_DELAY",
    type: duration(0),
    default: "5s",
    topic: "shutdown",
    help: "time between becoming unready and closing the listener",
    chart: { key: "shutdownDelay" },
  }),
  drainTimeoutMs: row({
    flag: "--drain-timeout",
    variable: "AUTOSCALER_DRAIN_TIMEOUT",
    type: duration(0),
    default: "1h0m0s",
    topic: "shutdown",
    help: "maximum time for running connections after --shutdown-delay; 0 means no limit",
    chart: { key: "drainTimeout" },
  }),
  logLevel: row({
    flag: "--log-level",
    variable: "LOG_LEVEL",
    type: choice("level", LOG_LEVELS),
    default: "info",
    topic: "operations",
    help: "lowest level of log records to write",
    chart: { key: "logLevel", default: "debug" },
  }),
  logFormat: row({
    flag: "--log-format",
    variable: "AUTOSCALER_LOG_FORMAT",
    type: choice("format", ["auto", "text", "json"]),
    default: "auto",
    topic: "operations",
    help: "auto means text on a terminal and JSON lines elsewhere",
    chart: { key: "logFormat" },
  }),
  events: row({
    flag: "--events",
    variable: "AUTOSCALER_EVENTS",
    type: boolean,
    default: "true",
    topic: "operations",
    help: "write Kubernetes Events about the StatefulSets",
    chart: { key: "events" },
  }),
  adminAddr: row({
    flag: "--admin-addr",
    variable: "AUTOSCALER_ADMIN_ADDR",
    type: address,
    default: ":8081",
    topic: "operations",
    help: "where the status page, /livez, /readyz and /metrics are served",
    chart: { key: "adminAddr" },
  }),
  pricePerHour: row({
    flag: "--price-per-hour",
    variable: "AUTOSCALER_PRICE_PER_HOUR",
    type: price,
    default: undefined,
    topic: "operations",
    help: "what a pod of buildkitd costs in an hour, as 0.34 or 0.34 EUR, to show what was saved",
    chart: { key: "pricePerHour", default: "" },
  }),
} as const;

/** A key of {@link SETTINGS}. */
export type SettingKey = keyof typeof SETTINGS;

/** The type of a row's value. */
export type ValueOf<Row> = Row extends Setting<infer T> ? T : never;

/** The values of all settings, as the program uses them. */
export type Settings = { readonly [Key in SettingKey]: ValueOf<typeof SETTINGS[Key]> };

/** The rows of the table with their keys, in its order. */
export function settingRows(): readonly (readonly [SettingKey, Setting<unknown>])[] {
  return Object.entries(SETTINGS) as unknown as readonly [SettingKey, Setting<unknown>][];
}

/**
 * Settings by flag (without its dashes) as a user would write them, for the log. Settings without a value are left out.
 */
export function settingsAsText(settings: Settings): Readonly<Record<string, string>> {
  const given = settingRows().filter(([key]) => settings[key] !== undefined);
  return Object.fromEntries(
    given.map(([key, { flag, type }]) => [flag.slice(2), type.format(settings[key])]),
  );
}
