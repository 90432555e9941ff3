/**
 * An entrance with TLS on a real socket, certificates for it, and its clients.
 *
 * @module
 */
import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import { close } from "../../../lib/base/conn.ts";
import type { Conn } from "../../../lib/base/network.ts";
import type { IpNetwork } from "../../../lib/config/ip_networks.ts";
import { Arrivals } from "../../../lib/entrance/arrivals.ts";
import { Entrance } from "../../../lib/entrance/entrance.ts";
import type { ServerCredentials } from "../../../lib/entrance/server_credentials.ts";
import { TlsServer } from "../../../lib/entrance/tls_server.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { type CountedMetrics, countedMetrics } from "../../support/counted_metrics.ts";
import { within } from "../../support/deadline.ts";
import { type RecordingLog, recordingLog } from "../../support/recording_log.ts";
import { makeCa, type TestCertificate } from "../kube/certificates.ts";

/** The authority of all certificates that are good. */
export const ca = await makeCa();

/** The proxy's certificate. */
export const server = await ca.issue({ commonName: "builds", dnsNames: ["localhost"] });

/** The certificate of a client that is let in. */
export const ci = await ca.issue({
  commonName: "not looked at",
  dnsNames: ["ci.example.org"],
  uris: ["spiffe://example.org/ci"],
});

/** How a stage differs from one that lets in everybody who speaks TLS. */
export interface StageOptions {
  /** Asks clients for certificates of {@link ca}. */
  readonly mutual?: boolean;
  /** Lets in only these names. */
  readonly names?: readonly string[];
  /** Where load balancers are. */
  readonly proxiesFrom?: readonly IpNetwork[];
  /** The time of limits; the machine's. */
  readonly clock?: Clock;
}

/** The entrance. Dispose of it. */
export class TlsStage implements Disposable {
  readonly log: RecordingLog = recordingLog();
  readonly metrics: CountedMetrics = countedMetrics(() => {});
  readonly arrivals: Arrivals;
  readonly entrance: Entrance;
  /** What handshakes are made with; may be replaced. */
  credentials: ServerCredentials;
  readonly #own: { close(): void }[] = [];
  readonly #accepted: Conn[] = [];

  constructor({ mutual = false, names, proxiesFrom = [], clock = systemClock }: StageOptions = {}) {
    this.arrivals = new Arrivals(clock);
    this.credentials = { pair: server, clientCa: mutual ? ca.cert : undefined };
    const acceptor = new TlsServer({ names, clock }, this.arrivals.networks);
    this.entrance = new Entrance(
      denoNetwork.listen({ hostname: "127.0.0.1", port: 0 }),
      { proxiesFrom, secure: (tcp, signal) => acceptor.accept(tcp, this.credentials, signal) },
      { log: this.log, metrics: this.metrics, arrivals: this.arrivals },
    );
  }

  get port(): number {
    return this.entrance.addr.port;
  }

  /** The next connection that has passed. */
  async accept(): Promise<Conn> {
    const conn = await within(this.entrance.accept(), "a connection that has passed the entrance");
    this.#accepted.push(conn);
    return conn;
  }

  /** A TLS client, with or without a certificate. Its handshake is not done yet. */
  async connect(certificate?: TestCertificate): Promise<Deno.TlsConn> {
    return this.own(
      await Deno.connectTls({
        hostname: "localhost",
        port: this.port,
        caCerts: [ca.cert],
        alpnProtocols: ["h2"],
        ...certificate,
      }),
    );
  }

  /** Both ends of a new connection. */
  async pair(certificate?: TestCertificate): Promise<[client: Deno.TlsConn, server: Conn]> {
    return await Promise.all([this.connect(certificate), this.accept()]);
  }

  /** A client that sends what the test says. */
  async connectTcp(): Promise<Deno.TcpConn> {
    return this.own(await Deno.connect({ hostname: "127.0.0.1", port: this.port }));
  }

  /** Closes it at the end. */
  own<T extends { close(): void }>(what: T): T {
    this.#own.push(what);
    return what;
  }

  [Symbol.dispose](): void {
    this.entrance.close();
    for (const conn of this.#accepted) close(conn);
    for (const own of this.#own) {
      try {
        own.close();
      } catch {
        // The test has closed it.
      }
    }
  }
}

/** Reads to the end. */
export async function readToEnd(conn: Pick<Conn, "read">): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(64 * 1024);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    chunks.push(buffer.slice(0, n));
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

/** Writes all of it. */
export async function send(conn: Pick<Conn, "write">, bytes: Uint8Array | string): Promise<void> {
  let rest = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  while (rest.byteLength > 0) rest = rest.subarray(await conn.write(rest));
}

/** The next bytes as text. */
export async function receive(conn: Pick<Conn, "read">): Promise<string | null> {
  const buffer = new Uint8Array(1024);
  const n = await within(conn.read(buffer), "bytes");
  return n === null ? null : new TextDecoder().decode(buffer.subarray(0, n));
}
