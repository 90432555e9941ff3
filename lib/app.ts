/**
 * The wiring of the whole program. For now it only waits to be told to stop.
 *
 * @module
 */
import type { Clock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { Random } from "./base/random.ts";
import type { Settings } from "./config/settings.ts";

/** What the program uses of the outside world. */
export interface AppPorts {
  /** Where events go. */
  readonly log: Log;
  /** Time. */
  readonly clock: Clock;
  /** Chance. */
  readonly random: Random;
  /** The program's version. */
  readonly version: string;
  /** How it is told to stop. */
  readonly stop: {
    /** The first signal: finish what runs, then end. */
    readonly drain: AbortSignal;
    /** The second: end at once. */
    readonly now: AbortSignal;
  };
}

/**
 * Runs until it is told to stop.
 *
 * @throws FatalError when it cannot do its work
 */
export async function runApp(_settings: Settings, { stop }: AppPorts): Promise<void> {
  if (stop.drain.aborted) return;
  await new Promise<void>((resolve) => stop.drain.addEventListener("abort", () => resolve(), { once: true }));
}
