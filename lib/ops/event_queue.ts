/**
 * The Events about one StatefulSet that are to be written. What occurs again within some minutes is one series, which is
 * one Event with a count, as client-go's recorder has it. A token bucket limits the writes: a series that has to wait for
 * a token goes on counting. The queue is bounded: what does not fit is lost. Pure: knows no API.
 *
 * @module
 */

/** What an Event says. */
export interface ToldEvent {
  /** Whether something is wrong. */
  readonly type: "Normal" | "Warning";
  /** Why it was told, in one word for programs. */
  readonly reason: string;
  /** What was done or failed, in one word for programs. */
  readonly action: string;
  /** The same for people. */
  readonly note: string;
}

/** The time, twice. */
export interface Times {
  /** Monotonic ms. */
  readonly nowMs: number;
  /** Wall time in ms. */
  readonly wallMs: number;
}

/** One Event, and how often it has occurred. */
export interface Series {
  /** What it says. */
  readonly event: ToldEvent;
  /** The uid of the StatefulSet; undefined if it was not known yet. */
  readonly uid: string | undefined;
  /** When it first occurred, wall time in ms. */
  readonly firstMs: number;
  /** When it last did. */
  last: Times;
  /** How often it did. */
  count: number;
  /** The same as it stands in the API; 0 before it was created. */
  writtenCount: number;
  /** Its name in the API, once it was sent there. */
  name?: string;
}

/** A series ends when nothing was added for this long, in ms. Source: `finishTime` of client-go's event_broadcaster.go */
const SERIES_MS = 6 * 60_000;

/** What could not be written for this long is news no more, in ms: kube-apiserver keeps Events for an hour. */
const STALE_MS = 3_600_000;

/** Series that are kept. */
const MOST_SERIES = 50;

/** Writes that may follow each other at once. Source: `defaultSpamBurst` of client-go's events_cache.go */
const BURST = 25;

/** Between two further writes, in ms. */
const REFILL_MS = 60_000;

/** The Events of one StatefulSet. */
export class EventQueue {
  /** Those that occurred last come last. */
  readonly #series = new Map<string, Series>();
  #tokens = BURST;
  #refilledMs: number | undefined;

  /** An Event occurs. Returns whether there was room for it. */
  tell(event: ToldEvent, uid: string | undefined, times: Times): boolean {
    this.#prune(times.nowMs);
    const key = JSON.stringify([uid, event.type, event.reason, event.action, event.note]);
    const known = this.#series.get(key);
    if (known === undefined && this.#series.size >= MOST_SERIES && !this.#dropWritten()) return false;
    const series = known ?? { event, uid, firstMs: times.wallMs, last: times, count: 0, writtenCount: 0 };
    series.last = times;
    series.count++;
    this.#series.delete(key);
    this.#series.set(key, series);
    return true;
  }

  /** The next series to be written; undefined if there is none, or no token for it. */
  due(nowMs: number): Series | undefined {
    this.#prune(nowMs);
    this.#refill(nowMs);
    return this.#tokens < 1 ? undefined : this.#unwritten;
  }

  /** When the next series is due, monotonic ms; Infinity if none is. */
  dueMs(nowMs: number): number {
    this.#refill(nowMs);
    if (this.#unwritten === undefined) return Infinity;
    return this.#tokens < 1 ? this.#refilledMs! + REFILL_MS : nowMs;
  }

  /** A series was written. */
  takeToken(): void {
    this.#tokens--;
  }

  /** This series shall not be written any more, and not be continued. */
  forget(series: Series): void {
    for (const [key, each] of this.#series) if (each === series) this.#series.delete(key);
  }

  /** Forgets what was not written. */
  forgetUnwritten(): void {
    for (const [key, each] of this.#series) if (isUnwritten(each)) this.#series.delete(key);
  }

  get #unwritten(): Series | undefined {
    return this.#series.values().find(isUnwritten);
  }

  #refill(nowMs: number): void {
    const sinceMs = this.#refilledMs ??= nowMs;
    const more = Math.floor((nowMs - sinceMs) / REFILL_MS);
    this.#tokens = Math.min(BURST, this.#tokens + more);
    this.#refilledMs = sinceMs + more * REFILL_MS;
  }

  #prune(nowMs: number): void {
    for (const [key, series] of this.#series) {
      const keptMs = isUnwritten(series) ? STALE_MS : SERIES_MS;
      if (nowMs - series.last.nowMs >= keptMs) this.#series.delete(key);
    }
  }

  /** Makes room: ends the series that is written and was not continued for the longest time. */
  #dropWritten(): boolean {
    for (const [key, series] of this.#series) {
      if (!isUnwritten(series)) return this.#series.delete(key);
    }
    return false;
  }
}

function isUnwritten({ count, writtenCount }: Series): boolean {
  return count > writtenCount;
}
