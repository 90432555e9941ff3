/**
 * Relays a session that has its pod, until both sides have ended, the session was silent for too long, or all sessions
 * are cut. `relay.ts` moves the bytes.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Outcome } from "../base/metrics.ts";
import type { Conn } from "../base/network.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Caller } from "../target/seats.ts";
import { callerOf } from "./callers.ts";
import type { HandOver } from "./hand_over.ts";
import { relay, type Traffic } from "./relay.ts";
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
  /** A session that is silent both ways for this long is closed, in ms; 0 is never. */
  readonly sessionIdleTimeoutMs: number;
  /** Ends it at once. */
  readonly cut: AbortSignal;
  /** Ends it when it only watches, and its pod goes or this proxy drains. */
  readonly watchEnded: AbortSignal;
}

/** Told of the first bytes. */
export interface FirstBytes {
  /** Some have gone from the client to buildkitd. */
  upstream(): void;
  /** Some have gone from buildkitd to the client. */
  downstream(): void;
  /** It is known what the client is, or it is not any more what it was. False if it must not go on here. */
  identified(caller: Caller | undefined): boolean;
}

/** How a relayed session has ended. */
export interface Carried {
  /** For the log. */
  readonly outcome: Outcome;
  /** What is known of the reason. */
  readonly reason?: string;
  /** The daemon has sent its FIN before the client did. */
  readonly upstreamLeft: boolean;
}

/** Relays to the end, and closes both connections. @throws the reason of `cut` */
export async function carry(
  downstream: Conn,
  upstream: Conn,
  first: HandOver,
  traffic: Traffic,
  firstBytes: FirstBytes,
  { clock, sessionIdleTimeoutMs, cut, watchEnded }: CarryLimits,
): Promise<Carried> {
  const stop = new AbortController();
  const endRelay = () => stop.abort();
  for (const end of [cut, watchEnded]) {
    end.addEventListener("abort", endRelay, { once: true });
    // It may have been aborted since the session was connected.
    if (end.aborted) endRelay();
  }
  let silence: string | undefined;
  const endAfter = (timeoutMs: number, why: string) =>
    onSilence(clock, traffic, timeoutMs, () => {
      silence = `Silent for ${formatDurationMs(timeoutMs)} ${why}`;
      endRelay();
    });
  const cancelWatch = endAfter(sessionIdleTimeoutMs, "(--session-idle-timeout)");
  let cancelHalf = () => {};
  let upstreamLeft = false;
  let isLost = false;
  const called = () => {
    const words = first.tap && callerOf(first.tap);
    isLost = !firstBytes.identified(words === "none" ? undefined : words);
    return !isLost;
  };
  try {
    const outcome = await relay(downstream, upstream, first, traffic, {
      ...firstBytes,
      called,
      upstreamLeft: () => upstreamLeft = true,
      halfClosed: () => {
        cancelHalf = endAfter(HALF_CLOSED_MS, "after one side had ended");
      },
    }, stop.signal);
    cut.throwIfAborted();
    if (silence !== undefined) return { outcome: "idle_timeout", reason: silence, upstreamLeft };
    if (isLost) return { outcome: "watch_ended", reason: LOST, upstreamLeft: false };
    if (watchEnded.aborted) {
      return { outcome: "watch_ended", reason: messageOf(watchEnded.reason), upstreamLeft: false };
    }
    return { outcome, upstreamLeft };
  } finally {
    cancelWatch();
    cancelHalf();
    for (const end of [cut, watchEnded]) end.removeEventListener("abort", endRelay);
  }
}
