/**
 * One session, from accept until both directions have ended: hold, seat, dial, relay. It asks `Placement` for a seat and
 * never talks to the API. Whatever happens, it ends with its sockets closed, its seat given up and one log line.
 *
 * @module
 */
import { backoffMs } from "../base/backoff.ts";
import { type Clock, deadline, sleep } from "../base/clock.ts";
import { messageOf, TimeoutError } from "../base/errors.ts";
import type { CauseLog, Log } from "../base/log.ts";
import type { Metrics, Outcome } from "../base/metrics.ts";
import { type Conn, formatAddress, type Network } from "../base/network.ts";
import type { Random } from "../base/random.ts";
import type { ColdStart } from "../scaler/cold_start.ts";
import type { Placement, Seat } from "../scaler/placement.ts";
import { dial, DialError, type DialSettings } from "./dial.ts";
import { Hold, type HoldBudget } from "./hold.ts";
import { close, relay, type Traffic } from "./relay.ts";

/** The settings that matter. */
export interface SessionSettings extends DialSettings {
  /** From accept to a connected backend, in ms. */
  readonly readyWaitTimeoutMs: number;
  /** Whether a connection alone wakes a backend, or only one that has sent something. */
  readonly wakeOn: "connect" | "data";
  /** Sessions that may be held at a time. */
  readonly maxHeld: number;
}

/** What a session is made of. */
export interface SessionPorts {
  /** Measures waits. */
  readonly clock: Clock;
  /** Spreads them. */
  readonly random: Random;
  /** One line a session. */
  readonly log: Log;
  /** Counts. */
  readonly metrics: Metrics;
  /** Dials. */
  readonly network: Network;
  /** Gives seats. */
  readonly placement: Placement;
  /** Told of holds and first bytes. */
  readonly coldStart: ColdStart;
  /** Bounds what all holds keep. */
  readonly budget: HoldBudget;
  /** Dials that fail although the pod is ready. */
  readonly dialFaults: CauseLog;
  /** Refusals for want of room. */
  readonly heldLimit: CauseLog;
}

/** The client has left while it was held. */
class ClientLeft extends Error {
  override readonly name = "ClientLeft";
}

/** Too many sessions are held. */
class HeldLimit extends Error {
  override readonly name = "HeldLimit";
}

/** What the log line says. */
interface Story {
  outcome: Outcome;
  reason?: string;
  pod?: string;
  ordinal?: number;
  heldMs?: number;
}

/** Runs one session to its end; `cut` ends it at once. Never throws. */
export async function runSession(
  id: number,
  downstream: Conn,
  settings: SessionSettings,
  ports: SessionPorts,
  cut: AbortSignal,
): Promise<void> {
  const { clock, log, metrics, placement } = ports;
  const startedMs = clock.nowMs();
  const client = formatAddress(downstream.remoteAddr);
  const traffic: Traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  const story: Story = { outcome: "completed" };
  metrics.record("sessions_opened_total", 1, {});
  log.debug("session opened", { session: id, client });
  try {
    prepare(downstream);
    await serve(id, downstream, settings, ports, cut, traffic, story);
  } catch (error) {
    story.reason = messageOf(error);
    if (cut.aborted) story.outcome = "drain_timeout";
    else if (error instanceof ClientLeft) story.outcome = "client_left";
    else if (error instanceof HeldLimit) story.outcome = "limited";
    else if (error instanceof TimeoutError) story.outcome = "timed_out";
    else {
      story.outcome = "failed";
      log.error("session failed", { session: id, client, cause: messageOf(error) });
    }
  } finally {
    close(downstream);
    placement.end(id);
  }
  const { outcome } = story;
  const durationMs = Math.round(clock.nowMs() - startedMs);
  metrics.record("sessions_ended_total", 1, { outcome });
  metrics.record("bytes_total", traffic.upstreamBytes, { direction: "upstream" });
  metrics.record("bytes_total", traffic.downstreamBytes, { direction: "downstream" });
  const line = outcome === "timed_out" ? log.warn : outcome === "limited" ? log.debug : log.info;
  line("session ended", {
    session: id,
    client,
    outcome,
    reason: story.reason,
    pod: story.pod,
    ordinal: story.ordinal,
    heldMs: story.heldMs ?? durationMs,
    durationMs,
    ...traffic,
  });
}

