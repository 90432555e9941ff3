/**
 * Errors that somebody branches on, and what is said of any error. One grammar for all messages: what could not be
 * done, sentence case, no full stop, values quoted, found and wanted after a colon.
 *
 * @module
 */

/** The user's input is wrong: the program prints all problems and exits with 2. */
export class UsageError extends Error {
  /** Always `UsageError`. */
  override readonly name = "UsageError";
  /** Each problem in one line, all that were found. */
  readonly problems: readonly string[];
  /** Whether correct input would have started the program, or only printed something. */
  readonly preventsStart: boolean;

  /** Takes the problems, one line each, at least one. */
  constructor(problems: readonly string[], { preventsStart = true }: { preventsStart?: boolean } = {}) {
    super(problems.join("\n"));
    this.problems = problems;
    this.preventsStart = preventsStart;
  }
}

/** The program cannot do its work: it prints the message, without a stack, and exits with 1. */
export class FatalError extends Error {
  /** Always `FatalError`. */
  override readonly name = "FatalError";
}

/** Waiting took too long. The outcome of what was waited for is unknown. */
export class TimeoutError extends Error {
  /** Always `TimeoutError`. */
  override readonly name = "TimeoutError";
}

/** An error whose message says all that a user needs: its causes are for debugging. */
export class ExplainedError extends Error {
  /** `ExplainedError`, or the name of a narrower class. */
  override readonly name: string = "ExplainedError";
}

/**
 * An error whose message is for the log only: it names files of this machine, or quotes a program or the runtime.
 * Clients and the admin port, which need no credentials, are told `publicMessage` instead ({@link publicMessageOf}).
 */
export class PrivateError extends ExplainedError {
  /** Always `PrivateError`. */
  override readonly name: string = "PrivateError";
  /** What everybody may read. */
  readonly publicMessage: string;

  /** Takes the message for the log and the one for everybody else. */
  constructor(message: string, publicMessage: string, options?: ErrorOptions) {
    super(message, options);
    this.publicMessage = publicMessage;
  }
}

/**
 * What clients and the admin port may be told of an error: {@link messageOf} it, unless it is a {@link PrivateError} or
 * was caused by one. The only place that decides this.
 */
export function publicMessageOf(error: unknown): string {
  for (let e = error, depth = 0; e instanceof Error && depth < 10; e = e.cause, depth++) {
    if (e instanceof PrivateError) return e.publicMessage;
  }
  return messageOf(error);
}

/** An error's message with those of its causes, for a log line. Never a stack. */
export function messageOf(error: unknown): string {
  const parts: string[] = [];
  for (let e = error; e !== undefined && e !== null && parts.length < 5;) {
    const message = e instanceof Error ? e.message || e.name : String(e);
    if (!parts.some((part) => part.includes(message))) parts.push(message);
    e = e instanceof Error && !(e instanceof ExplainedError) ? e.cause : undefined;
  }
  return parts.join(": ");
}

/** The error's machine code (`ECONNREFUSED`, `EMFILE` …) where the runtime gives one. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/**
 * States what must hold. Stays on in production: a broken invariant ends the program rather than a build.
 *
 * @throws Error when `condition` is false
 */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`Invariant broken: ${what}`);
}
