/**
 * How a session gets its pod: the client is held until there is a seat and a connection to it. The wait fails when the
 * client leaves or breaks HTTP/2, when its time is up, when too many clients wait, when the program knows that no pod
 * will come, and when all sessions are cut. `goodbye.ts` says what the client is told then.
 *
 * @module
 */
import { backoffMs } from "../base/backoff.ts";
import { sleep } from "../base/clock.ts";
import { close, tune } from "../base/conn.ts";
import { Ending } from "../base/ending.ts";
import type { Conn } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { type Arrival, DialError, type Door, type Seat, type Seats, type WaitsFor } from "../target/seats.ts";
import { clientLeft, HoldEnded, silentWhileHeld } from "./goodbye.ts";
import { FIRST_BYTES, Hold, type HoldBudget, type HoldEvents, type Leaving } from "./hold.ts";
import { GRPC_STATUS } from "./http2_errors.ts";
import type { Malformed } from "./http2_faults.ts";
import { Introduction } from "./introduction.ts";
import type { ReadTurns } from "./read_turns.ts";
import type { SignsOfLife } from "./signs_of_life.ts";
import { WaitLimit } from "./wait_limit.ts";

/** The settings that matter. */
export interface WaitSettings {
  /** Whether a connection alone calls for a pod, or only one that has sent something. */
  readonly wakeOn: "connect" | "data";
}

/** What a wait is made of. */
export interface WaitPorts extends Pick<BasePorts, "clock" | "random"> {
  /** Gives seats, and connections to them. */
  readonly seats: Seats;
  /** Bounds what all holds keep. */
  readonly budget: HoldBudget;
  /** Lets sessions that send much read. */
  readonly turns: ReadTurns;
  /** Keeps connections of held clients from looking idle. */
  readonly signs: SignsOfLife;
}

/** What ends sessions before their time. */
export interface SessionEnds {
  /** Ends them all at once. */
  readonly cut: Ending;
  /** Ends those that are held, now or later: no pod will come. Its reason is a {@link HoldEnded}. */
  readonly refuse: Ending;
}

/** Between two dials, from the end of one to the start of the next; grows with each. */
const REDIAL = { baseMs: 50, capMs: 1_000 };

/** Clients do not try again after this answer. Source: OTLP specification, failures that are not retryable. */
const NO_TRACES = "No buildkitd runs that could take traces";

/** A client that is to be held. */
export interface Client {
  /** Its connection. */
  readonly downstream: Conn;
  /** Where it has come in. */
  readonly door: Door;
  /** How long it has been silent already, in ms; 0 by default. */
  readonly silentForMs?: number | undefined;
}

/** The wait of one session. There may be thousands: it keeps few functions of its own. */
export class Wait implements HoldEvents {
  /** Holds the client. */
  readonly hold: Hold;
  readonly #id: number;
  readonly #settings: WaitSettings;
  readonly #ports: WaitPorts;
  readonly #ends: SessionEnds;
  /** Ends the wait for a seat. */
  readonly #waiting = new Ending();
  /** Ends the dial that is under way, too. A FIN does not: then it is a half-close, which the relay passes on. */
  #dialling: Ending | undefined;
  #ended: { readonly reason: unknown } | undefined;
  readonly #door: Door;
  readonly #startedMs: number;
  readonly #limit: WaitLimit;
  readonly #introduction: Introduction;
  #waitsFor: WaitsFor = "pod";
  readonly #onCut = () => this.end(this.#ends.cut.reason);
  readonly #onRefuse = () => this.#waiting.abort(this.#ends.refuse.reason);

