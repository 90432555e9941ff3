/**
 * How many sessions the process has file descriptors for. Those beyond are refused, so that the admin port and requests
 * to the API never lack one.
 *
 * @module
 */
import type { BasePorts } from "../base/ports.ts";

/** Descriptors of a session: one to the client, one to buildkitd. */
const PER_SESSION = 2;

/** Clients beyond the limit that are told so at a time. */
const MOST_REFUSED = 100;

/**
 * Kept back: for clients that are refused, for connections of the admin port (64), for requests to the API, health
 * checks, files and name look-ups.
 */
const RESERVED = MOST_REFUSED + 64 + 36;

/** Descriptors that so many more sessions need, those of the rest of the program included. */
export function descriptorsFor(sessions: number, reserved: number = RESERVED): number {
  return PER_SESSION * sessions + reserved;
}

/** Sessions whose descriptors are counted at start. For 2,000, V8 would load its optimizing compiler: 7 MB for good. */
const SESSIONS_AT_START = 500;

/** Sessions whose descriptors are counted at a time later: takes 50 ms. Counting for 20,000 would cost 8 MB for good. */
const SESSIONS_AT_A_TIME = 2_000;

/** What the room is found with. */
export interface RoomPorts extends Pick<BasePorts, "log" | "metrics"> {
  /** Counts free descriptors up to a number; undefined is without limit. */
  readonly count: ((atMost: number) => number | undefined) | undefined;
  /**
   * Connections that may be on their way to a session, which need a descriptor each: where there are enough, and where
   * there are few. None by default.
   */
  readonly arrivals?: { readonly most: number; readonly few: number } | undefined;
}

/** The room for sessions. It is known for the first 500 at start, and for more once they come. */
export class Room {
  readonly #maxConnections: number;
  readonly #ports: RoomPorts;
  #sessions = 0;
  /** Kept back if there are enough of them. */
  readonly #wantedReserve: number;
  #reserved: number;
  #arrivals: number;
  /** `#sessions` is final: the setting allows no more, or there are no descriptors for more. */
  #isWhole = false;

  /** Looks at once. */
  constructor(maxConnections: number, ports: RoomPorts) {
    this.#maxConnections = maxConnections;
    this.#ports = ports;
    this.#arrivals = ports.arrivals?.most ?? 0;
    this.#wantedReserve = RESERVED + this.#arrivals;
    this.#reserved = this.#wantedReserve;
    this.#look(0, 0);
  }

  /** Connections that may be on their way to a session at a time. */
  get arrivals(): number {
    return this.#arrivals;
  }

  /** Clients beyond the limit that are told so at a time. */
  get refused(): number {
    return Math.min(MOST_REFUSED, Math.floor(this.#reserved / 2));
  }

  /** What a client beyond the limit is told. */
  get full(): string {
    const limit = `The limit of ${this.#sessions} connections is reached`;
    return this.#sessions === this.#maxConnections
      ? `${limit} (--max-connections)`
      : `${limit}: the proxy may open no more files (ulimit -n)`;
  }

  /** Whether one more fits beside `open` sessions, of which `held` have no connection to buildkitd yet. */
  fits(open: number, held: number): boolean {
    if (open >= this.#sessions && !this.#isWhole) this.#look(open, held);
    return open < this.#sessions;
  }

  #look(open: number, held: number): void {
    const { count, log, metrics } = this.#ports;
    const wanted = descriptorsFor(this.#maxConnections - open, this.#wantedReserve) + held;
    const next = this.#sessions === 0 ? SESSIONS_AT_START : SESSIONS_AT_A_TIME;
    const portion = Math.min(wanted, descriptorsFor(next, this.#wantedReserve) + held);
    const found = count?.(portion);
    const isEnough = found === undefined || found >= portion;
    const free = Math.max(0, (found ?? wanted) - held);
    this.#isWhole = !isEnough || found === undefined || portion === wanted;
    // A process that may open very few files at all keeps back half of them.
    if (!isEnough && open === 0) {
      this.#arrivals = Math.min(this.#arrivals, this.#ports.arrivals?.few ?? 0);
      this.#reserved = Math.min(RESERVED + this.#arrivals, Math.floor(free / 2));
    }
    this.#sessions = Math.max(1, open + Math.max(0, Math.floor((free - this.#reserved) / PER_SESSION)));
    metrics.record("sessions_limit", this.#isWhole ? this.#sessions : this.#maxConnections, {});
    if (found === undefined) return;
    metrics.record("descriptors_free", found, {});
    if (isEnough) return log.debug("descriptors_counted", { sessions: this.#sessions });
    log.warn("descriptors_insufficient", {
      free: found,
      wanted,
      sessions: this.#sessions,
      then: `raise the limit of open files by ${wanted - found} (ulimit -n; containers: LimitNOFILE of ` +
        `containerd), or lower --max-connections to ${this.#sessions}`,
    });
  }
}
