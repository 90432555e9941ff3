/**
 * A session of a pool, from its arrival to its end: what is known of it, and where it is. `pool.ts` changes it.
 *
 * @module
 */
import type { Arrival, Caller, Seat, WaitsFor } from "../target/seats.ts";
import type { Route } from "./plan.ts";
import type { RoutedBuilder } from "./pool_parts.ts";

/** A session of a pool. */
export interface Session {
  /** Its number. */
  readonly id: number;
  /** How it has come. */
  readonly arrival: Arrival;
  /** When it has come, monotonic ms. */
  readonly arrivedMs: number;
  /** `unknown`: its first bytes have not come. */
  stage: "unknown" | "waiting" | "watching" | "seated";
  /** It is known what its first bytes say, or that they say nothing. */
  isKnown: boolean;
  /** What its first bytes say, if anything. */
  caller: Caller | undefined;
  /** Whose it is, if that is known. */
  project: string | undefined;
  /** What bounds its wait. */
  waitsFor: WaitsFor;
  /** Where it is held or seated. */
  builder: RoutedBuilder | undefined;
  /** Why it is there, or queued. */
  why: Route["why"] | undefined;
  /** The trace that its seat belongs to. */
  trace: string | undefined;
  /** It is held or seated as one that only watches. */
  isWatcher: boolean;
  /** It has a connection to its pod. */
  isConnected: boolean;
  /** It had a seat as soon as it was known where it belongs. */
  isWarm: boolean;
  /** Since when it has been queued, if it is, monotonic ms. */
  queuedSinceMs: number | undefined;
  /** For how long it was queued before, if it was, in ms. */
  queuedMs: number | undefined;
  /** Gives the seat to `wait`. Without it the session takes none. */
  take: ((seat: Seat) => void) | undefined;
}

/** A session that has just come. */
export function newSession(id: number, arrival: Arrival, arrivedMs: number): Session {
  return {
    id,
    arrival,
    arrivedMs,
    stage: "unknown",
    isKnown: false,
    caller: undefined,
    project: arrival.door.project,
    waitsFor: "pod",
    builder: undefined,
    why: undefined,
    trace: undefined,
    isWatcher: false,
    isConnected: false,
    isWarm: false,
    queuedSinceMs: undefined,
    queuedMs: undefined,
    take: undefined,
  };
}
