/**
 * Every event of the log in one table: its code, its text, how much it matters at most, and what it means. The tables of
 * events in `docs/operations.md` are made from it. Alerts and tests match on codes, so a code never changes, and its
 * meaning stays what it is; the text may be worded better.
 *
 * @module
 */

/** How much a record matters, least first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = typeof LOG_LEVELS[number];

/** A row of the table. */
export interface LogEvent {
  /** The highest level at which it is logged. */
  readonly level: LogLevel;
  /** The event in words, always the same. */
  readonly text: string;
  /** What it means to an operator, in Markdown. */
  readonly meaning: string;
}

/** A row of a fault that lasts. Its end is an event of its own, at info, whose code ends in `_recovered`. */
export interface LogFault extends LogEvent {
  /** The end of the fault in words. */
  readonly recovered: string;
}

const debug = (text: string, meaning: string): LogEvent => ({ level: "debug", text, meaning });
const info = (text: string, meaning: string): LogEvent => ({ level: "info", text, meaning });
const warn = (text: string, meaning: string): LogEvent => ({ level: "warn", text, meaning });
const error = (text: string, meaning: string): LogEvent => ({ level: "error", text, meaning });
const fault = (text: string, recovered: string, meaning: string): LogFault => ({
  level: "warn",
  text,
  recovered,
  meaning,
});

const START = {
  settings_loaded: debug("settings loaded", "all settings in force"),
  flag_overridden: warn(
    "flag overridden by variable",
    "`cause` names the environment variable, `used` is the value in force",
  ),
  listening: info("listening", "addresses, target, cluster, source of the credentials, version"),
  ready: info("ready", "rights confirmed; the StatefulSet and an EndpointSlice of its Service were seen"),
  rights_check_failed: fault(
    "rights not confirmed",
    "rights confirmed",
    "not ready until then; `cause` says why",
  ),
  api_access_failed: fault(
    "no access to the Kubernetes API",
    "access to the Kubernetes API restored",
    "unreachable, no answer, or credentials refused; resulting failures are logged at debug only",
  ),
  statefulset_not_found: fault(
    "StatefulSet not found",
    "StatefulSet found",
    "no StatefulSet of that name in that namespace",
  ),
  endpointslice_not_found: fault(
    "headless Service has no EndpointSlice",
    "headless Service has an EndpointSlice",
    "no pod can be found; usually the Service does not exist",
  ),
  target_port_undeclared: fault(
    "target port not declared by the pod template",
    "target port declared by the pod template",
    "the containers declare other ports than `--target-port`; the program connects to it anyway",
  ),
  watch_failed: fault(
    "watch failed",
    "watch restored",
    "of `resource`: a right is missing, or the API server answers with an error",
  ),
  watch_restarted: debug("watch restarted", "of `resource`, and why"),
  credential_file_unreadable: fault(
    "credential file unreadable",
    "credential file readable again",
    "the program uses its last content",
  ),
  credentials_reloaded: info(
    "credentials reloaded",
    "after a 401 or a failed TLS handshake; `changed` lists `authority`, `kubeconfig`",
  ),
  credentials_not_sent: warn(
    "credentials not sent over plain HTTP",
    "the address of the API server begins with `http://`",
  ),
  server_certificate_unverified: warn(
    "API server certificate not verified",
    "`insecure-skip-tls-verify` is set",
  ),
  token_lifetime_short: warn(
    "service account token lifetime too short",
    "a proxy may lose its token during a drain; `then` names the lifetime to ask for",
  ),
  token_expires_in_drain: warn(
    "token may expire before the drain ends",
    "this proxy's record is now valid for the rest of its [drain](several-proxies.md#when-the-token-ends-during-a-drain)",
  ),
} satisfies Readonly<Record<string, LogEvent>>;

const SCALING = {
  scaled: info("scaled", "a write of the count, see [above](#the-scale-line)"),
  scaling_failed: fault("scaling failed", "scaling recovered", "reading or writing the count failed"),
  replicas_changed_externally: info(
    "replicas changed by another client",
    "`from` and `to`; no proxy has written this count",
  ),
  replicas_changed_by_proxy: debug("replicas changed by another proxy", "`from` and `to`"),
  replicas_claimed: debug("replicas claimed", "the count was written without a change, to own it"),
  field_manager_removed: debug(
    "field manager removed",
    "one of many owners of an unchanged count was removed from `managedFields`",
  ),
  field_managers_removal_failed: debug("cannot remove field managers", "retried later"),
  pod_observed: debug("pod observed", "in an EndpointSlice, with its conditions"),
  pod_verified: debug("pod verified", "`alive`: whether a suspect pod survived a scale-down"),
  pod_connection_failed: fault(
    "cannot connect to a ready pod",
    "connected to a ready pod again",
    "a connection attempt failed; the session stays held",
  ),
  pod_health_check_passed: debug("pod passed its first health check", "the pod gets sessions"),
  pod_health_unsupported: warn(
    "pod has no gRPC health service",
    "from now on the pod's condition decides",
  ),
  pod_health_check_failed: fault(
    "pod does not answer health checks",
    "pod answers health checks again",
    "the pod gets no new sessions",
  ),
} satisfies Readonly<Record<string, LogEvent>>;

