/**
 * The admin port: health, metrics and an index over HTTP. It answers from start to exit, also while draining, so that
 * probes do not need the proxy port. Ignores request bodies.
 *
 * @module
 */
import type { Address, Network } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { listenOn } from "../proxy/listen.ts";
import type { Health, Probe } from "./health.ts";
import { type HttpHandler, HttpServer } from "./http_server.ts";

/** What the admin port shows. */
export interface AdminContent {
  /** The program's version, for the index. */
  readonly version: string;
  /** The checks behind `/livez` and `/readyz`. */
  readonly health: Health;
  /** The text of `/metrics`. */
  metrics(): Promise<string>;
  /** Where sessions of a project go, and why; of none, with `undefined`. */
  route(project: string | undefined): string;
}

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE = "text/plain; charset=utf-8";

/** The paths and their descriptions, for the index. */
const PATHS: ReadonlyMap<string, string> = new Map([
  ["/livez", "alive: 200, or 503 and the reasons (?verbose lists every check)"],
  ["/readyz", "takes connections: 200, or 503 and the reasons (?verbose lists every check)"],
  ["/healthz", "the same as /livez"],
  ["/metrics", "Prometheus metrics"],
  ["/route", "where a project's sessions go, and why (?project=NAME)"],
]);

const PROBES: ReadonlyMap<string, Probe> = new Map([
  ["/livez", "live"],
  ["/healthz", "live"],
  ["/readyz", "ready"],
]);

/** Answers the requests to the admin port. */
export function adminHandler(content: AdminContent): HttpHandler {
  return async (request) => {
    const url = new URL(request.url);
    const path = url.pathname;
    const probe = PROBES.get(path);
    if (probe === undefined && path !== "/" && !PATHS.has(path)) {
      return answer(request, 404, `Not found, want one of: / ${[...PATHS.keys()].join(" ")}`);
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return answer(request, 405, "Method not allowed, want GET or HEAD", { allow: "GET, HEAD" });
    }
    if (probe !== undefined) {
      const report = content.health.report(probe);
      return answer(
        request,
        report.ok ? 200 : 503,
        url.searchParams.has("verbose") ? report.verbose : report.brief,
      );
    }
    if (path === "/metrics") {
      return answer(request, 200, (await content.metrics()).trimEnd(), { "content-type": METRICS_TYPE });
    }
    if (path === "/route") {
      const project = url.searchParams.get("project") ?? "";
      return answer(request, 200, content.route(project === "" ? undefined : project).trimEnd());
    }
    const lines = [...PATHS].map(([name, what]) => `${name.padEnd(10)}${what}`);
    return answer(request, 200, [`buildkitd-autoscaler ${content.version}`, "", ...lines].join("\n"));
  };
}

const encoder = new TextEncoder();

function answer(request: Request, status: number, text: string, headers: HeadersInit = {}): Response {
  const body = `${text}\n`;
  return new Response(request.method === "HEAD" ? null : body, {
    status,
    headers: {
      "content-type": TEXT_TYPE,
      "content-length": `${encoder.encode(body).byteLength}`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}

/** An open admin port. */
export interface AdminServer {
  /** Where it listens, with the real port if 0 was requested. */
  readonly addr: Address;
  /** Closes it and every connection to it. */
  close(): Promise<void>;
}

/** Opens an admin port. */
export type ServeAdmin = (address: Address, handler: HttpHandler) => AdminServer;

/** Opens admin ports on a network. Throws as `listen` does. */
export function adminPorts(network: Network, ports: Pick<BasePorts, "clock" | "log">): ServeAdmin {
  return (address, handler) => new HttpServer(listenOn(network, address), handler, ports);
}
