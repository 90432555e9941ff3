/**
 * Remembers how the last connections of each network have ended before they were sessions: in a crowd, networks whose
 * clients come through go before those that only take places. Pure.
 *
 * @module
 */

/** Networks that are remembered. */
const MOST_REMEMBERED = 4_096;

/** After a connection that has come through, a network counts as one with so many fewer under way. */
const PROVEN = 64;

/** The networks of clients, as `clientNetworkOf` tells them apart. */
export class ClientNetworks {
  /** Latest last. */
  readonly #standing = new Map<string, number>();

  /** Which network has more places than it should: those that it has, more for failures, and fewer for a success. */
  weightOf(network: string, places: number): number {
    return places + (this.#standing.get(network) ?? 0);
  }

  /** A connection has come through. */
  succeeded(network: string): void {
    this.#set(network, -PROVEN);
  }

  /** A connection has not come through. */
  failed(network: string): void {
    this.#set(network, this.weightOf(network, 1));
  }

  #set(network: string, standing: number): void {
    this.#standing.delete(network);
    this.#standing.set(network, standing);
    const [oldest] = this.#standing.keys();
    if (this.#standing.size > MOST_REMEMBERED) this.#standing.delete(oldest!);
  }
}
