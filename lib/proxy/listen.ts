/**
 * Opens a listener for an address of the settings.
 *
 * @module
 */
import type { Address, Listener, Network } from "../base/network.ts";
import { bindHostnames } from "../config/address.ts";

/**
 * Listens at once.
 *
 * @throws Deno.errors.AddrInUse and the like
 */
export function listenOn(network: Network, { hostname, port }: Address): Listener {
  const hostnames = bindHostnames(hostname);
  for (const [i, candidate] of hostnames.entries()) {
    try {
      return network.listen({ hostname: candidate, port });
    } catch (error) {
      if (i === hostnames.length - 1 || error instanceof Deno.errors.AddrInUse) throw error;
    }
  }
  throw new Error("unreachable");
}
