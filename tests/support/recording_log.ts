/**
 * A log that keeps its records, for tests that assert on codes and fields.
 *
 * @module
 */
import type { EventCode, LogLevel } from "../../lib/base/events.ts";
import { type Log, type LogFields, logTo } from "../../lib/base/log.ts";

/** One record. */
export interface LogRecord {
  readonly level: LogLevel;
  readonly code: EventCode;
  readonly fields: LogFields;
}

/** A {@link Log} with what was written to it. */
export interface RecordingLog extends Log {
  readonly records: readonly LogRecord[];
  /** The records of one event. */
  of(code: EventCode): readonly LogRecord[];
  /** Resolves with the record number `count` of an event, now or as soon as it is written. */
  next(code: EventCode, count?: number): Promise<LogRecord>;
}

/** Makes a log that keeps its records. */
export function recordingLog(): RecordingLog {
  const records: LogRecord[] = [];
  const waiting = new Set<() => void>();
  const log = logTo((level, code, fields) => {
    records.push({ level, code, fields });
    for (const look of waiting) look();
  });
  const of = (code: EventCode) => records.filter((record) => record.code === code);
  return {
    ...log,
    records,
    of,
    next(code, count = 1) {
      return new Promise((resolve) => {
        const look = () => {
          const found = of(code)[count - 1];
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
