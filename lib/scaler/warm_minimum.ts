/**
 * The minimum that warm windows ask for at present: what it is, until when, and which ordinals a window that has ended
 * kept until a moment ago. Windows are in wall time, decisions in monotonic time, and the wall clock may be set: this is
 * where one becomes the other. Writes nothing.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { Warmth } from "./warm.ts";

/** What warm windows ask for, for a decision. Times are monotonic ms. */
export interface Warm {
  /** So many replicas. */
  readonly count: number;
  /** When that ends or changes; Infinity if never. */
  readonly untilMs: number;
  /** When the last window that kept an ordinal ended. */
  readonly endedMs: ReadonlyMap<number, number>;
}

/** Without windows. */
export const NEVER_WARM: Warm = { count: 0, untilMs: Infinity, endedMs: new Map() };

/** The wall clock is looked at this often, in ms: it may be set while nothing else happens. */
const LOOK_MS = 60_000;

/** What is asked for now, after what was asked for at the last look. */
export function nextWarm(
  before: Warm,
  { count, untilMs }: Warmth,
  { nowMs, wallMs }: { readonly nowMs: number; readonly wallMs: number },
): Warm {
  const endedMs = new Map(before.endedMs);
  for (let ordinal = count; ordinal < before.count; ordinal++) {
    endedMs.set(ordinal, Math.min(nowMs, before.untilMs));
  }
  for (const ordinal of endedMs.keys()) if (ordinal < count) endedMs.delete(ordinal);
  // A timer may fire a moment before its time.
  return { count, untilMs: nowMs + Math.max(1, untilMs - wallMs), endedMs };
}

/** Asks the windows, and no more often than needed. */
export class WarmMinimum {
  readonly #clock: Clock;
  readonly #warmAt: ((wallMs: number) => Warmth) | undefined;
  #warm = NEVER_WARM;
  #nextLookMs: number;

  /** Without `warmAt` there are no windows. */
  constructor(clock: Clock, warmAt: ((wallMs: number) => Warmth) | undefined) {
    this.#clock = clock;
    this.#warmAt = warmAt;
    this.#nextLookMs = warmAt === undefined ? Infinity : -Infinity;
  }

  /** What is asked for now. */
  get now(): Warm {
    const nowMs = this.#clock.nowMs();
    if (this.#warmAt !== undefined && nowMs >= this.#nextLookMs) {
      const wallMs = this.#clock.wallMs();
      this.#warm = nextWarm(this.#warm, this.#warmAt(wallMs), { nowMs, wallMs });
      this.#nextLookMs = Math.min(this.#warm.untilMs, nowMs + LOOK_MS);
    }
    return this.#warm;
  }

  /** When to ask again, monotonic ms; Infinity without windows. */
  get nextLookMs(): number {
    return this.#nextLookMs;
  }
}
