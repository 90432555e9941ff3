/**
 * One session, from accept until both directions have ended: the client waits for a pod (`wait.ts`); then its bytes are
 * relayed (`carry.ts`), or it is told why there is no pod (`goodbye.ts`). Whatever happens, the session ends with its
 * sockets closed, its seat given up and one log line, which comes later if how the pod ended has to be found out.
 *
 * @module
 */
import { close, tune } from "../base/conn.ts";
import { messageOf } from "../base/errors.ts";
import type { Outcome } from "../base/metrics.ts";
import { type Conn, formatAddress } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Caller, Routed, Seat } from "../target/seats.ts";
import { type Carried, carry } from "./carry.ts";
import { HoldEnded, sayGoodbye, timedOut } from "./goodbye.ts";
import type { Traffic } from "./relay.ts";
import { type Client, type SessionEnds, Wait, type WaitPorts, type WaitSettings } from "./wait.ts";

/** The settings that matter. */
export interface SessionSettings extends WaitSettings {
  /** A relayed session that is silent both ways for this long is closed, in ms; 0 is never. */
  readonly sessionIdleTimeoutMs: number;
}

/** What a session is made of. */
export interface SessionPorts extends WaitPorts, Pick<BasePorts, "log" | "metrics"> {}

/** How a session begins. */
export interface SessionStart extends Client {
  /** Counts what it carries. */
  readonly traffic: Traffic;
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

/** One session, and what its log line will say. */
class Session {
  readonly #id: number;
  readonly #client: SessionStart;
  readonly #downstream: Conn;
  readonly #traffic: Traffic;
  readonly #settings: SessionSettings;
  readonly #ports: SessionPorts;
  readonly #ends: SessionEnds;
  readonly #address: string;
  readonly #startedMs: number;
  #outcome: Outcome = "completed";
  #reason: string | undefined;
  #seat: Seat | undefined;
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
    this.#client = start;
    this.#downstream = start.downstream;
    this.#traffic = start.traffic;
    this.#settings = settings;
    this.#ports = ports;
    this.#ends = ends;
    this.#address = formatAddress(start.downstream.remoteAddr);
    this.#startedMs = ports.clock.nowMs();
  }

  async run(): Promise<void> {
    const { log, metrics } = this.#ports;
    const session = { session: this.#id, client: this.#address, clientName: this.#downstream.peerName };
    metrics.record("sessions_opened_total", 1, {});
    log.debug("session_opened", session);
    try {
      tune(this.#downstream);
      await this.#serve();
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
      this.#leave();
    }
    this.#tellEnd();
  }

  /** Waits for a pod, and relays. @throws HoldEnded once the client was told why there is no pod, or the reason of `cut` */
  async #serve(): Promise<void> {
    const { clock, metrics, seats } = this.#ports;
    const { cut } = this.#ends;
    const wait = new Wait(this.#id, this.#client, this.#settings, this.#ports, this.#ends);
    let upstream: Conn | undefined;
    try {
      const connected = await wait.connect();
      upstream = connected.upstream;
      this.#seat = connected.seat;
      wait.over();
      this.#heldMs = Math.round(clock.nowMs() - this.#startedMs);
      const seconds = (clock.nowMs() - this.#startedMs) / 1000;
      metrics.record("hold_seconds", seconds, {});
      if (seats.routeOf(this.#id).isWarm) metrics.record("connect_seconds", seconds, {});
      const carried = await this.#carry(upstream, wait);
      this.#outcome = carried.outcome;
      this.#reason = carried.reason;
      this.#upstreamLeft = carried.upstreamLeft;
    } catch (error) {
      if (!(error instanceof HoldEnded) || cut.aborted) throw error;
      this.#heldMs = Math.round(clock.nowMs() - this.#startedMs);
      const isPodLate = error.outcome === "timed_out" && error.message === "";
      const why = isPodLate ? seats.explainWait(this.#id, cut) : undefined;
      const { readyWaitTimeoutMs } = seats.limitsOf(this.#client.door);
      // From here on it calls for no pod, however long the client still stays.
      this.#leave();
      const told = why === undefined ? error : await timedOut(error, why, readyWaitTimeoutMs, wait.hold);
      await sayGoodbye(told, wait.hold, clock, cut);
      throw told;
    } finally {
      wait.over();
      wait.hold.end();
      if (upstream !== undefined) close(upstream);
    }
  }

  /** Gives the seat up, or the wait for one. Harmless when called twice. */
  #leave(): void {
    const { seats } = this.#ports;
    this.#routed = { ...this.#routed, ...seats.routeOf(this.#id) };
    seats.end(this.#id);
  }

  #carry(upstream: Conn, { hold, watchEnded }: Wait): Promise<Carried> {
    const { clock, seats } = this.#ports;
    const { sessionIdleTimeoutMs } = this.#settings;
    const firstBytes = {
      upstream: () => seats.used(this.#id),
      downstream: () => seats.answered(this.#id),
      identified: (caller: Caller | undefined) => seats.identify(this.#id, caller),
    };
    const limits = { clock, sessionIdleTimeoutMs, cut: this.#ends.cut, watchEnded };
    return carry(this.#downstream, upstream, hold.handOver(), this.#traffic, firstBytes, limits);
  }

  /** Counts the end, and writes the session's line. If the pod broke the session, the line waits until it is known why. */
  #tellEnd(): void {
    const { clock, log, metrics, seats } = this.#ports;
    const outcome = this.#outcome;
    const seat = this.#seat;
    const durationMs = Math.round(clock.nowMs() - this.#startedMs);
    const heldMs = this.#heldMs ?? durationMs;
    const { builder, project, why, queuedMs } = this.#routed;
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
        heldMs,
        durationMs,
        upstreamBytes: this.#traffic.upstreamBytes,
        downstreamBytes: this.#traffic.downstreamBytes,
      });
    const broken = outcome === "upstream_reset" || (outcome === "completed" && this.#upstreamLeft);
    if (broken && seat !== undefined) seats.explainReset(seat, durationMs - heldMs, write);
    else write();
  }
}

/** Refusals at a limit are logged at debug: there may be thousands, and the limit has a record of its own. */
function levelOf(outcome: Outcome): "warn" | "debug" | "info" {
  if (outcome === "timed_out" || outcome === "queue_timeout" || outcome === "protocol_error") return "warn";
  return outcome === "limited" ? "debug" : "info";
}
