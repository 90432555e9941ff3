/**
 * Reads past sessions from the lines of a file: the program's own log in JSON, or CSV with a header. The first line that is
 * not empty says which. Keeps nothing of a line but its session.
 *
 * @module
 */
import { UsageError } from "../base/errors.ts";
import { OF_ADVISE } from "../config/commands.ts";
import { onOneLine } from "../ops/log_output.ts";
import { CsvReader } from "./csv_history.ts";
import type { Found, History, HistoryReader, PastSession } from "./history.ts";
import { LONGEST_LINE } from "./lines.ts";
import { LogReader } from "./log_history.ts";
import { someNames } from "./some_names.ts";

/** More sessions than this are refused: each takes some 100 bytes. */
export const MOST_SESSIONS = 1_000_000;

/** So many problems are told; of the others, how many there are. */
const MOST_PROBLEMS = 20;

/**
 * Reads all lines. `undefined` is a line that is too long to be kept. With `declared`, sessions of other builders are left
 * out and counted; those that name no builder stay.
 *
 * @throws UsageError with the problems of all lines, or if there is no session
 */
export async function readHistory(
  lines: AsyncIterable<string | undefined>,
  declared?: readonly string[],
): Promise<History> {
  const problems = new Problems();
  const sessions: PastSession[] = [];
  const builders = new Set<string>();
  const others = new Map<string, number>();
  const projects = new Map<string, string>();
  const coldStartsMs: number[] = [];
  let reader: HistoryReader | undefined;
  let skippedLines = 0;
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line?.trim() === "") continue;
    if (reader === undefined && line !== undefined) {
      const csv = CsvReader.ofHeader(line);
      reader = csv ?? new LogReader();
      if (csv !== undefined) {
        problems.add(number, csv.problems);
        continue;
      }
    }
    const found = line === undefined ? tooLong(reader) : reader!.read(line);
    if (found === "nothing") continue;
    if (found === "skipped") skippedLines++;
    else if ("problems" in found) problems.add(number, found.problems);
    else if (found.builder !== undefined && declared?.includes(found.builder) === false) {
      if ("session" in found) others.set(found.builder, (others.get(found.builder) ?? 0) + 1);
    } else if ("coldStartMs" in found) coldStartsMs.push(found.coldStartMs);
    else {
      const { session, builder } = found;
      if (sessions.length === MOST_SESSIONS) throw tooMany();
      // One string for each project, however many sessions it has.
      const { project } = session;
      if (project !== undefined && !projects.has(project)) projects.set(project, project);
      sessions.push(project === undefined ? session : { ...session, project: projects.get(project) });
      if (builder !== undefined) builders.add(builder);
    }
  }
  problems.tell();
  if (sessions.length === 0) {
    throw others.size > 0
      ? onlyOthers(others, declared!)
      : reader?.format === "csv"
      ? noRow()
      : noSession(number);
  }
  return {
    format: reader!.format,
    sessions: sessions.sort((a, b) => a.startMs - b.startMs),
    skippedLines,
    builders: [...builders].sort(),
    others,
    coldStartsMs,
  };
}

/** A log may have such lines of others; a line of CSV is a session. */
function tooLong(reader: HistoryReader | undefined): Found {
  if (reader?.format !== "csv") return "skipped";
  return { problems: [`the line is too long: want at most ${LONGEST_LINE} characters`] };
}

function tooMany(): UsageError {
  const problem =
    `Cannot replay: found more than ${MOST_SESSIONS} sessions, want fewer: split the file by time`;
  return new UsageError([problem], OF_ADVISE);
}

function onlyOthers(others: History["others"], declared: readonly string[]): UsageError {
  const problem = `Cannot replay: found only sessions of ${someNames([...others.keys()])}, want sessions of ${
    someNames(declared)
  }: "--builders" names them`;
  return new UsageError([onOneLine(problem)], OF_ADVISE);
}

/** Any row is a session or has a problem. */
function noRow(): UsageError {
  return new UsageError(
    ["Cannot replay: found a header of CSV and no rows, want a row for each session"],
    OF_ADVISE,
  );
}

function noSession(lines: number): UsageError {
  const problem =
    `Cannot replay: found no session in ${lines} ${lines === 1 ? "line" : "lines"}, want the log ` +
    `of "--log-format json" with its "session_ended" records, or CSV whose first line names "start" and "end" ` +
    `or "duration"`;
  return new UsageError([problem], OF_ADVISE);
}

/** What is wrong with lines, bounded. */
class Problems {
  readonly #first: string[] = [];
  #more = 0;

  add(line: number, problems: readonly string[]): void {
    for (const problem of problems) {
      if (this.#first.length < MOST_PROBLEMS) this.#first.push(`Line ${line}: ${onOneLine(problem)}`);
      else this.#more++;
    }
  }

  /** Throws them, if there are some. */
  tell(): void {
    if (this.#first.length === 0) return;
    const more = this.#more === 0
      ? []
      : [`… and ${this.#more} more ${this.#more === 1 ? "problem" : "problems"}`];
    const count = this.#first.length + this.#more;
    throw new UsageError([...this.#first, ...more], { ...OF_ADVISE, count });
  }
}
