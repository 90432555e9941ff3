/**
 * The port to the log. A record is the code of an event (see `events.ts`) and fields, never text with values pasted in,
 * so that people can search it, machines can parse it, and tests can assert on it. Fields never hold a secret.
 *
 * @module
 */
import { messageOf, publicMessageOf } from "./errors.ts";
import type { EventCode, FaultCode, LogLevel } from "./events.ts";

/** The fields of a record. Durations end in `Ms`, sizes in `Bytes`. `undefined` is left out. */
export type LogFields = Readonly<
  Record<string, string | number | boolean | null | undefined | readonly string[]>
>;

/** Where events go. */
export interface Log {
  /** For developers. */
  debug(code: EventCode, fields?: LogFields): void;
  /** For operators: a session, a scale decision. */
  info(code: EventCode, fields?: LogFields): void;
  /** A fault that is retried. */
  warn(code: EventCode, fields?: LogFields): void;
  /** A fault that needs a person. */
  error(code: EventCode, fields?: LogFields): void;
}

/** A {@link Log} that passes every record to one function. */
export function logTo(write: (level: LogLevel, code: EventCode, fields: LogFields) => void): Log {
  const at = (level: LogLevel) => (code: EventCode, fields: LogFields = {}) => write(level, code, fields);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A log whose records have these fields, too. */
export function logWith(log: Log, fields: LogFields): Log {
  return logTo((level, code, own) => log[level](code, { ...fields, ...own }));
}

/**
 * Logs each cause of a repeated fault once: when it appears, when its cause changes, and when it is over. A fault may
 * be the consequence of another one (no read succeeds while the server cannot be reached). While that one lasts, this
 * one is logged at debug only.
 */
export class CauseLog {
  readonly #log: Log;
  readonly #code: FaultCode;
  readonly #fields: LogFields;
  readonly #causedBy: CauseLog | undefined;
  /** The public message of the present fault. */
  #cause: string | undefined;
  /** The last cause that was logged as a warning since the fault began. */
  #logged: string | undefined;

  /**
   * Takes the code of the fault, whose end is logged as `<code>_recovered`, the fault that can cause it, and the fields
   * of all its records.
   */
  constructor(log: Log, code: FaultCode, causedBy?: CauseLog, fields: LogFields = {}) {
    this.#log = log;
    this.#code = code;
    this.#causedBy = causedBy;
    this.#fields = fields;
  }

  /** The public message of the present fault, if there is one. */
  get cause(): string | undefined {
    return this.#cause;
  }

  /** A try has failed, with an error or the text of a cause. */
  failed(error: unknown, fields: LogFields = {}): void {
    const cause = messageOf(error);
    const publicCause = this.#cause = publicMessageOf(error);
    // Who makes something public of the record takes this one.
    const all = { ...this.#fields, cause, ...(publicCause !== cause && { publicCause }), ...fields };
    if (cause === this.#logged || this.#causedBy?.cause !== undefined) {
      return this.#log.debug(this.#code, all);
    }
    this.#logged = cause;
    this.#log.warn(this.#code, all);
  }

  /** A try has succeeded. */
  succeeded(fields: LogFields = {}): void {
    const cause = this.#logged;
    this.#cause = undefined;
    this.#logged = undefined;
    if (cause !== undefined) this.#log.info(`${this.#code}_recovered`, { ...this.#fields, cause, ...fields });
  }
}
