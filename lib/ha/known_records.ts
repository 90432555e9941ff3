/**
 * All proxies' records, kept up to date: watched, and listed consistently where the agreement wants it. What they say
 * is folded by `peer_memory.ts`, when one has expired is judged by `record_expiry.ts`, and who deletes it stands in
 * `dead_records.ts`.
 *
 * @module
 */
import { Listeners } from "../base/listeners.ts";
import { CauseLog } from "../base/log.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { BuilderPorts } from "../base/ports.ts";
import { LEASE_GROUP, type LeaseApi } from "../kube/leases.ts";
import type { ReflectorPorts } from "../kube/reflector.ts";
import { SharedWatch } from "../kube/shared_watch.ts";
import type { Lease } from "../kube/types.ts";
import type { PeerUse } from "../scaler/peers.ts";
import type { CountReader } from "../scaler/count_reader.ts";
import { type LastUse, PeerMemory } from "./peer_memory.ts";
import {
  keptOf,
  leaseName,
  recordKey,
  recordKeyOf,
  recordSelector,
  recordsSelector,
  type RecordTarget,
  RENEWALS,
} from "./record.ts";
import type { RecordLists } from "./record_lists.ts";
import { isExpired, MOST_READ, RecordExpiry, type SeenRecord } from "./record_expiry.ts";

/** What they are kept with. */
export interface KnownRecordsPorts extends Pick<BuilderPorts, "clock" | "log" | "metrics"> {
  /** Watches them: see {@link watchRecords}. */
  readonly watch: SharedWatch<Lease>;
  /** Lists them. */
  readonly leases: Pick<LeaseApi, "list">;
  /** Lists them together with those of other scale targets. */
  readonly lists: Pick<RecordLists, "get">;
  /** This process, whose own record is among them. */
  readonly identity: string;
  /** Says when what was seen is not to be compared with what comes. */
  readonly count: Pick<CountReader, "onRegressed">;
}

/**
 * Changes that a watch shows within this time after others are taken up together, in ms: each costs a look at all records, and
 * the others' numbers change with each of their sessions.
 */
const PAUSE_MS = 100;

/** A record that is older than this part of its expiry was not renewed when it was due. */
const MISSED_PART = 1.5 / RENEWALS;

/** One watch of the records of several scale targets. */
export function watchRecords(
  namespace: string,
  names: readonly string[],
  ports: ReflectorPorts,
): SharedWatch<Lease> {
  return new SharedWatch<Lease>(
    {
      group: LEASE_GROUP,
      resource: "leases",
      namespace,
      selector: { labelSelector: recordsSelector(names) },
    },
    recordKeyOf,
    ports,
    keptOf,
  );
}

/** What this proxy knows of all. */
export class KnownRecords {
  readonly #ports: KnownRecordsPorts;
  readonly #records = new RecordExpiry();
  readonly #memory: PeerMemory;
  readonly #listeners = new Listeners();
  readonly #onGone = new Set<(lease: Lease) => void>();
  readonly #faults: CauseLog;
  #target: RecordTarget | undefined;
  /** Ends the pause after changes were taken up. */
  #endPause: (() => void) | undefined;
  /** Something has changed in that pause. */
  #isLate = false;

