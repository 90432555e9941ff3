/**
 * The port to TLS on the client's side of a connection. `lib/proxy/deno_tls.ts` is its real implementation.
 *
 * @module
 */
import type { Conn } from "./network.ts";

/** Whom to expect on the other side, and what to present. */
export interface TlsClientOptions {
  /** The name, or IP address, that the server's certificate must be for. */
  readonly serverName: string;
  /** Certificates of the authorities that may have signed it, PEM. */
  readonly ca: string;
  /** The client's certificate and key, PEM; none is presented without. */
  readonly pair: { readonly cert: string; readonly key: string } | undefined;
}

/**
 * Speaks TLS (1.2 or newer, ALPN `h2`) over a connection that is open and has carried nothing. It takes the connection
 * over: closing what it resolves to closes it, and it is closed after a failure. Resolves after the handshake. With TLS 1.3
 * that is before the server has looked at the client's certificate: a refusal comes with the first read.
 *
 * @throws the runtime's error, or the reason of `signal`
 */
export type StartTls = (conn: Conn, options: TlsClientOptions, signal: AbortSignal) => Promise<Conn>;
