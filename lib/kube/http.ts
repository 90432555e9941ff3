/**
 * The HTTP port of the Kubernetes client. Its implementations are `fetch_http.ts`, `tls_http.ts` for what `fetch`
 * cannot do, and the miniature cluster's, which needs no socket. It knows nothing about Kubernetes, does not retry, and
 * has no credentials except a client certificate.
 *
 * @module
 */
import type { Conn } from "../base/network.ts";

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

/** A connection as bytes both ways. Nobody reads ahead: what is not read waits with the other side. */
export type ByteStream = Pick<Conn, "read" | "write" | "close">;

/** The answer to a request to speak another protocol. */
export interface UpgradeAnswer extends HttpResponse {
  /** With status 101: the connection, from its first byte in the other protocol on. Else nothing. */
  readonly stream: ByteStream | undefined;
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
   * Sends a request for another protocol (RFC 9110, 7.8), which its headers name, on a connection of its own. The
   * request's signal ends it until the response has come, and not the stream after that.
   *
   * @throws as {@link send}
   */
  upgrade?(request: HttpRequest): Promise<UpgradeAnswer>;
  /**
   * Drops pooled connections. Called after a time-out, because a dead connection would stay in the pool and be used
   * again. Requests in progress continue.
   */
  reset(): void;
  /** Closes all connections. */
  close(): void;
}
