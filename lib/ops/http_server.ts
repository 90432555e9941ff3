/**
 * A small HTTP/1.1 server with bounds for connections, for the bytes of a request and for every wait. When descriptors run
 * out it pauses and goes on, where `Deno.serve` stops for good. It does not read the bodies of requests. A connection
 * serves further requests, also pipelined ones, one after the other.
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

/** Answers one request, of which it sees method and URL. What it throws becomes a 500 that does not say why. */
export type HttpHandler = (request: Request) => Promise<Response>;

/** What a server is bounded by. */
export interface HttpLimits {
  /** Connections at a time; past it, the one whose last request, or beginning, is longest ago gives way. */
  readonly connections: number;
  /** The longest head of a request, in bytes; one read more may be let through. */
  readonly headBytes: number;
  /** From a connection's beginning, or from the end of an answer, to the first byte of a request, in ms. */
  readonly idleMs: number;
  /** From the first byte of a request's head to its last, in ms. */
  readonly headMs: number;
  /** The longest wait until a client that does not read takes something, in ms. */
  readonly writeMs: number;
  /** How long a client may go on sending after its last answer, in ms: closed at once, it might never read that. */
  readonly lingerMs: number;
}

/** What suits probes, scrapes and people. */
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
  /** The one that began, or sent a request, longest ago comes first. */
  readonly #connections = new Map<Connection, Promise<void>>();
  readonly #accepting: Promise<void>;

  /** Takes over `listener`, and serves at once. */
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
    // Also one that is being answered: by now it has, or does not read.
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
      const request = head === undefined ? undefined : requestOf(head);
      const response = found === TOO_LONG
        ? problem(431, "The head of the request is too long")
        : request === undefined
        ? problem(400, "Bad request")
        : await this.#handler(request).catch(() => problem(500, "Internal error"));
      const last = head === undefined || request === undefined || isLast(head);
      for await (const bytes of responseBytes(head ?? UNREADABLE, response, last)) {
        await connection.write(bytes);
      }
      if (last) return await connection.linger();
      // Requests that have come already would else be answered one after the other before a build, or a probe, has a turn.
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

/** In the place of a head that is too long. */
const TOO_LONG = Symbol("too long");

/** What is assumed of a client whose request cannot be read. */
const UNREADABLE: Pick<RequestHead, "method" | "isOld"> = { method: "GET", isOld: false };

const latin1 = new TextDecoder("latin1");

/** One client: reads heads and writes answers, each wait bounded. A wait that takes too long closes the connection. */
class Connection {
  readonly #conn: Conn;
  readonly #clock: Clock;
  readonly #limits: HttpLimits;
  readonly #buffer = new Uint8Array(4096);
  /** What was read and not taken yet: less than a head and a buffer. */
  #kept: Uint8Array = new Uint8Array();
  #closed = false;

  constructor(conn: Conn, clock: Clock, limits: HttpLimits) {
    this.#conn = conn;
    this.#clock = clock;
    this.#limits = limits;
    try {
      conn.setNoDelay(true);
    } catch {
      // The client is gone already; the first read says so.
    }
  }

  /** Frees the socket, once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  /** The head of the next request without the empty line at its end; nothing if there is none in time. */
  async nextHead(): Promise<string | typeof TOO_LONG | undefined> {
    const { idleMs, headMs, headBytes } = this.#limits;
    let cancel = this.#clock.setTimer(this.#kept.length > 0 ? headMs : idleMs, () => this.close());
    try {
      for (;;) {
        const end = endOfHead(this.#kept);
        if (end < 0 && this.#kept.length >= headBytes) return TOO_LONG;
        if (end >= 0) {
          const text = latin1.decode(this.#kept.subarray(0, end));
          this.#kept = this.#kept.slice(end + MARK.length);
          return text.replace(/^(?:\r\n)+/, ""); // RFC 9112, section 2.2
        }
        const count = await this.#conn.read(this.#buffer);
        if (count === null) return undefined;
        if (this.#kept.length === 0) {
          cancel();
          cancel = this.#clock.setTimer(headMs, () => this.close());
        }
        this.#kept = concat([this.#kept, this.#buffer.subarray(0, count)]);
      }
    } finally {
      cancel();
    }
  }

  /** Writes all of it. @throws when the client has gone or takes nothing */
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

  /** Sends a FIN, and drops what still comes: bytes that nobody reads would reset the client before it has read. */
  async linger(): Promise<void> {
    const cancel = this.#clock.setTimer(this.#limits.lingerMs, () => this.close());
    try {
      await this.#conn.closeWrite();
      while (await this.#conn.read(this.#buffer) !== null);
    } finally {
      cancel();
    }
  }
}

const MARK = new TextEncoder().encode("\r\n\r\n");

/** Where the empty line begins; -1 if it has not come. One that comes before the request does not count. */
function endOfHead(bytes: Uint8Array): number {
  let start = 0;
  while (bytes[start] === 13 && bytes[start + 1] === 10) start += 2;
  for (let at = bytes.indexOf(13, start); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (at + MARK.length > bytes.length) return -1;
    if (MARK.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

/**
 * The request for the handler, without its fields, which no handler reads; `undefined` if there can be none. The host that
 * the client names does not matter.
 */
function requestOf({ method, target, isOld, headers }: RequestHead): Request | undefined {
  if (!isOld && !headers.has("host")) return undefined; // RFC 9112, section 3.2
  const path = target.startsWith("/") ? target : /^https?:\/\/[^/?]+(\/.*)$/i.exec(target)?.[1];
  if (path === undefined) return undefined;
  try {
    return new Request(`http://localhost${path}`, { method });
  } catch {
    return undefined; // a method that is none of HTTP's own, such as CONNECT
  }
}

/** Whether the connection has to end after the answer: the client wants it, or it sends a body, which nobody reads. */
function isLast({ isOld, headers }: RequestHead): boolean {
  const hasBody = headers.has("transfer-encoding") || (headers.get("content-length") ?? "0") !== "0";
  return isOld || hasBody || /(?:^|,)\s*close\s*(?:,|$)/i.test(headers.get("connection") ?? "");
}

function problem(status: number, text: string): Response {
  const body = `${text}\n`;
  const headers = { "content-type": "text/plain; charset=utf-8", "content-length": `${body.length}` };
  return new Response(body, { status, headers });
}
