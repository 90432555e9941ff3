/**
 * TLS by `node:tls` to an API server, over any connection, for what the runtime's own TLS cannot do: no verification, a
 * client certificate on a connection that is there already, TLS inside TLS. Loaded only where it is needed.
 *
 * @module
 */
import { isIP } from "node:net";
import { connect } from "node:tls";
import { ConnStream, DecryptedConn } from "../base/conn_stream.ts";
import type { Conn } from "../base/network.ts";
import type { ByteStream } from "./http.ts";
import type { KeyPair } from "./pem.ts";

/** How to greet the server. */
export interface NodeTlsOptions {
  /** The name that its certificate must be for. */
  readonly name: string;
  /** Certificates of authorities, PEM. */
  readonly ca: string | undefined;
  /** The client's certificate. */
  readonly pair: KeyPair | undefined;
  /** Takes any certificate. */
  readonly insecure: boolean;
}

/** TLS on top of `under`, after the handshake. Closing the one closes the other. */
export async function nodeTls(
  under: Pick<Conn, "read" | "write" | "closeWrite" | "close">,
  { name, ca, pair, insecure }: NodeTlsOptions,
): Promise<ByteStream> {
  const conn: Conn = {
    remoteAddr: { hostname: name, port: 0 },
    read: (buffer) => under.read(buffer),
    write: (bytes) => under.write(bytes),
    closeWrite: () => under.closeWrite(),
    close: () => under.close(),
    setNoDelay: () => {},
    setKeepAlive: () => {},
  };
  const below = new ConnStream(conn);
  const tls = connect({
    socket: below,
    host: name,
    // No name is announced for an address (RFC 6066); it is verified all the same.
    ...(isIP(name) ? {} : { servername: name }),
    ...(ca === undefined ? {} : { ca }),
    ...pair,
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: !insecure,
  });
  const secure = new DecryptedConn(tls, below, conn);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  tls.once("secureConnect", resolve);
  tls.once("error", reject);
  tls.once("close", () => reject(new Error("The connection was closed: connection closed")));
  try {
    await promise;
    return secure;
  } catch (error) {
    secure.close();
    throw error;
  }
}
