/**
 * How many replicas are wanted, why, and when to look again: one pure function of the whole present state.
 *
 * A StatefulSet always removes its highest ordinal first, so
 *
 *     desired = max(minReplicas, 1 + highest ordinal in use, min(maxReplicas, what held sessions need))
 *
 * An ordinal is in use while a session is on it or a held session needs it, or did less than `idleTimeoutMs` ago, or if
 * the count was seen to rise above it or this proxy started less than `idleTimeoutMs` ago. No clock, no I/O.
 *
 * @module
 */
import type { ScaleReason } from "../base/metrics.ts";
import { formatDurationMs } from "../config/duration.ts";
import { type Capacity, type Load, neededBy } from "./capacity.ts";

/** The settings that matter. */
export interface Policy {
  /** Never fewer replicas than this. */
  readonly minReplicas: number;
  /** Nothing is added beyond its `maxReplicas`; what is in use beyond it stays. */
  readonly capacity: Capacity;
  /** How long an ordinal stays in use after its last use, in ms. */
  readonly idleTimeoutMs: number;
}

/** The present state. Times are monotonic ms; -Infinity means never. */
export interface Facts {
  /** The count in the newest version of the StatefulSet that was seen; undefined before the first. */
  readonly replicas: number | undefined;
  /** When this proxy started. */
  readonly startedMs: number;
  /** The highest ordinal with a session, dialling ones included; -1 without one. */
  readonly highestBusy: number;
  /** Held sessions that call for a pod. */
  readonly needing: number;
  /** The sessions on each ordinal that count for the soft target. */
  readonly load: Load;
  /** When the last of those held sessions ceased to call for one. */
  readonly lastNeededMs: number;
  /** When the last session on an ordinal ended. */
  readonly lastUsedMs: ReadonlyMap<number, number>;
  /** When the count was last seen to rise, by the highest ordinal that it rose above. */
  readonly roseMs: ReadonlyMap<number, number>;
}

/** What to do. */
export interface Decision {
  /** The replicas wanted. */
  readonly desired: number;
  /** What a write of that count would be for. */
  readonly reason: ScaleReason;
  /** The same for people. */
  readonly because: string;
  /** When `desired` may fall without any event, monotonic ms; Infinity if it will not. */
  readonly wakeAtMs: number;
}

/** See the module's comment. */
export function decide(facts: Facts, nowMs: number, policy: Policy): Decision {
  const { minReplicas, capacity, idleTimeoutMs } = policy;
  const replicas = facts.replicas ?? 0;
  const needed = neededBy(facts.needing, facts.load, capacity);

  // Until when each ordinal that could be kept stays in use for what happened before.
  const until = new Map<number, number>();
  const keep = (ordinal: number, sinceMs: number) => {
    const endMs = sinceMs + idleTimeoutMs;
    if (ordinal >= 0 && ordinal < replicas && endMs > nowMs) {
      until.set(ordinal, Math.max(endMs, until.get(ordinal) ?? -Infinity));
    }
  };
  for (const [ordinal, usedMs] of facts.lastUsedMs) keep(ordinal, usedMs);
  for (const [ordinal, roseMs] of facts.roseMs) keep(ordinal, roseMs);
  keep(0, facts.lastNeededMs);
  keep(replicas - 1, facts.startedMs);

  let recent = 0;
  for (const ordinal of until.keys()) recent = Math.max(recent, 1 + ordinal);
  const busy = 1 + facts.highestBusy;
  const desired = Math.max(minReplicas, busy, needed, recent);
  const wakeAtMs = desired === recent && recent > Math.max(minReplicas, busy, needed)
    ? until.get(recent - 1)!
    : Infinity;
  return { desired, wakeAtMs, ...explain(facts, desired, { needed, busy, recent }, policy) };
}

function explain(
  { needing, replicas }: Facts,
  desired: number,
  { needed, busy, recent }: { needed: number; busy: number; recent: number },
  { idleTimeoutMs, minReplicas }: Policy,
): Pick<Decision, "reason" | "because"> {
  if (needed > 0 && desired === needed) {
    return { reason: "held_session", because: `${needing} held session${needing === 1 ? "" : "s"}` };
  }
  if (desired < (replicas ?? 0)) {
    const what = desired === 0 ? "nothing" : "no pod above";
    return { reason: "idle", because: `${what} has been in use for ${formatDurationMs(idleTimeoutMs)}` };
  }
  if (desired === 0) return { reason: "idle", because: "nothing is in use" };
  if (desired === busy) return { reason: "held_session", because: "sessions are running" };
  if (desired === recent) return { reason: "held_session", because: "it was in use recently" };
  return { reason: "min_replicas", because: `at least ${minReplicas} wanted` };
}
