/**
 * The program's own classes of errors, and the text of any error. All messages have one form: what could not be done,
 * in sentence case and without a full stop, values in quotes, `found …, want …` after a colon.
 *
 * @module
 */

/** Wrong user input. The program prints all problems and exits with 2. */
export class UsageError extends Error {
  /** Always `UsageError`. */
  override readonly name = "UsageError";
  /** All problems, one line each. */
  readonly problems: readonly string[];
  /** False for commands that only print something. */
  readonly preventsStart: boolean;

  /** How many problems there are; {@link problems} may have a line for several. */
  readonly count: number;
  /** The command whose `--help` says more; undefined for that of the program. */
  readonly command: string | undefined;

  /** Takes at least one problem. */
  constructor(
    problems: readonly string[],
    { preventsStart = true, count = problems.length, command }: {
      readonly preventsStart?: boolean;
      readonly count?: number;
      readonly command?: string;
    } = {},
  ) {
    super(problems.join("\n"));
    this.problems = problems;
    this.preventsStart = preventsStart;
    this.count = count;
    this.command = command;
  }
}

/** The program cannot continue. It prints the message without a stack and exits with 1. */
export class FatalError extends Error {
  /** Always `FatalError`. */
  override readonly name = "FatalError";
}

/** A time-out. The outcome of the operation is unknown. */
export class TimeoutError extends Error {
  /** Always `TimeoutError`. */
  override readonly name = "TimeoutError";
}

/** An error whose message is complete. {@link messageOf} does not append its causes. */
export class ExplainedError extends Error {
  /** `ExplainedError`, or the name of a subclass. */
  override readonly name: string = "ExplainedError";
}

/**
 * An error whose message is only for the log, because it names local files or quotes a plugin or the runtime. Clients
 * and the admin port, which need no credentials, get `publicMessage` instead ({@link publicMessageOf}).
 */
export class PrivateError extends ExplainedError {
  /** Always `PrivateError`. */
  override readonly name: string = "PrivateError";
  /** The message for clients and the admin port. */
  readonly publicMessage: string;

  /** Takes the message for the log and the public one. */
  constructor(message: string, publicMessage: string, options?: ErrorOptions) {
    super(message, options);
    this.publicMessage = publicMessage;
  }
}

/**
 * The message of an error for clients and the admin port: {@link messageOf} it, unless it is a {@link PrivateError} or
 * was caused by one. Nothing else may decide this.
 */
export function publicMessageOf(error: unknown): string {
  for (let e = error, depth = 0; e instanceof Error && depth < 10; e = e.cause, depth++) {
    if (e instanceof PrivateError) return e.publicMessage;
  }
  return messageOf(error);
}

/** The message of an error and its causes, for the log. Never a stack. */
export function messageOf(error: unknown): string {
  const parts: string[] = [];
  for (let e = error; e !== undefined && e !== null && parts.length < 5;) {
    const message = e instanceof Error ? e.message || e.name : String(e);
    if (!parts.some((part) => part.includes(message))) parts.push(message);
    e = e instanceof Error && !(e instanceof ExplainedError) ? e.cause : undefined;
  }
  return parts.join(": ");
}

/** The code of an error (`ECONNREFUSED`, `EMFILE` …), if it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/**
 * Checks an assumption of the code, also in production.
 *
 * @throws Error when `condition` is false
 */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`Invariant broken: ${what}`);
}
