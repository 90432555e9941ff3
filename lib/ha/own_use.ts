/**
 * What a proxy says of itself in its record: what its sessions use, and what it knows of proxies that have gone. Pure.
 * Durations are as of `nowMs`.
 *
 * @module
 */
import type { Usage } from "../scaler/usage.ts";
import type { LastUse } from "./peers.ts";
import type { RecordBody } from "./record.ts";

/** What it is drawn from. */
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

/** The part of the record that says what is in use. */
export function describeUse(
  { usage, replicas, inherited, knownSinceMs }: OwnUse,
  nowMs: number,
): Pick<RecordBody, "inUse" | "needing" | "neededMs" | "knowsForMs"> {
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
    needing: usage.needing,
    neededMs: neededMs === -Infinity ? null : nowMs - neededMs,
    knowsForMs: nowMs - knownSinceMs,
  };
}
