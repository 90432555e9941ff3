/**
 * A log that keeps its records, for tests that assert on events and fields.
 *
 * @module
 */
import { type Log, type LogFields, type LogLevel, logTo } from "../../lib/base/log.ts";

/** One record. */
export interface LogRecord {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: LogFields;
}

/** A {@link Log} with what was written to it. */
export interface RecordingLog extends Log {
  readonly records: readonly LogRecord[];
  /** The records of one event. */
  of(event: string): readonly LogRecord[];
  /** Resolves with the record number `count` of an event, now or as soon as it is written. */
  next(event: string, count?: number): Promise<LogRecord>;
}

/** Makes a log that keeps its records. */
export function recordingLog(): RecordingLog {
  const records: LogRecord[] = [];
  const waiting = new Set<() => void>();
  const log = logTo((level, event, fields) => {
    records.push({ level, event, fields });
    for (const look of waiting) look();
  });
  const of = (event: string) => records.filter((record) => record.event === event);
  return {
    ...log,
    records,
    of,
    next(event, count = 1) {
      return new Promise((resolve) => {
        const look = () => {
          const found = of(event)[count - 1];
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      });
    },
  };
}
