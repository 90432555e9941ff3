/**
 * Writes Kubernetes Events about the StatefulSets. It hears of them through the log, so the log and the Events tell the
 * same; `event_table.ts` says which records are Events. Whoever logs never waits and never hears of a failure. Without the
 * right to write Events, the log says so once; it is tried again rarely.
 *
 * @module
 */
import { deadline, sleep } from "../base/clock.ts";
import { messageOf, TimeoutError } from "../base/errors.ts";
import type { EventCode } from "../base/events.ts";
import { CauseLog, type Log, type LogFields, logTo } from "../base/log.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import { ApiError, isConflict, isForbidden } from "../kube/api_error.ts";
import { retryDelayMs } from "../kube/client.ts";
import { EVENT_GROUP, type EventApi } from "../kube/event_api.ts";
import { microTime } from "../kube/micro_time.ts";
import type { KubeEvent } from "../kube/types.ts";
import { EventQueue, type Series } from "./event_queue.ts";
import { EVENT_ROWS, eventOf } from "./event_table.ts";

/** What it writes with. */
export interface KubeEventsPorts extends Pick<BasePorts, "clock" | "random" | "log"> {
  /** The API. */
  readonly api: EventApi;
  /** The fault under which its own stands: that there is no access to the API. */
  readonly access?: CauseLog;
}

/** A StatefulSet that Events are about. */
export interface EventBuilder {
  /** Its name. */
  readonly name: string;
  /** Its uid; undefined while it is not known. */
  readonly uid: string | undefined;
  /** Whether this proxy tells what all proxies see. */
  readonly speaks: boolean;
  /** Calls `listener` when the uid may have changed. */
  onPresence(listener: () => void): void;
}

/** Whose Events these are. */
export interface EventSource {
  /** The StatefulSets' namespace. */
  readonly namespace: string;
  /** New with every process. */
  readonly identity: string;
  /** The StatefulSets. */
  readonly builders: readonly EventBuilder[];
}

/** The name of the program in Events. */
const CONTROLLER = "buildkitd-autoscaler";

/** Between two tries without the right, in ms. */
const FORBIDDEN_MS = 600_000;

/** At the end of the program, what is left may take this long, in ms. */
const FLUSH_MS = 2_000;

interface Told {
  readonly builder: EventBuilder;
  readonly queue: EventQueue;
  /** The faults that were told, and have not ended. */
  readonly faults: Set<string>;
}

interface Due {
  readonly told: Told;
  readonly series: Series;
}

/** Keeps the Events until they are written. */
export class KubeEvents {
  readonly #ports: KubeEventsPorts;
  readonly #faults: CauseLog;
  readonly #changed = new Notifier();
  readonly #told = new Map<string, Told>();
  #source: EventSource | undefined;
  /** Without the right nothing is kept, until then. */
  #silentUntilMs = -Infinity;
  /** Failures in a row. */
  #failures = 0;
  #named = 0;

  /** Writes nothing yet: `run` does. */
  constructor(ports: KubeEventsPorts) {
    this.#ports = ports;
    this.#faults = new CauseLog(ports.log, "event_write_failed", ports.access);
  }

