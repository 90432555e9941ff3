/**
 * A small HTTP/1.1 server that limits connections, the bytes of a request and every wait. Without free descriptors it
 * pauses and continues, whereas `Deno.serve` stops for good. Ignores request bodies. Supports keep-alive and
 * pipelining, one request at a time.
 *
 * @module
 */
import { acceptAll } from "../base/accept.ts";
import { type Clock, sleep } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { Http1Connection, type Http1Limits, TOO_LONG } from "../base/http1_connection.ts";
import { parseRequestHead, type RequestHead, responseBytes } from "../base/http1_server.ts";
import { CauseLog } from "../base/log.ts";
import type { Address, Conn, Listener } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { foreignPage } from "./foreign_pages.ts";

/**
 * Answers one request, from its method and URL. An error becomes a 500 without details. An event stream lasts until its
 * client leaves: then the request's signal is aborted. So it is when its connection has to give way to another one.
 */
export type HttpHandler = (request: Request) => Promise<Response>;

/** The limits of a server. */
export interface HttpLimits extends Http1Limits {
  /** The maximum of open connections. One more closes the connection that has been inactive for longest. */
  readonly connections: number;
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
  readonly #connections = new Map<Http1Connection, Served>();
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
    await Promise.all([this.#accepting, ...Array.from(this.#connections.values(), ({ ended }) => ended)]);
  }

  #begin(conn: Conn): void {
    if (this.#connections.size >= this.#limits.connections) this.#makeRoom();
    const connection = new Http1Connection(conn, this.#clock, this.#limits);
    const left = new AbortController();
    const ended = this.#serve(connection, conn.localAddr, left)
      .catch(() => {}) // the client has left
      .finally(() => {
        connection.close();
        this.#connections.delete(connection);
      });
    this.#connections.set(connection, { left, ended });
  }

  #makeRoom(): void {
    // Even one that is being answered: a client this slow does not read.
    const [first] = this.#connections;
    if (first === undefined) return;
    const [victim, { left }] = first;
    this.#connections.delete(victim);
    victim.close();
    left.abort(new Error("The connection has given way"));
  }

  async #serve(
    connection: Http1Connection,
    local: Address | undefined,
    left: AbortController,
  ): Promise<void> {
    for (;;) {
      const found = await connection.nextHead();
      if (found === undefined) return;
      this.#touch(connection);
      const head = typeof found === "string" ? parseRequestHead(found) : undefined;
      const request = head === undefined ? undefined : requestOf(head, left.signal);
      const foreign = head === undefined ? undefined : foreignPage(head, local);
      const response = found === TOO_LONG
        ? problem(431, "The head of the request is too long")
        : request === undefined
        ? problem(400, "Bad request")
        : foreign !== undefined
        ? problem(403, foreign)
        : await this.#handler(request).catch(() => problem(500, "Internal error"));
      const isEndless = isEventStream(response);
      const last = head === undefined || request === undefined || isEndless || isLast(head);
      if (isEndless) void connection.left().finally(() => left.abort(new Error("The client has left")));
      for await (const bytes of responseBytes(head ?? UNREADABLE, response, last)) {
        await connection.write(bytes);
      }
      if (last) return await connection.linger();
      // Gives builds and probes a turn between pipelined requests.
      await sleep(this.#clock, 0, this.#stopped.signal);
    }
  }

  #touch(connection: Http1Connection): void {
    const served = this.#connections.get(connection);
    if (served === undefined) return;
    this.#connections.delete(connection);
    this.#connections.set(connection, served);
  }
}

/** A connection while it is served. */
interface Served {
  /** Tells handlers that nobody waits for their answer any more. */
  readonly left: AbortController;
  /** Settles when it has ended. */
  readonly ended: Promise<void>;
}

/** What is assumed of a client whose request cannot be read. */
const UNREADABLE: Pick<RequestHead, "method" | "isHttp10"> = { method: "GET", isHttp10: false };

/**
 * The request for the handler, without header fields, which no handler reads; `undefined` if it is invalid. The
 * client's host does not matter to a handler.
 */
function requestOf(
  { method, target }: RequestHead,
  signal: AbortSignal,
): Request | undefined {
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
