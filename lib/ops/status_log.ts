/**
 * What the status page takes from the log: the last decisions about each builder's count, the last sessions that have
 * ended, and who the clients of open sessions are. The page says what the log says, in the same words. Passes every
 * record on, changes none, and keeps a bounded number.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { type EventCode, EVENTS } from "../base/events.ts";
import { type Log, type LogFields, logTo } from "../base/log.ts";
import { remember } from "./history.ts";

/** A record that was kept. */
export interface Noted {
  /** When, monotonic ms. */
  readonly atMs: number;
  /** The event. */
  readonly code: EventCode;
  /** The event in words. */
  readonly text: string;
  /** Its fields. */
  readonly fields: LogFields;
}

/** Who a client is. */
export type Client = Partial<Pick<LogFields, "client" | "clientName">>;

/**
 * Records of these events are decisions about a builder's count. Those of faults are not shown: their causes may quote what
 * only the log may have, such as credential files. The page has the present faults from elsewhere, in public words.
 */
const DECISIONS: ReadonlySet<EventCode> = new Set<EventCode>([
  "scaled",
  "would_scale",
  "replicas_changed_externally",
  "replicas_changed_by_proxy",
]);

/** Decisions that are kept for each builder. */
export const MOST_DECISIONS = 20;

/** Sessions that are kept after their end. */
export const MOST_SESSIONS = 20;

/** Clients that are kept at a time; the program's own limit is usually lower. */
const MOST_CLIENTS = 20_000;

/** Keeps what the page shows of the log. */
export class StatusLog {
  readonly #clock: Pick<Clock, "nowMs">;
  /** By builder; of records that name none, by `""`. */
  readonly #decisions = new Map<string, Noted[]>();
  readonly #sessions: Noted[] = [];
  readonly #clients = new Map<number, Client>();

  /** Nothing was logged yet. */
  constructor(clock: Pick<Clock, "nowMs">) {
    this.#clock = clock;
  }

  /** The same log, whose records are looked at as they pass. */
  over(log: Log): Log {
    return logTo((level, code, fields) => {
      this.#note(code, fields);
      log[level](code, fields);
    });
  }

  /** The last decisions about a builder, the newest last. */
  decisionsOf(builder: string): readonly Noted[] {
    // Where there is one builder, records do not name it.
    return this.#decisions.get(builder) ?? this.#decisions.get("") ?? [];
  }

  /** The last sessions that have ended, the newest last. */
  get sessions(): readonly Noted[] {
    return this.#sessions;
  }

  /** Who the client of an open session is. */
  clientOf(session: number): Client {
    return this.#clients.get(session) ?? {};
  }

  #note(code: EventCode, fields: LogFields): void {
    if (code === "session_opened") return this.#opened(fields);
    if (code === "session_ended") {
      this.#clients.delete(Number(fields["session"]));
      return remember(this.#sessions, this.#noted(code, fields), MOST_SESSIONS);
    }
    // The same count, written once more, is for other proxies and changes nothing.
    if (!DECISIONS.has(code) || fields["from"] === fields["to"]) return;
    const builder = String(fields["builder"] ?? "");
    const decisions = this.#decisions.get(builder) ?? [];
    this.#decisions.set(builder, decisions);
    remember(decisions, this.#noted(code, fields), MOST_DECISIONS);
  }

  #opened({ session, client, clientName }: LogFields): void {
    this.#clients.set(Number(session), { client, clientName });
    if (this.#clients.size <= MOST_CLIENTS) return;
    const [oldest] = this.#clients.keys();
    this.#clients.delete(oldest!);
  }

  #noted(code: EventCode, fields: LogFields): Noted {
    return { atMs: this.#clock.nowMs(), code, text: EVENTS[code].text, fields };
  }
}
