/**
 * The encrypted side of a TLS connection: a TCP connection as the stream that `node:tls` works on. It reads from the
 * socket only while its owner has room, since the runtime's TLS takes in whatever it is given. It takes every write at
 * once, since the runtime's TLS does not wait for them (seen on Deno 2.9.6): whoever writes has to wait for `flushed`.
 * It never closes the connection.
 *
 * @module
 */
import { Duplex } from "node:stream";
import { writeAll } from "../base/conn.ts";
import type { Conn } from "../base/network.ts";

/** What an idle connection waits with: thousands may be open. */
const WAITING_BUFFER_BYTES = 2 * 1024;

/** What is read with after a read that has filled its buffer: four records of TLS. */
const FLOWING_BUFFER_BYTES = 64 * 1024;

/** Large buffers that are kept for the next read that needs one, of any connection. */
const KEPT_BUFFERS = 8;

const spare: Uint8Array[] = [];

/** The stream under TLS. */
export class Wire extends Duplex {
  readonly #conn: Conn;
  readonly #hasRoom: () => boolean;
  #waiting: Uint8Array = new Uint8Array(WAITING_BUFFER_BYTES);
  /** The last read has filled its buffer: there is more. */
  #filled = false;
  /** The stream has asked for bytes and has not got them yet. */
  #wanted = false;
  #reading = false;
  /** Resolves when all that was written so far is with the kernel. */
  #written: Promise<void> = Promise.resolve();

  /** Reads from and writes to a connection. Asks `hasRoom` before each read. */
  constructor(conn: Conn, hasRoom: () => boolean) {
    super({ allowHalfOpen: true });
    this.#conn = conn;
    this.#hasRoom = hasRoom;
  }

  /** Reads on, if a read waits for room and there is some. */
  pull(): void {
    if (!this.#wanted || this.#reading || this.destroyed || !this.#hasRoom()) return;
    this.#wanted = false;
    this.#reading = true;
    this.#read();
  }

  /** Resolves when everything that was written is with the kernel. Rejects when a write has failed. */
  flushed(): Promise<void> {
    return this.#written;
  }

  /** Part of {@link Duplex}. */
  override _read(): void {
    this.#wanted = true;
    this.pull();
  }

  /** Part of {@link Duplex}. */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#written = this.#written.then(() => writeAll(this.#conn, chunk));
    this.#written.catch(() => {}); // whoever waits for it is told
    done();
  }

  async #read(): Promise<void> {
    const buffer: Uint8Array = this.#filled
      ? spare.pop() ?? new Uint8Array(FLOWING_BUFFER_BYTES)
      : this.#waiting;
    let bytes: Uint8Array | null;
    try {
      const n = await this.#conn.read(buffer);
      bytes = n === null ? null : buffer.subarray(0, n);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    this.#reading = false;
    if (this.destroyed) return;
    this.#filled = bytes?.byteLength === buffer.byteLength;
    this.push(bytes);
    // TLS has taken the bytes by now, unless it has paused the stream: then they are still in the buffer.
    const isTaken = this.readableLength === 0;
    if (buffer === this.#waiting) {
      if (!isTaken) this.#waiting = new Uint8Array(WAITING_BUFFER_BYTES);
    } else if (isTaken && spare.length < KEPT_BUFFERS) spare.push(buffer);
  }
}
