/**
 * The HTTP port of the Kubernetes client. Its implementations are `fetch_http.ts`, `tls_http.ts` for what `fetch`
 * cannot do, and the miniature cluster's, which needs no socket. It knows nothing about Kubernetes, does not retry, and
 * has no credentials except a client certificate.
 *
 * @module
 */

/** One request. */
export interface HttpRequest {
  /** `GET`, `PUT`, `PATCH`, `POST` or `DELETE`. */
  readonly method: string;
  /** Absolute. */
  readonly url: URL;
  /**
   * Without `host` and `content-length`, which the implementation adds. A header that is sent several times (only
   * `Impersonate-Group` and the like) has its values separated by line feeds.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent unchanged. */
  readonly body?: string | undefined;
  /** Ends the request at any time, including while the body is read. */
  readonly signal: AbortSignal;
}

/** A response whose headers have arrived. */
export interface HttpResponse {
  /** The HTTP status. */
  readonly status: number;
  /** The response's headers. */
  readonly headers: Headers;
  /** Must be read to its end or cancelled. */
  readonly body: ReadableStream<Uint8Array>;
}

/** Sends requests to one API server. */
export interface Http {
  /**
   * Sends one request. Resolves when the headers of the response have arrived.
   *
   * @throws the signal's reason, or an error whose message says what failed (name resolution, refused connection,
   * certificate …) and the remedy
   */
  send(request: HttpRequest): Promise<HttpResponse>;
  /**
   * Drops pooled connections. Called after a time-out, because a dead connection would stay in the pool and be used
   * again. Requests in progress continue.
   */
  reset(): void;
  /** Closes all connections. */
  close(): void;
}
