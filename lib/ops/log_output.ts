/**
 * Formats log records: text for a terminal, JSON for machines, one line each. Does not use logtape's global
 * configuration, because several logs may exist in one process. The formatter for text is loaded on demand.
 *
 * @module
 */
import type { LogRecord, TextFormatter } from "@logtape/logtape";
import type { Clock } from "../base/clock.ts";
import { type EventCode, EVENTS, LOG_LEVELS, type LogLevel } from "../base/events.ts";
import { type Log, type LogFields, logTo } from "../base/log.ts";
import { UNPRINTABLE } from "../base/unprintable.ts";
import { formatDurationMs } from "../config/duration.ts";
import { type ByteWriter, LogQueue } from "./log_queue.ts";

/** Options of a log. */
export interface LogOptions {
  /** The least important level that is written. */
  readonly level: LogLevel;
  /** `auto` is text on a terminal and JSON elsewhere. */
  readonly format: "auto" | "text" | "json";
  /** Whether `writer` is a terminal. */
  readonly terminal: boolean;
  /** Whether text may have colours. */
  readonly colors: boolean;
  /** The time of records. */
  readonly clock: Clock;
  /** Where lines go, usually standard error. */
  readonly writer: ByteWriter;
}

/** An open log. */
export interface LogOutput {
  /** The port. */
  readonly log: Log;
  /** Waits until all records are written, but no longer than `timeoutMs`. Call it before the program ends. */
  flush(timeoutMs: number): Promise<void>;
}

/** Opens a log. */
export async function openLog(options: LogOptions): Promise<LogOutput> {
  const { level, format, terminal, colors, clock, writer } = options;
  const asText = format === "text" || (format === "auto" && terminal);
  const formatter = asText ? await textFormatter(colors && terminal) : formatJson;
  const toLine = (at: LogLevel, code: EventCode, fields: LogFields) =>
    formatter(recordOf(at, code, fields, clock.wallMs()));
  const queue = new LogQueue(
    writer,
    clock,
    (records, cause) => toLine("warn", "log_records_dropped", { records, cause }),
  );
  const least = LOG_LEVELS.indexOf(level);
  const log = logTo((at, code, fields) => {
    if (LOG_LEVELS.indexOf(at) >= least) queue.push(toLine(at, code, fields));
  });
  return { log, flush: (timeoutMs) => queue.flush(timeoutMs) };
}

/** Longer strings and lists are truncated, so that a peer cannot fill the log with one record. */
const MAX_STRING = 4096;
/** See {@link MAX_STRING}. */
const MAX_ITEMS = 50;

/** A second line of defence: no code logs a secret on purpose. */
const SECRET = /(token|authorization|password|secret|cookie)$/i;

/** A field's value that may be written. */
type Printable = string | number | boolean | null | readonly string[];

/** A field's value in a form that may be written. */
function printable(name: string, value: Exclude<LogFields[string], undefined>): Printable {
  if (SECRET.test(name)) return "[redacted]";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value === "string") return cut(value);
  return Array.isArray(value) ? value.slice(0, MAX_ITEMS).map(cut) : value;
}

function cut(text: string): string {
  return text.length > MAX_STRING ? `${text.slice(0, MAX_STRING)}…` : text;
}

function recordOf(level: LogLevel, code: EventCode, fields: LogFields, timestamp: number): LogRecord {
  const { text } = EVENTS[code];
  return {
    category: [code],
    level: level === "warn" ? "warning" : level,
    message: [text],
    rawMessage: text,
    timestamp,
    properties: fields,
  };
}

/** What each record has. */
const HEAD: ReadonlySet<string> = new Set(["time", "level", "code", "event"]);

/**
 * `{"time":…,"level":…,"code":…,"event":…}` and the fields. A field with one of these names gets a trailing underscore.
 */
function formatJson(record: LogRecord): string {
  const line: Record<string, Printable> = {
    time: new Date(record.timestamp).toISOString(),
    level: levelName(record.level),
    code: record.category[0]!,
    event: String(record.rawMessage),
  };
  for (const [name, value] of Object.entries(record.properties as LogFields)) {
    if (value !== undefined) line[HEAD.has(name) ? `${name}_` : name] = printable(name, value);
  }
  // JSON allows some control characters unescaped; `\\u` escapes are equivalent.
  return `${onOneLine(JSON.stringify(line))}\n`;
}

/** The fields are aligned to this column. */
const EVENT_WIDTH = 28;

async function textFormatter(colors: boolean): Promise<TextFormatter> {
  const { getPrettyFormatter } = await import("@logtape/pretty");
  const pretty = getPrettyFormatter({
    timestamp: "time",
    level: (level) => levelName(level),
    levelStyle: null,
    levelColors: { debug: "blue", info: "green", warning: "yellow", error: "red" },
    timestampColor: null,
    messageColor: null,
    messageStyle: null,
    icons: false,
    wordWrap: false,
    align: false,
    colors,
  });
  return (record) => {
    const fields = Object.entries(record.properties as LogFields).flatMap(([name, value]) =>
      value === undefined ? [] : [textField(name, printable(name, value))]
    );
    const event = fields.length > 0 ? `${record.rawMessage}`.padEnd(EVENT_WIDTH) : `${record.rawMessage}`;
    const text = onOneLine([event, ...fields].join(" "));
    // The level is padded here, because the formatter pads to the length of names that are not used.
    const pad = record.level === "info" || record.level === "warning" ? " " : "";
    return pretty({ ...record, category: [], message: [pad + text] });
  };
}

function levelName(level: string): string {
  return level === "warning" ? "warn" : level;
}

/** `held=1.25s`, `received=3.4MiB`, `cause="connection refused"`. */
function textField(name: string, value: Printable): string {
  if (typeof value === "number" && name.endsWith("Ms") && Number.isFinite(value)) {
    return `${name.slice(0, -2)}=${formatDurationMs(Math.round(value))}`;
  }
  if (typeof value === "number" && name.endsWith("Bytes")) {
    return `${name.slice(0, -5)}=${formatBytes(value)}`;
  }
  const text = Array.isArray(value) ? value.join(",") : String(value);
  return `${name}=${text === "" || /[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
}

/** A size with a binary unit. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)}${units[unit]}`;
}

/** Unprintable characters as escapes, which JSON has, too: one for each UTF-16 code unit. */
export function onOneLine(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (run) => run.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
  );
}
