/**
 * The port to the log. A record is an event name and fields, never text with values pasted in, so that people can
 * search it, machines can parse it, and tests can assert on it. Fields never hold a secret.
 *
 * @module
 */
import { messageOf, publicMessageOf } from "./errors.ts";

/** How much a record matters, least first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = typeof LOG_LEVELS[number];

/** What is known about an event. Durations end in `Ms`, sizes in `Bytes`; `undefined` is left out. */
export type LogFields = Readonly<
  Record<string, string | number | boolean | null | undefined | readonly string[]>
>;

/** Where events go. `event` is a short phrase in lower case, always the same for the same kind of event. */
export interface Log {
  /** What only a developer looks for. */
  debug(event: string, fields?: LogFields): void;
  /** What an operator wants to know: a session, a scale decision. */
  info(event: string, fields?: LogFields): void;
  /** What does not work now and is tried again. */
  warn(event: string, fields?: LogFields): void;
  /** What needs a person. */
  error(event: string, fields?: LogFields): void;
}

/** A {@link Log} that hands every record to one function. */
export function logTo(write: (level: LogLevel, event: string, fields: LogFields) => void): Log {
  const at = (level: LogLevel) => (event: string, fields: LogFields = {}) => write(level, event, fields);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/**
 * Says each new cause once: a fault that repeats is logged when it appears, when it changes and when it is over. A fault
 * may be under another one (nothing can be read from a server that is away): while that one lasts and is said, this one
 * is noted at debug only.
 */
export class CauseLog {
  readonly #log: Log;
  readonly #event: string;
  readonly #under: CauseLog | undefined;
  /** The fault that lasts, in words for everybody. */
  #cause: string | undefined;
  /** The last cause that was logged as a warning, since the fault began. */
  #said: string | undefined;

  /** Takes the event of the fault; the end of it is logged as `<event> is over`. */
  constructor(log: Log, event: string, under?: CauseLog) {
    this.#log = log;
    this.#event = event;
    this.#under = under;
  }

  /** The fault that lasts, if one does. Clients and the admin port may be told: the log has said more. */
  get cause(): string | undefined {
    return this.#cause;
  }

  /** A try has failed for this error, or for the cause in these words. */
  failed(error: unknown, fields: LogFields = {}): void {
    const cause = messageOf(error);
    this.#cause = publicMessageOf(error);
    if (cause === this.#said || this.#under?.cause !== undefined) {
      return this.#log.debug(this.#event, { cause, ...fields });
    }
    this.#said = cause;
    this.#log.warn(this.#event, { cause, ...fields });
  }

  /** A try has succeeded. */
  succeeded(): void {
    const cause = this.#said;
    this.#cause = undefined;
    this.#said = undefined;
    if (cause !== undefined) this.#log.info(`${this.#event} is over`, { cause });
  }
}
