/**
 * All proxies' records, kept up to date: watched, listed consistently where the agreement wants it, and deleted where
 * their proxies are dead. What they say is folded by `peers.ts`, when one has expired is judged by `records.ts`.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { ApiError } from "../kube/api_error.ts";
import { LEASE_GROUP, type LeaseApi } from "../kube/leases.ts";
import { Reflector, type ReflectorPorts } from "../kube/reflector.ts";
import type { Lease } from "../kube/types.ts";
import type { PeerUse } from "../scaler/peers.ts";
import { type LastUse, PeerMemory } from "./peers.ts";
import { recordSelector, type RecordTarget } from "./record.ts";
import { isExpired, Records, type SeenRecord } from "./records.ts";

/** What they are kept with. */
export interface KnownRecordsPorts extends ReflectorPorts {
  /** Lists and deletes them. */
  readonly leases: LeaseApi;
  /** This process, whose own record is among them. */
  readonly identity: string;
  /** The settings of this proxy: how long its own record is good for, in ms. */
  readonly recordExpiryMs: number;
  /** Something has changed. */
  onChange(): void;
  /** A watch says that a Lease is gone, or a list that this proxy's own is; called before {@link onChange}. */
  onGone(lease: Lease): void;
}

/** How often a leader reads the records when others are there, at least: so that those of dead proxies expire. */
const READ_MS = 10_000;

/** The same within the duration of each record. */
const READS = 10;

/** What this proxy knows of all. */
export class KnownRecords {
  readonly #ports: KnownRecordsPorts;
  readonly #records = new Records();
  readonly #memory: PeerMemory;
  #reflector: Reflector<Lease> | undefined;

  /** Asks nothing yet. */
  constructor(ports: KnownRecordsPorts) {
    this.#ports = ports;
    this.#memory = new PeerMemory(ports.clock.nowMs());
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

  /** What proxies had in use that have gone. */
  get inherited(): LastUse {
    return this.#memory.inherited;
  }

  /** Watches those of `target` until the signal is aborted. Those of an earlier one are forgotten. */
  async watch(target: RecordTarget, signal: AbortSignal): Promise<void> {
    const { clock, onGone } = this.#ports;
    this.#reflector = new Reflector<Lease>(
      {
        group: LEASE_GROUP,
        resource: "leases",
        namespace: target.namespace,
        selector: { labelSelector: recordSelector(target) },
      },
      this.#ports,
      (change) => {
        if (change.type === "gone") onGone(change.object);
        this.#take(() => this.#records.changed(change, clock.nowMs()));
      },
    );
    await this.#reflector.run(signal);
  }

  /** From now on the records of this one count. */
  set target(target: RecordTarget) {
    this.#records.target = target;
  }

  /** Lists them consistently, and returns them as judged on that very list. */
  async list(target: RecordTarget, signal: AbortSignal): Promise<readonly SeenRecord[]> {
    const { clock } = this.#ports;
    const askedMs = clock.nowMs();
    const leases = await this.#ports.leases.list(recordSelector(target), signal);
    this.#take(() => this.#records.listed(leases, askedMs, clock.nowMs()));
    return this.#records.all;
  }

  /** The resourceVersions have regressed: what was seen is not to be compared with what comes. */
  startAnew(): void {
    this.#records.forget();
    this.#reflector?.relist();
  }

  /** While this proxy `leads` and others are there, reads the records, and deletes those of dead proxies. */
  async collect(target: RecordTarget, leads: () => boolean, signal: AbortSignal): Promise<void> {
    const { clock, log, recordExpiryMs } = this.#ports;
    for (;;) {
      // Another proxy may have been started with another --record-expiry.
      const expiryMs = Math.min(recordExpiryMs, ...this.#records.all.map((it) => it.expiryMs));
      await sleep(clock, Math.min(READ_MS, expiryMs / READS), signal);
      if (!leads() || this.#records.all.length <= 1) continue;
      try {
        await this.#deleteExpired(await this.list(target, signal), signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ApiError && (error.status === 404 || error.status === 409))) {
          log.debug("records_cleanup_failed", { cause: messageOf(error) });
        }
      }
    }
  }

  async #deleteExpired(list: readonly SeenRecord[], signal: AbortSignal): Promise<void> {
    const { log, leases, identity } = this.#ports;
    for (const record of list) {
      if (record.identity === identity || !isExpired(record)) continue;
      await leases.remove(record.lease, signal);
      log.info("stale_record_deleted", { proxy: record.identity });
    }
  }

  /** Takes news in. Where the own record was and is no more, that has been deleted. */
  #take(news: () => void): void {
    const { identity, onGone } = this.#ports;
    const find = () => this.#records.all.find((record) => record.identity === identity);
    const own = find();
    news();
    if (own !== undefined && find() === undefined) onGone(own.lease);
    this.#changed();
  }

  #changed(): void {
    const { clock, metrics, onChange } = this.#ports;
    const { others } = this;
    this.#memory.update(others, clock.nowMs());
    metrics.record("proxies_alive", 1 + others.length, {});
    onChange();
  }
}
