/**
 * One HTTP/1.1 connection to a client, seen from the server: reads heads and writes bytes, with a limit for each of them
 * and for every wait. A wait that takes too long closes the connection. Parses and answers nothing.
 *
 * @module
 */
import { concat } from "./bytes.ts";
import type { Clock } from "./clock.ts";
import { close } from "./conn.ts";
import type { Conn } from "./network.ts";

/** The limits of a connection. */
export interface Http1Limits {
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

/** Stands for a head that is too long. */
export const TOO_LONG = Symbol("too long");

const latin1 = new TextDecoder("latin1");

/** The connection. */
export class Http1Connection {
  readonly #conn: Conn;
  readonly #clock: Clock;
  readonly #limits: Http1Limits;
  readonly #buffer = new Uint8Array(4096);
  /** Bytes that were read but not parsed yet. */
  #unparsed: Uint8Array = new Uint8Array();
  #left: Promise<void> | undefined;

  /** Takes over a connection. */
  constructor(conn: Conn, clock: Clock, limits: Http1Limits) {
    this.#conn = conn;
    this.#clock = clock;
    this.#limits = limits;
    try {
      conn.setNoDelay(true);
    } catch {
      // The client has left; the first read reports it.
    }
  }

  /** Closes the socket. Harmless when called twice. */
  close(): void {
    close(this.#conn);
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

  /** Discards what still arrives, and resolves when the client has left. No head can be read after that. */
  left(): Promise<void> {
    return this.#left ??= this.#discard().catch(() => {});
  }

  /**
   * Sends a FIN and discards what still arrives. Closing with unread bytes would reset the connection, and the client
   * might lose the response.
   */
  async linger(): Promise<void> {
    const cancel = this.#clock.setTimer(this.#limits.lingerMs, () => this.close());
    try {
      await this.#conn.closeWrite();
      await this.left();
    } finally {
      cancel();
    }
  }

  async #discard(): Promise<void> {
    while (await this.#conn.read(this.#buffer) !== null);
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
