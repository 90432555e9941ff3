/**
 * Servers with TLS on real sockets, and connections to them by the program's means.
 *
 * @module
 */
import type { Conn } from "../../../lib/base/network.ts";
import type { TlsClientOptions } from "../../../lib/base/tls_client.ts";
import { closeQuietly } from "../../../lib/miniature/bytes.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { tlsOf } from "../../../lib/proxy/deno_tls.ts";
import { acceptTls, type TlsServerOptions } from "../../support/tls_server.ts";
import { makeCa } from "../kube/certificates.ts";

/** Signs what is right. */
export const ca = await makeCa();
/** Signs what is not. */
export const otherCa = await makeCa({ commonName: "Other CA" });
/** The server's. */
export const good = await ca.issue({
  commonName: "buildkitd",
  dnsNames: ["buildkitd"],
  ipAddresses: ["127.0.0.1"],
});
/** The client's. */
export const client = await ca.issue({ commonName: "proxy" });
/** A time that is over. */
export const PAST = { notBefore: new Date("2024-01-01"), notAfter: new Date("2024-02-01") };

/** With which the handshake succeeds. */
export const options: TlsClientOptions = { serverName: "buildkitd", ca: ca.cert, pair: undefined };
/** The same with a client's certificate. */
export const withPair: TlsClientOptions = { ...options, pair: client };
/** The ways to speak TLS, by name. */
export const WAYS = [
  ["the runtime's TLS", options, tlsOf(true)],
  ["node:tls", withPair, tlsOf(true)],
  ["a port of its own", withPair, tlsOf(false)],
] as const;

/** Never aborted. */
export const never = new AbortController().signal;

/** A server of one port. */
export class TlsStage implements AsyncDisposable {
  /** Raw connections that were accepted, and their TLS if there was any. */
  readonly conns: Conn[] = [];
  readonly #listener = denoNetwork.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #done: Promise<void>;

  /** Serves every connection; what `serve` throws is of no interest. */
  constructor(serve: (conn: Conn) => Promise<void>) {
    this.#done = (async () => {
      const under: Promise<void>[] = [];
      for (;;) {
        const conn = await this.#listener.accept().catch(() => undefined);
        if (conn === undefined) break;
        this.conns.push(conn);
        under.push(serve(conn).catch(() => {}).finally(() => closeQuietly(conn)));
      }
      await Promise.all(under);
    })();
  }

  /** Serves connections after their handshake. */
  static of(
    serve: (conn: Awaited<ReturnType<typeof acceptTls>>) => Promise<void>,
    server: TlsServerOptions = good,
  ): TlsStage {
    return new TlsStage(async (conn) => {
      const secure = await acceptTls(conn, server);
      try {
        await serve(secure);
      } finally {
        closeQuietly(secure);
      }
    });
  }

  /** A plain connection to it. */
  connect(): Promise<Conn> {
    return denoNetwork.connect(this.#listener.addr, never);
  }

  /** One with TLS. */
  async secure(wanted: TlsClientOptions, startTls = tlsOf(true), signal: AbortSignal = never): Promise<Conn> {
    return await startTls(await this.connect(), wanted, signal);
  }

  /** Closes what is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.conns) closeQuietly(conn);
    await this.#done;
  }
}
