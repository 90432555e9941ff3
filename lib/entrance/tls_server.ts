/**
 * The server's side of a TLS handshake on a connection that was accepted already, by the runtime's `node:tls`.
 * `Deno.listenTls` cannot do it: it accepts by itself, cannot ask for client certificates or take a new certificate, and
 * its connections have neither keep-alive nor no-delay.
 *
 * @module
 */
import { createServer, type TLSSocket } from "node:tls";
import type { Clock } from "../base/clock.ts";
import { close } from "../base/conn.ts";
import { codeOf } from "../base/errors.ts";
import type { Conn } from "../base/network.ts";
import { ClientLeft } from "./arrivals.ts";
import { acceptedName, describeNames, namesOf } from "./certificate_names.ts";
import { chainOf, isStillTrusted } from "./resumed_client.ts";
import type { ServerCredentials } from "./server_credentials.ts";
import { Inbox, TlsConn } from "./tls_conn.ts";
import { Wire } from "./wire.ts";

/** Which clients are let in, and what they may speak. */
export interface ClientRules {
  /** Whether clients may speak HTTP/1.1. HTTP/2 comes first: what is offered both goes on to speak that, as before. */
  readonly offersHttp1?: boolean | undefined;
  /** Of those with a certificate, only those with one of these names; all without a list. */
  readonly names?: readonly string[] | undefined;
  /** Tells whether a certificate has expired. */
  readonly clock: Pick<Clock, "wallMs">;
}

/**
 * Makes the handshake. The connection belongs to the result, or is closed. Where there is a client CA, only clients with
 * a certificate of it are let in, as the rules say.
 *
 * @throws Error that says what went wrong, or the reason of `signal`
 */
export async function acceptTls(
  tcp: Conn,
  { pair, clientCa }: ServerCredentials,
  rules: ClientRules,
  signal: AbortSignal,
): Promise<TlsConn> {
  const { promise, resolve, reject } = Promise.withResolvers<TlsConn>();
  const inbox = new Inbox();
  const wire = new Wire(tcp, () => inbox.hasRoom);
  const asksClients = clientCa !== undefined;
  // One for each connection: so its events belong to this handshake, and the next one can have another certificate.
  const server = createServer({
    ...pair,
    ...(asksClients ? { ca: clientCa } : {}),
    requestCert: asksClients,
    rejectUnauthorized: asksClients,
    ALPNProtocols: rules.offersHttp1 === true ? ["h2", "http/1.1"] : ["h2"],
    minVersion: "TLSv1.2",
    // None: the signal ends it. The runtime's own timer keeps all of a handshake that was given up, 40 KB, for 120 s.
    handshakeTimeout: -1,
  });
  server.once("secureConnection", (socket) => {
    try {
      const peerName = clientCa === undefined ? undefined : nameOfClient(socket, clientCa, rules);
      resolve(new TlsConn({ socket, wire, tcp, inbox }, peerName));
    } catch (error) {
      reject(error);
    }
  });
  server.once(
    "tlsClientError",
    (error, { authorizationError }) => reject(describe(error, authorizationError)),
  );
  const onLeft = () => reject(clientLeft());
  const onAbort = () => reject(signal.reason);
  wire.once("end", onLeft);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    server.emit("connection", wire);
    return await promise;
  } catch (error) {
    wire.destroy();
    close(tcp);
    throw error;
  } finally {
    wire.off("end", onLeft);
    signal.removeEventListener("abort", onAbort);
  }
}

/** A runtime that has not asked for a certificate, or not verified it, lets nobody in. */
function nameOfClient(socket: TLSSocket, clientCa: string, { names: allowed, clock }: ClientRules): string {
  const resumes = socket.isSessionReused();
  const presented = socket.getPeerCertificate(resumes);
  const certificate: Uint8Array | undefined = presented?.raw;
  if (!socket.authorized || certificate === undefined) {
    throw new Error("The client's certificate is not accepted: this runtime has not verified it");
  }
  if (resumes && !isStillTrusted(chainOf(presented), clientCa, clock.wallMs())) {
    throw new Error(
      "The client's certificate is not accepted: the client resumes a TLS session, and its certificate has expired, " +
        "or is of no authority in --tls-client-ca any more",
    );
  }
  const names = namesOf(certificate);
  const name = acceptedName(names, allowed);
  if (name === undefined) {
    throw new Error(
      `The client's certificate is not accepted: found ${
        describeNames(names)
      }, want a name of --tls-client-names`,
    );
  }
  return name;
}

function clientLeft(): Error {
  return new ClientLeft("The client left during the TLS handshake");
}

/** The runtime has one code for all that can be wrong with a certificate of another authority, or none. */
function describe(error: Error, authorizationError: unknown): Error {
  if (authorizationError) {
    const cause = authorizationError === "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
      ? "it has expired, is not valid yet, is not for clients, or is of no authority in --tls-client-ca"
      : String(authorizationError);
    return new Error(`The client's certificate is not accepted: ${cause}`);
  }
  return codeOf(error) === "ECONNRESET"
    ? clientLeft()
    : new Error(`The TLS handshake failed: ${error.message}`);
}
