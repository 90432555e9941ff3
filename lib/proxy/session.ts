/**
 * One session, from accept until both directions have ended: hold, seat, dial, relay. It asks `Placement` for a seat and
 * never writes replicas. Whatever happens, it ends with its sockets closed, its seat given up and one log line, which
 * comes later if how the pod ended has to be found out.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { backoffMs } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import { close } from "../base/conn.ts";
import { messageOf } from "../base/errors.ts";
import type { CauseLog } from "../base/log.ts";
import type { Outcome } from "../base/metrics.ts";
import { type Conn, formatAddress } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Backend } from "../scaler/backends.ts";
import type { ColdStart } from "../scaler/cold_start.ts";
import type { Placement, Seat } from "../scaler/placement.ts";
import { dial, DialError, type DialSettings } from "../target/dial.ts";
import { Hold, type HoldBudget, type Leaving } from "./hold.ts";
import { GRPC_STATUS } from "./http2_errors.ts";
import type { Refusal } from "./http2_opening.ts";
import { relay, type Traffic } from "./relay.ts";
import { onSilence } from "./silence.ts";

/** The settings that matter. */
export interface SessionSettings extends DialSettings {
  /** From accept to a connected backend, in ms. */
  readonly readyWaitTimeoutMs: number;
  /** Whether a connection alone wakes a backend, or only one that has sent something. */
  readonly wakeOn: "connect" | "data";
  /** Sessions that may be held at a time. */
  readonly maxHeld: number;
  /** A relayed session that is silent both ways for this long is closed, in ms; 0 is never. */
  readonly sessionIdleTimeoutMs: number;
}

/** What a session is made of. */
export interface SessionPorts extends BasePorts {
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
  /** Finds out how the pod that has reset a session ended, and tells, now or seconds later. Never throws. */
  explainReset(backend: Backend, connectedForMs: number, tell: (how: string | undefined) => void): void;
  /** Says why no backend is ready, for the client whose time is up. Never throws. */
  explainWait(signal: AbortSignal): Promise<string>;
}

/** The hold has ended without a backend. */
export class HoldEnded extends Error {
  /** Always `HoldEnded`. */
  override readonly name = "HoldEnded";
  /** How the session has ended. */
  readonly outcome: Outcome;
  /** What an HTTP/2 client is told, as a gRPC status; nothing if it has left. */
  readonly status: number | undefined;

  /** The message is for the client as well as for the log. */
  constructor(outcome: Outcome, message: string, status?: number) {
    super(message);
    this.outcome = outcome;
    this.status = status;
  }
}

/** How long a client that was refused may stay, in ms: for the calls that it makes before it exits. */
export const LINGER_MS = 5_000;

/**
 * How long a session of which one side has ended may be silent, in ms. A client that is gone sends no more than a FIN, and
 * a daemon that hangs never answers it: such a session would keep its pod for ever. A write that waits for its peer is
 * silent as long as none of its bytes is taken.
 */
const HALF_CLOSED_MS = 15 * 60_000;

/** What the log line says. */
interface Story {
  outcome: Outcome;
  reason?: string;
  backend?: Backend;
  /** The daemon has sent its FIN before the client did. */
  upstreamLeft?: boolean;
  heldMs?: number;
}

/** What ends sessions before their time. */
export interface SessionEnds {
  /** Ends them all at once. */
  readonly cut: AbortSignal;
  /** Ends those that are held, now or later: no backend is going to come. Its reason is a {@link HoldEnded}. */
  readonly refuse: AbortSignal;
}

/** Runs one session to its end. Never throws. */
export async function runSession(
  id: number,
  downstream: Conn,
  traffic: Traffic,
  settings: SessionSettings,
  ports: SessionPorts,
  ends: SessionEnds,
): Promise<void> {
  const { clock, log, metrics, placement } = ports;
  const startedMs = clock.nowMs();
  const client = formatAddress(downstream.remoteAddr);
  const story: Story = { outcome: "completed" };
  metrics.record("sessions_opened_total", 1, {});
  log.debug("session opened", { session: id, client });
  try {
    prepare(downstream);
    await serve(id, downstream, traffic, settings, ports, ends, story);
  } catch (error) {
    story.reason = messageOf(error);
    if (ends.cut.aborted) story.outcome = "drain_timeout";
    else if (error instanceof HoldEnded) story.outcome = error.outcome;
    else {
      story.outcome = "failed";
      log.error("session failed", { session: id, client, cause: messageOf(error) });
    }
  } finally {
    close(downstream);
    placement.end(id);
  }
  const { outcome, backend } = story;
  const durationMs = Math.round(clock.nowMs() - startedMs);
  const { heldMs = durationMs } = story;
  metrics.record("sessions_ended_total", 1, { outcome });
  const level = outcome === "timed_out" || outcome === "protocol_error"
    ? "warn"
    : outcome === "limited"
    ? "debug"
    : "info";
  const write = (reason = story.reason) =>
    log[level]("session ended", {
      session: id,
      client,
      outcome,
      reason,
      pod: backend?.pod,
      ordinal: backend?.ordinal,
      heldMs,
      durationMs,
      upstreamBytes: traffic.upstreamBytes,
      downstreamBytes: traffic.downstreamBytes,
    });
  const broken = outcome === "upstream_reset" || (outcome === "completed" && story.upstreamLeft);
  if (broken && backend !== undefined) ports.explainReset(backend, durationMs - heldMs, write);
  else write();
}

