/**
 * The admin port: health, metrics and a short index over HTTP. It answers from start to exit, also while draining, so
 * that probes never touch the proxy port. Requests' bodies are never read.
 *
 * @module
 */
import type { Address } from "../base/network.ts";
import { bindHostnames } from "../config/address.ts";
import type { Health, Probe } from "./health.ts";

/** What the admin port shows. */
export interface AdminContent {
  /** The program's version, for the index. */
  readonly version: string;
  /** The checks behind `/livez` and `/readyz`. */
  readonly health: Health;
  /** The text of `/metrics`. */
  metrics(): Promise<string>;
}

/** Answers one request. */
export type AdminHandler = (request: Request) => Promise<Response>;

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE = "text/plain; charset=utf-8";

/** The paths and what they are; the index shows them. */
const PATHS: ReadonlyMap<string, string> = new Map([
  ["/livez", "alive: 200, or 503 and the reasons (?verbose lists every check)"],
  ["/readyz", "takes connections: 200, or 503 and the reasons (?verbose lists every check)"],
  ["/healthz", "the same as /livez"],
  ["/metrics", "Prometheus metrics"],
]);

const PROBES: ReadonlyMap<string, Probe> = new Map([
  ["/livez", "live"],
  ["/healthz", "live"],
  ["/readyz", "ready"],
]);

/** The answers of the admin port, without a socket. */
export function adminHandler(content: AdminContent): AdminHandler {
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
    const lines = [...PATHS].map(([name, what]) => `${name.padEnd(10)}${what}`);
    return answer(request, 200, [`buildkitd-autoscaler ${content.version}`, "", ...lines].join("\n"));
  };
}

function answer(request: Request, status: number, text: string, headers: HeadersInit = {}): Response {
  const body = `${text}\n`;
  return new Response(request.method === "HEAD" ? null : body, {
    status,
    headers: {
      "content-type": TEXT_TYPE,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}

/** An admin port that is open. */
export interface AdminServer {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly addr: Address;
  /** Closes it and every connection to it. */
  close(): Promise<void>;
}

/** Opens an admin port. */
export type ServeAdmin = (address: Address, handler: AdminHandler) => AdminServer;

/**
 * Opens an admin port on a real socket.
 *
 * @throws Deno.errors.AddrInUse and the like
 */
export function serveAdmin(address: Address, handler: AdminHandler): AdminServer {
  const hostnames = bindHostnames(address.hostname);
  for (const [i, hostname] of hostnames.entries()) {
    try {
      return serveOn({ hostname, port: address.port }, handler);
    } catch (error) {
      if (i === hostnames.length - 1 || error instanceof Deno.errors.AddrInUse) throw error;
    }
  }
  throw new Error("unreachable");
}

function serveOn(address: Address, handler: AdminHandler): AdminServer {
  const controller = new AbortController();
  const server = Deno.serve(
    {
      hostname: address.hostname,
      port: address.port,
      signal: controller.signal,
      onListen: () => {},
      onError: () => new Response("Internal error\n", { status: 500 }),
    },
    handler,
  );
  return {
    addr: { hostname: server.addr.hostname, port: server.addr.port },
    async close() {
      controller.abort();
      await server.finished;
    },
  };
}
