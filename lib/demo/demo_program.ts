/**
 * The real program inside the demo: the same wiring as `main.ts`, on the miniature cluster's API server, with its log
 * turned into events of the timeline.
 *
 * @module
 */
import { runApp } from "../app.ts";
import { systemClock } from "../base/clock.ts";
import { EVENTS } from "../base/events.ts";
import { logTo } from "../base/log.ts";
import type { Address } from "../base/network.ts";
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
  /** Whether this machine reaches pods by their addresses. */
  readonly hasRoute: boolean;
  /** As the program's signals. */
  readonly stop: { readonly drain: AbortSignal; readonly now: AbortSignal };
  /** Told where clients connect, once they can. */
  readonly onListening: (address: Address) => void;
  /** Told what a reader of the timeline wants to know. */
  readonly onEvent: (text: string) => void;
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
export async function runProgram(
  { cluster, idleTimeoutMs, hasRoute, stop, onListening, onEvent }: DemoProgramOptions,
): Promise<void> {
  const flags: Partial<Record<SettingKey, string>> = {
    listenAddr: "127.0.0.1:0",
    adminAddr: "127.0.0.1:0",
    stsName: cluster.name,
    stsNamespace: cluster.namespace,
    headlessServiceName: cluster.serviceName,
    targetPort: String(cluster.targetPort),
    idleTimeoutMs: `${idleTimeoutMs}ms`,
    shutdownDelayMs: "0s",
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
    const { from, to, because, cause } = fields;
    if (code === "scaled") {
      // The same count, written once more, is for other proxies and scales nothing.
      if (from !== to) onEvent(`scales ${from} -> ${to}: ${because}`);
    } else if (code === "upstream_selected") onEvent(`reaches pods by ${fields["upstream"]}: ${cause}`);
    else if (level === "warn" || level === "error") {
      const { text } = EVENTS[code];
      onEvent(cause === undefined ? text : `${text}: ${cause}`);
    }
  });
  await runApp(settings, {
    version: "demo",
    runtime: Deno.version.deno,
    log,
    clock: systemClock,
    random: systemRandom,
    network: hasRoute ? denoNetwork : { ...denoNetwork, connect: noRoute },
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
    onListening: ({ proxy }) => onListening(proxy),
  });
}
