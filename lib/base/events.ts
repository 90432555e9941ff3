/**
 * Every event of the log in one table: its code, its text, the highest level it is logged at, and what it means. The
 * tables of events in `docs/operations.md` are made from it, without those that are logged at debug only. Alerts and tests
 * match on codes, so a code never changes, and its meaning stays what it is; the text may be worded better.
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

/** The table: the title of a topic, code, event. The end of a fault is a part of its row. */
export const EVENT_TOPICS = {
  "Start and access to the cluster": {
    settings_loaded: { level: "debug", text: "settings loaded", meaning: "all settings in force" },
    flag_overridden: {
      level: "warn",
      text: "flag overridden by variable",
      meaning: "`cause` names the environment variable, `used` is the value in force",
    },
    listening: {
      level: "info",
      text: "listening",
      meaning: "addresses, target, cluster, source of the credentials, version",
    },
    ready: {
      level: "info",
      text: "ready",
      meaning: "rights confirmed; the StatefulSet and an EndpointSlice of its Service were seen",
    },
    rights_check_failed: {
      level: "warn",
      text: "rights not confirmed",
      recovered: "rights confirmed",
      meaning: "the program is unready until the rights suffice; `cause` says what is missing",
    },
    api_access_failed: {
      level: "warn",
      text: "no access to the Kubernetes API",
      recovered: "access to the Kubernetes API restored",
      meaning: "unreachable, no answer, or credentials refused; resulting failures are logged at debug only",
    },
    statefulset_not_found: {
      level: "warn",
      text: "StatefulSet not found",
      recovered: "StatefulSet found",
      meaning: "no StatefulSet of that name in that namespace",
    },
    endpointslice_not_found: {
      level: "warn",
      text: "headless Service has no EndpointSlice",
      recovered: "headless Service has an EndpointSlice",
      meaning: "no pod can be found; usually the Service does not exist",
    },
    target_port_undeclared: {
      level: "warn",
      text: "target port not declared by the pod template",
      recovered: "target port declared by the pod template",
      meaning: "the containers declare other ports than `--target-port`; the program connects to it anyway",
    },
    watch_failed: {
      level: "warn",
      text: "watch failed",
      recovered: "watch restored",
      meaning: "of `resource`: a right is missing, or the API server answers with an error",
    },
    watch_restarted: { level: "debug", text: "watch restarted", meaning: "of `resource`, and why" },
    credential_file_unreadable: {
      level: "warn",
      text: "credential file unreadable",
      recovered: "credential file readable again",
      meaning: "the program uses its last content",
    },
    credentials_reloaded: {
      level: "info",
      text: "credentials reloaded",
      meaning: "after a 401 or a failed TLS handshake; `changed` lists `authority`, `kubeconfig`",
    },
    credentials_not_sent: {
      level: "warn",
      text: "credentials not sent over plain HTTP",
      meaning: "the address of the API server begins with `http://`",
    },
    api_server_certificate_unverified: {
      level: "warn",
      text: "API server certificate not verified",
      meaning: "`insecure-skip-tls-verify` is set",
    },
    token_lifetime_short: {
      level: "warn",
      text: "service account token lifetime too short",
      meaning: "a proxy may lose its token during a drain; `then` names the lifetime to ask for",
    },
    token_expires_in_drain: {
      level: "warn",
      text: "token may expire before the drain ends",
      meaning:
        "this proxy's record is now valid for the rest of its [drain](several-proxies.md#when-the-token-ends-during-a-drain)",
    },
  },
  "Scaling and pods": {
    scaled: { level: "info", text: "scaled", meaning: "a write of the count, see [above](#the-scale-line)" },
    observing: {
      level: "info",
      text: "observing only",
      meaning: "at start with [`--observe`](observe.md): this proxy writes no count and wakes nothing",
    },
    pool_cordoned: {
      level: "warn",
      text: "all builders of the pool are cordoned",
      meaning: "at start: `--cordoned` leaves `pool` no builder that takes new sessions, so they are refused",
    },
    home_cordoned: {
      level: "warn",
      text: "cordoned builders are homes of projects",
      meaning:
        "at start: `--overflow never` lets the projects of these `builders` use no other, so their builds are refused",
    },
    would_scale: {
      level: "info",
      text: "would scale",
      meaning:
        "with [`--observe`](observe.md): a change of the count that was not made, with the fields of `scaled`",
    },
    wake_withheld: {
      level: "warn",
      text: "builder not woken in observe mode",
      recovered: "the builder runs, or nobody waits for it any more",
      meaning: "with `--observe`: clients wait for a pod that nobody starts; `cause` says what to do",
    },
    observer_waits: {
      level: "info",
      text: "observer waits for a proxy that scales",
      meaning:
        "with `--observe`: at most `forMs`, until the `proxies` that scale have gone (a minute at least) or the StatefulSet has changed",
    },
    scaling_failed: {
      level: "warn",
      text: "scaling failed",
      recovered: "scaling recovered",
      meaning: "reading or writing the count failed",
    },
    replicas_changed_externally: {
      level: "info",
      text: "replicas changed by another client",
      meaning:
        "`from` and `to`; no proxy has written this count; `wanted`, if it is less than what this proxy has in use",
    },
    replicas_changed_by_proxy: {
      level: "debug",
      text: "replicas changed by another proxy",
      meaning: "`from` and `to`",
    },
    replicas_claimed: {
      level: "debug",
      text: "replicas claimed",
      meaning: "the count was written without a change, to own it",
    },
    builder_kept_awake: {
      level: "info",
      text: "builder kept awake",
      meaning: "for `forMs`, by [`POST /wake?for=`](wake.md#keep-a-builder-awake)",
    },
    field_manager_removed: {
      level: "debug",
      text: "field manager removed",
      meaning: "one of many owners of an unchanged count was removed from `managedFields`",
    },
    field_manager_removal_failed: {
      level: "debug",
      text: "cannot remove field managers",
      meaning: "retried later",
    },
    replicas_raised_again: {
      level: "warn",
      text: "replicas raised again by another client",
      meaning: "within one idle timeout of a scale-down, `times` times in a row: they now stay for `keptMs`",
    },
    cold_start_ended: {
      level: "info",
      text: "cold start ended",
      meaning:
        "after the first client came, this proxy raised the count after `raisedMs`, and a pod was ready after `readyMs`",
    },
    pod_late: {
      level: "warn",
      text: "pod not ready for long",
      recovered: "no pod is awaited for long",
      meaning:
        "a pod that the count or clients want takes no session for 30 s, or is `stuck`; `waiting` clients of this proxy wait",
    },
    pod_observed: {
      level: "debug",
      text: "pod observed",
      meaning: "in an EndpointSlice, with its conditions",
    },
    suspect_pod_checked: {
      level: "debug",
      text: "suspect pod checked",
      meaning: "`alive`: whether the API server shows it without a deletion",
    },
    upstream_selected: {
      level: "info",
      text: "way to the pods selected",
      meaning:
        "outside a cluster with `--upstream auto`: `upstream` is `slices` or `port-forward`, `cause` says why",
    },
    port_forward_failed: {
      level: "warn",
      text: "port-forward failed",
      recovered: "port-forward works again",
      meaning:
        "neither sessions nor health checks reach pods; `cause` names a missing permission, or what is on the way",
    },
    port_forward_broken: {
      level: "warn",
      text: "port-forward broke",
      meaning:
        "the session in it has ended: the API server, or something on the way, cut it off, as `cause` says",
    },
    pod_connection_failed: {
      level: "warn",
      text: "cannot connect to a ready pod",
      recovered: "connected to a ready pod again",
      meaning: "a connection attempt failed; the session stays held",
    },
    pod_health_check_passed: {
      level: "debug",
      text: "pod passed its first health check",
      meaning: "the pod gets sessions",
    },
    pod_health_unsupported: {
      level: "warn",
      text: "pod has no gRPC health service",
      meaning:
        "from now on the pod's condition decides; with `--readiness grpc` the pod gets no sessions until it answers SERVING",
    },
    pod_health_check_failed: {
      level: "warn",
      text: "pod does not answer health checks",
      recovered: "pod answers health checks again",
      meaning: "the pod gets no new sessions",
    },
  },
  Clients: {
    session_opened: { level: "debug", text: "session opened", meaning: "a client has connected" },
    session_ended: { level: "warn", text: "session ended", meaning: "see [above](#the-session-line)" },
    session_failed: {
      level: "error",
      text: "session failed",
      meaning: "an error of this program ended a session: please report it",
    },
    http_answered: {
      level: "debug",
      text: "HTTP request answered",
      meaning: "on the address of the clients, by the proxy itself",
    },
    wake_ended: {
      level: "info",
      text: "wake request ended",
      meaning:
        "a [`POST /wake`](wake.md): `outcome`, the `builder`, and how long it took; `reason` if the builder does not serve",
    },
    session_queued: {
      level: "info",
      text: "session queued",
      meaning: "every builder that it may use is at `--max-sessions-per-replica`; `queued` sessions wait now",
    },
    queue_slow: {
      level: "warn",
      text: "session queued for long",
      recovered: "no session queued for long",
      meaning: "the oldest session of a pool has been queued for 1m0s; `builder` is its home",
    },
    held_limit_reached: {
      level: "warn",
      text: "held sessions limit reached",
      recovered: "held sessions below their limit again",
      meaning: "`--max-held`: further sessions are refused",
    },
    connection_limit_reached: {
      level: "warn",
      text: "connection limit reached",
      recovered: "connections below their limit again",
      meaning: "`--max-connections`, or what the file descriptors allow: further connections are refused",
    },
    accept_failed: {
      level: "warn",
      text: "cannot accept connections",
      recovered: "accepting connections again",
      meaning: "no file descriptors or no memory left; the program keeps trying",
    },
    admin_accept_failed: {
      level: "warn",
      text: "cannot accept connections on the admin port",
      recovered: "accepting connections on the admin port again",
      meaning: "the same, for the admin port",
    },
    descriptors_counted: {
      level: "debug",
      text: "enough file descriptors",
      meaning: "for `sessions` at a time; more are counted when more come, up to `--max-connections`",
    },
    descriptors_insufficient: {
      level: "warn",
      text: "too few file descriptors",
      meaning: "`sessions` is the limit, `then` says what to raise: [file descriptors](#file-descriptors)",
    },
  },
  "TLS and load balancers": {
    connection_rejected: {
      level: "info",
      text: "connection rejected before its session",
      meaning:
        "the TLS handshake or the PROXY header failed: `cause` says why, `from` is the client, or a load balancer whose header failed",
    },
    connection_without_client: {
      level: "debug",
      text: "connection without a client",
      meaning: "a load balancer has checked the port (`LOCAL` or `UNKNOWN` in the PROXY header)",
    },
    connections_crowded_out: {
      level: "warn",
      text: "too many connections before their sessions",
      recovered: "few enough connections before their sessions again",
      meaning:
        "more than 384 TLS handshakes (or 128, with few file descriptors) at a time: the oldest of the address with most of them are ended",
    },
    tls_files_invalid: {
      level: "warn",
      text: "TLS files cannot be used",
      recovered: "TLS files can be used again",
      meaning: "the last good ones stay in force; `cause` says what is wrong",
    },
    tls_files_reloaded: {
      level: "info",
      text: "TLS files reloaded",
      meaning: "new handshakes use them; `expires` is the end of the certificate",
    },
    tls_certificate_expired: {
      level: "warn",
      text: "TLS certificate expired",
      meaning: "`file` and since when; clients refuse it",
    },
  },
  "Several proxies": {
    proxy_joined: {
      level: "info",
      text: "joined the other proxies",
      meaning: "also when this proxy is the only one",
    },
    join_failed: {
      level: "warn",
      text: "cannot join the other proxies",
      recovered: "able to join the other proxies again",
      meaning: "usually a right on Leases is missing",
    },
    own_record_renewal_failed: {
      level: "warn",
      text: "cannot renew this proxy's record",
      recovered: "renewing this proxy's record again",
      meaning: "usually a right on Leases is missing",
    },
    records_not_read: {
      level: "warn",
      text: "not all proxies' records are read",
      recovered: "all proxies' records are read again",
      meaning:
        "a builder has more than 128; the others count as busy, so nothing scales down: see who creates Leases",
    },
    leader_changed: {
      level: "info",
      text: "leader changed",
      meaning: "`leader` scales down from now on; `self` if it is this proxy",
    },
    builder_led_apart: {
      level: "info",
      text: "builder led by this proxy, not by the leader",
      meaning:
        "`leader` does not scale this builder (it has other `--builders`, or observes), so this proxy lowers its count",
    },
    leader_missing: { level: "info", text: "no leader", meaning: "no proxy scales down now" },
    election_failed: {
      level: "warn",
      text: "leader election failed",
      recovered: "leader election restored",
      meaning: "usually a right on Leases is missing",
    },
    leader_lease_release_failed: {
      level: "debug",
      text: "cannot release the leader's Lease",
      meaning: "another proxy leads when it expires",
    },
    consent_missing: {
      level: "debug",
      text: "consent missing",
      meaning: "`silent` proxies did not agree to a scale-down in time",
    },
    records_cleanup_failed: {
      level: "debug",
      text: "cannot clean up stale records",
      meaning: "retried later",
    },
    proxy_cut_off: {
      level: "warn",
      text: "cut off from the Kubernetes API",
      meaning: "for longer than `--record-expiry`; `then` says what happens to new connections",
    },
    own_record_deleted: {
      level: "warn",
      text: "this proxy's record was deleted",
      meaning: "the proxy joins again",
    },
    own_record_expired: {
      level: "warn",
      text: "this proxy's record expired",
      meaning: "not renewed in time; the proxy joins again",
    },
    own_record_deletion_failed: {
      level: "warn",
      text: "cannot delete this proxy's record",
      meaning: "at its end; the others wait until the record expires",
    },
    stale_record_deleted: {
      level: "info",
      text: "stale record deleted",
      meaning: "cleaning up after a proxy that has ended",
    },
    predecessor_record_deleted: {
      level: "info",
      text: "record of the pod's previous container deleted",
      meaning: "cleaning up after the container's restart",
    },
    resource_versions_regressed: {
      level: "error",
      text: "resourceVersions regressed",
      meaning:
        "the API's data was [restored from a backup](several-proxies.md#when-the-apis-data-is-restored-from-a-backup)",
    },
    leases_forbidden: {
      level: "error",
      text: "access to Leases forbidden",
      meaning: "this proxy has to stay the only one",
    },
  },
  "The program itself": {
    shutdown_started: { level: "info", text: "shutting down", meaning: "see [shutdown](#shutdown)" },
    sessions_cut: { level: "warn", text: "sessions cut", meaning: "see [shutdown](#shutdown)" },
    program_ended: { level: "info", text: "program ended", meaning: "see [shutdown](#shutdown)" },
    event_write_failed: {
      level: "warn",
      text: "cannot write Events",
      recovered: "Events are written again",
      meaning:
        "[Events](events.md) are lost, nothing else; without the right it is tried again every 10 minutes",
    },
    event_written: { level: "debug", text: "Event written", meaning: "`reason`, and `count` of its series" },
    event_lost: { level: "debug", text: "Event lost", meaning: "`cause` says why" },
    log_records_dropped: {
      level: "warn",
      text: "log records dropped",
      meaning: "nobody read standard error for a while",
    },
    internal_error: {
      level: "error",
      text: "internal error",
      meaning: "a bug: please report it with its `stack`; the program continues",
    },
    component_failed: {
      level: "error",
      text: "component failed",
      meaning: "a bug, or a state in which it cannot continue: see below",
    },
    fatal_error: { level: "error", text: "fatal error", meaning: "the program ends with exit code 1" },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, LogEvent | LogFault>>>>;

/** The codes of one topic, without the ends of faults. */
export type Codes<Topic> = Topic extends unknown ? keyof Topic : never;
/** The codes of the faults of one topic. */
export type Faults<Topic> = Topic extends unknown
  ? { [Code in keyof Topic]: Topic[Code] extends LogFault ? Code : never }[keyof Topic]
  : never;

/** The code of a fault that lasts, for a `CauseLog`. */
export type FaultCode = Faults<typeof EVENT_TOPICS[keyof typeof EVENT_TOPICS]>;
/** The code of an event. */
export type EventCode = Codes<typeof EVENT_TOPICS[keyof typeof EVENT_TOPICS]> | `${FaultCode}_recovered`;

/** Code to event, with the ends of faults. */
export const EVENTS: Readonly<Record<EventCode, LogEvent>> = Object.fromEntries(
  Object.values(EVENT_TOPICS).flatMap((events) => Object.entries<LogEvent | LogFault>(events))
    .flatMap(([code, event]) => "recovered" in event ? [[code, event], endOf(code, event)] : [[code, event]]),
) as Record<EventCode, LogEvent>;

function endOf(code: string, { recovered: text }: LogFault): [string, LogEvent] {
  return [`${code}_recovered`, { level: "info", text, meaning: `the end of \`${code}\`` }];
}
