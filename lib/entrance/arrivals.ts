/**
 * Bounds what happens to connections before they are sessions: how long it takes, and for how many at a time. When there
 * are too many, one of the address that has most of them must go, its oldest, so that a flood from one address ends only
 * its own.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, deadline } from "../base/clock.ts";
import { TimeoutError } from "../base/errors.ts";
import { formatDurationMs } from "../config/duration.ts";

/** How long the header of a load balancer may take, and then the handshake, in ms each. */
export const ARRIVAL_LIMIT_MS = 10_000;

/**
 * Connections without a session at a time: a burst of so many clients passes, also from one address. Each needs a file
 * descriptor, and 40 KB once TLS has begun.
 */
export const MOST_ARRIVALS = 384;

/** The same where descriptors are few: those kept back for them are no session's. */
export const FEW_ARRIVALS = 128;

/** Too many connections came at the same time. */
export class CrowdedOut extends Error {
  /** Always `CrowdedOut`. */
  override readonly name = "CrowdedOut";
}

/** The client has left before it could have a session, as checks of a TCP port do. */
export class ClientLeft extends Error {
  /** Always `ClientLeft`. */
  override readonly name = "ClientLeft";
}

/** The connections that are on their way to a session. */
export class Arrivals {
  readonly #clock: Clock;
  readonly #most: () => number;
  /** What ends them, oldest first, by address. */
  readonly #byAddress = new Map<string, Set<AbortController>>();
  #count = 0;

  /** There are none yet. `most` may be until then. */
  constructor(clock: Clock, most: () => number = () => MOST_ARRIVALS) {
    this.#clock = clock;
    this.#most = most;
  }

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** Runs `work`, whose signal is aborted when its time is up, when it has to make room, or by `over`. */
  async admit<T>(
    hostname: string,
    over: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#count >= this.#most()) this.#endOne();
    const own = new AbortController();
    const ofAddress = this.#byAddress.get(hostname) ?? new Set();
    this.#byAddress.set(hostname, ofAddress.add(own));
    this.#count++;
    using ends = anySignal(own.signal, over);
    using limit = deadline(
      this.#clock,
      ARRIVAL_LIMIT_MS,
      ends.signal,
      () => new TimeoutError(`not done within ${formatDurationMs(ARRIVAL_LIMIT_MS)}`),
    );
    try {
      return await work(limit.signal);
    } finally {
      this.#forget(hostname, own);
    }
  }

  #endOne(): void {
    const [largest] = [...this.#byAddress].sort(([, a], [, b]) => b.size - a.size);
    if (largest === undefined) return;
    const [hostname, ofAddress] = largest;
    const [oldest] = ofAddress;
    if (oldest === undefined) return;
    this.#forget(hostname, oldest);
    oldest.abort(new CrowdedOut("Too many connections are on their way to a session"));
  }

  #forget(hostname: string, own: AbortController): void {
    const ofAddress = this.#byAddress.get(hostname);
    if (!ofAddress?.delete(own)) return;
    this.#count--;
    if (ofAddress.size === 0) this.#byAddress.delete(hostname);
  }
}
