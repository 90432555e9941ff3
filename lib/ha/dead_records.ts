/**
 * Deletes the records of dead proxies: the leader those that have expired, and a restarted container that of its
 * predecessor in the same pod. That process is dead for certain, so nobody need wait for its record to expire.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { BasePorts } from "../base/ports.ts";
import { ApiError } from "../kube/api_error.ts";
import type { LeaseApi } from "../kube/leases.ts";
import type { KnownRecords } from "./known_records.ts";
import { parseRecord, recordSelector, type RecordTarget } from "./record.ts";
import { isExpired, type SeenRecord } from "./record_expiry.ts";

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
      for (const record of (await records.listLately(periodMs / 2, signal)).filter(isDead)) {
        await leases.remove(record.lease, signal);
        log.info("stale_record_deleted", { proxy: record.identity });
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!isGoneOrChanged(error)) log.debug("records_cleanup_failed", { cause: messageOf(error) });
    }
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
