/**
 * HTTP/1.1 over `node:tls`, for what `fetch` cannot do: another server name (`tls-server-name`), no verification
 * (`insecure-skip-tls-verify`), repeated headers. Every request opens its own connection. Supports an `http:` proxy by
 * CONNECT; does not read `HTTPS_PROXY`. Follows no redirects.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { ClientHttp, Connection } from "./connection.ts";
import { ByteReader, readBody, readHead, requestHead } from "./http1.ts";
import type { HttpRequest, HttpResponse, UpgradeAnswer } from "./http.ts";
import { explain } from "./http_errors.ts";
import type { KeyPair } from "./pem.ts";

/** {@link ClientHttp} over `node:tls`. */
export class TlsHttp implements ClientHttp {
  readonly #connection: Connection;
  readonly #open = new Set<Socket>();
  #pair: KeyPair | undefined;
  #ca: string | undefined;
  #closed = false;

  /** Opens nothing yet. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.#ca = connection.ca;
  }

  /** See {@link ClientHttp}. */
  async send({ method, url, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    signal.throwIfAborted();
    if (this.#closed) throw new Error("Cannot send a request: the HTTP client is closed");
    const content = new TextEncoder().encode(body ?? "");
    const head = requestHead(method, url.pathname + url.search, {
      ...headers,
      host: url.host,
      connection: "close",
      ...(body === undefined ? {} : { "content-length": String(content.length) }),
    });
    const lifetime = new Lifetime(signal, this.#open);
    try {
      const { secure, chunks } = await this.#connect(url, lifetime);
      const reader = new ByteReader(chunks);
      secure.write(head);
      if (content.length > 0) secure.write(content);
      const answer = await lifetime.race(secure, readHead(reader));
      const portions = readBody(reader, method, answer);
      return { ...answer, body: streamOf(portions, secure, lifetime, (error) => this.#explain(error, url)) };
    } catch (error) {
      lifetime.end();
      if (signal.aborted) throw signal.reason;
      throw this.#explain(error, url);
    }
  }

  #explain(error: unknown, url: URL): Error {
    return explain(error, url, this.#connection);
  }

  async #connect(url: URL, lifetime: Lifetime) {
    const { insecure, serverName, proxy } = this.#connection;
    const host = bare(url.hostname);
    const socket =
      await (proxy === undefined
        ? open(host, Number(url.port || 443), lifetime)
        : connectThrough(proxy, url, lifetime));
    const name = serverName ?? host;
    // Loaded only here, because it costs memory and most installations never need it.
    const [{ isIP }, { connect: connectTls }, { Valve }] = await Promise.all([
      import("node:net"),
      import("node:tls"),
      import("./valve.ts"),
    ]);
    const valve = new Valve(socket);
    const secure = connectTls({
      socket: valve,
      host: name,
      // An IP address is not sent as server name (RFC 6066), but is verified all the same.
      ...(isIP(name) ? {} : { servername: name }),
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      ...this.#pair,
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: !insecure,
    });
    lifetime.own(secure);

    await lifetime.race(secure, once(secure, "secureConnect"));
    return { secure, chunks: valve.chunksOf(secure) };
  }

  /** See {@link ClientHttp}. */
  async upgrade(request: HttpRequest): Promise<UpgradeAnswer> {
    if (this.#closed) throw new Error("Cannot send a request: the HTTP client is closed");
    // Loaded only here: in a cluster nobody needs it.
    const { sendUpgrade } = await import("./upgrade.ts");
    return await sendUpgrade(request, this.#connection, { ca: this.#ca, pair: this.#pair });
  }

  /** See {@link ClientHttp}. */
  useClientCertificate(pair: KeyPair | undefined): void {
    this.#pair = pair;
  }

  /** See {@link ClientHttp}. */
  trust(ca: string | undefined): void {
    this.#ca = ca;
  }

  /** See {@link ClientHttp}. There is no pool. */
  reset(): void {}

  /** See {@link ClientHttp}. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#open) socket.destroy();
  }
}

/** The sockets of one request. All are destroyed when it ends or is aborted. */
class Lifetime {
  readonly #signal: AbortSignal;
  readonly #open: Set<Socket>;
  readonly #own: Socket[] = [];
  readonly #onAbort = () => this.end();

  constructor(signal: AbortSignal, open: Set<Socket>) {
    this.#signal = signal;
    this.#open = open;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#signal;
  }

  own(socket: Socket): void {
    this.#own.push(socket);
    this.#open.add(socket);
    socket.on("error", () => {}); // waiting code has its own listener; later errors do not matter
  }

  /** Settles as `work` does, or rejects when the socket fails or the signal is aborted. */
  async race<T>(socket: Socket, work: Promise<T>): Promise<T> {
    const failed = Promise.withResolvers<never>();
    const onError = (error: Error) => failed.reject(error);
    const onClose = () => failed.reject(new Error("The connection was closed: connection closed"));
    const onAbort = () => failed.reject(this.#signal.reason);
    socket.once("error", onError);
    socket.once("close", onClose);
    this.#signal.addEventListener("abort", onAbort, { once: true });
    if (this.#signal.aborted) onAbort();
    work.catch(() => {});
    failed.promise.catch(() => {});
    try {
      return await Promise.race([work, failed.promise]);
    } finally {
      socket.off("error", onError);
      socket.off("close", onClose);
      this.#signal.removeEventListener("abort", onAbort);
    }
  }

  end(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    for (const socket of this.#own.splice(0).reverse()) {
      socket.destroy();
      this.#open.delete(socket);
    }
  }
}

const once = (socket: Socket, event: string) =>
  new Promise<void>((resolve) => socket.once(event, () => resolve()));

/** A host without the brackets of an IPv6 address. */
const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, "");

/** A TCP connection. */
async function open(host: string, port: number, lifetime: Lifetime): Promise<Socket> {
  const { connect } = await import("node:net");
  const socket = connect({ host, port });
  lifetime.own(socket);
  await lifetime.race(socket, once(socket, "connect"));
  return socket;
}

/** A TCP connection through an HTTP proxy (RFC 9110, 9.3.6). */
async function connectThrough(proxy: URL, url: URL, lifetime: Lifetime): Promise<Socket> {
  const socket = await open(bare(proxy.hostname), Number(proxy.port || 80), lifetime);
  const target = `${url.hostname}:${url.port || 443}`;
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const authorization = { "proxy-authorization": `Basic ${btoa(user)}` };
  socket.write(requestHead("CONNECT", target, { host: target, ...(user === ":" ? {} : authorization) }));
  const { status } = await lifetime.race(socket, readTunnelHead(socket));
  if (status === 407) throw new Error("Proxy authentication required");
  if (status >= 300) throw new Error(`The proxy refused the tunnel: HTTP status ${status}`);
  return socket;
}

/** Reads the proxy's response. No other bytes can follow, because the server sends nothing before the client. */
async function readTunnelHead(socket: Socket): Promise<{ readonly status: number }> {
  const arrived: Uint8Array[] = [];
  let wake = () => {};
  const onData = (bytes: Uint8Array) => {
    arrived.push(bytes);
    wake();
  };
  socket.on("data", onData);
  try {
    return await readHead(
      new ByteReader({
        async next() {
          while (arrived.length === 0) await new Promise<void>((resolve) => wake = resolve);
          return { done: false, value: arrived.shift()! };
        },
      }),
    );
  } finally {
    socket.off("data", onData);
    socket.pause();
  }
}

/** The body as a stream that reads from the socket only on demand. */
function streamOf(
  portions: AsyncGenerator<Uint8Array, void>,
  socket: Socket,
  lifetime: Lifetime,
  explained: (error: unknown) => Error,
): ReadableStream<Uint8Array> {
  const { signal } = lifetime;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const onAbort = () => controller.error(signal.reason);
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      socket.once("close", () => signal.removeEventListener("abort", onAbort));
    },
    async pull(controller) {
      try {
        const next = await portions.next();
        if (signal.aborted) return;
        if (next.done !== true) return controller.enqueue(next.value);
        lifetime.end();
        controller.close();
      } catch (error) {
        lifetime.end();
        controller.error(signal.aborted ? signal.reason : explained(error));
      }
    },
    cancel: () => lifetime.end(),
  }, { highWaterMark: 0 });
}
