/**
 * Sessions in the program's own log: the records `session_ended` of `--log-format json`. What stands before a record on its
 * line, such as the pod's name by `kubectl logs --prefix`, is ignored. The text format has no dates, so it is not read. Pure.
 *
 * @module
 */
import type { EventCode } from "../base/events.ts";
import type { Outcome } from "../base/metrics.ts";
import { isLength, LONGEST_SESSION_MS, readTime, YEARS } from "./read_time.ts";
import type { Found, HistoryReader } from "./history.ts";

type Fields = Readonly<Record<string, unknown>>;

const SESSION: EventCode = "session_ended";
const LIMITED: Outcome = "limited";
const COLD_START: EventCode = "cold_start_ended";

/** Reads a log. */
export class LogReader implements HistoryReader {
  readonly format = "log";

  read(line: string): Found {
    const record = recordIn(line);
    if (record === undefined) return "skipped";
    switch (record.code) {
      case SESSION:
        // One that was refused at a limit is no build: its client tries again, and that is another session.
        if (record.outcome === LIMITED) return "skipped";
        // One that only watched needed no pod.
        return record.watched === true ? "nothing" : sessionOf(record);
      case COLD_START:
        return coldStartOf(record);
      default:
        return "nothing";
    }
  }
}

function recordIn(line: string): Fields | undefined {
  const at = line.indexOf("{");
  if (at < 0) return undefined;
  try {
    const record: unknown = JSON.parse(line.slice(at));
    const isRecord = typeof record === "object" && record !== null && "code" in record && "time" in record;
    return isRecord ? record as Fields : undefined;
  } catch {
    return undefined;
  }
}

/** The record is written when the session has ended; its `durationMs` begins with the connection and includes `heldMs`. */
function sessionOf({ time, durationMs, heldMs, pod, project, builder }: Fields): Found {
  const problems: string[] = [];
  const endMs = typeof time === "string" ? readTime(time) : undefined;
  if (endMs === undefined) {
    problems.push(`cannot read "time": found ${quote(time)}, want a time as the program writes it, ${YEARS}`);
  }
  for (const [name, value] of [["durationMs", durationMs], ["heldMs", heldMs]] as const) {
    if (!isLength(value)) problems.push(wrongLength(name, value));
  }
  if (endMs === undefined || !isLength(durationMs) || !isLength(heldMs)) return { problems };
  if (endMs < durationMs) {
    return {
      problems: [`cannot read "durationMs": found ${durationMs}, want a session that began in 1970 or later`],
    };
  }
  const session = {
    startMs: endMs - durationMs,
    durationMs,
    // Both are rounded.
    heldMs: Math.min(heldMs, durationMs),
    wasServed: typeof pod === "string",
    ...(typeof project === "string" ? { project } : {}),
  };
  return { session, builder: typeof builder === "string" ? builder : undefined };
}

function coldStartOf({ readyMs, builder }: Fields): Found {
  if (readyMs === undefined) return "nothing";
  if (!isLength(readyMs)) return { problems: [wrongLength("readyMs", readyMs)] };
  return { coldStartMs: readyMs, builder: typeof builder === "string" ? builder : undefined };
}

function wrongLength(name: string, value: unknown): string {
  return `cannot read "${name}": found ${
    quote(value)
  }, want a number of milliseconds from 0 to ${LONGEST_SESSION_MS} (a year)`;
}

function quote(value: unknown): string {
  // JSON has no number for 1e999.
  if (typeof value === "number") return String(value);
  return value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80);
}
