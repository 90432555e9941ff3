/**
 * The port through which the Kubernetes client speaks HTTP. There are two real implementations, one over `fetch` and
 * one over `node:tls` for what `fetch` cannot do, and the in-memory cluster's, which needs no socket. It knows nothing
 * of Kubernetes: no retries, no credentials other than the connection's own.
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
   * Without `host` and `content-length`, which the implementation adds. A line feed in a value separates the values of a
   * header that is sent several times (only `Impersonate-Group` and the like need that).
   */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as it is. */
  readonly body?: string | undefined;
  /** Ends the request at any moment, the reading of the body included. */
  readonly signal: AbortSignal;
}

/** One answer, as soon as its headers have come. */
export interface HttpResponse {
  /** The HTTP status. */
  readonly status: number;
  /** The answer's headers. */
  readonly headers: Headers;
  /** Always read it to its end or cancel it. */
  readonly body: ReadableStream<Uint8Array>;
}

/** Sends requests to one API server. */
export interface Http {
  /**
   * Sends one request and resolves when the answer's headers are there.
   *
   * @throws the signal's reason, or an error whose message says what failed (name resolution, refused connection,
   * certificate …) and what to do about it
   */
  send(request: HttpRequest): Promise<HttpResponse>;
  /**
   * Forgets pooled connections: call it after a time-out, since a dead connection would stay pooled and be used again.
   * Requests under way go on.
   */
  reset(): void;
  /** Frees everything. */
  close(): void;
}
