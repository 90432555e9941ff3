/**
 * A small HTTP/1.1 server that limits connections, the bytes of a request and every wait. Without free descriptors it
 * pauses and continues, whereas `Deno.serve` stops for good. Ignores request bodies. Supports keep-alive and
 * pipelining, one request at a time.
 *
 * @module
 */
import { acceptAll } from "../base/accept.ts";
import { concat } from "../base/bytes.ts";
import { type Clock, sleep } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { parseRequestHead, type RequestHead, responseBytes } from "../base/http1_server.ts";
import { CauseLog } from "../base/log.ts";
import type { Address, Conn, Listener } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";

/**
 * Answers one request, from its method and URL. An error becomes a 500 without details. An event stream lasts until its
 * client leaves: then the request's signal is aborted.
 */
export type HttpHandler = (request: Request) => Promise<Response>;

/** The limits of a server. */
export interface HttpLimits {
  /** The maximum of open connections. One more closes the connection that has been inactive for longest. */
  readonly connections: number;
  /** The maximum of a request's head, in bytes. May be exceeded by one read. */
  readonly headBytes: number;
  /** From the start of a connection or the end of a response to the first byte of the next request, in ms. */
  readonly idleMs: number;
  /** From the first to the last byte of a request's head, in ms. */
  readonly headMs: number;
  /** The maximum wait until a client takes some bytes, in ms. */
  readonly writeMs: number;
  /**
   * How long the connection stays open after its last response, in ms. If it were closed at once, a client that still
   * sends might lose the response.
   */
  readonly lingerMs: number;
}

/** Limits for probes, scrapes and people. */
export const HTTP_LIMITS: HttpLimits = {
  connections: 64,
  headBytes: 16 * 1024,
  idleMs: 120_000,
  headMs: 10_000,
  writeMs: 30_000,
  lingerMs: 2_000,
};

/** A server that runs until it is closed. */
export class HttpServer {
  readonly #listener: Listener;
  readonly #handler: HttpHandler;
  readonly #clock: Clock;
  readonly #limits: HttpLimits;
  readonly #stopped = new AbortController();
  /** The one that has been inactive for longest comes first. */
  readonly #connections = new Map<Connection, Promise<void>>();
  readonly #accepting: Promise<void>;

