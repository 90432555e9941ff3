/**
 * One session, from accept until both directions have ended: the client waits for a pod (`wait.ts`); then its bytes are
 * relayed (`carry.ts`), or it is told why there is no pod (`goodbye.ts`). Whatever happens, the session ends with its
 * sockets closed, its seat given up and one log line, which comes later if how the pod ended has to be found out.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { close, tune } from "../base/conn.ts";
import { messageOf } from "../base/errors.ts";
import type { Outcome } from "../base/metrics.ts";
import { type Conn, formatAddress } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Arrival, Door, Routed, Seat, WaitsFor } from "../target/seats.ts";
import { Carrier } from "./carry.ts";
import { HoldEnded, sayGoodbye, timedOut } from "./goodbye.ts";
import { GRPC_STATUS } from "./http2_errors.ts";
import type { RelayEnd, Traffic } from "./relay.ts";
import type { SilentSessions } from "./silent_sessions.ts";
import { type Client, type SessionEnds, Wait, type WaitPorts, type WaitSettings } from "./wait.ts";

/** The settings that matter. */
export interface SessionSettings extends WaitSettings {
  /** A relayed session that is silent both ways for this long is closed, in ms; 0 is never. */
  readonly sessionIdleTimeoutMs: number;
}

/** What a session is made of. */
export interface SessionPorts extends WaitPorts, Pick<BasePorts, "log" | "metrics"> {
  /** Tells which of those that have their pod are no load on it. */
  readonly silence: Pick<SilentSessions, "add" | "remove">;
}

/** How a session begins. */
export interface SessionStart extends Client {
  /** Counts what it carries. */
  readonly traffic: Traffic;
  /** Called once, when it has ended. Must not throw. */
  readonly onEnd: () => void;
}

/** Runs one session to its end. Never throws. */
export function runSession(
  id: number,
  start: SessionStart,
  settings: SessionSettings,
  ports: SessionPorts,
  ends: SessionEnds,
): Promise<void> {
  return new Session(id, start, settings, ports, ends).run();
}

/** One session, and what its log line will say. The wait is given up when it is over: most sessions are relayed for long. */
class Session implements Arrival {
  readonly door: Door;
  readonly counts: boolean;
  readonly #id: number;
  readonly #silentForMs: number | undefined;
  readonly #downstream: Conn;
  readonly #traffic: Traffic;
  readonly #onEnd: () => void;
  readonly #settings: SessionSettings;
  readonly #ports: SessionPorts;
  readonly #ends: SessionEnds;
  readonly #address: string;
  readonly #startedMs: number;
  #outcome: Outcome = "completed";
  #reason: string | undefined;
  #seat: Seat | undefined;
  #upstream: Conn | undefined;
  #wait: Wait | undefined;
  #carrier: Carrier | undefined;
  /** Why it shall end, if it only watches and shall. */
  #watchEnded: string | undefined;
  /** The daemon has sent its FIN before the client did. */
  #upstreamLeft = false;
  #heldMs: number | undefined;
  #routed: Routed = {};

  constructor(
    id: number,
    start: SessionStart,
    settings: SessionSettings,
    ports: SessionPorts,
    ends: SessionEnds,
  ) {
    this.#id = id;
    this.door = start.door;
    this.counts = settings.wakeOn === "connect";
    this.#silentForMs = start.silentForMs;
    this.#downstream = start.downstream;
    this.#traffic = start.traffic;
    this.#onEnd = start.onEnd;
    this.#settings = settings;
    this.#ports = ports;
    this.#ends = ends;
    this.#address = formatAddress(start.downstream.remoteAddr);
    this.#startedMs = ports.clock.nowMs();
  }

