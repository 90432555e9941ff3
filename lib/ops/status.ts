/**
 * All that the status page and `/status.json` show, gathered from the program's parts. Reads only, but for asking the API
 * server why clients wait, while somebody looks. Keeps a bounded history: see `history.ts`, `savings.ts`, `status_log.ts`.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import type { LogFields } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Price } from "../config/price.ts";
import type { Proxy } from "../proxy/proxy.ts";
import type { Health } from "./health.ts";
import type { Point } from "./history.ts";
import type { Saved } from "./savings.ts";
import { BuilderWatch, type WatchedBuilder } from "./status_builder.ts";
import type {
  BuilderFacts,
  DecisionFacts,
  PointFacts,
  ProxyFacts,
  SavedFacts,
  SessionFacts,
  StatusFacts,
  WaitFacts,
  WhatIfFacts,
} from "./status_facts.ts";
import type { Noted, StatusLog } from "./status_log.ts";

/** What is looked at. */
export interface Watched {
  /** The program's version. */
  readonly version: string;
  /** What a pod costs. */
  readonly price: Price | undefined;
  /** Time. */
  readonly clock: Clock;
  /** The checks. */
  readonly health: Pick<Health, "report">;
  /** The sessions. */
  readonly proxy: Pick<Proxy, "open" | "held">;
  /** The builders in their declared order. */
  readonly builders: readonly WatchedBuilder[];
  /** What was logged. */
  readonly log: StatusLog;
}

/** Sessions that wait and are listed. */
export const MOST_WAITING = 50;

/** Gathers what there is to see. */
export class Status {
  readonly #watched: Watched;
  readonly #builders: readonly BuilderWatch[];
  readonly #startedMs: number;
  readonly #changed = new Listeners();
  readonly #closed = new AbortController();
  readonly #points = new WeakMap<Point, PointFacts>();

  /** Listens from now on. */
  constructor(watched: Watched) {
    this.#watched = watched;
    this.#startedMs = watched.clock.nowMs();
    const changed = () => this.#changed.tell();
    this.#builders = watched.builders.map((builder) => new BuilderWatch(builder, watched.clock, changed));
  }

  /** Calls `listener` when something may look different. It must be quick and must not throw. */
  subscribe(listener: () => void): void {
    this.#changed.add(listener);
  }

