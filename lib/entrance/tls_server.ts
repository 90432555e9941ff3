/**
 * The server's side of a TLS handshake on a connection that was accepted already, by the runtime's `node:tls`.
 * `Deno.listenTls` cannot do it: it accepts by itself, cannot ask for client certificates or take a new certificate, and
 * its connections have neither keep-alive nor no-delay.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../base/clock.ts";
import { close } from "../base/conn.ts";
import { codeOf } from "../base/errors.ts";
import type { Conn } from "../base/network.ts";
import { ClientLeft } from "./arrivals.ts";
import { PrefixedConn } from "../base/prefixed_conn.ts";
import { acceptedName, describeNames, namesOf } from "./certificate_names.ts";
import type { ClientNetworks } from "./client_networks.ts";
import { readFirstBytes } from "./first_bytes.ts";
import { Handshakes } from "./handshakes.ts";
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
  /** Tells whether a certificate has expired, and makes turns. */
  readonly clock: Pick<Clock, "wallMs" | "nowMs" | "setTimer">;
}

/** The type of a TLS record with a handshake, and the first byte of its version. Source: RFC 8446, section 5.1. */
const [HANDSHAKE, TLS] = [0x16, 0x03];

const RECORD_HEADER_BYTES = 5;

/** A record with its header. Source: RFC 8446, section 5.1. */
const LONGEST_RECORD_BYTES = RECORD_HEADER_BYTES + 2 ** 14;

/** Makes handshakes. */
export class TlsServer {
  readonly #rules: ClientRules;
  readonly #handshakes: Handshakes;
  #server: { readonly credentials: ServerCredentials; readonly server: Server } | undefined;

  /** Has made none yet. */
  constructor(rules: ClientRules, networks: ClientNetworks) {
    this.#rules = rules;
    this.#handshakes = new Handshakes(rules.clock, networks);
  }

  /**
   * Makes the handshake. The connection belongs to the result, or is closed. Where there is a client CA, only clients with
   * a certificate of it are let in, as the rules say. The runtime's state, of up to 250 KB, is built only once the client's
   * first record is there.
   *
   * @throws Error that says what went wrong, or the reason of `signal`
   */
  async accept(tcp: Conn, credentials: ServerCredentials, signal: AbortSignal): Promise<TlsConn> {
    try {
      const first = await readFirstBytes(tcp, LONGEST_RECORD_BYTES, signal, firstRecordIn);
      if (first === undefined) throw clientLeft();
      const conn = new PrefixedConn(tcp, first);
      const { hostname } = tcp.remoteAddr;
      return await this.#handshakes.run(hostname, signal, (own) => this.#handshake(conn, credentials, own));
    } catch (error) {
      close(tcp);
      throw error;
    }
  }

  async #handshake(conn: Conn, credentials: ServerCredentials, signal: AbortSignal): Promise<TlsConn> {
    const { promise, resolve, reject } = Promise.withResolvers<TlsConn>();
    const inbox = new Inbox();
    const wire = new Wire(conn, () => inbox.hasRoom);
    const { clientCa } = credentials;
    const handshake = this.#emitter(credentials);
    handshake.once("secureConnection", (socket: TLSSocket) => {
      try {
        const peerName = clientCa === undefined ? undefined : nameOfClient(socket, clientCa, this.#rules);
        resolve(new TlsConn({ socket, wire, tcp: conn, inbox }, peerName));
      } catch (error) {
        reject(error);
      }
    });
    handshake.once(
      "tlsClientError",
      (error, { authorizationError }) => reject(describe(error, authorizationError)),
    );
    const onLeft = () => reject(clientLeft());
    const onAbort = () => reject(signal.reason);
    wire.once("end", onLeft);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      handshake.emit("connection", wire);
      return await promise;
    } catch (error) {
      wire.destroy();
      throw error;
    } finally {
      wire.off("end", onLeft);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * An emitter with the settings of the server, for the events of one handshake. A server of its own for each would check
   * the certificates of all authorities each time, which takes as long as the handshake.
   */
  #emitter(credentials: ServerCredentials): EventEmitter {
    if (this.#server?.credentials !== credentials) {
      this.#server = { credentials, server: newServer(credentials, this.#rules) };
    }
    const { server } = this.#server;
    const emitter: EventEmitter = Object.setPrototypeOf(new EventEmitter(), server);
    for (const listener of server.listeners("connection")) emitter.on("connection", listener as () => void);
    return emitter;
  }
}

function newServer({ pair, clientCa }: ServerCredentials, { offersHttp1 }: ClientRules): Server {
  const asksClients = clientCa !== undefined;
  return createServer({
    ...pair,
    ...(asksClients ? { ca: clientCa } : {}),
    requestCert: asksClients,
    rejectUnauthorized: asksClients,
    ALPNProtocols: offersHttp1 === true ? ["h2", "http/1.1"] : ["h2"],
    minVersion: "TLSv1.2",
    // None: the signal ends it. The runtime's own timer keeps all of a handshake that was given up, 40 KB, for 120 s.
    handshakeTimeout: -1,
  });
}

/** The bytes, once they have the whole first record. */
function firstRecordIn(bytes: Uint8Array): Uint8Array | undefined {
  const [type, version = TLS, , high = 0, low = 0] = bytes;
  const recordBytes = RECORD_HEADER_BYTES + high * 256 + low;
  if (type !== HANDSHAKE || version !== TLS || recordBytes > LONGEST_RECORD_BYTES) {
    throw new Error("The TLS handshake failed: the client does not speak TLS");
  }
  return bytes.byteLength >= RECORD_HEADER_BYTES && bytes.byteLength >= recordBytes ? bytes : undefined;
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