  async run(): Promise<void> {
    const { log, metrics } = this.#ports;
    // Whatever goes wrong, it is counted out: otherwise the program could not end.
    try {
      const session = { session: this.#id, client: this.#address, clientName: this.#downstream.peerName };
      metrics.record("sessions_opened_total", 1, {});
      log.debug("session_opened", session);
      try {
        tune(this.#downstream);
        // Nothing that only the wait needs is kept by this function while the session is relayed.
        const { carrier, relayed } = await this.#connect();
        const { outcome, reason, upstreamLeft } = carrier.result(await relayed);
        this.#outcome = outcome;
        this.#reason = reason;
        this.#upstreamLeft = upstreamLeft;
      } catch (error) {
        this.#reason = messageOf(error);
        if (this.#ends.cut.aborted) this.#outcome = "drain_timeout";
        else if (error instanceof HoldEnded) this.#outcome = error.outcome;
        else {
          this.#outcome = "failed";
          log.error("session_failed", { ...session, cause: messageOf(error) });
        }
      } finally {
        close(this.#downstream);
        if (this.#upstream !== undefined) close(this.#upstream);
        this.#carrier?.release();
        this.#ports.silence.remove(this.#id);
        this.#leave();
      }
      this.#tellEnd();
    } finally {
      this.#onEnd();
    }
  }

  /** What it waits for has changed. */
  onWait(waitsFor: WaitsFor): void {
    this.#wait?.waitFor(waitsFor);
  }

  /** It only watches, and shall end. */
  onEnd(why: string): void {
    this.#watchEnded ??= why;
    this.#wait?.end(new HoldEnded("watch_ended", why));
    this.#carrier?.endWatch(why);
  }

  /** It shall not wait. */
  onRefuse(outcome: "limited" | "cordoned", why: string): void {
    const status = outcome === "limited" ? GRPC_STATUS.resourceExhausted : GRPC_STATUS.failedPrecondition;
    this.#wait?.end(new HoldEnded(outcome, why, status));
  }

  /**
   * Waits for a pod, and starts to relay.
   *
   * @throws HoldEnded once the client was told why there is no pod, or the reason of `cut`
   */
  async #connect(): Promise<{ readonly carrier: Carrier; readonly relayed: Promise<RelayEnd> }> {
    const { clock, seats } = this.#ports;
    const { cut } = this.#ends;
    const client = { downstream: this.#downstream, door: this.door, silentForMs: this.#silentForMs };
    const wait = this.#wait = new Wait(this.#id, client, this.#settings, this.#ports, this.#ends);
    try {
      const { seat, upstream } = await wait.connect(this);
      this.#seat = seat;
      this.#upstream = upstream;
      wait.over();
      this.#tellHold();
      this.#ports.silence.add(this.#id, this.#traffic);
      const carrier = this.#newCarrier(upstream);
      return { carrier, relayed: carrier.run(wait.hold.handOver()) };
    } catch (error) {
      if (!(error instanceof HoldEnded) || cut.aborted) throw error;
      this.#heldMs = Math.round(clock.nowMs() - this.#startedMs);
      const isPodLate = error.outcome === "timed_out" && error.message === "";
      using cutting = anySignal(cut);
      const why = isPodLate ? seats.explainWait(this.#id, cutting.signal) : undefined;
      const { readyWaitTimeoutMs } = seats.limitsOf(this.door);
      // From here on it calls for no pod, however long the client still stays.
      this.#leave();
      const told = why === undefined ? error : await timedOut(error, why, readyWaitTimeoutMs, wait.hold);
      await sayGoodbye(told, wait.hold, clock, cutting.signal);
      throw told;
    } finally {
      wait.over();
      wait.hold.end();
      this.#wait = undefined;
    }
  }

  /** The hold is over: there is a pod. */
  #tellHold(): void {
    const { clock, metrics, seats } = this.#ports;
    const heldMs = clock.nowMs() - this.#startedMs;
    this.#heldMs = Math.round(heldMs);
    metrics.record("hold_seconds", heldMs / 1000, {});
    if (seats.routeOf(this.#id).isWarm) metrics.record("connect_seconds", heldMs / 1000, {});
  }

  /** Gives the seat up, or the wait for one. Harmless when called twice. */
  #leave(): void {
    const { seats } = this.#ports;
    this.#routed = { ...this.#routed, ...seats.routeOf(this.#id) };
    seats.end(this.#id);
  }

  #newCarrier(upstream: Conn): Carrier {
    const { clock, seats, turns } = this.#ports;
    const { sessionIdleTimeoutMs } = this.#settings;
    const limits = { clock, turns, sessionIdleTimeoutMs, cut: this.#ends.cut };
    const carrier = new Carrier(this.#id, this.#downstream, upstream, this.#traffic, seats, limits);
    this.#carrier = carrier;
    if (this.#watchEnded !== undefined) carrier.endWatch(this.#watchEnded);
    return carrier;
  }

  /** Counts the end, and writes the session's line. If the pod broke the session, the line waits until it is known why. */
  #tellEnd(): void {
    const { clock, log, metrics, seats } = this.#ports;
    const outcome = this.#outcome;
    const seat = this.#seat;
    const durationMs = Math.round(clock.nowMs() - this.#startedMs);
    const heldMs = this.#heldMs ?? durationMs;
    const { builder, project, why, queuedMs, isWatcher } = this.#routed;
    // Where there is one builder for all, nothing was routed.
    const route = why === undefined ? {} : { builder, project, routed: why, queuedMs };
    metrics.record("sessions_ended_total", 1, { outcome });
    const level = levelOf(outcome);
    const write = (reason = this.#reason) =>
      log[level]("session_ended", {
        session: this.#id,
        client: this.#address,
        clientName: this.#downstream.peerName,
        outcome,
        reason,
        pod: seat?.backend.pod,
        ordinal: seat?.backend.ordinal,
        ...route,
        ...(isWatcher === true ? { watched: true } : {}),
        heldMs,
        durationMs,
        upstreamBytes: this.#traffic.upstreamBytes,
        downstreamBytes: this.#traffic.downstreamBytes,
      });
    const isReset = outcome === "upstream_reset";
    if (isReset) metrics.record("sessions_broken_total", 1, {});
    const mayBeBroken = isReset || (outcome === "completed" && this.#upstreamLeft);
    if (!mayBeBroken || seat === undefined) return write();
    seats.explainReset(seat, durationMs - heldMs, (how) => {
      // The kernel of a daemon that is killed mostly closes its connections as if it had ended them by itself.
      if (how !== undefined && !isReset) metrics.record("sessions_broken_total", 1, {});
      write(how);
    });
  }
}

/** Builds that have failed for want of a pod, or by their client's fault. */
const WARNED: ReadonlySet<Outcome> = new Set(["timed_out", "queue_timeout", "cordoned", "protocol_error"]);

/** Refusals at a limit are logged at debug: there may be thousands, and the limit has a record of its own. */
function levelOf(outcome: Outcome): "warn" | "debug" | "info" {
  if (WARNED.has(outcome)) return "warn";
  return outcome === "limited" ? "debug" : "info";
}
