/**
 * Says in the log when a pool's oldest queued session has been queued for long, and when none is any more.
 *
 * @module
 */
import type { CancelTimer } from "../base/clock.ts";
import { CauseLog } from "../base/log.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { PoolPorts, RoutedBuilder } from "./pool_parts.ts";
import type { Session } from "./pool_session.ts";
import { rankBy } from "./rank.ts";

/** A session that is queued for this long is queued for long, in ms. */
const SLOW_MS = 60_000;

/** Watches the oldest. */
export class SlowQueue {
  readonly #builders: readonly RoutedBuilder[];
  readonly #clock: PoolPorts["clock"];
  readonly #fault: CauseLog;
  #cancel: CancelTimer = () => {};
  /** The home of the session that was queued for long. */
  #home: string | undefined;

  /** Nobody is queued. */
  constructor(builders: readonly RoutedBuilder[], { clock, log }: Pick<PoolPorts, "clock" | "log">) {
    this.#builders = builders;
    this.#clock = clock;
    this.#fault = new CauseLog(log, "queue_slow");
  }

  /** The oldest of `queued` sessions is this one now; undefined if none is queued. */
  look(oldest: Session | undefined, queued: number): void {
    this.#cancel();
    const slowMs = (oldest?.queuedSinceMs ?? Infinity) + SLOW_MS;
    if (this.#clock.nowMs() < slowMs) this.#fault.succeeded({ builder: this.#home });
    if (oldest === undefined || this.#fault.cause !== undefined) return;
    this.#cancel = this.#clock.setTimer(slowMs - this.#clock.nowMs(), () => this.#slow(oldest, queued));
  }

  #slow({ project }: Session, queued: number): void {
    this.#home = rankBy(this.#builders, project, ({ name }) => name)[0]!.name;
    const cause = `A client has been queued for ${formatDurationMs(SLOW_MS)} (--max-sessions-per-replica)`;
    this.#fault.failed(cause, { builder: this.#home, queued, project });
  }
}