  /** Says what the Events are about. What was logged before is no Event. */
  about(source: EventSource): void {
    this.#source = source;
    for (const builder of source.builders) {
      this.#told.set(builder.name, { builder, queue: new EventQueue(), faults: new Set() });
      builder.onPresence(() => this.#changed.notify());
    }
  }

  /** A log that passes everything on, and makes Events of what is one. */
  tap(log: Log): Log {
    return logTo((level, code, fields) => {
      log[level](code, fields);
      // At debug, a fault is the consequence of another one, or was told before.
      if (level !== "debug") this.#tell(code, fields);
    });
  }

  /** Writes Events until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#ports;
    for (;;) {
      const due = this.#due();
      if (due === undefined) await this.#changed.wait(clock, this.#dueMs(), signal);
      else {
        const error = await this.#write(due, signal);
        if (error !== undefined) await sleep(clock, retryDelayMs(error, this.#failures++, random), signal);
      }
    }
  }

  /** Writes what is left, for a short time. Never throws. */
  async flush(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    using limit = deadline(clock, FLUSH_MS, signal, () => new TimeoutError("The API server does not answer"));
    for (let due = this.#due(); due !== undefined && !limit.signal.aborted; due = this.#due()) {
      if (await this.#write(due, limit.signal).catch((error) => error) !== undefined) return;
    }
  }

  #tell(code: EventCode, fields: LogFields): void {
    const { clock, log } = this.#ports;
    const told = EVENT_ROWS[code] && this.#toldOf(fields);
    if (told === undefined) return;
    const { builder, queue, faults } = told;
    const nowMs = clock.nowMs();
    const fault = code.replace(/_recovered$/, "");
    const isEnd = fault !== code;
    const isKnown = faults.delete(fault);
    const found = eventOf(code, fields);
    if (found === undefined || nowMs < this.#silentUntilMs) return;
    // Who has told of a fault tells of its end.
    if (!(isEnd ? isKnown : found.by === "self" || builder.speaks)) return;
    if (!isEnd) faults.add(fault);
    if (!queue.tell(found.event, builder.uid, { nowMs, wallMs: clock.wallMs() })) {
      log.debug("event_lost", { builder: builder.name, cause: "too many wait to be written" });
    }
    this.#changed.notify();
  }

  /** Where there is one StatefulSet, records need not name it. */
  #toldOf({ builder }: LogFields): Told | undefined {
    if (typeof builder === "string") return this.#told.get(builder);
    const [only, other] = this.#told.values();
    return other === undefined ? only : undefined;
  }

  #due(): Due | undefined {
    for (const told of this.#told.values()) {
      if (told.builder.uid === undefined) continue;
      const series = told.queue.due(this.#ports.clock.nowMs());
      if (series !== undefined) return { told, series };
    }
    return undefined;
  }

  #dueMs(): number {
    const nowMs = this.#ports.clock.nowMs();
    const known = [...this.#told.values()].filter(({ builder }) => builder.uid !== undefined);
    return Math.min(Infinity, ...known.map(({ queue }) => queue.dueMs(nowMs)));
  }

  /**
   * Writes one Event. Returns the error after which all writes have to wait.
   *
   * @throws the reason of `signal`
   */
  async #write({ told, series }: Due, signal: AbortSignal): Promise<unknown> {
    const { api, log } = this.#ports;
    const { queue, builder } = told;
    const { count } = series;
    const isNew = series.writtenCount === 0;
    let hasLanded = false;
    try {
      if (isNew) await api.create(this.#eventOf(series, builder), signal);
      else await api.observe(series.name!, seriesOf(series), signal);
    } catch (error) {
      signal.throwIfAborted();
      const status = error instanceof ApiError ? error.status : 0;
      if (!isNew && status === 404) {
        // The API server has deleted it: its time was over.
        series.writtenCount = 0;
        delete series.name;
        return undefined;
      }
      // Its name is this process's own: an earlier try has landed after all, with a smaller count perhaps.
      hasLanded = isNew && isConflict(error);
      if (!hasLanded) return this.#failed(error, queue, series);
    }
    queue.takeToken();
    series.writtenCount = hasLanded ? 1 : count;
    this.#failures = 0;
    this.#faults.succeeded();
    log.debug("event_written", { builder: builder.name, reason: series.event.reason, count });
    return undefined;
  }

  #failed(error: unknown, queue: EventQueue, series: Series): unknown {
    if (isForbidden(error)) return this.#forbidden();
    this.#faults.failed(error);
    const status = error instanceof ApiError ? error.status : 0;
    const isRefused = status >= 400 && status < 500 && ![401, 408, 409, 429].includes(status);
    if (!isRefused) return error;
    this.#ports.log.debug("event_lost", { reason: series.event.reason, cause: messageOf(error) });
    queue.forget(series);
    return undefined;
  }

  #forbidden(): undefined {
    this.#silentUntilMs = this.#ports.clock.nowMs() + FORBIDDEN_MS;
    for (const { queue } of this.#told.values()) queue.forgetUnwritten();
    // The server's own words name the Event, and so are new each time.
    this.#faults.failed(
      `Cannot write Events in namespace "${
        this.#source!.namespace
      }": no permission; the missing rule in a Role of ` +
        `that namespace is apiGroups: ["${EVENT_GROUP}"], resources: ["events"], verbs: ["create", "patch"] ` +
        "(--events=false writes none)",
    );
  }

  /** The Event as it is created. */
  #eventOf(series: Series, { name, uid }: EventBuilder): KubeEvent {
    const { namespace, identity } = this.#source!;
    const { event: { type, reason, action, note }, firstMs, count } = series;
    series.name ??= `${name}.${identity}-${(++this.#named).toString(36)}`;
    return {
      metadata: { name: series.name, namespace },
      eventTime: microTime(firstMs),
      type,
      reason,
      action,
      note,
      regarding: { apiVersion: "apps/v1", kind: "StatefulSet", namespace, name, uid: series.uid ?? uid! },
      reportingController: CONTROLLER,
      reportingInstance: `${CONTROLLER}-${identity}`,
      ...(count > 1 && { series: seriesOf(series) }),
    };
  }
}

function seriesOf({ count, last }: Series): NonNullable<KubeEvent["series"]> {
  return { count, lastObservedTime: microTime(last.wallMs) };
}