  /** Takes over `listener` and starts to serve. */
  constructor(
    listener: Listener,
    handler: HttpHandler,
    { clock, log }: Pick<BasePorts, "clock" | "log">,
    limits = HTTP_LIMITS,
  ) {
    this.#listener = listener;
    this.#handler = handler;
    this.#clock = clock;
    this.#limits = limits;
    const faults = new CauseLog(log, "admin_accept_failed");
    this.#accepting = acceptAll(listener, clock, this.#stopped.signal, {
      isOpen: () => !this.#stopped.signal.aborted,
      accepted: (conn) => {
        faults.succeeded();
        this.#begin(conn);
      },
      failed: (fault, error) => {
        if (fault !== "client") faults.failed(messageOf(error));
      },
    }).catch(() => {}); // closed in a pause
  }

  /** Where it listens. */
  get addr(): Address {
    return this.#listener.addr;
  }

  /** Closes it and every connection to it. */
  async close(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort(new Error("The server is closed"));
    this.#listener.close();
    for (const connection of this.#connections.keys()) connection.close();
    await Promise.all([this.#accepting, ...this.#connections.values()]);
  }

  #begin(conn: Conn): void {
    if (this.#connections.size >= this.#limits.connections) this.#makeRoom();
    const connection = new Connection(conn, this.#clock, this.#limits);
    const serving = this.#serve(connection)
      .catch(() => {}) // the client has left
      .finally(() => {
        connection.close();
        this.#connections.delete(connection);
      });
    this.#connections.set(connection, serving);
  }

  #makeRoom(): void {
    // Even one that is being answered: a client this slow does not read.
    const [victim] = this.#connections.keys();
    if (victim === undefined) return;
    this.#connections.delete(victim);
    victim.close();
  }

  async #serve(connection: Connection): Promise<void> {
    for (;;) {
      const found = await connection.nextHead();
      if (found === undefined) return;
      this.#touch(connection);
      const head = typeof found === "string" ? parseRequestHead(found) : undefined;
      const left = new AbortController();
      const request = head === undefined ? undefined : requestOf(head, left.signal);
      const response = found === TOO_LONG
        ? problem(431, "The head of the request is too long")
        : request === undefined
        ? problem(400, "Bad request")
        : await this.#handler(request).catch(() => problem(500, "Internal error"));
      const isEndless = isEventStream(response);
      const last = head === undefined || request === undefined || isEndless || isLast(head);
      if (isEndless) void connection.discard().finally(() => left.abort(new Error("The client has left")));
      for await (const bytes of responseBytes(head ?? UNREADABLE, response, last)) {
        await connection.write(bytes);
      }
      if (last) return await connection.linger();
      // Gives builds and probes a turn between pipelined requests.
      await sleep(this.#clock, 0, this.#stopped.signal);
    }
  }

  #touch(connection: Connection): void {
    const serving = this.#connections.get(connection);
    if (serving === undefined) return;
    this.#connections.delete(connection);
    this.#connections.set(connection, serving);
  }
}

/** Stands for a head that is too long. */
const TOO_LONG = Symbol("too long");

/** What is assumed of a client whose request cannot be read. */
const UNREADABLE: Pick<RequestHead, "method" | "isHttp10"> = { method: "GET", isHttp10: false };

const latin1 = new TextDecoder("latin1");

/** One connection: reads heads and writes responses. A wait that takes too long closes it. */
class Connection {
  readonly #conn: Conn;
  readonly #clock: Clock;
  readonly #limits: HttpLimits;
  readonly #buffer = new Uint8Array(4096);
  /** Bytes that were read but not parsed yet. */
  #unparsed: Uint8Array = new Uint8Array();
  #closed = false;
  #discarded: Promise<void> | undefined;

  constructor(conn: Conn, clock: Clock, limits: HttpLimits) {
    this.#conn = conn;
    this.#clock = clock;
    this.#limits = limits;
    try {
      conn.setNoDelay(true);
    } catch {
      // The client has left; the first read reports it.
    }
  }

  /** Closes the socket, once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  /** The head of the next request without the empty line at its end, or `undefined` if none arrives in time. */
  async nextHead(): Promise<string | typeof TOO_LONG | undefined> {
    const { idleMs, headMs, headBytes } = this.#limits;
    let cancel = this.#clock.setTimer(this.#unparsed.length > 0 ? headMs : idleMs, () => this.close());
    try {
      for (;;) {
        const end = endOfHead(this.#unparsed);
        if (end < 0 && this.#unparsed.length >= headBytes) return TOO_LONG;
        if (end >= 0) {
          const text = latin1.decode(this.#unparsed.subarray(0, end));
          this.#unparsed = this.#unparsed.slice(end + HEAD_END.length);
          return text.replace(/^(?:\r\n)+/, ""); // RFC 9112, section 2.2
        }
        const count = await this.#conn.read(this.#buffer);
        if (count === null) return undefined;
        if (this.#unparsed.length === 0) {
          cancel();
          cancel = this.#clock.setTimer(headMs, () => this.close());
        }
        this.#unparsed = concat([this.#unparsed, this.#buffer.subarray(0, count)]);
      }
    } finally {
      cancel();
    }
  }

  /** Writes all bytes. @throws when the client has left or does not read */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const cancel = this.#clock.setTimer(this.#limits.writeMs, () => this.close());
      try {
        rest = rest.subarray(await this.#conn.write(rest));
      } finally {
        cancel();
      }
    }
  }

  /**
   * Sends a FIN and discards what still arrives. Closing with unread bytes would reset the connection, and the client
   * might lose the response.
   */
  async linger(): Promise<void> {
    const cancel = this.#clock.setTimer(this.#limits.lingerMs, () => this.close());
    try {
      await this.#conn.closeWrite();
      await this.discard();
    } finally {
      cancel();
    }
  }

  /** Discards what arrives until the client has left. No head is read after that. */
  discard(): Promise<void> {
    return this.#discarded ??= this.#discard();
  }

  async #discard(): Promise<void> {
    try {
      while (await this.#conn.read(this.#buffer) !== null);
    } catch {
      // The client has left.
    }
  }
}

const HEAD_END = new TextEncoder().encode("\r\n\r\n");

/** The index of the empty line, or -1. Empty lines before the request do not count. */
function endOfHead(bytes: Uint8Array): number {
  let start = 0;
  while (bytes[start] === 13 && bytes[start + 1] === 10) start += 2;
  for (let at = bytes.indexOf(13, start); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (at + HEAD_END.length > bytes.length) return -1;
    if (HEAD_END.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

/**
 * The request for the handler, without header fields, which no handler reads; `undefined` if it is invalid. The
 * client's host does not matter.
 */
function requestOf(
  { method, target, isHttp10, headers }: RequestHead,
  signal: AbortSignal,
): Request | undefined {
  if (!isHttp10 && !headers.has("host")) return undefined; // RFC 9112, section 3.2
  const path = target.startsWith("/") ? target : /^https?:\/\/[^/?]+(\/.*)$/i.exec(target)?.[1];
  if (path === undefined) return undefined;
  try {
    return new Request(`http://localhost${path}`, { method, signal });
  } catch {
    return undefined; // a method that `Request` does not support, such as CONNECT
  }
}

/**
 * Whether the connection must be closed after the response: the client requests it, or has sent a body, which is not
 * read.
 */
function isLast({ isHttp10, headers }: RequestHead): boolean {
  const hasBody = headers.has("transfer-encoding") || (headers.get("content-length") ?? "0") !== "0";
  return isHttp10 || hasBody || /(?:^|,)\s*close\s*(?:,|$)/i.test(headers.get("connection") ?? "");
}

/** Such an answer is the connection's last: nothing but the end of the connection is expected from the client. */
function isEventStream({ body, headers }: Response): boolean {
  return body !== null && (headers.get("content-type") ?? "").startsWith("text/event-stream");
}

function problem(status: number, text: string): Response {
  const body = `${text}\n`;
  const headers = { "content-type": "text/plain; charset=utf-8", "content-length": `${body.length}` };
  return new Response(body, { status, headers });
}
