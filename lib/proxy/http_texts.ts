/**
 * What the proxy says to those who speak HTTP/1.1 to the address of the clients: as text for people, and as one line of JSON
 * for programs. Pure.
 *
 * @module
 */
import type { BuilderState } from "../base/metrics.ts";
import { UNPRINTABLE } from "../base/unprintable.ts";
import { formatDurationMs, parseDurationMs } from "../config/duration.ts";
import type { Outlook } from "../target/seats.ts";
import type { WakeStep } from "./wake_stream.ts";

/** Longer reasons are cut. */
const LONGEST_REASON = 1_000;

/** A name or an IP address, and a port. */
const HOST = /^(?<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?<port>[0-9]{1,5}))?$/;

/** Where the client has connected. */
export interface Place {
  /** The `Host` of the request. */
  readonly host: string | null;
  /** With TLS. */
  readonly isTls: boolean;
  /** With a certificate of its own. */
  readonly isMutual: boolean;
}

/** What the builder is, for people. */
const STATES: Readonly<Record<BuilderState, string>> = {
  asleep: "asleep, the next build wakes it",
  unknown: "not known yet",
  starting: "starting",
  ready: "ready",
  stuck: "stuck",
  missing: "missing",
};

/** The answer to whoever looks. */
export function lookText(
  { builder, project, state, keptForMs }: Outlook,
  reason: string | undefined,
  { host, isTls, isMutual }: Place,
  observe = false,
): string {
  const address = addressOf(host, isTls);
  const kept = keptForMs === 0 ? "" : `, kept awake for another ${seconds(keptForMs)}`;
  const flags = tlsFlags({ isTls, isMutual });
  const [starts, stateText] = observe
    ? ["buildkitd-autoscaler only observes here, and starts nothing.", state]
    : ["buildkitd starts when they need it (buildkitd-autoscaler).", STATES[state]];
  const curl = `curl -fsSN${flags.curl} -X POST ${isTls ? "https" : "http"}://`;
  return [
    `BuildKit clients connect to this address. ${starts}`,
    "",
    `Builder ${builder}${project === undefined ? "" : ` (of ${project})`}: ${stateText}${
      because(reason)
    }${kept}`,
    "",
    "To build here:",
    `  docker buildx create --name remote --driver remote${flags.buildx} --use tcp://${address}`,
    `  buildctl --addr tcp://${address}${flags.buildctl} build --frontend dockerfile.v0 --local context=. --local dockerfile=.`,
    "",
    ...(observe
      ? []
      : ["To wake the builder before a build, and see each step:", `  ${curl}${address}/wake`, ""]),
  ].join("\n");
}

/** What each client is told of TLS, with a blank before it. */
function tlsFlags({ isTls, isMutual }: Omit<Place, "host">): Record<"buildx" | "buildctl" | "curl", string> {
  if (!isTls) return { buildx: "", buildctl: "", curl: "" };
  const ca = {
    buildx: " --driver-opt cacert=ca.pem",
    buildctl: " --tlscacert ca.pem",
    curl: " --http1.1 --cacert ca.pem",
  };
  if (!isMutual) return ca;
  return {
    buildx: `${ca.buildx},cert=cert.pem,key=key.pem`,
    buildctl: `${ca.buildctl} --tlscert cert.pem --tlskey key.pem`,
    curl: `${ca.curl} --cert cert.pem --key key.pem`,
  };
}

/** The same for programs. */
export function lookJson(
  { builder, project, state, keptForMs }: Outlook,
  reason: string | undefined,
): string {
  return line({
    builder,
    project,
    state,
    reason: reason && cleaned(reason),
    keptAwakeSeconds: keptForMs === 0 ? undefined : rounded(keptForMs),
  });
}

/** A step of a wait, for people. */
export function stepText({ state, reason, waitedMs, keptForMs }: WakeStep, keepForMs: number): string {
  const at = state === "ready" || state === "failed"
    ? ` after ${seconds(waitedMs)}`
    : ` (${seconds(waitedMs)})`;
  const kept = state !== "ready" || keepForMs === 0
    ? ""
    : keptForMs === 0
    ? ", but not kept awake: this proxy is shutting down"
    : `, kept awake for ${seconds(keptForMs)}`;
  return `${state}${at}${because(reason)}${kept}\n`;
}

/** The same for programs. */
export function stepJson({ state, reason, waitedMs, keptForMs }: WakeStep): string {
  return line({
    state,
    seconds: rounded(waitedMs),
    reason: reason && cleaned(reason),
    keptAwakeSeconds: keptForMs === 0 ? undefined : rounded(keptForMs),
  });
}

/** A refusal, for people or for programs. */
export function problemText(problem: string, isJson: boolean): string {
  return isJson ? line({ error: problem }) : `${problem}\n`;
}

/** Whether the client wants JSON, by its `Accept`. */
export function wantsJson(accept: string | null): boolean {
  return /\bapplication\/(?:json|x-ndjson|jsonl)\b/i.test(accept ?? "");
}

/** How long the builder shall stay awake, of the query of a request, in ms; or what is wrong with it. */
export function keepFor(query: URLSearchParams, maxWakeForMs: number): number | { readonly problem: string } {
  const unknown = [...query.keys()].find((key) => key !== "for");
  if (unknown !== undefined) {
    return {
      problem: `Cannot read the request: found ${JSON.stringify(cleaned(unknown))}, want "for" or nothing`,
    };
  }
  const texts = query.getAll("for");
  const [text] = texts;
  if (text === undefined) return 0;
  if (maxWakeForMs === 0) {
    return { problem: "Cannot keep the builder awake: that is turned off here (--max-wake-for)" };
  }
  const ms = texts.length > 1 ? undefined : parseDurationMs(text);
  if (ms !== undefined && ms > 0 && ms <= maxWakeForMs) return ms;
  return {
    problem:
      `Cannot keep the builder awake: found ${
        JSON.stringify(cleaned(texts.join(", ")))
      }, want a duration such ` +
      `as "2h" of at most ${formatDurationMs(maxWakeForMs)} (--max-wake-for)`,
  };
}

/** The address as the client has written it, if it may be shown. */
function addressOf(host: string | null, isTls: boolean): string {
  const { name, port = isTls ? "443" : "80" } = HOST.exec(host ?? "")?.groups ?? {};
  return name === undefined ? "ADDRESS:PORT" : `${name}:${port}`;
}

function because(reason: string | undefined): string {
  return reason === undefined ? "" : `: ${cleaned(reason)}`;
}

/** Without unprintable characters, and not endless. */
function cleaned(text: string): string {
  return text.replace(UNPRINTABLE, " ").slice(0, LONGEST_REASON);
}

function seconds(ms: number): string {
  return formatDurationMs(ms < 60_000 ? Math.round(ms / 100) * 100 : Math.round(ms / 1000) * 1000);
}

function rounded(ms: number): number {
  return Math.round(ms / 100) / 10;
}

function line(fields: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(fields)}\n`;
}
