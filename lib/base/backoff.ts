/**
 * How long to wait before the next try: pure arithmetic, no waiting here.
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
 * The wait before try `attempt` (0 is the first retry): half fixed, half random, so that tries of many peers spread and
 * none comes at once.
 */
export function backoffMs(attempt: number, { baseMs, capMs }: Backoff, random: Random): number {
  const boundMs = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return boundMs / 2 + (boundMs / 2) * random();
}
