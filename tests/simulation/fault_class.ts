/**
 * What a class of faults is, and what it works with.
 *
 * @module
 */
import type { SeededRandom } from "../support/seeded_random.ts";
import type { Moment } from "./moments.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import type { World } from "./world.ts";

/** What a class works with. */
export interface Trouble {
  readonly world: World;
  readonly random: SeededRandom;
  readonly signal: AbortSignal;
  /** A proxy that lives, if there is one: often the one whose moment it is. */
  proxy(): ProxyProcess | undefined;
  /** Waits; until the end of the faults at most. */
  lasts(leastMs: number, mostMs: number): Promise<void>;
  /** Takes note of what happens. */
  note(what: string): void;
}

/** One class. */
export interface FaultClass {
  /** How likely a seed switches it on. */
  readonly chance: number;
  /** Time between two times, in ms. */
  readonly everyMs?: readonly [number, number];
  /** The moments at which it is at its worst; any, if none. */
  readonly at?: readonly Moment[];
  /** How often it waits for one of them: 0.4. */
  readonly aim?: number;
  /** Happens once; puts right what it does before it resolves, soon after the signal is aborted. */
  readonly once?: (trouble: Trouble) => Promise<void> | void;
}

/** Classes by name. */
export type FaultClasses = Readonly<Record<string, FaultClass>>;
