/**
 * TLS as a client. The runtime's own is used where it can do what is asked: it stands only on a TCP connection of the
 * runtime, and takes a client's certificate only where it dials by itself, then without `TCP_NODELAY` (44 ms more for each
 * message that comes in two small writes). Everything else goes over `node:tls`, or on older runtimes through
 * `older_tls.ts`. Nothing else here.
 *
 * @module
 */
import { isIP } from "node:net";
import { close } from "../base/conn.ts";
import { ConnStream, DecryptedConn } from "../base/conn_stream.ts";
import type { Address, Conn } from "../base/network.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { StartTls, TlsClientOptions } from "../base/tls_client.ts";
import { isTcp } from "./deno_network.ts";

/** The protocol that gRPC speaks. */
const ALPN = ["h2"];

/** A connection whose handshake is under way. */
interface Opening {
  readonly secure: Conn;
  readonly shaken: Promise<unknown>;
}

/** Whether `node:tls` stands on any stream, and presents a certificate there: not on 2.6.10, but on 2.9.6. */
const STANDS_ON_STREAMS = isAtLeast(Deno.version.deno, 2, 9);

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** TLS on a runtime whose `node:tls` can do that, or cannot. */
export function tlsOf(standsOnStreams: boolean): StartTls {
  return async (conn, options, signal) => {
    if (signal.aborted) close(conn);
    signal.throwIfAborted();
    const opening = isTcp(conn) && options.pair === undefined
      ? startNative(conn, options)
      : standsOnStreams
      ? startOverNode(conn, options)
      : startByDialling(conn, options);
    const { secure, shaken } = await opening.catch((error) => {
      close(conn);
      throw error;
    });
    shaken.catch(() => {});
    try {
      await orAborted(shaken, signal);
      return secure;
    } catch (error) {
      close(secure);
      throw error;
    }
  };
}

/** TLS by the means of this machine. */
export const denoTls: StartTls = tlsOf(STANDS_ON_STREAMS);

async function startNative(conn: Deno.TcpConn, { serverName, ca }: TlsClientOptions): Promise<Opening> {
  // Later there is no way to set them.
  conn.setNoDelay(true);
  conn.setKeepAlive(true);
  const { remoteAddr } = conn;
  const tls = await Deno.startTls(conn, { hostname: serverName, caCerts: [ca], alpnProtocols: ALPN });
  return { secure: new NativeTlsConn(tls, remoteAddr), shaken: tls.handshake() };
}

async function startByDialling(conn: Conn, options: TlsClientOptions): Promise<Opening> {
  const { dialItself } = await import("./older_tls.ts");
  conn.setNoDelay(true);
  conn.setKeepAlive(true);
  const { tls, carriers } = await dialItself(conn, options, ALPN);
  return { secure: new NativeTlsConn(tls, conn.remoteAddr, carriers), shaken: tls.handshake() };
}

/** The runtime's connection, without what it cannot set. */
class NativeTlsConn implements Conn {
  readonly remoteAddr: Address;
  readonly #tls: Deno.TlsConn;

  readonly #carriers: readonly Conn[];

  constructor(tls: Deno.TlsConn, remoteAddr: Address, carriers: readonly Conn[] = []) {
    this.#tls = tls;
    this.remoteAddr = remoteAddr;
    this.#carriers = carriers;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return this.#tls.read(buffer);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#tls.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#tls.closeWrite();
  }

  close(): void {
    this.#tls.close();
    for (const carrier of this.#carriers) close(carrier);
  }

  setNoDelay(): void {}

  setKeepAlive(): void {}
}

async function startOverNode(conn: Conn, { serverName, ca, pair }: TlsClientOptions): Promise<Opening> {
  // Loaded only here: most programs never need it, and it costs memory for as long as they run.
  const { connect } = await import("node:tls");
  const below = new ConnStream(conn);
  const tls = connect({
    socket: below,
    host: serverName,
    // No name is announced for an address (RFC 6066); it is verified all the same.
    ...(isIP(serverName) ? {} : { servername: serverName }),
    ca,
    ...pair,
    ALPNProtocols: ALPN,
    minVersion: "TLSv1.2",
  });
  const { promise: shaken, resolve, reject } = Promise.withResolvers<void>();
  tls.once("secureConnect", resolve);
  tls.once("error", reject);
  tls.once("close", () => reject(new Error("The connection was closed during the TLS handshake")));
  return { secure: new DecryptedConn(tls, below, conn), shaken };
}