function prepare(conn: Conn): void {
  try {
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
  } catch {
    // The peer is gone already; the first read or write says so.
  }
}

async function serve(
  id: number,
  downstream: Conn,
  settings: SessionSettings,
  ports: SessionPorts,
  cut: AbortSignal,
  traffic: Traffic,
  story: Story,
): Promise<void> {
  const { clock, metrics, placement, coldStart, budget } = ports;
  const startedMs = clock.nowMs();
  const timeoutS = settings.readyWaitTimeoutMs / 1000;
  using limit = deadline(
    clock,
    settings.readyWaitTimeoutMs,
    cut,
    () => new TimeoutError(`No pod was ready within ${timeoutS}s (--ready-wait-timeout)`),
  );
  // A client that leaves ends the wait, but not a dial: a FIN then is a half-close that the relay passes on.
  const waiting = new AbortController();
  const onLimit = () => waiting.abort(limit.signal.reason);
  if (limit.signal.aborted) onLimit();
  limit.signal.addEventListener("abort", onLimit, { once: true });
  const hold = new Hold(downstream, budget, () => placement.markUsed(id), (how) => {
    const said = how === "fin" ? "closed its connection" : "reset its connection";
    waiting.abort(new ClientLeft(`The client ${said} while it waited for a pod`));
  });
  hold.start();
  let upstream: Conn | undefined;
  try {
    const seat = placement.open(id, settings.wakeOn === "connect");
    if (seat === undefined) {
      refuseBeyond(settings.maxHeld, ports);
      coldStart.begin();
    }
    const seated = await connect(id, seat, settings, ports, limit.signal, waiting.signal);
    upstream = seated.upstream;
    limit.clear();
    story.pod = seated.seat.backend.pod;
    story.ordinal = seated.seat.backend.ordinal;
    story.heldMs = Math.round(clock.nowMs() - startedMs);
    metrics.record("hold_seconds", (clock.nowMs() - startedMs) / 1000, {});
    const closeBoth = () => {
      close(downstream);
      close(upstream!);
    };
    cut.addEventListener("abort", closeBoth, { once: true });
    try {
      const end = await relay(downstream, upstream, hold.handOver(), traffic, {
        upstream: () => placement.markUsed(id),
        downstream: () => coldStart.reached("first_byte"),
      });
      cut.throwIfAborted();
      story.outcome = end;
    } finally {
      cut.removeEventListener("abort", closeBoth);
    }
  } finally {
    limit.signal.removeEventListener("abort", onLimit);
    hold.end();
    if (upstream !== undefined) close(upstream);
  }
}

function refuseBeyond(maxHeld: number, { placement, heldLimit }: SessionPorts): void {
  if (placement.usage.held <= maxHeld) return heldLimit.succeeded();
  const cause = `${maxHeld} sessions are held already (--max-held)`;
  heldLimit.failed(cause);
  throw new HeldLimit(`Cannot hold the session: ${cause}`);
}

/** Finds a seat and connects to it, again and again until it works, the client leaves or the time is up. */
async function connect(
  id: number,
  first: Seat | undefined,
  settings: SessionSettings,
  { clock, random, network, metrics, placement, dialFaults }: SessionPorts,
  limit: AbortSignal,
  waiting: AbortSignal,
): Promise<{ seat: Seat; upstream: Conn }> {
  for (let attempt = 0, seat = first;; attempt++, seat = undefined) {
    seat ??= await placement.wait(id, waiting);
    try {
      const upstream = await dial(network, clock, seat.backend, settings, limit);
      // The seat may have been lost meanwhile: then this connection must not carry a byte.
      if (placement.holds(seat)) {
        dialFaults.succeeded();
        prepare(upstream);
        return { seat, upstream };
      }
      close(upstream);
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      metrics.record("dial_errors_total", 1, {});
      dialFaults.failed(error.message, { pod: seat.backend.pod });
    }
    placement.holdAgain(id, placement.usage.needs(id));
    await sleep(clock, backoffMs(attempt, { baseMs: 50, capMs: 1_000 }, random), waiting);
  }
}
