/**
 * Who may create Leases forges the records of proxies, and changes them all the time.
 *
 * @module
 */
import { recordLease } from "../../../lib/ha/record.ts";
import type { MiniatureCluster } from "../../../lib/miniature/miniature_cluster.ts";
import { LEASES } from "../../../lib/miniature/objects.ts";
import { delay } from "../processes.ts";
import type { Attack } from "./attack.ts";

const RECORDS = 1_000;
const PAUSE_MS = 20;

/** Forges the records of other proxies for a cluster's builder, and changes them in turn, a pause after each, until the signal. */
export async function forgeRecords(
  { name, namespace, statefulSet, api: { registry } }: MiniatureCluster,
  pods: number,
  signal: AbortSignal,
): Promise<void> {
  const target = { name, namespace, uid: statefulSet.metadata.uid! };
  const inUse = Array.from({ length: pods }, (_, ordinal) => ({ ordinal, busy: false, idleMs: 1 }));
  const record = (i: number, knowsForMs: number) =>
    recordLease(target, {
      identity: `forged-${i}`,
      podUid: undefined,
      expiryMs: 3_600_000,
      renewed: new Date().toISOString(),
      body: { inUse, needing: 0, neededMs: null, knowsForMs, answers: {}, announcement: null },
    });
  for (let i = 0; i < RECORDS && !signal.aborted; i++) {
    registry.create(LEASES, namespace, record(i, 0), { manager: "attacker" });
    if (i % 20 === 0) await delay(1);
  }
  for (let change = 1; !signal.aborted; change++) {
    const { metadata, spec } = record(change % RECORDS, change);
    const { resourceVersion } = registry.store.get(LEASES, namespace, metadata!.name!)!.metadata;
    const lease = { metadata: { ...metadata, resourceVersion }, spec };
    registry.replace(LEASES, namespace, metadata!.name!, lease, { manager: "attacker" });
    await delay(PAUSE_MS);
  }
}

/** Small records, and such as a proxy of 300 pods writes. */
export const RECORD_ATTACKS: readonly Attack[] = [2, 300].map((pods) => ({
  name: `1,000 forged records of ${pods} pods, 50 changes a second`,
  state: "warm",
  run: ({ stage: { cluster } }, signal) => forgeRecords(cluster, pods, signal),
}));
