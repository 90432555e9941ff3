/**
 * Bounds how many may wait for the same builder, or in the same queue (`--max-held`): so a crowd in front of one builder
 * refuses nobody who goes to another. All together are bounded by `--max-connections`.
 *
 * @module
 */
import { CauseLog, type Log } from "../base/log.ts";

/** The limit of one pool. */
export class HeldLimit {
  readonly #most: number;
  readonly #log: Log;
  /** By where they wait: the builder; undefined for the queue of the pool. */
  readonly #faults = new Map<string | undefined, CauseLog>();

  /** So many may wait in each place. */
  constructor(most: number, log: Log) {
    this.#most = most;
    this.#log = log;
  }

  /** Why the last of so many that wait for a builder, or in the queue, cannot wait; undefined if it can. */
  refusal(waiting: number, builder: string | undefined): string | undefined {
    const fault = this.#faults.get(builder);
    if (waiting <= this.#most) {
      fault?.succeeded();
      return undefined;
    }
    const cause = `The limit of ${this.#most} waiting sessions is reached (--max-held)`;
    const told = fault ?? new CauseLog(this.#log, "held_limit_reached", undefined, { builder });
    this.#faults.set(builder, told);
    told.failed(cause);
    return cause;
  }
}
