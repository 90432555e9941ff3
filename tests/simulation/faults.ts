/**
 * The classes of faults, each of which a seed switches on or off. A class runs until its signal is aborted, and then
 * puts right what it has done.
 *
 * @module
 */
import type { SeededRandom } from "../support/seeded_random.ts";
import type { World } from "./world.ts";

/** One class. */
export interface FaultClass {
  /** How likely a seed switches it on. */
  readonly chance: number;
  /** Makes trouble. Resolves when all is put right. */
  run(world: World, random: SeededRandom, signal: AbortSignal): Promise<void>;
}

const nothing: FaultClass = { chance: 0.0, run: () => Promise.resolve() };

/** All of them. */
export const FAULTS = {
  drift: nothing,
  wildClocks: nothing,
} as const satisfies Record<string, FaultClass>;

/** Their names. */
export type FaultName = keyof typeof FAULTS;