  /** Counts what was saved. Call it before metrics are read. */
  report(metrics: Metrics): void {
    for (const builder of this.#builders) builder.report(metrics);
    metrics.record("observes", this.#builders.some(({ wouldSave }) => wouldSave !== undefined) ? 1 : 0, {});
    metrics.record("price_per_hour", this.#watched.price?.perHour ?? 0, {});
  }

  /** Nobody looks any more: questions that are under way end. */
  close(): void {
    this.#closed.abort(new Error("The program ends"));
  }

  /** Everything at this moment. Takes half a second at most. */
  async facts(): Promise<StatusFacts> {
    const { signal } = this.#closed;
    await Promise.all(this.#builders.map((builder) => builder.ask(signal)));
    const { version, price, clock, health, proxy, log } = this.#watched;
    const ready = health.report("ready");
    const saved = this.#builders.map((builder) => builder.saved);
    const would = this.#builders.flatMap(({ wouldSave }) => wouldSave === undefined ? [] : [wouldSave]);
    const waiting = [...this.#waiting()].sort((a, b) => a.session - b.session);
    return {
      version,
      now: this.#at(clock.nowMs()),
      started: this.#at(this.#startedMs),
      ready: ready.ok,
      ...(ready.ok ? {} : { notReadyBecause: ready.brief }),
      sessions: { open: proxy.open, held: proxy.held },
      observes: would.length > 0,
      ...(price && { price }),
      saved: this.#saved(total(saved)),
      ...(would.length > 0 && { wouldSave: this.#saved(total(would)) }),
      builders: this.#builders.map((builder) => this.#builder(builder)),
      queues: this.#pools.map((pool) => ({
        pool: pool.policy.name,
        waiting: pool.held,
        queued: pool.queued,
      })),
      waiting: waiting.slice(0, MOST_WAITING),
      moreWaiting: Math.max(0, waiting.length - MOST_WAITING),
      proxies: this.#proxies(),
      lastSessions: log.sessions.map((noted) => this.#session(noted)).reverse(),
    };
  }

  get #pools() {
    return [...new Set(this.#builders.map(({ builder: { pool } }) => pool))];
  }

  #builder(watch: BuilderWatch): BuilderFacts {
    const { name, pool, settings, target } = watch.builder;
    const { placement: { agreement: { seen }, usage }, scaler, observer } = target;
    const { pods, scaleDownAtMs, waitsBecause, knownSinceMs } = watch;
    const faults = [scaler.fault, observer.fault, observer.unlisted, observer.portDoubt];
    return {
      name,
      pool: pool.policy.name,
      state: target.state,
      ...(seen && { replicas: seen.replicas }),
      ...(scaler.decision && { desired: scaler.decision.desired }),
      because: scaler.because,
      ...(scaleDownAtMs !== undefined && { scaleDownAt: this.#at(scaleDownAtMs) }),
      faults: [...new Set(faults.filter((fault) => fault !== undefined))],
      ...(waitsBecause !== undefined && { waitsBecause }),
      sessions: pods.reduce((sessions, pod) => sessions + pod.sessions, 0),
      held: usage.needing,
      pods,
      settings: {
        idleTimeoutSeconds: settings.idleTimeoutMs / 1000,
        floor: scaler.floor,
        maxReplicas: settings.maxReplicas,
      },
      saved: this.#saved(watch.saved),
      ...this.#observed(watch),
      whatIf: watch.whatIf.map((row): WhatIfFacts => {
        const { secondsWaited, ...saved } = this.#saved({ ...row, waitedMs: row.waitedMs ?? 0 });
        return {
          idleTimeoutSeconds: row.idleTimeoutMs / 1000,
          isSet: row.isSet,
          podSecondsRunning: seconds(row.runMs),
          ...saved,
          ...(row.waitedMs !== undefined && { secondsWaited }),
        };
      }),
      ...(knownSinceMs !== undefined && { whatIfSince: this.#at(knownSinceMs) }),
      decisions: this.#watched.log.decisionsOf(name).map((noted) => this.#decision(noted)).reverse(),
      timeline: watch.timeline.map((point) => this.#point(point)),
    };
  }

  #observed({ builder: { target: { shadow } }, wouldSave }: BuilderWatch): Pick<BuilderFacts, "observed"> {
    if (shadow === undefined || wouldSave === undefined) return {};
    return {
      observed: {
        ...(shadow.replicas !== undefined && { replicas: shadow.replicas }),
        saved: this.#saved(wouldSave),
        startSeconds: seconds(shadow.start.ms),
        isStartMeasured: shadow.start.isMeasured,
      },
    };
  }

  /** Points stay what they are, and there may be many. */
  #point(point: Point): PointFacts {
    const known = this.#points.get(point);
    if (known !== undefined) return known;
    const { atMs, replicas, virtual, pods, ...counts } = point;
    const facts = {
      at: this.#at(atMs),
      ...(replicas !== undefined && { replicas }),
      ...(virtual !== undefined && { virtualReplicas: virtual }),
      pods: Array.from(pods, (phase) => phase ?? null),
      ...counts,
    };
    this.#points.set(point, facts);
    return facts;
  }

  #saved({ asleepMs, coldStarts, waitedMs }: Saved): SavedFacts {
    const { price } = this.#watched;
    return {
      podSecondsAsleep: seconds(asleepMs),
      coldStarts,
      secondsWaited: seconds(waitedMs),
      ...(price && { money: Math.round(asleepMs / 3_600_000 * price.perHour * 100) / 100 }),
    };
  }

  #decision({ atMs, code, text, fields }: Noted): DecisionFacts {
    const { from, to } = fields;
    const because = textOf(fields, "because");
    return {
      at: this.#at(atMs),
      event: code,
      text,
      ...(typeof from === "number" && { from }),
      ...(typeof to === "number" && { to }),
      ...(because !== undefined && { because }),
    };
  }

  #session({ atMs, fields }: Noted): SessionFacts {
    const outcome = textOf(fields, "outcome") ?? "";
    return {
      at: this.#at(atMs),
      session: Number(fields["session"]),
      ...texts(fields, ["client", "clientName", "project", "pod", "routed"]),
      outcome,
      // An error of the program is for the log.
      ...(outcome === "failed" ? {} : texts(fields, ["reason"])),
      secondsHeld: seconds(Number(fields["heldMs"])),
      seconds: seconds(Number(fields["durationMs"])),
    };
  }

  *#waiting(): Generator<WaitFacts> {
    for (const { policy: { name: pool }, unseated } of this.#pools) {
      for (const { id, project, waitsFor, stage, builder, arrivedMs } of unseated) {
        yield {
          session: id,
          ...texts(this.#watched.log.clientOf(id), ["client", "clientName"]),
          ...(project !== undefined && { project }),
          pool,
          waitsFor: stage === "watching" ? "nothing" : waitsFor,
          ...(builder && { builder: builder.name }),
          since: this.#at(arrivedMs),
        };
      }
    }
  }

  #proxies(): readonly ProxyFacts[] {
    const uses = new Map<string, { builder: string; text: string }[]>();
    for (const { builder: { name, target: { proxies, placement: { usage } } } } of this.#builders) {
      const use = (identity: string, busy: readonly number[], held: number) => {
        const parts = [busy.length === 0 ? "idle" : `busy on ${busy.join(", ")}`];
        if (held > 0) parts.push(`${held} held`);
        uses.set(identity, [...uses.get(identity) ?? [], { builder: name, text: parts.join(", ") }]);
      };
      use(proxies.identity, usage.busyOrdinals, usage.needing);
      for (const { identity, body } of proxies.others) {
        const busy = (body?.inUse ?? []).filter((each) => each.busy).map(({ ordinal }) => ordinal);
        use(identity, busy, body?.needing ?? 0);
      }
    }
    const { identity: own, leader } = this.#builders[0]!.builder.target.proxies;
    return [...uses].map(([identity, uses]) => ({
      identity,
      leads: identity === leader,
      isThis: identity === own,
      uses,
    }));
  }

  /** The wall time of a monotonic one, as of now. */
  #at(ms: number): string {
    const { clock } = this.#watched;
    return new Date(Math.round(clock.wallMs() - (clock.nowMs() - ms))).toISOString();
  }
}

function total(saved: readonly Saved[]): Saved {
  const sum = (key: keyof Saved) => saved.reduce((sum, each) => sum + each[key], 0);
  return { asleepMs: sum("asleepMs"), coldStarts: sum("coldStarts"), waitedMs: sum("waitedMs") };
}

/** Seconds with milliseconds. */
function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}

function textOf(fields: LogFields, key: string): string | undefined {
  const value = fields[key];
  return typeof value === "string" ? value : undefined;
}

function texts<Key extends string>(
  fields: LogFields,
  keys: readonly Key[],
): { readonly [K in Key]?: string } {
  const found = keys.map((key) => [key, textOf(fields, key)] as const).filter(([, text]) =>
    text !== undefined
  );
  return Object.fromEntries(found) as { readonly [K in Key]?: string };
}
