/**
 * HTTP over `fetch`: the usual case. `tls_http.ts` does what `fetch` cannot do. Uses HTTP/1.1, because a dead HTTP/2
 * connection stays in the pool and fails every request and watch on it. Trusts the given certificate authorities in
 * addition to those of the runtime (`caCerts` only adds). Follows no redirects.
 *
 * @module
 */
import type { ClientHttp, Connection } from "./connection.ts";
import type { HttpRequest, HttpResponse, UpgradeAnswer } from "./http.ts";
import { explain } from "./http_errors.ts";
import type { KeyPair } from "./pem.ts";

/** {@link ClientHttp} over `fetch`. */
export class FetchHttp implements ClientHttp {
  readonly #connection: Connection;
  #pair: KeyPair | undefined;
  #ca: string | undefined;
  #client: Deno.HttpClient | undefined;
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
    try {
      const client = this.#client ??= this.#open();
      const init = {
        method,
        headers: { ...headers },
        body: body ?? null,
        signal,
        client,
        redirect: "manual",
      } as const;
      const response = await fetch(url, init);
      return {
        status: response.status,
        headers: response.headers,
        body: response.body ?? new Blob().stream(),
      };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw explain(error, url, this.#connection);
    }
  }

  #open(): Deno.HttpClient {
    const { proxy } = this.#connection;
    return Deno.createHttpClient({
      http2: false,
      ...(this.#ca === undefined ? {} : { caCerts: [this.#ca] }),
      ...(proxy === undefined ? {} : { proxy: proxyOptions(proxy) }),
      ...this.#pair,
    });
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
    this.reset();
  }

  /** See {@link ClientHttp}. */
  trust(ca: string | undefined): void {
    this.#ca = ca;
    this.reset();
  }

  /** See {@link ClientHttp}. Requests in progress continue: closing a client only ends its pool. */
  reset(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  /** See {@link ClientHttp}. */
  close(): void {
    this.#closed = true;
    this.reset();
  }
}

function proxyOptions(proxy: URL): { url: string; basicAuth?: { username: string; password: string } } {
  const bare = new URL(proxy);
  bare.username = bare.password = "";
  if (proxy.username === "") return { url: bare.href };
  const basicAuth = {
    username: decodeURIComponent(proxy.username),
    password: decodeURIComponent(proxy.password),
  };
  return { url: bare.href, basicAuth };
}
