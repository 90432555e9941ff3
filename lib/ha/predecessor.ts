/**
 * The record of a restarted container's predecessor in the same pod: that process is dead for certain, so nobody need
 * wait for the record to expire.
 *
 * @module
 */
import type { BasePorts } from "../base/ports.ts";
import { ApiError } from "../kube/api_error.ts";
import type { LeaseApi } from "../kube/leases.ts";
import { parseRecord, recordSelector, type RecordTarget } from "./record.ts";

/** What it is found with. */
export interface PredecessorPorts extends Pick<BasePorts, "log"> {
  /** Lists and deletes records. */
  readonly leases: LeaseApi;
  /** This process. */
  readonly identity: string;
  /** The pod it runs in, if it runs in one. */
  readonly podUid: string | undefined;
}

/** Deletes it, if there is one. @throws what the API says */
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
      if (!(error instanceof ApiError && (error.status === 404 || error.status === 409))) throw error;
    });
    log.info("predecessor_record_deleted", { predecessor: found.identity });
  }
}
