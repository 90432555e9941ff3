/**
 * Addresses of pods that lead somewhere on every machine. Pods share one port at addresses of their own, which only Linux
 * has on loopback. Here each of them listens on a free port instead, and whoever connects to it gets there.
 *
 * @module
 */
import { type Address, formatAddress, type Network } from "../base/network.ts";

/** A network in which what listens is found at the address that it has asked for. All other addresses are the machine's. */
export function podNetwork(machine: Network): Network {
  const real = new Map<string, Address>();
  return {
    listen(address) {
      const name = formatAddress(address);
      if (real.has(name)) throw new Deno.errors.AddrInUse(name);
      const listener = machine.listen({ hostname: "127.0.0.1", port: 0 });
      real.set(name, listener.addr);
      return {
        addr: address,
        accept: () => listener.accept(),
        close: () => {
          real.delete(name);
          listener.close();
        },
      };
    },
    connect: (address, signal) => machine.connect(real.get(formatAddress(address)) ?? address, signal),
  };
}
