/**
 * The real program inside the demo: the same wiring as `main.ts`, on the miniature cluster's API server, with its log
 * turned into events of the timeline.
 *
 * @module
 */
import { runApp } from "../app.ts";
import { systemClock } from "../base/clock.ts";
import { type EventCode, EVENTS, type LogLevel } from "../base/events.ts";
import { type LogFields, logTo } from "../base/log.ts";
import { type Address, formatAddress, type Network } from "../base/network.ts";
import { systemRandom } from "../base/random.ts";
import { parseSettings } from "../config/parse_settings.ts";
import type { SettingKey } from "../config/settings.ts";
import { adminPorts } from "../ops/admin_server.ts";
import { processFacts } from "../ops/process_facts.ts";
import { prometheusMetrics } from "../ops/prometheus.ts";
import { denoNetwork } from "../proxy/deno_network.ts";
import type { Connection } from "../kube/connection.ts";
import { FetchHttp } from "../kube/fetch_http.ts";
import { HttpListener } from "../miniature/http_listener.ts";
import { MemoryHttp } from "../miniature/memory_http.ts";
import type { MiniatureCluster } from "../miniature/miniature_cluster.ts";

/** What the program is run with. */
export interface DemoProgramOptions {
  /** What it scales. */
  readonly cluster: MiniatureCluster;
  /** Its idle timeout, in ms. */
  readonly idleTimeoutMs: number;
  /** Settings beside those that name the first StatefulSet. */
  readonly flags?: Partial<Record<SettingKey, string>>;
  /** How it connects to pods, where this machine reaches them: by their addresses. */
  readonly connect?: Network["connect"];
  /** Whether this machine reaches pods by their addresses. */
  readonly hasRoute: boolean;
  /** As the program's signals. */
  readonly stop: { readonly drain: AbortSignal; readonly now: AbortSignal };
  /** Told where clients connect, once they can. */
  readonly onListening: (address: Address) => void;
  /** Told what a reader of the timeline wants to know. */
  readonly onEvent: (text: string) => void;
  /** Told of every record of its log. */
  readonly onLog?: (code: EventCode, fields: LogFields) => void;
}

const LOOPBACK: Address = { hostname: "127.0.0.1", port: 0 };

/** A connection to an API server without TLS. */
const PLAIN: Connection = {
  ca: undefined,
  caSource: "the runtime",
  proxy: undefined,
  serverName: undefined,
  insecure: false,
  repeatsHeaders: false,
};

/** What a connect to a pod's address comes to on a laptop. */
function noRoute(): Promise<never> {
  return Promise.reject(Object.assign(new Error("No route to host"), { code: "EHOSTUNREACH" }));
}

/** Runs the program until it is told to stop. @throws as {@link runApp} */
export async function runProgram(options: DemoProgramOptions): Promise<void> {
  const { cluster, idleTimeoutMs, hasRoute, connect = denoNetwork.connect, stop, onListening } = options;
  const flags: Partial<Record<SettingKey, string>> = {
    listenAddr: "127.0.0.1:0",
    adminAddr: "127.0.0.1:0",
    stsName: cluster.name,
    stsNamespace: cluster.namespace,
    headlessServiceName: cluster.serviceName,
    targetPort: String(cluster.targetPort),
    idleTimeoutMs: `${idleTimeoutMs}ms`,
    shutdownDelayMs: "0s",
    ...options.flags,
  };
  const settings = parseSettings({
    flags: new Map(Object.entries(flags) as [SettingKey, string][]),
    variables: {}, // the user's environment is about another cluster
  });
  await using front = hasRoute ? undefined : new HttpListener(cluster.api, denoNetwork, LOOPBACK);
  const http = front === undefined
    ? new MemoryHttp(cluster.api, systemClock, "program")
    : new FetchHttp(PLAIN);
  const log = logTo((level, code, fields) => {
    if (stop.now.aborted) return; // the demo is over, and what is left of the program with it
    options.onLog?.(code, fields);
    const text = textOf(level, code, fields);
    if (text !== undefined) options.onEvent(text);
  });
  await runApp(settings, {
    version: "demo",
    runtime: Deno.version.deno,
    log,
    clock: systemClock,
    random: systemRandom,
    network: { ...denoNetwork, connect: hasRoute ? connect : noRoute },
    serveAdmin: adminPorts(denoNetwork, { clock: systemClock, log }),
    metrics: prometheusMetrics(processFacts(systemClock.wallMs())),
    readText: () => Promise.reject(new Error("The demo uses no TLS")),
    loadCluster: () =>
      Promise.resolve({
        server: front?.url ?? new URL("http://miniature.invalid"),
        source: "miniature cluster",
        namespace: cluster.namespace,
        http,
        authenticate: () => Promise.resolve({}),
        refresh: () => Promise.resolve(),
        renew: () => Promise.resolve(false),
      }),
    stop,
    onListening: ({ proxy, admin }) => {
      options.onEvent(`shows its status on http://${formatAddress(admin)}/`);
      onListening(proxy);
    },
  });
}

/** A record in the words of the timeline; undefined if its reader need not know. */
function textOf(level: LogLevel, code: EventCode, fields: LogFields): string | undefined {
  const { from, to, because, cause, builder } = fields;
  switch (code) {
    case "scaled": {
      // The same count, written once more, is for other proxies and scales nothing.
      const what = builder === undefined ? "" : `${builder} `;
      return from === to ? undefined : `scales ${what}${from} -> ${to}: ${because}`;
    }
    case "upstream_selected":
      // Said once, in the first act.
      return builder !== undefined ? undefined : `reaches pods by ${fields["upstream"]}: ${cause}`;
    case "session_queued":
      return `every builder is full: the new build of ${nameOf(fields["project"])} waits in the queue`;
  }
  if (level !== "warn" && level !== "error") return undefined;
  const { text } = EVENTS[code];
  return cause === undefined ? text : `${text}: ${cause}`;
}

/** A project of the log without its namespace. */
export function nameOf(project: LogFields[string]): string {
  return String(project).split(".")[0]!;
}
