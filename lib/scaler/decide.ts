/**
 * How many replicas are wanted, why, and when to look again: one pure function of the whole present state.
 *
 * A StatefulSet always removes its highest ordinal first, so
 *
 *     desired = max(minReplicas, what a warm window wants, 1 + highest ordinal in use, what held sessions need)
 *
 * An ordinal is in use while a session is on it or a held session needs it, or did less than `idleTimeoutMs` ago, or if
 * the count was seen to rise above it, a warm window that kept it ended, or this proxy started less than `idleTimeoutMs`
 * ago. What held sessions or a warm window want is at most `maxReplicas`. No clock, no I/O.
 *
 * @module
 */
import type { ScaleReason } from "../base/metrics.ts";
import { formatDurationMs } from "../config/duration.ts";
import { type Capacity, type Load, neededBy } from "./capacity.ts";
import type { Warm } from "./warm_minimum.ts";

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
  /** What warm windows want. */
  readonly warm?: Warm;
  /** What somebody else has raised again soon after it was lowered, and stays for longer than others. */
  readonly surplus?: { readonly highest: number; readonly raisedMs: number; readonly keptForMs: number };
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
  /** When replicas are no longer kept for a use that has ended, monotonic ms; Infinity if none are. */
  readonly fallsAtMs: number;
}

/** Until when an ordinal stays in use for what happened before, and what that was. */
interface Kept {
  readonly endMs: number;
  readonly because: string;
}

/** What each part of the formula wants. */
interface Parts {
  readonly warm: number;
  readonly needed: number;
  readonly busy: number;
  /** What stays for what happened before, and why the highest of it does. */
  readonly recent: number;
  readonly kept: Kept | undefined;
}

/** See the module's comment. */
export function decide(facts: Facts, nowMs: number, policy: Policy): Decision {
  const { minReplicas, capacity } = policy;
  const { warm } = facts;
  const until = keptUntil(facts, nowMs, policy);
  const recent = 1 + Math.max(-1, ...until.keys());
  const parts: Parts = {
    warm: Math.min(capacity.maxReplicas, warm?.count ?? 0),
    needed: neededBy(facts.needing, facts.load, capacity),
    busy: 1 + facts.highestBusy,
    recent,
    kept: until.get(recent - 1),
  };
  const lasting = Math.max(minReplicas, parts.warm, parts.busy, parts.needed);
  const desired = Math.max(lasting, recent);
  const fallsAtMs = recent > lasting ? parts.kept!.endMs : Infinity;
  const wakeAtMs = Math.min(fallsAtMs, warm?.untilMs ?? Infinity);
  return { desired, wakeAtMs, fallsAtMs, ...explain(facts, desired, parts, policy) };
}

/** Of the ordinals that could be kept, those that stay for what happened before. */
function keptUntil(facts: Facts, nowMs: number, { idleTimeoutMs }: Policy): ReadonlyMap<number, Kept> {
  const replicas = facts.replicas ?? 0;
  const until = new Map<number, Kept>();
  const keep = (ordinal: number, endMs: number, because: string) => {
    if (ordinal >= 0 && ordinal < replicas && endMs > Math.max(nowMs, until.get(ordinal)?.endMs ?? nowMs)) {
      until.set(ordinal, { endMs, because });
    }
  };
  const used = "it was in use recently";
  for (const [ordinal, usedMs] of facts.lastUsedMs) keep(ordinal, usedMs + idleTimeoutMs, used);
  for (const [ordinal, roseMs] of facts.roseMs) keep(ordinal, roseMs + idleTimeoutMs, used);
  keep(0, facts.lastNeededMs + idleTimeoutMs, used);
  keep(replicas - 1, facts.startedMs + idleTimeoutMs, used);
  for (const [ordinal, endedMs] of facts.warm?.endedMs ?? []) {
    keep(ordinal, endedMs + idleTimeoutMs, "a warm window has ended recently");
  }
  if (facts.surplus !== undefined) {
    const { highest, raisedMs, keptForMs } = facts.surplus;
    const because = `somebody else has raised it again, so it stays for ${formatDurationMs(keptForMs)}`;
    keep(Math.min(highest, replicas - 1), raisedMs + keptForMs, because);
  }
  return until;
}

function explain(
  { needing, replicas }: Facts,
  desired: number,
  { warm, needed, busy, recent, kept }: Parts,
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
  if (desired === recent) return { reason: "held_session", because: kept!.because };
  if (desired === minReplicas) return { reason: "min_replicas", because: `at least ${minReplicas} wanted` };
  return { reason: "warm_window", because: `a warm window wants ${warm}` };
}
