/**
 * The records of all proxies as this one sees them, and since when each has not changed. A record expires when it has
 * not changed for its own duration, counted only while this proxy could read the API. Pure but for its memory.
 *
 * @module
 */
import type { Change } from "../kube/reflector.ts";
import type { Lease } from "../kube/types.ts";
import { isNewer } from "../scaler/agreement.ts";
import { parseAnyRecord, parseRecord, type ProxyRecord, type RecordTarget } from "./record.ts";

/** A record with what this proxy has observed of it. */
export interface SeenRecord extends ProxyRecord {
  /** When this version of it was first seen, monotonic ms: durations in it are as of then. */
  readonly seenMs: number;
  /** For how long it has not changed, while the API could be read, in ms. */
  readonly unchangedMs: number;
}

/**
 * Two reads that are further apart say nothing of the time between: the API may have been out of reach for all, or for
 * this proxy alone, or the program may have stood still.
 */
const LONGEST_GAP_MS = 20_000;

/** The same as a part of a record's own duration: no single outage may use that up. */
const LONGEST_GAP_PART = 1 / 4;

/** No list is so old when it is taken in: until then it may have a record that is gone. */
const GONE_MS = 300_000;

/**
 * The records of more proxies than this are not read: whoever may create Leases could forge any number. A record that is not
 * read is treated as one that cannot be: it counts as busy on every ordinal, and consents to nothing.
 */
export const MOST_READ = 128;

/** What is known of all proxies. */
export class RecordExpiry {
  /** By the name of the Lease. */
  readonly #seen = new Map<string, SeenRecord>();
  /** The same as a list, until something changes. */
  #all: readonly SeenRecord[] | undefined;
  readonly #ofAll: boolean;
  #target: RecordTarget | undefined;
  #readMs: number | undefined;
  /** Records that a watch has lately shown to be gone, by name: the version of the deletion, and when it was seen. */
  readonly #gone = new Map<string, { readonly version: string; readonly seenMs: number }>();

  /** Takes in nothing before its `target` is known; with `ofAll`, the records of all scale targets. */
  constructor(ofAll = false) {
    this.#ofAll = ofAll;
  }

  /** The scale target; with another one everything is forgotten. */
  set target(target: RecordTarget) {
    if (target.uid === this.#target?.uid) return;
    this.#target = target;
    this.forget();
  }

  /** The resourceVersions have regressed: what was seen is not to be compared with what comes. */
  forget(): void {
    this.#all = undefined;
    this.#seen.clear();
    this.#gone.clear();
  }

  /** All records, this proxy's own included. */
  get all(): readonly SeenRecord[] {
    return this.#all ??= [...this.#seen.values()];
  }

  /** The one that stands in the Lease of that name. */
  named(name: string): SeenRecord | undefined {
    return this.#seen.get(name);
  }

  /** A watch has reported a change. */
  changed(change: Change<Lease>, nowMs: number): void {
    if (change.type === "list") this.#take(change.items, nowMs, nowMs);
    else if (change.type === "set") this.#set(change.object, nowMs);
    else this.#deleted(change.object, nowMs);
  }

  /**
   * A list was read: also a proof that the API could be read until `askedMs`, when it was asked for. Nothing is proved
   * of the time that its answer took.
   */
  listed(leases: readonly Lease[], askedMs: number, nowMs: number): void {
    const gapMs = this.#readMs === undefined ? 0 : askedMs - this.#readMs;
    this.#readMs = Math.max(askedMs, this.#readMs ?? -Infinity);
    this.#take(leases, askedMs, nowMs);
    for (const lease of leases) {
      const name = lease.metadata?.name ?? "";
      const known = this.#seen.get(name);
      if (known === undefined || versionOf(lease) !== versionOf(known.lease)) continue;
      if (gapMs > Math.min(LONGEST_GAP_MS, known.expiryMs * LONGEST_GAP_PART)) continue;
      // Only time since the record was first seen like this.
      const moreMs = Math.max(0, Math.min(gapMs, askedMs - known.seenMs - known.unchangedMs));
      this.#seen.set(name, { ...known, unchangedMs: known.unchangedMs + moreMs });
    }
  }

  #take(leases: readonly Lease[], askedMs: number, nowMs: number): void {
    this.#all = undefined;
    const names = new Set(leases.map(({ metadata }) => metadata?.name ?? ""));
    for (const [name, { seenMs }] of this.#seen) {
      if (!names.has(name) && seenMs <= askedMs) this.#seen.delete(name);
    }
    for (const lease of leases) this.#set(lease, nowMs);
  }

  /** Late news of an earlier record of the same name says nothing of the present one. */
  #deleted(lease: Lease, nowMs: number): void {
    this.#all = undefined;
    const name = lease.metadata?.name ?? "";
    this.#gone.delete(name);
    // The oldest comes first.
    for (const [other, { seenMs }] of this.#gone) {
      if (nowMs - seenMs <= GONE_MS) break;
      this.#gone.delete(other);
    }
    this.#gone.set(name, { version: versionOf(lease), seenMs: nowMs });
    const known = this.#seen.get(name);
    if (known !== undefined && !isNewer(versionOf(known.lease), versionOf(lease))) {
      this.#seen.delete(name);
    }
  }

  #set(lease: Lease, nowMs: number): void {
    const name = lease.metadata?.name ?? "";
    const known = this.#seen.get(name);
    if (known !== undefined && !isNewer(versionOf(lease), versionOf(known.lease))) return;
    const gone = this.#gone.get(name);
    if (gone !== undefined && !isNewer(versionOf(lease), gone.version)) return;
    const isRead = this.#seen.size < MOST_READ || known?.body !== undefined;
    const record = this.#ofAll
      ? parseAnyRecord(lease, isRead)
      : this.#target && parseRecord(lease, this.#target, isRead);
    if (record === undefined) return;
    this.#all = undefined;
    this.#seen.set(name, { ...record, seenMs: nowMs, unchangedMs: 0 });
  }
}

function versionOf({ metadata }: Lease): string {
  return metadata?.resourceVersion ?? "";
}

/** True when the record's proxy is taken for dead. */
export function isExpired({ unchangedMs, expiryMs }: Pick<SeenRecord, "unchangedMs" | "expiryMs">): boolean {
  return unchangedMs >= expiryMs;
}