  /** Asks nothing yet. */
  constructor(ports: KnownRecordsPorts) {
    this.#ports = ports;
    this.#faults = new CauseLog(ports.log, "records_not_read");
    this.#memory = new PeerMemory(ports.clock.nowMs());
    ports.count.onRegressed(() => this.#startAnew());
  }

  /** Calls `listener` when something may have changed. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Calls `listener` when a watch shows that a Lease is gone, or a list that this proxy's own is gone; before those of
   * `subscribe`.
   */
  onGone(listener: (lease: Lease) => void): void {
    this.#onGone.add(listener);
  }

  /** All as last seen, this proxy's own included. */
  get all(): readonly SeenRecord[] {
    return this.#records.all;
  }

  /** The other proxies that are alive, as far as is known. */
  get others(): readonly SeenRecord[] {
    const { identity } = this.#ports;
    return this.#records.all.filter((record) => record.identity !== identity && !isExpired(record));
  }

  /** What the others have in use. */
  get use(): PeerUse {
    return this.#memory.use;
  }

  /**
   * Since when the oldest queued session of the others waits; undefined if none is queued. One that has missed a renewal may
   * be dead, and nobody leaves room to its clients for the whole expiry of its record.
   */
  get queuedSinceMs(): number | undefined {
    const nowMs = this.#ports.clock.nowMs();
    const sinceMs = this.others.map(({ body, seenMs, expiryMs }) =>
      body?.queuedMs === undefined || nowMs - seenMs > expiryMs * MISSED_PART
        ? Infinity
        : seenMs - body.queuedMs
    );
    const oldestMs = Math.min(...sinceMs);
    return oldestMs === Infinity ? undefined : oldestMs;
  }

  /** What proxies that have gone had in use. */
  get inherited(): LastUse {
    return this.#memory.inherited;
  }

  /** Watches them until the signal is aborted. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clock, watch } = this.#ports;
    const { promise: never } = Promise.withResolvers<never>();
    const subscription = watch.subscribe(recordKey(this.#targetOrThrow()), (change) => {
      if (change.type === "gone") this.#gone(change.object);
      this.#take(() => this.#records.changed(change, clock.nowMs()), true);
    });
    try {
      await orAborted(never, signal);
    } finally {
      subscription.end();
      this.#endPause?.();
      this.#endPause = undefined;
    }
  }

  /** From now on only the records of this scale target count; those of another one are forgotten. */
  set target(target: RecordTarget) {
    this.#target = target;
    this.#records.target = target;
  }

  /** Lists them consistently, and returns them as judged on that very list. */
  async list(signal: AbortSignal): Promise<readonly SeenRecord[]> {
    const { clock } = this.#ports;
    const askedMs = clock.nowMs();
    const leases = await this.#ports.leases.list(recordSelector(this.#targetOrThrow()), signal);
    this.#take(() => this.#records.listed(leases, askedMs, clock.nowMs()));
    return this.#records.all;
  }

  /** The same by a list that may be so old, and serves several scale targets: for what nobody waits for. */
  async listLately(maxAgeMs: number, signal: AbortSignal): Promise<readonly SeenRecord[]> {
    const { clock, lists } = this.#ports;
    const key = recordKey(this.#targetOrThrow());
    const { askedMs, leases } = await lists.get(maxAgeMs, signal);
    const own = leases.filter((lease) => recordKeyOf(lease) === key);
    this.#take(() => this.#records.listed(own, askedMs, clock.nowMs()));
    return this.#records.all;
  }

  /** The resourceVersions have regressed: what was seen is not to be compared with what comes. */
  #startAnew(): void {
    this.#records.forget();
    this.#ports.watch.relist();
  }

  /** Takes news in. If this proxy's own record was there before and is not any more, it was deleted. */
  #take(news: () => void, isWatched = false): void {
    const ownName = leaseName(this.#targetOrThrow().name, `proxy-${this.#ports.identity}`);
    const own = this.#records.named(ownName);
    news();
    if (own !== undefined && this.#records.named(ownName) === undefined) this.#gone(own.lease);
    if (!isWatched) return this.#changed();
    this.#isLate = true;
    if (this.#endPause === undefined) this.#takeUp();
  }

  /** Takes up what a watch has shown, now and after the pause that follows. */
  #takeUp(): void {
    this.#endPause = undefined;
    if (!this.#isLate) return;
    this.#endPause = this.#ports.clock.setTimer(PAUSE_MS, () => this.#takeUp());
    this.#changed();
  }

  #changed(): void {
    const { clock, metrics } = this.#ports;
    const { others } = this;
    this.#isLate = false;
    this.#memory.update(others, clock.nowMs());
    metrics.record("proxies_alive", 1 + others.length, {});
    if (this.#records.all.length <= MOST_READ) this.#faults.succeeded();
    else if (this.#faults.cause === undefined) this.#faults.failed(TOO_MANY);
    this.#listeners.tell();
  }

  #gone(lease: Lease): void {
    for (const listener of this.#onGone) listener(lease);
  }

  #targetOrThrow(): RecordTarget {
    if (this.#target === undefined) throw new Error("The StatefulSet was not seen yet");
    return this.#target;
  }
}

const TOO_MANY =
  `More than ${MOST_READ} proxies have a record for this builder: nothing scales down before fewer have one`;
