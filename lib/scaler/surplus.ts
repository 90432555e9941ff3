/**
 * How long a surplus stays that somebody else wants: a HorizontalPodAutoscaler, say, raises the count again soon after it
 * was lowered. If both went on like that, each would undo the other's write for ever. So the surplus is kept twice as long
 * each time, until a session uses it. Pure.
 *
 * @module
 */

/** A change of the count. */
export interface CountChange {
  /** The count after it. */
  readonly to: number;
  /** When it was seen, monotonic ms. */
  readonly atMs: number;
}

/** The last changes of the count, if any were seen. */
export interface CountChanges {
  /** When proxies have lowered it, by agreement. */
  readonly lowered?: CountChange | undefined;
  /** When somebody who is no proxy has raised it. */
  readonly raised?: CountChange | undefined;
}

/** What is remembered. */
export interface Surplus {
  /** How often in a row it was raised again within one idle timeout. */
  readonly times: number;
  /** When it was lowered before the last raise. */
  readonly loweredMs?: number;
}

/** Nobody has raised anything again. */
export const NO_SURPLUS: Surplus = { times: 0 };

/** No surplus is kept longer than this, in ms, unless the idle timeout is longer. */
const LONGEST_MS = 3_600_000;

/** Takes note of the last changes, and of the highest ordinal with a session (-1 without one). */
export function note(
  surplus: Surplus,
  { lowered, raised }: CountChanges,
  highestBusy: number,
  idleTimeoutMs: number,
): Surplus {
  if (lowered === undefined || raised === undefined) return surplus;
  const noted = noteRaise(surplus, lowered, raised, idleTimeoutMs);
  return highestBusy >= lowered.to ? { ...noted, times: 0 } : noted;
}

function noteRaise(before: Surplus, lowered: CountChange, raised: CountChange, idleMs: number): Surplus {
  const afterMs = raised.atMs - lowered.atMs;
  // Two raises after one scale-down are one, and a raise before it is none.
  if (lowered.atMs === before.loweredMs || afterMs < 0) return before;
  const isAgain = afterMs <= idleMs && raised.to > lowered.to;
  return { times: isAgain ? before.times + 1 : 0, loweredMs: lowered.atMs };
}

/** For how long the surplus is kept from when it was last raised, in ms. */
export function keptForMs({ times }: Surplus, idleTimeoutMs: number): number {
  return Math.max(idleTimeoutMs, Math.min(LONGEST_MS, idleTimeoutMs * 2 ** times));
}
