/**
 * TLS with a client's certificate on runtimes before Deno 2.9, whose `node:tls` presents none on a connection that is open
 * already (seen on 2.6.10). The runtime's own TLS presents one where it dials by itself: so it dials a port of this process,
 * behind which the bytes go to the connection. It costs two sockets more, and up to 44 ms for a small message that comes
 * in two writes, since that socket cannot be told to send at once.
 *
 * @module
 */
import { close, writeAll } from "../base/conn.ts";
import type { Conn } from "../base/network.ts";
import type { TlsClientOptions } from "../base/tls_client.ts";

const LOOPBACK = "127.0.0.1";

/** What each direction reads with. */
const BUFFER_BYTES = 64 * 1024;

/** A connection with TLS, and what has to be closed with it. */
export interface Dialled {
  /** Speaks TLS. */
  readonly tls: Deno.TlsConn;
  /** What carries its bytes. */
  readonly carriers: readonly Conn[];
}

/** Starts a handshake over `conn`. */
export async function dialItself(
  conn: Conn,
  { serverName, ca, pair }: TlsClientOptions,
  alpnProtocols: string[],
): Promise<Dialled> {
  using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const { port } = listener.addr;
  const options = { hostname: LOOPBACK, port, caCerts: [ca], alpnProtocols, ...pair };
  const tls = await Deno.connectTls(withServerName(options, serverName));
  const own = (tls.localAddr as Deno.NetAddr).port;
  try {
    for (;;) {
      const inner = await listener.accept();
      if (inner.remoteAddr.port === own) {
        inner.setNoDelay(true);
        void carry(inner, conn);
        return { tls, carriers: [inner, conn] };
      }
      inner.close(); // somebody else on this machine
    }
  } catch (error) {
    tls.close();
    throw error;
  }
}

/**
 * The runtime verifies the certificate for the host that it dials, or for a name that its options have under a symbol of
 * its own (`serverNameSymbol` in ext/net/02_tls.js), the only symbol that it asks for. A runtime that did not would find the
 * wrong name, and refuse.
 */
function withServerName<Options extends object>(options: Options, serverName: string): Options {
  return new Proxy(options, {
    get: (target, key) => typeof key === "symbol" ? serverName : Reflect.get(target, key),
  });
}

/** Carries bytes both ways until both have ended, or one is broken. */
async function carry(inner: Conn, conn: Conn): Promise<void> {
  try {
    await Promise.all([copy(inner, conn), copy(conn, inner)]);
  } catch {
    // Whoever uses the connection sees it close.
  } finally {
    close(inner);
    close(conn);
  }
}

async function copy(from: Conn, to: Conn): Promise<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) {
    await writeAll(to, buffer.subarray(0, n));
  }
  await to.closeWrite();
}