/** Tells a client that there is no room for its session, if it can be told, and closes it. Never throws. */
export async function refuseSession(
  downstream: Conn,
  message: string,
  { clock, budget }: Pick<SessionPorts, "clock" | "budget">,
  cut: AbortSignal,
): Promise<void> {
  const hold = new Hold(downstream, budget, { bytes: () => {}, left: () => {}, malformed: () => {} });
  try {
    prepare(downstream);
    hold.start();
    await tell(hold, { status: GRPC_STATUS.resourceExhausted, message }, clock, cut);
  } finally {
    hold.end();
    close(downstream);
  }
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
  traffic: Traffic,
  settings: SessionSettings,
  ports: SessionPorts,
  { cut, refuse }: SessionEnds,
  story: Story,
): Promise<void> {
  const { clock, metrics, placement, coldStart, budget } = ports;
  const startedMs = clock.nowMs();
  // Ends the wait for a backend: the client has left, or the time is up, or the session is cut.
  const waiting = new AbortController();
  // Ends a dial, too. A FIN does not: then it is a half-close, which the relay passes on.
  const dialling = new AbortController();
  const end = (reason: unknown) => {
    dialling.abort(reason);
    waiting.abort(reason);
  };
  const cancelLimit = clock.setTimer(settings.readyWaitTimeoutMs, () => {
    end(
      placement.usage.needs(id)
        ? new HoldEnded("timed_out", "", GRPC_STATUS.deadlineExceeded)
        : new HoldEnded("idle_timeout", describeSilence(settings)),
    );
  });
  const onCut = () => end(cut.reason);
  cut.addEventListener("abort", onCut, { once: true });
  if (cut.aborted) onCut();
  const onRefuse = () => waiting.abort(refuse.reason);
  refuse.addEventListener("abort", onRefuse, { once: true });
  if (refuse.aborted) onRefuse();
  const hold: Hold = new Hold(downstream, budget, {
    bytes: () => {
      const wakes = !placement.usage.needs(id);
      placement.markUsed(id);
      if (wakes && placement.usage.ordinalOf(id) === undefined) coldStart.begin();
    },
    left: (how) =>
      waiting.abort(new HoldEnded("client_left", describeLeaving(how, hold, clock.nowMs() - startedMs))),
    malformed: ({ why }) => {
      end(new HoldEnded("protocol_error", `The client breaks the HTTP/2 protocol: ${why}`));
    },
  });
  let upstream: Conn | undefined;
  try {
    hold.start();
    const seated = await connect(id, hold, settings, ports, dialling.signal, waiting.signal);
    upstream = seated.upstream;
    cancelLimit();
    story.backend = seated.seat.backend;
    story.heldMs = Math.round(clock.nowMs() - startedMs);
    metrics.record("hold_seconds", (clock.nowMs() - startedMs) / 1000, {});
    await carry(id, downstream, upstream, hold, traffic, settings, ports, cut, story);
  } catch (error) {
    if (!(error instanceof HoldEnded) || cut.aborted) throw error;
    story.heldMs = Math.round(clock.nowMs() - startedMs);
    // It waits no more, whatever it is told.
    placement.end(id);
    const ended = error.outcome === "timed_out" ? await timedOut(error, hold, settings, ports, cut) : error;
    await sayGoodbye(ended, hold, clock, cut);
    throw ended;
  } finally {
    cancelLimit();
    cut.removeEventListener("abort", onCut);
    refuse.removeEventListener("abort", onRefuse);
    hold.end();
    if (upstream !== undefined) close(upstream);
  }
}

/** Relays until both sides have ended, or one of the limits of silence or `cut` ends it. */
async function carry(
  id: number,
  downstream: Conn,
  upstream: Conn,
  hold: Hold,
  traffic: Traffic,
  { sessionIdleTimeoutMs }: SessionSettings,
  { clock, placement, coldStart }: SessionPorts,
  cut: AbortSignal,
  story: Story,
): Promise<void> {
  const stop = new AbortController();
  const endRelay = () => stop.abort();
  cut.addEventListener("abort", endRelay, { once: true });
  let silence: string | undefined;
  const endAfter = (timeoutMs: number, why: string) =>
    onSilence(clock, traffic, timeoutMs, () => {
      silence = `Silent for ${formatDurationMs(timeoutMs)} ${why}`;
      endRelay();
    });
  const cancelWatch = endAfter(sessionIdleTimeoutMs, "(--session-idle-timeout)");
  let cancelHalf = () => {};
  try {
    story.outcome = await relay(downstream, upstream, hold.handOver(), traffic, {
      upstream: () => placement.markUsed(id),
      downstream: () => coldStart.reached("first_byte"),
      upstreamLeft: () => story.upstreamLeft = true,
      halfClosed: () => {
        cancelHalf = endAfter(HALF_CLOSED_MS, "after one side had ended");
      },
    }, stop.signal);
    cut.throwIfAborted();
    if (silence !== undefined) {
      story.outcome = "idle_timeout";
      story.reason = silence;
    }
  } finally {
    cancelWatch();
    cancelHalf();
    cut.removeEventListener("abort", endRelay);
  }
}