  /** Starts the clock of the wait. */
  constructor(
    id: number,
    { downstream, door, silentForMs }: Client,
    settings: WaitSettings,
    ports: WaitPorts,
    ends: SessionEnds,
  ) {
    const { clock, seats, budget } = ports;
    this.#id = id;
    this.#door = door;
    this.#settings = settings;
    this.#ports = ports;
    this.#ends = ends;
    this.#startedMs = clock.nowMs();
    this.#introduction = new Introduction(clock, (caller) => void seats.identify(id, caller), silentForMs);
    this.hold = new Hold(downstream, budget, this);
    this.#limit = new WaitLimit(clock, seats.limitsOf(door), (waitsFor) => this.#timeIsUp(waitsFor));
    ends.cut.follow(this.#onCut);
    ends.refuse.follow(this.#onRefuse);
  }

  /**
   * Gets a seat and connects to it; tries again until that works.
   *
   * @throws HoldEnded, or the reason why all sessions are cut
   */
  async connect(arrival: Arrival): Promise<{ readonly seat: Seat; readonly upstream: Conn }> {
    const { clock, random, seats } = this.#ports;
    const id = this.#id;
    const waiting = this.#waiting;
    this.hold.start();
    let seat = seats.open(id, arrival);
    if (seat === undefined) this.#startParsing();
    for (let attempt = 0;; attempt++) {
      seat ??= await seats.wait(id, waiting);
      this.hold.stopParsing();
      const dialling = this.#startDial();
      try {
        const upstream = await seats.dial(seat, dialling);
        // The seat may have been lost meanwhile: then this connection must not carry a byte.
        if (!dialling.aborted && seats.connected(seat)) {
          tune(upstream);
          return { seat, upstream };
        }
        close(upstream);
      } catch (error) {
        if (!(error instanceof DialError)) throw error;
        seats.failed(seat, error);
      }
      seat = undefined;
      seats.holdAgain(id);
      this.#startParsing();
      await sleep(clock, backoffMs(attempt, REDIAL, random), waiting);
    }
  }

  bytes(): void {
    this.#ports.seats.used(this.#id);
    this.#introduction.heard(this.hold.words);
    this.#decline();
    this.#boundWatcher();
  }

  left(how: Leaving): void {
    this.#introduction.left();
    this.#waiting.abort(clientLeft(how, this.hold, this.#ports.clock.nowMs() - this.#startedMs));
  }

  malformed({ why }: Malformed): void {
    this.end(new HoldEnded("protocol_error", `The client breaks the HTTP/2 protocol: ${why}`));
  }

  /** It waits for this from now on. */
  waitFor(waitsFor: WaitsFor): void {
    this.#limit.waitFor(waitsFor);
    this.#waitsFor = waitsFor;
    this.#decline();
  }

  /** Ends the wait, and a dial that is under way: `connect` throws the reason, unless it has its connection already. */
  end(reason: unknown): void {
    this.#ended ??= { reason };
    this.#dialling?.abort(reason);
    this.#waiting.abort(reason);
  }

  /** Stops the clock of the wait, and follows nothing any more. Harmless when called twice. */
  over(): void {
    this.#limit.end();
    this.#introduction.end();
    this.#ends.cut.leave(this.#onCut);
    this.#ends.refuse.leave(this.#onRefuse);
    this.#ports.signs.remove(this.hold);
  }

  #startParsing(): void {
    this.hold.startParsing();
    this.#ports.signs.add(this.hold);
    const { words, spoke } = this.hold;
    this.#introduction.start(words, spoke, this.#settings.wakeOn === "connect");
    this.#boundWatcher();
  }

  /**
   * A client that waits for no pod may wait for ever, and sends little. It is ended rather than left unread, since nobody
   * would notice then that it has left.
   */
  #boundWatcher(): void {
    if (this.#waitsFor !== "nothing" || this.hold.keptBytes <= FIRST_BYTES) return;
    this.end(new HoldEnded("watch_ended", `It only watched, and sent more than ${FIRST_BYTES} bytes`));
  }

  /** Nobody starts a pod for traces, and a client that waits to hand them over cannot exit. */
  #decline(): void {
    const { words } = this.hold;
    if (this.#waitsFor !== "nothing" || typeof words !== "object" || words.purpose !== "export") return;
    this.hold.decline({ status: GRPC_STATUS.unimplemented, message: NO_TRACES });
  }

  #timeIsUp(waitsFor: WaitsFor): void {
    const { seats } = this.#ports;
    const id = this.#id;
    if (waitsFor === "room") {
      return this.end(new HoldEnded("queue_timeout", seats.explainQueue(id), GRPC_STATUS.resourceExhausted));
    }
    this.end(
      seats.needs(id)
        ? new HoldEnded("timed_out", "", GRPC_STATUS.deadlineExceeded)
        : silentWhileHeld(seats.limitsOf(this.#door).readyWaitTimeoutMs),
    );
  }

  #startDial(): Ending {
    const dialling = this.#dialling = new Ending();
    if (this.#ended !== undefined) dialling.abort(this.#ended.reason);
    return dialling;
  }
}
