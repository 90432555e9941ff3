/**
 * Real servers for both ways to speak HTTP, and requests to them.
 *
 * @module
 */
import type { Server, Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { ClientHttp, Connection } from "../../../lib/kube/connection.ts";
import { FetchHttp } from "../../../lib/kube/fetch_http.ts";
import { TlsHttp } from "../../../lib/kube/tls_http.ts";
import { never } from "../../unit/kube/fakes.ts";
import { within } from "../../support/deadline.ts";
import { makeCa, type TestCertificate } from "./certificates.ts";

/** Signs the servers' certificates. */
export const ca = await makeCa();
/** Signs none. */
export const otherCa = await makeCa({ commonName: "Other CA" });
/** For the server's own names. */
export const good = await ca.issue({
  commonName: "api",
  dnsNames: ["localhost"],
  ipAddresses: ["127.0.0.1"],
});
/** For another name. */
export const elsewhere = await ca.issue({ commonName: "api", dnsNames: ["kubernetes.example"] });

/** A connection that trusts {@link ca}. */
export const base: Connection = {
  ca: ca.cert,
  caSource: "the test authority",
  proxy: undefined,
  serverName: undefined,
  insecure: false,
  repeatsHeaders: false,
};

/** Answers a request. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** A TLS server for the time of `use`. */
export async function withServer(
  handler: Handler,
  certificate: TestCertificate,
  use: (url: URL) => Promise<void>,
) {
  const options = {
    port: 0,
    hostname: "127.0.0.1",
    cert: certificate.cert,
    key: certificate.key,
    onListen() {},
  };
  const server = Deno.serve(options, handler);
  try {
    await use(new URL(`https://127.0.0.1:${server.addr.port}/`));
  } finally {
    await within(server.shutdown(), "the end of the server's connections");
  }
}

/** A node server for the time of `use`; its connections are gone afterwards. */
export async function withNodeServer(server: Server, use: (port: number) => Promise<void>) {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => {});
    sockets.add(socket);
  });
  const listening = new Promise<void>((resolve) => server.once("listening", resolve));
  server.listen(0, "127.0.0.1");
  await listening;
  try {
    await use((server.address() as { port: number }).port);
  } finally {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  }
}

/** A TLS server that answers every connection with these bytes once it has read something. */
export function rawTls(answer: (socket: Socket, request: string) => void, options: TlsOptions = {}): Server {
  return createTlsServer({ cert: good.cert, key: good.key, ...options }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes) => answer(socket, String(bytes)));
  });
}

/** An HTTP client for the time of `use`. */
export async function using<T>(http: ClientHttp, use: (http: ClientHttp) => Promise<T>): Promise<T> {
  try {
    return await use(http);
  } finally {
    http.close();
  }
}

/** A GET request. */
export const get = (url: URL, signal = never, headers: Record<string, string> = {}) => ({
  method: "GET",
  url,
  headers,
  signal,
});
/** A body as text. */
export const textOf = (body: ReadableStream<Uint8Array>) =>
  new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>).text();
/** The text of the answer to a GET. */
export const fetchText = async (http: ClientHttp, url: URL, headers: Record<string, string> = {}) =>
  await textOf((await http.send(get(url, never, headers))).body);

/** Both ways, by name. */
export const KINDS = [
  ["FetchHttp", (connection: Partial<Connection> = {}) => new FetchHttp({ ...base, ...connection })],
  ["TlsHttp", (connection: Partial<Connection> = {}) => new TlsHttp({ ...base, ...connection })],
] as const;
