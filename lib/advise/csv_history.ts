/**
 * Sessions in CSV. The first line names the columns, in any order: `start`, and `end` or `duration`; where they are known
 * `held`, `builder` and `project`. Other columns are ignored. Pure.
 *
 * @see https://www.rfc-editor.org/rfc/rfc4180
 * @module
 */
import { formatDurationMs, parseDurationMs } from "../config/duration.ts";
import type { Found, HistoryReader } from "./history.ts";
import { isLength, LONGEST_SESSION_MS, readTime, YEARS } from "./read_time.ts";

const COLUMNS = ["start", "end", "duration", "held", "builder", "project"] as const;
type Column = typeof COLUMNS[number];

/** Reads CSV. */
export class CsvReader implements HistoryReader {
  readonly format = "csv";
  /** What is wrong with the header. */
  readonly problems: readonly string[];
  readonly #columns: ReadonlyMap<Column, number>;

  private constructor(columns: ReadonlyMap<Column, number>, line: string) {
    this.#columns = columns;
    const has = (column: Column) => columns.has(column);
    this.problems = has("start") && has("end") !== has("duration") ? [] : [
      `cannot read the header: found "${
        line.trim().slice(0, 80)
      }", want the columns start, and end or duration`,
    ];
  }

  /** The reader of a file that begins with this line; undefined if that is no header of such a file. */
  static ofHeader(line: string): CsvReader | undefined {
    const names = fieldsOf(line).map((name) => name.toLowerCase());
    const columns = new Map(
      COLUMNS.flatMap((column) => names.includes(column) ? [[column, names.indexOf(column)] as const] : []),
    );
    return columns.has("start") || columns.has("end") ? new CsvReader(columns, line) : undefined;
  }

  read(line: string): Found {
    // Without its columns a line says nothing.
    if (this.problems.length > 0) return "nothing";
    const fields = fieldsOf(line);
    const problems: string[] = [];
    const field = (column: Column) => fields[this.#columns.get(column) ?? -1] || undefined;
    const value = (column: Column, parse: (text: string) => number | undefined, want: string) => {
      if (!this.#columns.has(column)) return undefined;
      const text = field(column);
      const parsed = text === undefined ? undefined : parse(text);
      if (parsed === undefined) {
        problems.push(`cannot read "${column}": found "${(text ?? "").slice(0, 80)}", want ${want}`);
      }
      return parsed;
    };
    const startMs = value("start", readTime, TIME);
    const endMs = value("end", readTime, TIME);
    const lengthMs = value("duration", readDuration, DURATION);
    const heldMs = field("held") === undefined ? 0 : value("held", readDuration, DURATION);
    if (problems.length > 0 || startMs === undefined) return { problems };
    const durationMs = lengthMs ?? endMs! - startMs;
    if (durationMs < 0) {
      return {
        problems: [`the session ends before it starts: found "${field("start")}" and then "${field("end")}"`],
      };
    }
    if (!isLength(durationMs)) {
      return {
        problems: [`the session is too long: found ${formatDurationMs(durationMs)}, want ${LONGEST}`],
      };
    }
    if (heldMs! > durationMs) {
      const [held, length] = [heldMs!, durationMs].map(formatDurationMs);
      return {
        problems: [
          `the session was held for longer than it lasted: found ${held}, want at most its ${length}`,
        ],
      };
    }
    const project = field("project");
    const session = {
      startMs,
      durationMs,
      heldMs: heldMs!,
      wasServed: true,
      ...(project === undefined ? {} : { project }),
    };
    return { session, builder: field("builder") };
  }
}

const TIME = `RFC 3339 such as "2026-11-26T08:00:00Z" ${YEARS}, or seconds since 1970`;
const LONGEST = `at most ${formatDurationMs(LONGEST_SESSION_MS)}`;
const DURATION = `a duration such as "2m0s", ${LONGEST}`;

function readDuration(text: string): number | undefined {
  const ms = parseDurationMs(text);
  return isLength(ms) ? ms : undefined;
}

/** The fields of a line, without their quotes and without blanks around them. No field has several lines. */
function fieldsOf(line: string): readonly string[] {
  const fields: string[] = [];
  for (let rest = line.trim(), more = true; more;) {
    const [whole, quoted, plain = "", comma] = FIELD.exec(rest)!;
    fields.push(quoted?.replaceAll('""', '"') ?? plain.trim());
    rest = rest.slice(whole.length);
    more = comma !== "";
  }
  return fields;
}

/** A field at the beginning of a text, and the comma after it. Matches any text. */
const FIELD = /^\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(,|$)/;
