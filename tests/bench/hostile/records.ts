/**
 * Who may create Leases forges the records of proxies, and changes them all the time.
 *
 * @module
 */
import { recordLease } from "../../../lib/ha/record.ts";
import { LEASES } from "../../../lib/miniature/objects.ts";
import { delay } from "../processes.ts";
import type { Attack } from "./attack.ts";

const RECORDS = 1_000;
const PAUSE_MS = 20;

function forge(name: string, state: Attack["state"], pods: number): Attack {
  return {
    name,
    state,
    async run({ stage: { cluster } }, signal) {
      const { name, namespace, statefulSet, api: { registry } } = cluster;
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
    },
  };
}

/** Small records, and such as a proxy of 300 pods writes. */
export const RECORD_ATTACKS: readonly Attack[] = [
  forge("1,000 forged records, 50 changes a second", "warm", 2),
  forge("1,000 forged records of 300 pods, 50 changes a second", "warm", 300),
];
