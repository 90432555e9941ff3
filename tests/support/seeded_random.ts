/**
 * Random numbers from a seed, so that a run can be started again with the same ones.
 *
 * @module
 */
import type { Random } from "../../lib/base/random.ts";

/** A {@link Random} with the choices that a test makes. */
export interface SeededRandom {
  /** A number in [0, 1). */
  readonly next: Random;
  /** An integer from `least` to `most`, both included. */
  integer(least: number, most: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of these. */
  pick<T>(from: readonly T[]): T;
  /** Another source, that takes nothing from this one but its seed. */
  fork(): SeededRandom;
}

/** Starts at `seed`: mulberry32, good enough for choices. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const integer = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  return {
    next,
    integer,
    chance: (probability) => next() < probability,
    pick: (from) => from[integer(0, from.length - 1)]!,
    fork: () => seededRandom(integer(0, 0xffffffff)),
  };
}
