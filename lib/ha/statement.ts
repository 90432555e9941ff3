/**
 * What this proxy says to the others in its record: what its sessions use, what it knows of proxies that have gone, what
 * it has answered, and what it has announced. It writes nothing: `own_record.ts` does, when this has changed.
 *
 * @module
 */
import { Listeners } from "../base/listeners.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Placement } from "../scaler/placement.ts";
import type { Usage } from "../scaler/usage.ts";
import type { KnownRecords } from "./known_records.ts";
import type { LastUse } from "./peer_memory.ts";
import type { Announcement, RecordBody } from "./record.ts";
import type { Standing } from "./standing.ts";

/** What it is drawn from. */
export interface StatementPorts extends Pick<BasePorts, "clock"> {
  /** Knows the sessions and the count. */
  readonly placement: Placement;
  /** Know the others, and what those used that have gone. */
  readonly records: Pick<KnownRecords, "others" | "inherited" | "use" | "subscribe">;
  /** Answers bind only a proxy that has joined. */
  readonly standing: Pick<Standing, "state" | "observes">;
}

/** One proxy's statement. */
export class Statement {
  readonly #ports: StatementPorts;
  readonly #answers = new Map<string, number>();
  readonly #changed = new Listeners();
  readonly #countsChanged = new Listeners();
  #announcement: Announcement | null = null;
  #queuedSinceMs: number | undefined;
  #told: string | undefined;
  #toldCounts: string | undefined;

  /** Nothing is announced or answered at first. */
  constructor(ports: StatementPorts) {
    this.#ports = ports;
    ports.placement.subscribe(() => this.#look());
    ports.records.subscribe(() => this.#look());
  }

  /** Calls `listener` when the others should hear of a change. Nobody reads it while this proxy is the only one. */
  subscribe(listener: () => void): void {
    this.#changed.add(listener);
  }

  /** Calls `listener` when only numbers have changed: others place their sessions better if they hear of it soon. */
  onCounts(listener: () => void): void {
    this.#countsChanged.add(listener);
  }

  /** Since when the oldest queued session of this proxy waits, monotonic ms; undefined if none is queued. */
  set queuedSinceMs(sinceMs: number | undefined) {
    this.#queuedSinceMs = sinceMs;
    this.#look();
  }

  /** Its content now. */
  get body(): RecordBody {
    const { clock, placement: { usage, agreement }, records, standing } = this.#ports;
    const { inherited, use: { knownSinceMs } } = records;
    const replicas = agreement.seen?.replicas ?? 0;
    return {
      ...describeUse({ usage, replicas, inherited, knownSinceMs }, clock.nowMs()),
      ...(this.#queuedSinceMs !== undefined && { queuedMs: clock.nowMs() - this.#queuedSinceMs }),
      ...(standing.observes && { observes: true as const }),
      // Of what it promised before it lapsed nothing need bind it any more.
      answers: standing.state === "joined" ? this.answers : {},
      announcement: this.#announcement,
    };
  }

  /** What this proxy wants as a leader, if anything. */
  get announcement(): Announcement | null {
    return this.#announcement;
  }

  /** Announces something else. The others hear of it when the record is written. */
  set announcement(announcement: Announcement | null) {
    this.#announcement = announcement;
  }

  /** For each leader the generation of its last announcement that this proxy has answered. */
  get answers(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#answers);
  }

  /** Answers an announcement: this proxy has made the promise. */
  answer(leader: string, generation: number): void {
    this.#answers.set(leader, generation);
    this.#look();
  }

  /** Drops the answers to all but these leaders. */
  keepAnswersTo(leaders: ReadonlySet<string>): void {
    for (const leader of this.#answers.keys()) if (!leaders.has(leader)) this.#answers.delete(leader);
    this.#look();
  }

  #look(): void {
    const { placement: { usage, needed }, records } = this.#ports;
    if (records.others.length === 0) return;
    const now = JSON.stringify([usage.busyOrdinals, needed, this.answers]);
    const counts = JSON.stringify([byOrdinal(usage.load), this.#queuedSinceMs]);
    const isSame = now === this.#told;
    const areCountsSame = counts === this.#toldCounts;
    this.#told = now;
    this.#toldCounts = counts;
    if (!isSame) this.#changed.tell();
    else if (!areCountsSame) this.#countsChanged.tell();
  }
}

/** What a proxy's own part is drawn from. */
export interface OwnUse {
  /** What its own sessions use. */
  readonly usage: Usage;
  /** The count as last seen: of pods beyond it nothing is said. */
  readonly replicas: number;
  /** What proxies said that have gone. */
  readonly inherited: LastUse;
  /** Since when all that was in use is known, monotonic ms. */
  readonly knownSinceMs: number;
}

/** The part of the record that says what is in use. Pure; durations are as of `nowMs`. */
export function describeUse(
  { usage, replicas, inherited, knownSinceMs }: OwnUse,
  nowMs: number,
): Pick<RecordBody, "inUse" | "sessions" | "needing" | "neededMs" | "knowsForMs"> {
  const inUse: RecordBody["inUse"][number][] = [];
  for (const ordinal of usage.busyOrdinals) inUse.push({ ordinal, busy: true, idleMs: 0 });
  const used = new Set([...usage.lastUsedMs.keys(), ...inherited.lastUsedMs.keys()]);
  for (const ordinal of [...used].filter((it) => it < replicas).sort((a, b) => a - b)) {
    const usedMs = Math.max(
      usage.lastUsedMs.get(ordinal) ?? -Infinity,
      inherited.lastUsedMs.get(ordinal) ?? -Infinity,
    );
    if (usage.on(ordinal) === 0) inUse.push({ ordinal, busy: false, idleMs: nowMs - usedMs });
  }
  const neededMs = Math.max(usage.lastNeededMs, inherited.lastNeededMs);
  return {
    inUse,
    ...(usage.busyOrdinals.length > 0 && { sessions: byOrdinal(usage.load) }),
    needing: usage.needing,
    neededMs: neededMs === -Infinity ? null : nowMs - neededMs,
    knowsForMs: nowMs - knownSinceMs,
  };
}

function byOrdinal(load: ReadonlyMap<number, number>): Record<string, number> {
  // Such keys are in ascending order in every object.
  return Object.fromEntries(load);
}
