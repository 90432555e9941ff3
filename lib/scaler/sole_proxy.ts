/**
 * The other proxies of a proxy that is alone, for replays and tests: no record is read or written.
 *
 * @module
 */
import type { Peers, PeerUse } from "./peers.ts";
import type { Placement } from "./placement.ts";

/** No other proxies: the promise is this proxy's own. Everything in use is known since `startedMs`, monotonic ms. */
export function soleProxy(placement: Placement, startedMs: number): Peers {
  const use: PeerUse = {
    highestBusy: -1,
    sessions: new Map(),
    needing: 0,
    lastNeededMs: -Infinity,
    lastUsedMs: new Map(),
    knownSinceMs: startedMs,
  };
  return {
    leads: true,
    obstacle: undefined,
    use: () => use,
    consent: (wanted) => Promise.resolve(placement.promise(wanted)),
    subscribe: () => {},
  };
}
