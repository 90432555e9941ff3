/**
 * Gathers the facts for `decide`: what this proxy's sessions use, and what the others' records say. Pure.
 *
 * @module
 */
import type { Facts } from "./decide.ts";
import type { Peers } from "./peers.ts";
import type { Placement } from "./placement.ts";
import type { Warm } from "./warm_minimum.ts";

/** All but a surplus. */
export function factsOf(
  { agreement, usage, roseMs, load }: Placement,
  peers: Pick<Peers, "use">,
  warm: Warm,
): Facts & { readonly warm: Warm } {
  const others = peers.use();
  const replicas = agreement.seen?.replicas;
  const lastUsedMs = new Map(usage.lastUsedMs);
  for (const [ordinal, usedMs] of others.lastUsedMs) {
    lastUsedMs.set(ordinal, Math.max(usedMs, lastUsedMs.get(ordinal) ?? -Infinity));
  }
  return {
    replicas,
    startedMs: others.knownSinceMs,
    // A record that cannot be read counts as busy on every ordinal (Infinity).
    highestBusy: Math.max(usage.highest, Math.min(others.highestBusy, (replicas ?? 0) - 1)),
    needing: usage.needing + others.needing,
    load,
    lastNeededMs: Math.max(usage.lastNeededMs, others.lastNeededMs),
    lastUsedMs,
    roseMs,
    warm,
  };
}