const CLIENTS = {
  session_opened: debug("session opened", "a client has connected"),
  session_ended: warn("session ended", "see [above](#the-session-line)"),
  session_failed: error("session failed", "an error of this program ended a session: please report it"),
  held_limit_reached: fault(
    "held sessions limit reached",
    "held sessions below their limit again",
    "`--max-held`: further sessions are refused",
  ),
  connection_limit_reached: fault(
    "connection limit reached",
    "connections below their limit again",
    "`--max-connections`, or what the file descriptors allow: further connections are refused",
  ),
  accept_failed: fault(
    "cannot accept connections",
    "accepting connections again",
    "no file descriptors or no memory left; the program keeps trying",
  ),
  admin_accept_failed: fault(
    "cannot accept connections on the admin port",
    "accepting connections on the admin port again",
    "the same, for the admin port",
  ),
  descriptors_counted: info(
    "file descriptors counted",
    "`free` ones, counted up to 4200 at a time; `--max-connections` needs `wanted`",
  ),
  descriptors_insufficient: warn(
    "too few file descriptors",
    "`sessions` is the limit, `then` says what to raise: [file descriptors](#file-descriptors)",
  ),
} satisfies Readonly<Record<string, LogEvent>>;

const PROXIES = {
  joined: info("joined the other proxies", "also when this proxy is the only one"),
  join_failed: fault(
    "cannot join the other proxies",
    "able to join the other proxies again",
    "usually a right on Leases is missing",
  ),
  record_renewal_failed: fault(
    "cannot renew this proxy's record",
    "renewing this proxy's record again",
    "usually a right on Leases is missing",
  ),
  leader_changed: info("leader changed", "`leader` scales down from now on; `self` if it is this proxy"),
  leader_lost: info("no leader", "no proxy scales down now"),
  election_failed: fault(
    "leader election failed",
    "leader election restored",
    "usually a right on Leases is missing",
  ),
  lease_release_failed: debug("cannot release the leader's Lease", "another proxy leads when it expires"),
  consent_missing: debug("consent missing", "`silent` proxies did not agree to a scale-down in time"),
  records_cleanup_failed: debug("cannot clean up stale records", "retried later"),
  proxy_cut_off: warn(
    "cut off from the Kubernetes API",
    "for longer than `--record-expiry`; `then` says what happens to new connections",
  ),
  own_record_deleted: warn("this proxy's record was deleted", "the proxy joins again"),
  own_record_expired: warn("this proxy's record expired", "not renewed in time; the proxy joins again"),
  own_record_deletion_failed: warn(
    "cannot delete this proxy's record",
    "at its end; the others wait until the record expires",
  ),
  stale_record_deleted: info("stale record deleted", "cleaning up after a proxy that has ended"),
  predecessor_record_deleted: info(
    "record of the pod's previous container deleted",
    "cleaning up after the container's restart",
  ),
  resource_versions_regressed: error(
    "resourceVersions regressed",
    "the API's data was [restored from a backup](several-proxies.md#when-the-apis-data-is-restored-from-a-backup)",
  ),
  leases_forbidden: error("access to Leases forbidden", "this proxy has to stay the only one"),
} satisfies Readonly<Record<string, LogEvent>>;

const PROGRAM = {
  shutdown_started: info("shutting down", "see [shutdown](#shutdown)"),
  sessions_cut: warn("sessions cut", "see [shutdown](#shutdown)"),
  program_ended: info("program ended", "see [shutdown](#shutdown)"),
  log_records_dropped: warn("log records dropped", "nobody read standard error for a while"),
  internal_error: error("internal error", "a bug: please report it with its `stack`; the program continues"),
  component_failed: error("component failed", "a bug, or a state in which it cannot continue: see below"),
  fatal_error: error("fatal error", "the program ends with exit code 1"),
} satisfies Readonly<Record<string, LogEvent>>;

/** The table, by topic: the title, and code to event. The end of a fault is a part of its row. */
export const EVENT_TOPICS:
  readonly (readonly [title: string, Readonly<Record<string, LogEvent | LogFault>>])[] = [
    ["Start and access to the cluster", START],
    ["Scaling and pods", SCALING],
    ["Clients", CLIENTS],
    ["Several proxies", PROXIES],
    ["The program itself", PROGRAM],
  ];

/** All rows, by code. {@link EVENTS} has the ends of faults as well. */
export const EVENT_ROWS = { ...START, ...SCALING, ...CLIENTS, ...PROXIES, ...PROGRAM };

/** The code of a fault that lasts, for a `CauseLog`. */
export type FaultCode = {
  [Code in keyof typeof EVENT_ROWS]: typeof EVENT_ROWS[Code] extends LogFault ? Code : never;
}[keyof typeof EVENT_ROWS];
/** The code of an event. */
export type EventCode = keyof typeof EVENT_ROWS | `${FaultCode}_recovered`;

/** Code to event, with the ends of faults. */
export const EVENTS: Readonly<Record<EventCode, LogEvent>> = Object.fromEntries(
  Object.entries(EVENT_ROWS).flatMap(([code, event]: [string, LogEvent | LogFault]) =>
    "recovered" in event ? [[code, event], [`${code}_recovered`, endOf(code, event)]] : [[code, event]]
  ),
) as Record<EventCode, LogEvent>;

function endOf(code: string, { recovered }: LogFault): LogEvent {
  return info(recovered, `the end of \`${code}\``);
}
