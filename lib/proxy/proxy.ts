/**
 * The accept loop and the set of running sessions. `session.ts` runs each of them. Clients that speak HTTP/1.1 are no
 * sessions: `http_answers.ts` answers them.
 *
 * @module
 */
import { acceptAll, FAILURES_IN_A_ROW } from "../base/accept.ts";
import { anySignal } from "../base/any_signal.ts";
import { close } from "../base/conn.ts";
import { Ending } from "../base/ending.ts";
import { messageOf } from "../base/errors.ts";
import { Listeners } from "../base/listeners.ts";
import { CauseLog } from "../base/log.ts";
import type { AcceptFault, Outcome } from "../base/metrics.ts";
import { type Conn, formatAddress, type Listener } from "../base/network.ts";
import { HoldEnded, refuseSession } from "./goodbye.ts";
import { HoldBudget, TOTAL_LIMIT_BYTES } from "./hold.ts";
import { GRPC_STATUS } from "./http2_errors.ts";
import type { Door } from "../target/seats.ts";
import { openingOf } from "./first_bytes.ts";
import { type AnswerSettings, HttpAnswers } from "./http_answers.ts";
import type { Traffic } from "./relay.ts";
import type { Room } from "./room.ts";
import { ReadTurns } from "./read_turns.ts";
import { SignsOfLife } from "./signs_of_life.ts";
import { SilentSessions } from "./silent_sessions.ts";
import { runSession, type SessionPorts, type SessionSettings } from "./session.ts";
import type { Client, SessionEnds } from "./wait.ts";

/** A listener, and which door it is. */
export interface Entry {
  /** Where clients connect. */
  readonly listener: Listener;
  /** What that says of their sessions. */
  readonly door: Door;
  /** Its connections are encrypted. */
  readonly isTls?: boolean | undefined;
}

/** The settings that matter. */
export interface ProxySettings extends SessionSettings, AnswerSettings {}

/** Accepts connections and runs their sessions. */
export class Proxy {
  readonly #entries: readonly Entry[];
  readonly #settings: ProxySettings;
  readonly #room: Room;
  readonly #ports: SessionPorts;
  readonly #cut = new Ending();
  readonly #hopeless = new Ending();
  readonly #ends: SessionEnds = { cut: this.#cut, refuse: this.#hopeless };
  /** Connections that are no sessions: those whose first bytes have not come, and those that are answered. */
  #others = 0;
  /** Those who wait until no connection is left. */
  readonly #drains = new Listeners();
  readonly #answers: HttpAnswers;
  readonly #acceptFaults: CauseLog;
  readonly #limit: CauseLog;
  /** Clients that are being told that there is no room. */
  readonly #refused = new Set<Promise<void>>();
  /** Ends each of these goodbyes, oldest first. */
  readonly #telling = new Set<AbortController>();
  /** What sessions that run have carried so far, one for each of them. */
  readonly #traffic = new Set<Traffic>();
  /** What sessions that have ended carried since the last `countBytes`, less what that had counted already. */
  #uncounted: Traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  #accepting = true;
  #lastId = 0;

