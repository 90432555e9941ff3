/**
 * The server's side of TLS over a connection, for tests of its client. It can ask for a client's certificate.
 *
 * @module
 */
import { createServer, type TlsOptions, type TLSSocket } from "node:tls";
import { ConnStream, DecryptedConn } from "../../lib/base/conn_stream.ts";
import type { Conn } from "../../lib/base/network.ts";
import { writeAll } from "../../lib/miniature/bytes.ts";
import { FRAME, frameBytes } from "../../lib/miniature/stub_http2.ts";
import type { Serve } from "./server_pods.ts";

/** What the server presents and wants. */
export interface TlsServerOptions {
  readonly cert: string;
  readonly key: string;
  /** Clients need a certificate of this authority. */
  readonly clientCa?: string;
}

/** What a gRPC server says first. */
export const GREETING = frameBytes({ type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() });

/** A daemon that speaks TLS. It greets, where `greets` says so, and then serves. */
export function overTls(serve: Serve, server: TlsServerOptions, greets: () => boolean = () => true): Serve {
  return async (conn, pod, session) => {
    const secure = await acceptTls(conn, server);
    try {
      if (greets()) await writeAll(secure, GREETING);
      await serve(secure, pod, session);
    } finally {
      secure.close();
    }
  };
}

/** Makes the handshake. The connection belongs to the result; it is closed after a failure. */
export async function acceptTls(
  conn: Conn,
  { cert, key, clientCa }: TlsServerOptions,
): Promise<Conn & { readonly alpn: string | false | null; readonly clientName: string | undefined }> {
  const below = new ConnStream(conn);
  const options: TlsOptions = {
    cert,
    key,
    ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    ALPNProtocols: ["h2"],
  };
  const server = createServer(options);
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  server.once("secureConnection", resolve);
  server.once("tlsClientError", reject);
  const onLeft = () => reject(new Error("The client left during the handshake"));
  below.once("end", onLeft);
  below.once("close", onLeft);
  server.emit("connection", below);
  try {
    const socket = await promise;
    if (clientCa !== undefined && !socket.authorized) {
      throw new Error("The client's certificate is not accepted");
    }
    const clientName = clientCa === undefined ? undefined : String(socket.getPeerCertificate().subject.CN);
    return Object.assign(new DecryptedConn(socket, below, conn), { alpn: socket.alpnProtocol, clientName });
  } catch (error) {
    below.destroy();
    throw error;
  }
}
