/**
 * Reading a connection in pieces that mean something. For the miniature's own servers and clients; the proxy has its
 * own, tuned code.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import type { Conn } from "../base/network.ts";

/** Reads a connection with a memory of what it has read too much. One call at a time, `peek` aside. */
export class ByteReader {
  readonly #conn: Conn;
  readonly #buffer = new Uint8Array(16 * 1024);
  #kept: Uint8Array = new Uint8Array();
  #reading: Promise<boolean> | undefined;

  /** Takes the connection; nobody else may read it. */
  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /** Waits until there is a byte to take (true), or the stream has ended or failed (false). Takes nothing. */
  async peek(): Promise<boolean> {
    if (this.#kept.length > 0) return true;
    return await this.#more().catch(() => false);
  }

  /** The text up to and with `mark`; `null` when the stream ends first. */
  async until(mark: string): Promise<string | null> {
    for (let from = 0;;) {
      const text = latin1(this.#kept);
      const at = text.indexOf(mark, from);
      if (at >= 0) return latin1(this.#take(at + mark.length));
      from = Math.max(0, text.length - mark.length);
      if (!await this.#more()) return null;
    }
  }

  /** Takes `text` if the stream starts with it; takes nothing and says false as soon as it cannot. */
  async startsWith(text: string): Promise<boolean> {
    while (true) {
      const known = latin1(this.#kept.subarray(0, text.length));
      if (!text.startsWith(known)) return false;
      if (known.length === text.length) {
        this.#take(text.length);
        return true;
      }
      if (!await this.#more()) return false;
    }
  }

  /** The next `length` bytes; `null` when the stream ends first. */
  async exactly(length: number): Promise<Uint8Array | null> {
    while (this.#kept.length < length) if (!await this.#more()) return null;
    return this.#take(length);
  }

  /** At least one byte, as many as are there; `null` at the end. */
  async some(): Promise<Uint8Array | null> {
    if (this.#kept.length === 0 && !await this.#more()) return null;
    return this.#take(this.#kept.length);
  }

  #take(length: number): Uint8Array {
    const taken = this.#kept.subarray(0, length);
    this.#kept = this.#kept.subarray(length);
    return taken;
  }

  #more(): Promise<boolean> {
    this.#reading ??= (async () => {
      try {
        const count = await this.#conn.read(this.#buffer);
        if (count === null) return false;
        this.#kept = concat([this.#kept, this.#buffer.subarray(0, count)]);
        return true;
      } finally {
        this.#reading = undefined;
      }
    })();
    return this.#reading;
  }
}

/** Writes all of `bytes`. */
export async function writeAll(conn: Conn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}

/** Closes a connection that may be closed already. */
export function closeQuietly(conn: Conn): void {
  try {
    conn.close();
  } catch { /* it is closed */ }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