  /** Takes over the listeners of `entries`. */
  constructor(
    entries: readonly Entry[],
    settings: ProxySettings,
    room: Room,
    ports: Omit<SessionPorts, "budget" | "turns" | "signs" | "silence">,
  ) {
    const { clock, log, metrics, seats } = ports;
    this.#entries = entries;
    this.#settings = settings;
    this.#room = room;
    const turns = new ReadTurns(clock);
    const tellBytes = (usedBytes: number) => metrics.record("hold_bytes", usedBytes, {});
    this.#ports = {
      ...ports,
      turns,
      budget: new HoldBudget(TOTAL_LIMIT_BYTES, tellBytes, turns),
      signs: new SignsOfLife(clock),
      silence: new SilentSessions(clock, (id, isSilent) => seats.silent(id, isSilent)),
    };
    this.#answers = new HttpAnswers(settings, this.#ports, this.#ends);
    seats.subscribe(() => metrics.record("sessions_held", seats.held, {}));
    this.#acceptFaults = new CauseLog(log, "accept_failed");
    this.#limit = new CauseLog(log, "connection_limit_reached");
  }

  /** True until `stopAccepting`. */
  get accepting(): boolean {
    return this.#accepting;
  }

  /** Why connections cannot be accepted at present; undefined if they can. */
  get fault(): string | undefined {
    return this.#acceptFaults.cause;
  }

  /** Connections that are open now: sessions, what may become one, and what is answered. */
  get open(): number {
    return this.#traffic.size + this.#others;
  }

  /** Those of them that wait for a pod. */
  get held(): number {
    return this.#ports.seats.held;
  }

  /** Accepts until `stopAccepting` is called or the signal is aborted. No error of accept ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const accepting = this.#entries.map((entry) =>
      acceptAll(entry.listener, clock, signal, {
        isOpen: () => this.#accepting,
        accepted: (conn) => {
          this.#acceptFaults.succeeded();
          this.#begin(conn, entry);
        },
        failed: (fault, error, inARow) => this.#acceptFailed(fault, error, inARow),
      })
    );
    await Promise.all(accepting);
  }

  /** Takes no more connections; running sessions go on. */
  stopAccepting(): void {
    if (!this.#accepting) return;
    this.#accepting = false;
    for (const { listener } of this.#entries) listener.close();
    this.#ports.seats.endWatchers("The proxy is shutting down");
  }

  /** Resolves when no session is left. */
  async drained(): Promise<void> {
    while (this.open + this.#refused.size > 0) {
      await Promise.all(this.#refused);
      if (this.open > 0) await new Promise<void>((resolve) => this.#drains.add(resolve));
    }
  }

  /** Updates the byte counters. Call it before they are read, so that long sessions show while they run. */
  countBytes(): void {
    const { metrics } = this.#ports;
    const sum = this.#uncounted;
    this.#uncounted = { upstreamBytes: 0, downstreamBytes: 0 };
    for (const { upstreamBytes, downstreamBytes } of this.#traffic) {
      sum.upstreamBytes += upstreamBytes;
      sum.downstreamBytes += downstreamBytes;
      this.#uncounted.upstreamBytes -= upstreamBytes;
      this.#uncounted.downstreamBytes -= downstreamBytes;
    }
    metrics.record("bytes_total", sum.upstreamBytes, { direction: "upstream" });
    metrics.record("bytes_total", sum.downstreamBytes, { direction: "downstream" });
  }

  /** Ends held sessions, present and future ones, and tells their clients why. Sessions that have a pod continue. */
  refuseHeld(outcome: Outcome, why: string): void {
    this.#hopeless.abort(new HoldEnded(outcome, why, GRPC_STATUS.failedPrecondition));
  }

  /** Ends all sessions at once. */
  cutAll(why: string): void {
    this.#cut.abort(new Error(why));
  }

  /** Clients that left before they were accepted are no fault, however many there are. */
  #acceptFailed(fault: AcceptFault, error: unknown, inARow: number): void {
    this.#ports.metrics.record("accept_errors_total", 1, { cause: fault });
    if (fault === "exhausted" || (fault === "other" && inARow >= FAILURES_IN_A_ROW)) {
      this.#acceptFaults.failed(messageOf(error));
    }
  }

  #begin(downstream: Conn, entry: Entry): void {
    if (!this.#room.fits(this.open, this.held)) return this.#refuse(downstream);
    this.#limit.succeeded();
    if (this.#settings.answerHttp !== true) return this.#beginSession({ downstream, door: entry.door });
    void this.#open(downstream, entry);
  }

  /** Answers a client, or begins its session, by its first bytes. */
  async #open(tcp: Conn, { door, isTls = false }: Entry): Promise<void> {
    this.#others++;
    try {
      const { kind, conn: downstream, silentForMs } = await openingOf(tcp, this.#ports.clock, this.#cut);
      const isMutual = tcp.peerName !== undefined;
      if (kind === "http") await this.#answers.serve(downstream, { door, isTls, isMutual });
      else if (tcp.isProbe === true) this.#endProbe(downstream);
      else this.#beginSession({ downstream, door, silentForMs });
    } finally {
      this.#others--;
      this.#ended();
    }
  }

  /** A connection has ended. */
  #ended(): void {
    if (this.open === 0) this.#drains.tell();
  }

  /** A load balancer has looked whether the port is open. */
  #endProbe(conn: Conn): void {
    this.#ports.log.debug("connection_without_client", { from: formatAddress(conn.remoteAddr) });
    close(conn);
  }

  #beginSession(client: Client): void {
    const traffic: Traffic = { upstreamBytes: 0, downstreamBytes: 0 };
    this.#traffic.add(traffic);
    const id = ++this.#lastId;
    const onEnd = () => {
      this.#traffic.delete(traffic);
      this.#uncounted.upstreamBytes += traffic.upstreamBytes;
      this.#uncounted.downstreamBytes += traffic.downstreamBytes;
      this.#count();
      this.#ended();
    };
    void runSession(id, { ...client, traffic, onEnd }, this.#settings, this.#ports, this.#ends);
    this.#count();
  }

  #refuse(conn: Conn): void {
    const { metrics } = this.#ports;
    const { refused, full } = this.#room;
    metrics.record("sessions_opened_total", 1, {});
    metrics.record("sessions_ended_total", 1, { outcome: "limited" });
    this.#limit.failed(full);
    // The oldest client has been told by now, if it can be told at all.
    const [oldest] = this.#telling;
    if (oldest !== undefined && this.#telling.size >= refused) {
      this.#telling.delete(oldest);
      oldest.abort();
    }
    const own = new AbortController();
    this.#telling.add(own);
    const over = anySignal(own.signal, this.#cut);
    const told = refuseSession(conn, full, this.#ports, over.signal);
    this.#refused.add(told);
    told.finally(() => {
      over[Symbol.dispose]();
      this.#telling.delete(own);
      this.#refused.delete(told);
    });
  }

  #count(): void {
    const { metrics } = this.#ports;
    metrics.record("sessions_open", this.#traffic.size, {});
  }
}
