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
import type { Seat } from "../target/seats.ts";
import { type Carried, carry } from "./carry.ts";
import { HoldEnded, sayGoodbye, timedOut } from "./goodbye.ts";
import type { Hold } from "./hold.ts";
import type { Traffic } from "./relay.ts";
import { type SessionEnds, Wait, type WaitPorts, type WaitSettings } from "./wait.ts";

/** The settings that matter. */
export interface SessionSettings extends WaitSettings {
  /** A relayed session that is silent both ways for this long is closed, in ms; 0 is never. */
  readonly sessionIdleTimeoutMs: number;
}

/** What a session is made of. */
export interface SessionPorts extends WaitPorts, Pick<BasePorts, "log" | "metrics"> {}

/** Runs one session to its end. Never throws. */
export function runSession(
  id: number,
  downstream: Conn,
  traffic: Traffic,
  settings: SessionSettings,
  ports: SessionPorts,
  ends: SessionEnds,
): Promise<void> {
  return new Session(id, downstream, traffic, settings, ports, ends).run();
}

/** One session, and what its log line will say. */
class Session {
  readonly #id: number;
  readonly #downstream: Conn;
  readonly #traffic: Traffic;
  readonly #settings: SessionSettings;
  readonly #ports: SessionPorts;
  readonly #ends: SessionEnds;
  readonly #client: string;
  readonly #startedMs: number;
  #outcome: Outcome = "completed";
  #reason: string | undefined;
  #seat: Seat | undefined;
  /** The daemon has sent its FIN before the client did. */
  #upstreamLeft = false;
  #heldMs: number | undefined;

  constructor(
    id: number,
    downstream: Conn,
    traffic: Traffic,
    settings: SessionSettings,
    ports: SessionPorts,
    ends: SessionEnds,
  ) {
    this.#id = id;
    this.#downstream = downstream;
    this.#traffic = traffic;
    this.#settings = settings;
    this.#ports = ports;
    this.#ends = ends;
    this.#client = formatAddress(downstream.remoteAddr);
    this.#startedMs = ports.clock.nowMs();
  }

  async run(): Promise<void> {
    const { log, metrics, seats } = this.#ports;
    const session = { session: this.#id, client: this.#client, clientName: this.#downstream.peerName };
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
      seats.end(this.#id);
    }
    this.#tellEnd();
  }

  /** Waits for a pod, and relays. @throws HoldEnded once the client was told why there is no pod, or the reason of `cut` */
  async #serve(): Promise<void> {
    const { clock, metrics, seats } = this.#ports;
    const { cut } = this.#ends;
    const wait = new Wait(this.#id, this.#downstream, this.#settings, this.#ports, this.#ends);
    let upstream: Conn | undefined;
    try {
      const connected = await wait.connect();
      upstream = connected.upstream;
      this.#seat = connected.seat;
      wait.over();
      this.#heldMs = Math.round(clock.nowMs() - this.#startedMs);
      metrics.record("hold_seconds", (clock.nowMs() - this.#startedMs) / 1000, {});
      const carried = await this.#carry(upstream, wait.hold);
      this.#outcome = carried.outcome;
      this.#reason = carried.reason;
      this.#upstreamLeft = carried.upstreamLeft;
    } catch (error) {
      if (!(error instanceof HoldEnded) || cut.aborted) throw error;
      this.#heldMs = Math.round(clock.nowMs() - this.#startedMs);
      const why = error.outcome === "timed_out" ? seats.explainWait(this.#id, cut) : undefined;
      // From here on it calls for no pod, however long the client still stays.
      seats.end(this.#id);
      const { readyWaitTimeoutMs } = this.#settings;
      const told = why === undefined ? error : await timedOut(error, why, readyWaitTimeoutMs, wait.hold);
      await sayGoodbye(told, wait.hold, clock, cut);
      throw told;
    } finally {
      wait.over();
      wait.hold.end();
      if (upstream !== undefined) close(upstream);
    }
  }

  #carry(upstream: Conn, hold: Hold): Promise<Carried> {
    const { clock, seats } = this.#ports;
    const { sessionIdleTimeoutMs } = this.#settings;
    const firstBytes = {
      upstream: () => seats.used(this.#id),
      downstream: () => seats.answered(this.#id),
    };
    const limits = { clock, sessionIdleTimeoutMs, cut: this.#ends.cut };
    return carry(this.#downstream, upstream, hold.handOver(), this.#traffic, firstBytes, limits);
  }

  /** Counts the end, and writes the session's line. If the pod broke the session, the line waits until it is known why. */
  #tellEnd(): void {
    const { clock, log, metrics, seats } = this.#ports;
    const outcome = this.#outcome;
    const seat = this.#seat;
    const durationMs = Math.round(clock.nowMs() - this.#startedMs);
    const heldMs = this.#heldMs ?? durationMs;
    metrics.record("sessions_ended_total", 1, { outcome });
    const level = levelOf(outcome);
    const write = (reason = this.#reason) =>
      log[level]("session_ended", {
        session: this.#id,
        client: this.#client,
        clientName: this.#downstream.peerName,
        outcome,
        reason,
        pod: seat?.backend.pod,
        ordinal: seat?.backend.ordinal,
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
  if (outcome === "timed_out" || outcome === "protocol_error") return "warn";
  return outcome === "limited" ? "debug" : "info";
}
