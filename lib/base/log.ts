/**
 * The port to the log. A record is the code of an event (see `events.ts`) and fields, never text with values pasted in,
 * so that people can search it, machines can parse it, and tests can assert on it. Fields never hold a secret.
 *
 * @module
 */
import { messageOf, publicMessageOf } from "./errors.ts";
import type { EventCode, FaultCode, LogLevel } from "./events.ts";

/** What is known about an event. Durations end in `Ms`, sizes in `Bytes`; `undefined` is left out. */
export type LogFields = Readonly<
  Record<string, string | number | boolean | null | undefined | readonly string[]>
>;

/** Where events go. */
export interface Log {
  /** What only a developer looks for. */
  debug(code: EventCode, fields?: LogFields): void;
  /** What an operator wants to know: a session, a scale decision. */
  info(code: EventCode, fields?: LogFields): void;
  /** What does not work now and is tried again. */
  warn(code: EventCode, fields?: LogFields): void;
  /** What needs a person. */
  error(code: EventCode, fields?: LogFields): void;
}

/** A {@link Log} that hands every record to one function. */
export function logTo(write: (level: LogLevel, code: EventCode, fields: LogFields) => void): Log {
  const at = (level: LogLevel) => (code: EventCode, fields: LogFields = {}) => write(level, code, fields);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/**
 * Says each new cause once: a fault that repeats is logged when it appears, when it changes and when it is over. A fault
 * may be under another one (nothing can be read from a server that is away): while that one lasts and is said, this one
 * is noted at debug only.
 */
export class CauseLog {
  readonly #log: Log;
  readonly #code: FaultCode;
  readonly #fields: LogFields;
  readonly #under: CauseLog | undefined;
  /** The fault that lasts, in words for everybody. */
  #cause: string | undefined;
  /** The last cause that was logged as a warning, since the fault began. */
  #said: string | undefined;

  /** Takes the code of the fault, and the fields of all its records; its end is logged as `<code>_recovered`. */
  constructor(log: Log, code: FaultCode, under?: CauseLog, fields: LogFields = {}) {
    this.#log = log;
    this.#code = code;
    this.#under = under;
    this.#fields = fields;
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
      return this.#log.debug(this.#code, { ...this.#fields, cause, ...fields });
    }
    this.#said = cause;
    this.#log.warn(this.#code, { ...this.#fields, cause, ...fields });
  }

  /** A try has succeeded. */
  succeeded(): void {
    const cause = this.#said;
    this.#cause = undefined;
    this.#said = undefined;
    if (cause !== undefined) this.#log.info(`${this.#code}_recovered`, { ...this.#fields, cause });
  }
}
