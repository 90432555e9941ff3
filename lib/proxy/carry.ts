/**
 * Relays a session that has its pod, until both sides have ended, the session was silent for too long, or all sessions
 * are cut. `relay.ts` moves the bytes.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import type { Ending } from "../base/ending.ts";
import type { Outcome } from "../base/metrics.ts";
import type { Conn } from "../base/network.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Seats } from "../target/seats.ts";
import { callerOf } from "./callers.ts";
import type { CallTap } from "./call_tap.ts";
import type { HandOver } from "./hand_over.ts";
import type { ReadTurns } from "./read_turns.ts";
import { Relay, type RelayEnd, type RelayEvents, type Traffic } from "./relay.ts";
import { onSilence } from "./silence.ts";

/**
 * How long a session of which one side has ended may be silent, in ms. A client that is gone sends no more than a FIN,
 * and a daemon that hangs never answers it: such a session would keep its pod for ever. A write that waits for its peer
 * is silent as long as none of its bytes is taken.
 */
const HALF_CLOSED_MS = 15 * 60_000;

/** The reason of a session that only watched, and made another call when its pod was about to go. */
const LOST =
  "It only watched the history of builds, so its pod was scaled down, and then it made another call";

/** What a relayed session is bounded by. */
export interface CarryLimits {
  /** Measures silence. */
  readonly clock: Clock;
  /** Of sessions that send much. */
  readonly turns: ReadTurns;
  /** A session that is silent both ways for this long is closed, in ms; 0 is never. */
  readonly sessionIdleTimeoutMs: number;
  /** Ends it at once. */
  readonly cut: Ending;
}

/** Told of a session's first bytes, and of what is known of its client. */
export type Listeners = Pick<Seats, "used" | "answered" | "identify">;

/** How a relayed session has ended. */
export interface Carried {
  /** For the log. */
  readonly outcome: Outcome;
  /** What is known of the reason. */
  readonly reason?: string;
  /** The daemon has sent its FIN before the client did. */
  readonly upstreamLeft: boolean;
}

/** Relays one session. */
export class Carrier implements RelayEvents {
  readonly #id: number;
  readonly #seats: Listeners;
  readonly #traffic: Traffic;
  readonly #limits: CarryLimits;
  readonly #relay: Relay;
  #cancelIdle: CancelTimer | undefined;
  #cancelHalf: CancelTimer | undefined;
  /** Why it was ended, if it was. */
  #silence: string | undefined;
  #watchEnded: string | undefined;
  #isLost = false;
  #upstreamLeft = false;
  readonly #stop = () => this.#relay.stop();

  /** Takes over both connections of the session `id`. */
  constructor(
    id: number,
    downstream: Conn,
    upstream: Conn,
    traffic: Traffic,
    seats: Listeners,
    limits: CarryLimits,
  ) {
    this.#id = id;
    this.#seats = seats;
    this.#traffic = traffic;
    this.#limits = limits;
    this.#relay = new Relay(downstream, upstream, traffic, this, limits.turns);
  }

  /** Relays to the end, and closes both connections; then call `release` and `result`. @throws as `Relay.run` does */
  run(first: HandOver): Promise<RelayEnd> {
    const { cut, sessionIdleTimeoutMs } = this.#limits;
    // It may have been aborted since the session was connected.
    cut.follow(this.#stop);
    this.#cancelIdle = this.#endAfter(sessionIdleTimeoutMs, "(--session-idle-timeout)");
    return this.#relay.run(first);
  }

  /** Ends it, because it only watches, and its pod goes or this proxy drains. Harmless when called twice. */
  endWatch(why: string): void {
    this.#watchEnded ??= why;
    this.#stop();
  }

  /** Removes its timers, and follows nothing any more. Harmless when called twice. */
  release(): void {
    this.#cancelIdle?.();
    this.#cancelHalf?.();
    this.#limits.cut.leave(this.#stop);
  }

  /** How the session has ended, of which the relay has ended like this. @throws the reason of `cut` */
  result(outcome: RelayEnd): Carried {
    const { cut } = this.#limits;
    cut.throwIfAborted();
    if (this.#silence !== undefined) return this.#ended("idle_timeout", this.#silence);
    if (this.#isLost) return { outcome: "watch_ended", reason: LOST, upstreamLeft: false };
    if (this.#watchEnded === undefined) return this.#ended(outcome);
    return { outcome: "watch_ended", reason: this.#watchEnded, upstreamLeft: false };
  }

  #ended(outcome: Outcome, reason?: string): Carried {
    return { outcome, ...(reason === undefined ? {} : { reason }), upstreamLeft: this.#upstreamLeft };
  }

  #endAfter(timeoutMs: number, why: string): CancelTimer {
    return onSilence(this.#limits.clock, this.#traffic, timeoutMs, () => {
      this.#silence = `Silent for ${formatDurationMs(timeoutMs)} ${why}`;
      this.#stop();
    });
  }

  upstream(): void {
    this.#seats.used(this.#id);
  }

  downstream(): void {
    this.#seats.answered(this.#id);
  }

  called(tap: CallTap): boolean {
    const words = callerOf(tap);
    this.#isLost = !this.#seats.identify(this.#id, words === "none" ? undefined : words);
    return !this.#isLost;
  }

  upstreamLeft(): void {
    this.#upstreamLeft = true;
  }

  halfClosed(): void {
    this.#cancelHalf = this.#endAfter(HALF_CLOSED_MS, "after one side had ended");
  }
}
