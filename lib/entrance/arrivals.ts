/**
 * Bounds what happens to connections before they are sessions: how long it takes, and for how many at a time. When there
 * are too many, one of the network that has most of them must go, its oldest, so that a flood from one address ends only
 * its own. Connections that have failed count, too, and a network whose clients come through may have more.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, deadline } from "../base/clock.ts";
import { TimeoutError } from "../base/errors.ts";
import { formatDurationMs } from "../config/duration.ts";
import { clientNetworkOf } from "../config/ip_networks.ts";
import { ClientNetworks } from "./client_networks.ts";

/** How long the header of a load balancer may take, and then the handshake, in ms each. */
export const ARRIVAL_LIMIT_MS = 10_000;

/**
 * Connections without a session at a time: a burst of so many clients passes, also from one address. Each needs a file
 * descriptor and a small buffer; `handshakes.ts` bounds what takes more.
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
  /** How the last ones have ended. */
  readonly networks: ClientNetworks = new ClientNetworks();
  readonly #clock: Clock;
  readonly #most: () => number;
  /** What ends them, oldest first, by {@link clientNetworkOf} their address. */
  readonly #byNetwork = new Map<string, Set<AbortController>>();
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
    const network = clientNetworkOf(hostname);
    const ofNetwork = this.#byNetwork.get(network) ?? new Set();
    this.#byNetwork.set(network, ofNetwork.add(own));
    this.#count++;
    using ends = anySignal(own.signal, over);
    using limit = deadline(
      this.#clock,
      ARRIVAL_LIMIT_MS,
      ends.signal,
      () => new TimeoutError(`not done within ${formatDurationMs(ARRIVAL_LIMIT_MS)}`),
    );
    try {
      const result = await work(limit.signal);
      this.networks.succeeded(network);
      return result;
    } catch (error) {
      if (!over.aborted) this.networks.failed(network);
      throw error;
    } finally {
      this.#forget(network, own);
    }
  }

  #endOne(): void {
    let [largest] = this.#byNetwork;
    if (largest === undefined) return;
    const weightOf = ([network, { size }]: readonly [string, ReadonlySet<unknown>]) =>
      this.networks.weightOf(network, size);
    for (const one of this.#byNetwork) if (weightOf(one) > weightOf(largest)) largest = one;
    const [network, [oldest]] = largest;
    if (oldest === undefined) return;
    this.#forget(network, oldest);
    oldest.abort(new CrowdedOut("Too many connections are on their way to a session"));
  }

  #forget(network: string, own: AbortController): void {
    const ofNetwork = this.#byNetwork.get(network);
    if (!ofNetwork?.delete(own)) return;
    this.#count--;
    if (ofNetwork.size === 0) this.#byNetwork.delete(network);
  }
}
