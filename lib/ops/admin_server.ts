/**
 * The admin port: health, metrics and an index over HTTP. It answers from start to exit, also while draining, so that
 * probes do not need the proxy port. Ignores request bodies.
 *
 * @module
 */
import { type Clock, sleep } from "../base/clock.ts";
import type { Address, Network } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { listenOn } from "../proxy/listen.ts";
import type { Health, HealthReport, Probe } from "./health.ts";
import { type HttpHandler, HttpServer } from "./http_server.ts";
import { type Answer, type StatusPages, TEXT_TYPE } from "./status_pages.ts";
import { Turns } from "./turns.ts";

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
  /** The status page, and all that belongs to it. */
  readonly status: Pick<StatusPages, "answer">;
}

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The paths and their descriptions, for whoever asks for another one. */
const PATHS: ReadonlyMap<string, string> = new Map([
  ["/", "the status page, for people; also at /status"],
  ["/status.json", "the facts of the status page, for programs"],
  ["/livez", "alive: 200, or 503 and the reasons (?verbose lists every check)"],
  [
    "/readyz",
    "takes connections: 200, or 503 and the reasons (?verbose, ?exclude=CHECK, ?wait=SECONDS)",
  ],
  ["/healthz", "the same as /livez"],
  ["/metrics", "Prometheus metrics"],
  ["/route", "where a project's sessions go, and why (?project=NAME)"],
]);

const PROBES: ReadonlyMap<string, Probe> = new Map([
  ["/livez", "live"],
  ["/healthz", "live"],
  ["/readyz", "ready"],
]);

/** The longest that `?wait=` may ask for, in ms. */
const LONGEST_WAIT_MS = 10_000;

/** How often a probe that waits looks again, in ms. */
const LOOK_AGAIN_MS = 50;

/**
 * Answers the requests to the admin port: those of probes at once, and others one at a time, however many connections ask.
 * Some take milliseconds, in which no build goes on.
 */
export function adminHandler(content: AdminContent, clock: Clock): HttpHandler {
  const turns = new Turns(clock);
  return (request) => {
    const url = new URL(request.url);
    const work = async () => {
      const isReading = request.method === "GET" || request.method === "HEAD";
      const found = await answerTo(content, clock, isReading ? request : HEAD, url);
      if (found === undefined) return respond(request, notFound(content));
      return respond(request, isReading ? found : NOT_ALLOWED);
    };
    return PROBES.has(url.pathname) ? work() : turns.take(work, request.signal);
  };
}

/** What an answer to a request that changes nothing would be; asked for those that are refused, too. */
const HEAD: Pick<Request, "method" | "signal"> = { method: "HEAD", signal: new AbortController().signal };

const NOT_ALLOWED: Answer = {
  status: 405,
  type: TEXT_TYPE,
  body: "Method not allowed, want GET or HEAD",
  headers: { allow: "GET, HEAD" },
};

function notFound({ version }: AdminContent): Answer {
  const lines = [...PATHS].map(([name, what]) => `${name.padEnd(14)}${what}`);
  const body = [`Not found. buildkitd-autoscaler ${version} has:`, "", ...lines].join("\n");
  return { status: 404, type: TEXT_TYPE, body };
}

/** The answer; undefined if there is nothing at that path. */
async function answerTo(
  content: AdminContent,
  clock: Clock,
  request: Pick<Request, "method" | "signal">,
  url: URL,
): Promise<Answer | undefined> {
  const probe = PROBES.get(url.pathname);
  if (probe !== undefined) {
    const { ok, brief, verbose } = await reportOf(probe, content.health, clock, url, request.signal);
    const body = url.searchParams.has("verbose") ? verbose : brief;
    return { status: ok ? 200 : 503, type: TEXT_TYPE, body };
  }
  switch (url.pathname) {
    case "/metrics":
      return { type: METRICS_TYPE, body: (await content.metrics()).trimEnd() };
    case "/route": {
      const project = url.searchParams.get("project") ?? "";
      return { type: TEXT_TYPE, body: content.route(project === "" ? undefined : project).trimEnd() };
    }
    default:
      return await content.status.answer(request, url);
  }
}

/** The report that a probe asks for. With `?wait=SECONDS` one that fails waits for so long until it passes. */
async function reportOf(
  probe: Probe,
  health: Health,
  clock: Clock,
  { searchParams }: URL,
  signal: AbortSignal,
): Promise<HealthReport> {
  const excluded = searchParams.getAll("exclude");
  const waitMs = Math.min(Number(searchParams.get("wait")) * 1000, LONGEST_WAIT_MS);
  const untilMs = clock.nowMs() + waitMs;
  let report = health.report(probe, excluded);
  while (!report.ok && clock.nowMs() < untilMs) {
    await sleep(clock, LOOK_AGAIN_MS, signal);
    report = health.report(probe, excluded);
  }
  return report;
}

const encoder = new TextEncoder();

function respond(request: Request, { status = 200, type, body, headers = {} }: Answer): Response {
  const bytes = typeof body === "string" ? encoder.encode(`${body}\n`) : body;
  return new Response(request.method === "HEAD" ? null : bytes, {
    status,
    headers: {
      "content-type": type,
      ...(bytes instanceof Uint8Array && { "content-length": `${bytes.byteLength}` }),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
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
