/**
 * What the scaler needs of the other proxies: what they have in use, their consent to a scale-down, and whether this
 * proxy is the leader, which alone scales down. Types only: `Proxies` of `lib/ha` implements them.
 *
 * @module
 */
import type { ScalePromise } from "./agreement.ts";

/** What other proxies have in use. Times are this proxy's monotonic ms. */
export interface PeerUse {
  /** The highest ordinal on which one of them has a session; -1 without one. Infinity when a record cannot be read. */
  readonly highestBusy: number;
  /** Their sessions that count for the load of a pod, by ordinal. */
  readonly sessions: ReadonlyMap<number, number>;
  /** Their held sessions that call for a pod. */
  readonly needing: number;
  /** When the last of those ceased to call for one; -Infinity if there was none. */
  readonly lastNeededMs: number;
  /** When the last of their sessions on an ordinal ended. */
  readonly lastUsedMs: ReadonlyMap<number, number>;
  /** Since when everything that was in use is known here; -Infinity if for ever. */
  readonly knownSinceMs: number;
}

/** The other proxies. */
export interface Peers {
  /** Why this proxy places no session even if a pod is ready; undefined if it would. */
  readonly obstacle: string | undefined;
  /** The uid of the StatefulSet that they are in front of; undefined if it is not known. */
  readonly uid?: string | undefined;
  /** Whether this proxy may write a lower count now. Ask again after each wait: the lead may have ended. */
  readonly leads: boolean;
  /** What the others have in use. */
  use(): PeerUse;
  /**
   * Makes the promise of a scale-down and obtains it from every other proxy. Call it after the count and its version
   * were read. False when a proxy objects or does not answer.
   */
  consent(wanted: ScalePromise, signal: AbortSignal): Promise<boolean>;
  /** Calls `listener` when any of this has changed. */
  subscribe(listener: () => void): void;
}
