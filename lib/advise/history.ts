/**
 * What is known of past sessions, and what reads it from lines. Types only.
 *
 * @module
 */

/** One session of the past. */
export interface PastSession {
  /** When the client connected, in ms since the epoch. */
  readonly startMs: number;
  /** How long it was connected, its wait included, in ms. */
  readonly durationMs: number;
  /** How long it waited for a pod, in ms. */
  readonly heldMs: number;
  /** It got a pod in the end. */
  readonly wasServed: boolean;
  /** Whose session it was, if that is known. */
  readonly project?: string | undefined;
}

/** What was read from a file. */
export interface History {
  /** What it was read as. */
  readonly format: "log" | "csv";
  /** The first to connect first. */
  readonly sessions: readonly PastSession[];
  /** Lines that were no records of the program, and sessions that were refused at a limit. */
  readonly skippedLines: number;
  /** The builders that sessions were on, sorted; empty where sessions do not say. */
  readonly builders: readonly string[];
  /** Builders that were not asked for, and how many sessions of each were left out. */
  readonly others: ReadonlyMap<string, number>;
  /** How long cold starts took, from the first client until a pod was ready, in ms. */
  readonly coldStartsMs: readonly number[];
}

/** What a reader finds in a line. */
export type Found =
  /** Nothing of interest, but a line of this kind of file. */
  | "nothing"
  /** No line of this kind of file, or a session that was no build. */
  | "skipped"
  | { readonly session: PastSession; readonly builder?: string | undefined }
  | { readonly coldStartMs: number; readonly builder?: string | undefined }
  /** What is wrong with it, each without the line. */
  | { readonly problems: readonly string[] };

/** Reads one kind of file. */
export interface HistoryReader {
  /** What it reads. */
  readonly format: History["format"];
  /** Reads one line. */
  read(line: string): Found;
}
