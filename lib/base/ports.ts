/**
 * The ports that most parts of the program take. A part names those it uses: `Pick<BasePorts, "clock" | "log">`. Tests
 * pass a virtual clock, a seeded random source and a network in memory.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import type { BuilderMetrics, Metrics } from "./metrics.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";

/** What every part of the program may use. */
export interface BasePorts {
  /** Time and timers. */
  readonly clock: Clock;
  /** Random numbers, for names and to spread retries. */
  readonly random: Random;
  /** Where events are logged. */
  readonly log: Log;
  /** Where events are counted. */
  readonly metrics: Metrics;
  /** TCP connections. */
  readonly network: Network;
}

/** What the parts of one builder may use: they do not name it in what they record. */
export interface BuilderPorts extends BasePorts {
  /** Where events of the builder are counted. */
  readonly metrics: BuilderMetrics;
}