/** Finds a seat and connects to it, again and again until it works or one of the signals ends it. */
async function connect(
  id: number,
  hold: Hold,
  settings: SessionSettings,
  ports: SessionPorts,
  dialling: AbortSignal,
  waiting: AbortSignal,
): Promise<{ seat: Seat; upstream: Conn }> {
  const { clock, random, network, metrics, placement, coldStart, dialFaults } = ports;
  let seat = placement.open(id, settings.wakeOn === "connect");
  if (seat === undefined) {
    if (placement.usage.needs(id)) coldStart.begin();
    hold.wait();
    refuseBeyond(settings.maxHeld, ports);
  }
  for (let attempt = 0;; attempt++) {
    seat ??= await placement.wait(id, waiting);
    hold.dial();
    try {
      const upstream = await dial(network, clock, seat.backend, settings, dialling);
      // The seat may have been lost meanwhile: then this connection must not carry a byte.
      if (placement.holds(seat) && !dialling.aborted) {
        dialFaults.succeeded();
        prepare(upstream);
        return { seat, upstream };
      }
      close(upstream);
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      metrics.record("dial_errors_total", 1, {});
      dialFaults.failed(error.message, { pod: seat.backend.pod });
      if (!error.isLocal) placement.failed(seat);
    }
    seat = undefined;
    placement.holdAgain(id, placement.usage.needs(id));
    hold.wait();
    await sleep(clock, backoffMs(attempt, { baseMs: 50, capMs: 1_000 }, random), waiting);
  }
}

function refuseBeyond(maxHeld: number, { placement, heldLimit }: SessionPorts): void {
  if (placement.usage.held <= maxHeld) return heldLimit.succeeded();
  const cause = `The limit of ${maxHeld} waiting sessions is reached (--max-held)`;
  heldLimit.failed(cause);
  throw new HoldEnded("limited", cause, GRPC_STATUS.resourceExhausted);
}

/** Nobody has asked for a backend, so that there is none is no fault. */
function describeSilence({ readyWaitTimeoutMs }: SessionSettings): string {
  return `Silent for ${
    formatDurationMs(readyWaitTimeoutMs)
  } while held (--wake-on=data, --ready-wait-timeout)`;
}

/** gRPC clients give a new connection 20 s: one that leaves well before has other reasons. */
const CLIENT_LIMIT_MS = 15_000;

function describeLeaving(how: Leaving, hold: Hold, heldMs: number): string {
  const said = hold.goAway
    ? "said goodbye"
    : how === "fin"
    ? "closed its connection"
    : "reset its connection";
  const why = heldMs >= CLIENT_LIMIT_MS ? describeProtocol(hold) : "";
  return `The client ${said} while it waited for buildkitd${why}`;
}

/** Why a client could not be kept patient, where that is so. */
function describeProtocol({ speaks }: Hold): string {
  if (speaks !== "other") return "";
  return "; it does not speak plain HTTP/2 (with TLS its bytes cannot be read), so that its own limit for a new " +
    "connection holds, which is 20s in gRPC clients";
}

/** The same end, with all that is known of the reason. */
async function timedOut(
  { outcome, status }: HoldEnded,
  hold: Hold,
  { readyWaitTimeoutMs }: SessionSettings,
  { explainWait }: SessionPorts,
  cut: AbortSignal,
): Promise<HoldEnded> {
  const why = await explainWait(cut);
  const message = `buildkitd did not become ready in ${formatDurationMs(readyWaitTimeoutMs)}: ${why}`;
  return new HoldEnded(outcome, `${message}${describeProtocol(hold)}`, status);
}

/** Tells the client what it can be told before its connection is closed. */
async function sayGoodbye(ended: HoldEnded, hold: Hold, clock: Clock, cut: AbortSignal): Promise<void> {
  const { outcome, status, message } = ended;
  if (outcome === "protocol_error") {
    const written = new AbortController();
    hold.written.then(() => written.abort());
    using over = anySignal(written.signal, cut);
    await sleep(clock, LINGER_MS, over.signal).catch(() => {});
  }
  if (status !== undefined) await tell(hold, { status, message }, clock, cut);
}

/** Answers every call of an HTTP/2 client with an error, until it leaves or has had its time. */
async function tell(hold: Hold, refusal: Refusal, clock: Clock, cut: AbortSignal): Promise<void> {
  hold.refuse(refusal);
  using over = anySignal(hold.gone, cut);
  await sleep(clock, LINGER_MS, over.signal).catch(() => {});
}
