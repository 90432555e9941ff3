/**
 * The network port over `Deno.listen` and `Deno.connect`. Nothing else here.
 *
 * @module
 */
import type { Address, Conn, Listener, Network } from "../base/network.ts";

/** The connections that this network has made. */
const made = new WeakSet<Conn>();

/** Whether it is a TCP connection that {@link denoNetwork} has made, and so one of the runtime. */
export function isTcp(conn: Conn): conn is Deno.TcpConn {
  return made.has(conn);
}

/**
 * Connections that may wait to be accepted, as far as the kernel lets (`net.core.somaxconn`, 4096 by default). What comes
 * beyond that is dropped, and its client tries again after a second; the runtime's own 511 are fewer than come at once.
 * Much more would only let newcomers wait longer behind a crowd.
 */
const BACKLOG = 1_536;

/** The machine's network. */
export const denoNetwork: Network = {
  listen({ hostname, port }: Address): Listener {
    const listener = Deno.listen({ hostname, port, tcpBacklog: BACKLOG });
    return {
      addr: { hostname: listener.addr.hostname, port: listener.addr.port },
      accept: () => listener.accept(),
      close: () => listener.close(),
    };
  },
  async connect({ hostname, port }: Address, signal: AbortSignal): Promise<Conn> {
    signal.throwIfAborted();
    const connecting = Deno.connect({ hostname, port, signal });
    try {
      const conn = await connecting;
      made.add(conn);
      return conn;
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    }
  },
};
