/**
 * The other proxies of a proxy that is alone.
 *
 * @module
 */
import type { Peers, PeerUse } from "../../lib/scaler/peers.ts";
import type { Placement } from "../../lib/scaler/placement.ts";

/** No other proxies: the promise is this proxy's own. */
export function soleProxy(placement: Placement, startedMs: number): Peers {
  const use: PeerUse = {
    highestBusy: -1,
    sessions: new Map(),
    queuedSinceMs: undefined,
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
