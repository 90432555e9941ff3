/**
 * Opens a listener for an address of the settings. All interfaces are IPv6 and IPv4, also where a socket on `::` takes
 * IPv6 only (Windows, `net.ipv6.bindv6only=1`): there are two sockets then, which look like one.
 *
 * @module
 */
import type { Address, Conn, Listener, Network } from "../base/network.ts";
import { bindHostnames } from "../config/address.ts";

/**
 * Listens at once.
 *
 * @throws Deno.errors.AddrInUse and the like
 */
export function listenOn(network: Network, { hostname, port }: Address): Listener {
  const [first = hostname, second] = bindHostnames(hostname);
  if (second === undefined) return network.listen({ hostname: first, port });
  let ipv6: Listener;
  try {
    ipv6 = network.listen({ hostname: first, port });
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw error;
    return network.listen({ hostname: second, port }); // IPv6 is switched off
  }
  try {
    return new JoinedListener(ipv6, network.listen({ hostname: second, port: ipv6.addr.port }));
  } catch (error) {
    // Taken by the first, if that takes IPv4 as well; without IPv4 there is another error.
    if (!(error instanceof Deno.errors.AddrInUse) || takesBoth(network, first, second)) return ipv6;
    ipv6.close();
    throw error;
  }
}

/** Whether a socket on the first host takes what comes to the second: shown on a port that nobody else has. */
function takesBoth(network: Network, first: string, second: string): boolean {
  const probe = network.listen({ hostname: first, port: 0 });
  try {
    network.listen({ hostname: second, port: probe.addr.port }).close();
    return false;
  } catch {
    return true;
  } finally {
    probe.close();
  }
}

/** The outcome of an accept. */
type Accepted = { readonly conn: Conn } | { readonly error: unknown };

/** Two listeners as one. Each has at most one accept under way, or one outcome that nobody has taken yet. */
class JoinedListener implements Listener {
  readonly addr: Address;
  readonly #listeners: readonly Listener[];
  /** Listeners without an accept under way. */
  readonly #resting: Set<Listener>;
  readonly #outcomes: { readonly from: Listener; readonly outcome: Accepted }[] = [];
  #changed = Promise.withResolvers<void>();
  #closed = false;

  /** Has the address of the first. */
  constructor(...listeners: readonly [Listener, Listener]) {
    this.addr = listeners[0].addr;
    this.#listeners = listeners;
    this.#resting = new Set(listeners);
  }

  async accept(): Promise<Conn> {
    for (;;) {
      for (const listener of this.#resting) this.#begin(listener);
      const next = this.#outcomes.shift();
      if (next !== undefined) {
        this.#resting.add(next.from);
        if ("conn" in next.outcome) return next.outcome.conn;
        throw next.outcome.error;
      }
      await this.#changed.promise;
      this.#changed = Promise.withResolvers();
    }
  }

  close(): void {
    this.#closed = true;
    for (const listener of this.#listeners) listener.close();
    for (const { outcome } of this.#outcomes) if ("conn" in outcome) outcome.conn.close();
  }

  #begin(listener: Listener): void {
    this.#resting.delete(listener);
    const settle = (outcome: Accepted) => {
      if (this.#closed && "conn" in outcome) return outcome.conn.close();
      this.#outcomes.push({ from: listener, outcome });
      this.#changed.resolve();
    };
    listener.accept().then((conn) => settle({ conn }), (error) => settle({ error }));
  }
}
