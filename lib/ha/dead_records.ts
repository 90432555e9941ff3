/**
 * Deletes the records of dead proxies: the leader those that have expired, also of builders that nobody names any more, and
 * a restarted container that of its predecessor in the same pod. That process is dead for certain, so nobody need wait for its record to expire.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { BasePorts } from "../base/ports.ts";
import { ApiError } from "../kube/api_error.ts";
import type { LeaseApi } from "../kube/leases.ts";
import type { Election } from "./election.ts";
import type { KnownRecords } from "./known_records.ts";
import {
  ALL_RECORDS,
  parseRecord,
  recordKey,
  recordKeyOf,
  recordSelector,
  type RecordTarget,
} from "./record.ts";
import { isExpired, RecordExpiry, type SeenRecord } from "./record_expiry.ts";

/** What expired records are deleted with. */
export interface DeadRecordsPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Deletes them. */
  readonly leases: LeaseApi;
  /** Reads them. */
  readonly records: Pick<KnownRecords, "all" | "listLately">;
  /** Only the leader does it. */
  readonly lead: { readonly leads: boolean };
  /** This process. */
  readonly identity: string;
}

/** How often a leader reads the records when others are there, at least: so that those of dead proxies expire. */
const READ_MS = 10_000;

/** The same within the duration of each record. */
const READS = 10;

/** While this proxy leads and others are there, reads the records, and deletes those that have expired. */
export async function deleteDeadRecords(
  recordExpiryMs: number,
  { clock, log, leases, records, lead, identity }: DeadRecordsPorts,
  signal: AbortSignal,
): Promise<void> {
  const isDead = (record: SeenRecord) => record.identity !== identity && isExpired(record);
  for (;;) {
    // Another proxy may have been started with another --record-expiry.
    const expiryMs = Math.min(recordExpiryMs, ...records.all.map((it) => it.expiryMs));
    const periodMs = Math.min(READ_MS, expiryMs / READS);
    await sleep(clock, periodMs, signal);
    if (!lead.leads || records.all.length <= 1) continue;
    try {
      await deleteAll((await records.listLately(periodMs / 2, signal)).filter(isDead), leases, log, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isGoneOrChanged(error)) log.debug("records_cleanup_failed", { cause: messageOf(error) });
    }
  }
}

/** How often a leader looks for the records of builders that it does not name, in ms, while it knows of none. */
const LOOK_MS = 300_000;

/** No read follows another one sooner, in ms, whatever a record says of its expiry. */
const LEAST_READ_MS = 1_000;

/**
 * While this process leads, deletes the expired records of builders that it does not name (`names` are those that it does): of
 * a builder that nobody names any more, no other proxy ever reads them. Those of another release in the same namespace are
 * judged by the same rule, and no live proxy lets its record expire.
 */
export async function deleteAbandonedRecords(
  names: readonly string[],
  { clock, log, leases, election }: Pick<DeadRecordsPorts, "clock" | "log" | "leases"> & {
    readonly election: Pick<Election, "holdsLease">;
  },
  signal: AbortSignal,
): Promise<void> {
  const named = new Set(names.map((name) => recordKey({ name })));
  const records = new RecordExpiry(true);
  for (let periodMs = LOOK_MS;;) {
    await sleep(clock, periodMs, signal);
    if (!election.holdsLease) continue;
    try {
      const askedMs = clock.nowMs();
      const all = await leases.list(ALL_RECORDS, signal);
      records.listed(all.filter((lease) => !named.has(recordKeyOf(lease)!)), askedMs, clock.nowMs());
      const expiriesMs = records.all.map(({ expiryMs }) => expiryMs);
      periodMs = expiriesMs.length === 0
        ? LOOK_MS
        : Math.max(LEAST_READ_MS, Math.min(READ_MS, ...expiriesMs.map((ms) => ms / READS)));
      await deleteAll(records.all.filter(isExpired), leases, log, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isGoneOrChanged(error)) log.debug("records_cleanup_failed", { cause: messageOf(error) });
    }
  }
}

async function deleteAll(
  dead: readonly SeenRecord[],
  leases: LeaseApi,
  log: DeadRecordsPorts["log"],
  signal: AbortSignal,
): Promise<void> {
  for (const record of dead) {
    await leases.remove(record.lease, signal);
    log.info("stale_record_deleted", { proxy: record.identity });
  }
}

/** What a predecessor is found with. */
export interface PredecessorPorts extends Pick<BasePorts, "log"> {
  /** Lists and deletes records. */
  readonly leases: LeaseApi;
  /** This process. */
  readonly identity: string;
  /** The pod it runs in, if it runs in one. */
  readonly podUid: string | undefined;
}

/** Deletes the record of this process's predecessor in the same pod, if there is one. @throws what the API says */
export async function removePredecessor(
  target: RecordTarget,
  { leases, log, identity, podUid }: PredecessorPorts,
  signal: AbortSignal,
): Promise<void> {
  if (podUid === undefined) return;
  for (const lease of await leases.list(recordSelector(target), signal)) {
    const found = parseRecord(lease, target);
    if (found === undefined || found.podUid !== podUid || found.identity === identity) continue;
    await leases.remove(lease, signal).catch((error) => {
      if (!isGoneOrChanged(error)) throw error;
    });
    log.info("predecessor_record_deleted", { predecessor: found.identity });
  }
}

function isGoneOrChanged(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 404 || error.status === 409);
}
