/**
 * Opens one connection to an API server, for what becomes a stream: directly or through an HTTP or SOCKS proxy, with TLS
 * or without. It reads only what is asked for, so a slow reader slows the server down. The runtime's own TLS is used
 * where it can do what is asked: it takes a client certificate only where it connects by itself, and no other
 * connection than a plain one under it. Otherwise `node:tls` is.
 *
 * @module
 */
import { orAborted } from "../base/or_aborted.ts";
import type { Connection } from "./connection.ts";
import { ByteReader, readHead, requestHead } from "./http1.ts";
import type { ByteStream } from "./http.ts";
import type { KeyPair } from "./pem.ts";

/** Whom to trust, and what to present, on a connection that is opened now. */
export interface Trust {
  /** Certificates of authorities, PEM. */
  readonly ca: string | undefined;
  /** The client's certificate. */
  readonly pair: KeyPair | undefined;
}

/**
 * A connection to the server of `url`. Nothing was sent on it yet.
 *
 * @throws the signal's reason, or the runtime's error
 */
export async function openApiStream(
  url: URL,
  connection: Connection,
  trust: Trust,
  signal: AbortSignal,
): Promise<ByteStream> {
  signal.throwIfAborted();
  const opened: { close(): void }[] = [];
  const closeAll = () => opened.splice(0).reverse().forEach(closeQuietly);
  // What is opened from here on is closed with it; what waits on it fails.
  const onAbort = () => closeAll();
  signal.addEventListener("abort", onAbort, { once: true });
  const own = <T extends { close(): void }>(one: T): T => {
    if (signal.aborted) {
      closeQuietly(one);
      throw signal.reason;
    }
    opened.push(one);
    return one;
  };
  try {
    return await orAborted(open(url, connection, trust, own, signal), signal);
  } catch (error) {
    closeAll();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

type Own = <T extends { close(): void }>(one: T) => T;

async function open(
  url: URL,
  connection: Connection,
  { ca, pair }: Trust,
  own: Own,
  signal: AbortSignal,
): Promise<ByteStream> {
  const { proxy, serverName, insecure } = connection;
  const secure = url.protocol === "https:";
  const hostname = bare(url.hostname);
  const port = Number(url.port || (secure ? 443 : 80));
  const tls = { caCerts: ca === undefined ? [] : [ca], alpnProtocols: ["http/1.1"] };
  if (secure && pair !== undefined && proxy === undefined && serverName === undefined && !insecure) {
    return await handshake(own(await Deno.connectTls({ hostname, port, ...tls, ...pair })));
  }
  const way = proxy === undefined
    ? await connect(hostname, port, own, signal)
    : await connectThrough(proxy, hostname, port, tls, own, signal);
  if (!secure) return way;
  const name = serverName ?? hostname;
  if (pair === undefined && !insecure && !isTls(way)) {
    return await handshake(own(await Deno.startTls(way, { hostname: name, ...tls })));
  }
  const { nodeTls } = await import("./node_tls.ts");
  return own(await nodeTls(way, { name, ca, pair, insecure }));
}

async function connect(hostname: string, port: number, own: Own, signal: AbortSignal): Promise<Deno.TcpConn> {
  const conn = own(await Deno.connect({ hostname, port, signal }));
  conn.setNoDelay(true);
  conn.setKeepAlive(true);
  return conn;
}

/** Waits for the handshake, which would else come with the first read or write. */
async function handshake(conn: Deno.TlsConn): Promise<Deno.TlsConn> {
  await conn.handshake();
  return conn;
}

function isTls(conn: Deno.TcpConn | Deno.TlsConn): conn is Deno.TlsConn {
  return "handshake" in conn;
}

/** A connection through a proxy, which from then on only passes bytes on. */
async function connectThrough(
  proxy: URL,
  hostname: string,
  port: number,
  tls: Deno.StartTlsOptions,
  own: Own,
  signal: AbortSignal,
): Promise<Deno.TcpConn | Deno.TlsConn> {
  const isSocks = proxy.protocol.startsWith("socks");
  const isTls = proxy.protocol === "https:";
  const proxyHost = bare(proxy.hostname);
  const plain = await connect(
    proxyHost,
    Number(proxy.port || (isSocks ? 1080 : isTls ? 443 : 80)),
    own,
    signal,
  );
  const conn = isTls
    ? await handshake(own(await Deno.startTls(plain, { ...tls, hostname: proxyHost })))
    : plain;
  if (isSocks) await askSocks(conn, proxy, hostname, port);
  else await askHttp(conn, proxy, hostname, port);
  return conn;
}

/** Asks an HTTP proxy for a tunnel (RFC 9110, 9.3.6). */
async function askHttp(conn: ByteStream, proxy: URL, hostname: string, port: number): Promise<void> {
  const target = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  const { username, password } = credentialsOf(proxy);
  const authorization = { "proxy-authorization": `Basic ${btoa(`${username}:${password}`)}` };
  const isKnown = username !== "" || password !== "";
  const head = requestHead("CONNECT", target, { host: target, ...(isKnown ? authorization : {}) });
  await writeAll(conn, new TextEncoder().encode(head));
  // The server says nothing before the client does, so no byte of it can be read here.
  const { status } = await readHead(new ByteReader(chunksOf(conn)));
  if (status === 407) throw new Error("Proxy authentication required");
  if (status >= 300) throw new Error(`The proxy refused the tunnel: HTTP status ${status}`);
}

const SOCKS_REPLIES: Readonly<Record<number, string>> = {
  2: "not allowed by its rules",
  3: "network unreachable",
  4: "host unreachable",
  5: "connection refused",
};

/** Asks a SOCKS proxy for a tunnel (RFC 1928, user and password as in RFC 1929). The proxy resolves the name. */
async function askSocks(conn: ByteStream, proxy: URL, hostname: string, port: number): Promise<void> {
  const { username, password } = credentialsOf(proxy);
  const isKnown = username !== "" || password !== "";
  await writeAll(conn, Uint8Array.of(5, 1, isKnown ? 2 : 0));
  const [version, method] = await exactly(conn, 2);
  if (version !== 5) throw new Error("The proxy refused the tunnel: it does not speak SOCKS 5");
  if (method === 0xff) throw new Error("Proxy authentication required");
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    if (bytes.length > 255) throw new Error("The proxy refused the tunnel: a name is too long for SOCKS");
    return [bytes.length, ...bytes];
  };
  if (method === 2) {
    await writeAll(conn, Uint8Array.of(1, ...text(username), ...text(password)));
    const [, status] = await exactly(conn, 2);
    if (status !== 0) throw new Error("Proxy authentication required");
  }
  await writeAll(conn, Uint8Array.of(5, 1, 0, 3, ...text(hostname), port >> 8, port & 0xff));
  const [, reply = 1, , kind] = await exactly(conn, 4);
  if (reply !== 0) {
    throw new Error(`The proxy refused the tunnel: ${SOCKS_REPLIES[reply] ?? `SOCKS reply ${reply}`}`);
  }
  const addressBytes = kind === 1 ? 4 : kind === 4 ? 16 : (await exactly(conn, 1))[0]!;
  await exactly(conn, addressBytes + 2);
}

function credentialsOf({ username, password }: URL) {
  return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
}

async function exactly(conn: ByteStream, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  for (let filled = 0; filled < lengthBytes;) {
    const n = await conn.read(bytes.subarray(filled));
    if (n === null) throw new Error("The connection ended early, in the answer of the proxy");
    filled += n;
  }
  return bytes;
}

/** Writes all of `bytes`. */
export async function writeAll(stream: ByteStream, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await stream.write(rest));
}

/** What is read from a stream, 4 KiB at most at a time. */
export function chunksOf(stream: ByteStream): AsyncIterator<Uint8Array> {
  return {
    async next() {
      const buffer = new Uint8Array(4096);
      const n = await stream.read(buffer);
      return n === null ? { done: true, value: undefined } : { done: false, value: buffer.subarray(0, n) };
    },
  };
}

function closeQuietly(one: { close(): void }): void {
  try {
    one.close();
  } catch {
    // `startTls` has taken the connection over, or it is closed already.
  }
}

/** A host without the brackets of an IPv6 address. */
const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, "");
