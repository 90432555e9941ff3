/**
 * How long to wait before the next try. Pure.
 *
 * @module
 */
import type { Random } from "./random.ts";

/** A series of growing waits. */
export interface Backoff {
  /** The first wait's upper bound, in ms. */
  readonly baseMs: number;
  /** No wait is longer than this, in ms. */
  readonly capMs: number;
}

/**
 * The wait before retry `attempt` (0 is the first). Half of it is fixed and half is random, so that the retries of many
 * clients spread and none is immediate.
 */
export function backoffMs(attempt: number, { baseMs, capMs }: Backoff, random: Random): number {
  const boundMs = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return boundMs / 2 + (boundMs / 2) * random();
}
