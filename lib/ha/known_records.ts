/**
 * All proxies' records, kept up to date: watched, and listed consistently where the agreement wants it. What they say
 * is folded by `peer_memory.ts`, when one has expired is judged by `record_expiry.ts`, and who deletes it stands in
 * `dead_records.ts`.
 *
 * @module
 */
import { Listeners } from "../base/listeners.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { BuilderPorts } from "../base/ports.ts";
import { LEASE_GROUP, type LeaseApi } from "../kube/leases.ts";
import type { ReflectorPorts } from "../kube/reflector.ts";
import { SharedWatch } from "../kube/shared_watch.ts";
import type { Lease } from "../kube/types.ts";
import type { PeerUse } from "../scaler/peers.ts";
import type { CountReader } from "../scaler/count_reader.ts";
import { type LastUse, PeerMemory } from "./peer_memory.ts";
import { recordKey, recordKeyOf, recordSelector, recordsSelector, type RecordTarget } from "./record.ts";
import type { RecordLists } from "./record_lists.ts";
import { isExpired, RecordExpiry, type SeenRecord } from "./record_expiry.ts";

/** What they are kept with. */
export interface KnownRecordsPorts extends Pick<BuilderPorts, "clock" | "metrics"> {
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
  );
}

/** What this proxy knows of all. */
export class KnownRecords {
  readonly #ports: KnownRecordsPorts;
  readonly #records = new RecordExpiry();
  readonly #memory: PeerMemory;
  readonly #listeners = new Listeners();
  readonly #onGone = new Set<(lease: Lease) => void>();
  #target: RecordTarget | undefined;

  /** Asks nothing yet. */
  constructor(ports: KnownRecordsPorts) {
    this.#ports = ports;
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
      this.#take(() => this.#records.changed(change, clock.nowMs()));
    });
    try {
      await orAborted(never, signal);
    } finally {
      subscription.end();
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
  #take(news: () => void): void {
    const { identity } = this.#ports;
    const find = () => this.#records.all.find((record) => record.identity === identity);
    const own = find();
    news();
    if (own !== undefined && find() === undefined) this.#gone(own.lease);
    this.#changed();
  }

  #changed(): void {
    const { clock, metrics } = this.#ports;
    const { others } = this;
    this.#memory.update(others, clock.nowMs());
    metrics.record("proxies_alive", 1 + others.length, {});
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
