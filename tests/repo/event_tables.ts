/**
 * The tables of events in `docs/operations.md`, made from the table in `lib/base/events.ts`, and what of that table the
 * sources use.
 *
 * @module
 */
import {
  EVENT_TOPICS,
  type EventCode,
  EVENTS,
  LOG_LEVELS,
  type LogEvent,
  type LogLevel,
} from "../../lib/base/events.ts";
import { METRICS } from "../../lib/base/metrics.ts";
import { table } from "../../lib/config/settings_table.ts";

/** {@link eventTables} writes between these lines of `docs/operations.md`. */
export const EVENT_MARKERS = ["<!-- events:start -->", "<!-- events:end -->"] as const;

/** A Markdown table for each topic, one row an event at info or above; the end of a fault follows the fault. */
export function eventTables(): string {
  return Object.entries(EVENT_TOPICS).map(([title, events]) => {
    const rows = Object.keys(events)
      .flatMap((code) => [code, `${code}_recovered`])
      .filter((code): code is EventCode => code in EVENTS)
      .map((code): [EventCode, LogEvent] => [code, EVENTS[code]])
      .filter(([, { level }]) => level !== "debug")
      .map(([code, { text, level, meaning }]) => [`\`${code}\``, text, level, meaning]);
    return [`**${title}**`, "", ...table(["Code", "Event", "Level", "Meaning"], rows)].join("\n");
  }).join("\n\n");
}

/** The codes that a source logs, each with the levels; `undefined` where the code computes the level. */
export function loggedCodes(source: string): [code: string, level: LogLevel | undefined][] {
  const calls = [...source.matchAll(/\blog(?:\.(debug|info|warn|error)|\[level\])\(\s*"([^"]+)"/g)]
    .map(([, level, code]): [string, LogLevel | undefined] => [code!, level as LogLevel | undefined]);
  const faults = [...source.matchAll(/\bnew CauseLog\(\s*[^,()]+,\s*"([^"]+)"/g)]
    .flatMap(([, code]): [string, LogLevel][] => [[code!, "warn"], [`${code}_recovered`, "info"]]);
  const lost = [...source.matchAll(/\btoLine\("(\w+)", "([^"]+)"/g)]
    .map(([, level, code]): [string, LogLevel] => [code!, level as LogLevel]);
  return [...calls, ...faults, ...lost];
}

/** Calls of the log, and faults, whose code {@link loggedCodes} cannot read. */
export function unreadableCodes({ path, text }: { readonly path: string; readonly text: string }): string[] {
  const calls = text.match(
    /(?<!\.#)\blog\.(?:debug|info|warn|error)\((?!\s*")|\bnew CauseLog\((?!\s*[^,()]+,\s*")/g,
  ) ?? [];
  return calls.map((call) => `${path} has "${call}" without the event's code in the same place`);
}

/** Codes that only the table or only the sources have, and rows with another level than the highest one in use. */
export function eventViolations(
  sources: string,
  events: Readonly<Record<string, Pick<LogEvent, "level">>> = EVENTS,
): string[] {
  const logged = loggedCodes(sources);
  const unknown = logged.filter(([code]) => !(code in events))
    .map(([code]) => `The table of events does not have "${code}", which is logged`);
  const wrong = Object.entries(events).flatMap(([code, { level }]) => {
    const levels = logged.filter(([each]) => each === code).map(([, at]) => at);
    if (levels.length === 0) return [`The table of events has "${code}", which is never logged`];
    if (levels.includes(undefined)) return [];
    const highest = LOG_LEVELS[Math.max(...levels.map((at) => LOG_LEVELS.indexOf(at!)))];
    return highest === level
      ? []
      : [`The table of events has "${code}" at ${level}, but ${highest} is in use`];
  });
  return [...unknown, ...wrong];
}

/** Words of Tilt, Prometheus and Grafana. */
const OTHER_WORDS = ["live_update", "runbook_url", "grafana_dashboard", "grafana_folder"];

/**
 * Words such as `held_session` in a document's code that are neither a code of an event nor the value of a metric's
 * label. Names of other systems are listed here.
 */
export function wordViolations({ path, text }: { readonly path: string; readonly text: string }): string[] {
  const labels = Object.values(METRICS).flatMap(({ labels }) => Object.values(labels).flat());
  const known = new Set<string>([...Object.keys(EVENTS), ...labels, ...OTHER_WORDS]);
  return [...text.matchAll(/[`"]([a-z]+(?:_[a-z]+)+)[`"]/g)].map(([, word]) => word!)
    .filter((word) => !known.has(word) && !/^(?:buildkitd_autoscaler|process)_/.test(word))
    .map((word) => `${path} names "${word}", which is neither the code of an event nor a value of a label`);
}

/** Records in a document whose code does not exist, or whose text is not that of the code. */
export function recordViolations({ path, text }: { readonly path: string; readonly text: string }): string[] {
  return text.split("\n").filter((line) => /"event":|"code":"[a-z]/.test(line)).flatMap((line) => {
    const code = line.match(/"code":"(\w+)"/)?.[1] ?? "";
    const event = line.match(/"event":"([^"]+)"/)?.[1];
    return code in EVENTS && EVENTS[code as EventCode].text === event
      ? []
      : [`${path} shows the event "${event}" with the code "${code}"`];
  });
}
