/**
 * A connection as a stream of Node, for `node:tls` on top of it, and what comes out of that as a connection again.
 * `node:tls` takes in whatever arrives, read or not; so the connection below is read only while little waits to be read
 * above. Nothing here knows of certificates.
 *
 * @module
 */
import { Duplex } from "node:stream";
import { close } from "./conn.ts";
import { Ending } from "./ending.ts";
import type { Address, Conn } from "./network.ts";
import { orAborted } from "./or_aborted.ts";

/** As many decrypted bytes may wait to be read before the connection below stands still. */
const FULL_BYTES = 64 * 1024;

/** What is read with while little comes: an idle session holds no more. */
const WAITING_BUFFER_BYTES = 4 * 1024;

/** What is read with after a read that has filled its buffer. */
const LARGE_BUFFER_BYTES = 64 * 1024;

/** What `node:tls` gets in the place of a socket. Destroying it closes the connection. */
export class ConnStream extends Duplex {
  readonly #conn: Conn;
  #wanted = false;
  #reading = false;
  #filled = false;
  /** Where the decrypted bytes come out, once it is known. */
  outlet: { readonly readableLength: number } | undefined;

  /** Takes the connection over. */
  constructor(conn: Conn) {
    super({ allowHalfOpen: true });
    this.#conn = conn;
  }

  /** Reads on if more is wanted and little enough waits above. To be called whenever bytes were taken out there. */
  flow(): void {
    if (!this.#wanted || this.#reading || this.destroyed) return;
    if (this.outlet !== undefined && this.outlet.readableLength >= FULL_BYTES) return;
    this.#wanted = false;
    this.#reading = true;
    // A new one for each read: TLS may keep what it is given.
    const buffer = new Uint8Array(this.#filled ? LARGE_BUFFER_BYTES : WAITING_BUFFER_BYTES);
    this.#conn.read(buffer).then((n) => {
      this.#reading = false;
      if (this.destroyed) return;
      this.#filled = n === buffer.byteLength;
      this.push(n === null ? null : buffer.subarray(0, n));
      this.flow();
    }, (error) => this.destroy(error));
  }

  /** Part of {@link Duplex}. */
  override _read(): void {
    this.#wanted = true;
    this.flow();
  }

  /** Part of {@link Duplex}. */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    const send = async () => {
      for (let rest = chunk; rest.byteLength > 0;) rest = rest.subarray(await this.#conn.write(rest));
    };
    send().then(() => done(), done);
  }

  /** Part of {@link Duplex}. */
  override _final(done: (error?: Error | null) => void): void {
    this.#conn.closeWrite().then(() => done(), done);
  }

  /** Part of {@link Duplex}. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    close(this.#conn);
    done(error);
  }
}

/** The decrypted side of TLS over a {@link ConnStream}, after the handshake. */
export class DecryptedConn implements Conn {
  readonly #below: ConnStream;
  readonly #conn: Conn;
  readonly #tls: Duplex;
  #ended = false;
  #error: Error | undefined;
  #wake = () => {};
  /** The connection is closed, and nobody waits any more. */
  readonly #over = new Ending();

  /** `tls` is the socket that stands on `below`, which stands on `conn`. */
  constructor(tls: Duplex, below: ConnStream, conn: Conn) {
    this.#tls = tls;
    this.#below = below;
    this.#conn = conn;
    below.outlet = tls;
    const over = () => {
      this.#ended = true;
      this.#wake();
    };
    tls.on("readable", () => this.#wake());
    tls.on("end", over);
    tls.on("error", (error) => {
      this.#error ??= error;
      over();
    });
    const closed = () => {
      if (!this.#ended) this.#error ??= closedError();
      over();
      this.#over.abort(this.#error ?? closedError());
    };
    tls.on("close", closed);
    // TLS is not told by itself, and would take writes as if they were sent.
    below.on("error", (error) => {
      this.#error ??= error;
      tls.destroy();
    });
    below.on("close", closed);
  }

  /** See {@link Conn}. */
  get remoteAddr(): Address {
    return this.#conn.remoteAddr;
  }

  /** See {@link Conn}. */
  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const waiting = Math.min(buffer.byteLength, this.#tls.readableLength);
      const bytes: Uint8Array | null = waiting > 0 ? this.#tls.read(waiting) : this.#tls.read();
      if (bytes !== null) {
        buffer.set(bytes);
        this.#below.flow();
        return bytes.byteLength;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return null;
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      this.#below.flow();
      await woken;
    }
  }

  /** See {@link Conn}. Resolves when all of `bytes` is encrypted and sent, so that the buffer may be used again. */
  async write(bytes: Uint8Array): Promise<number> {
    await this.#unlessClosed((done) => this.#tls.write(bytes, done));
    return bytes.byteLength;
  }

  /** See {@link Conn}: a `close_notify`, then a FIN. */
  closeWrite(): Promise<void> {
    return this.#unlessClosed((done) => this.#tls.end(done));
  }

  /** Settles when the stream calls back, or rejects once the connection is closed: it may not call back then. */
  async #unlessClosed(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    this.#over.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    start((error) => error ? reject(error) : resolve());
    await orAborted(promise, this.#over);
  }

  /** See {@link Conn}. May be called twice. */
  close(): void {
    this.#tls.destroy();
  }

  /** See {@link Conn}. */
  setNoDelay(noDelay?: boolean): void {
    this.#conn.setNoDelay(noDelay);
  }

  /** See {@link Conn}. */
  setKeepAlive(keepAlive?: boolean): void {
    this.#conn.setKeepAlive(keepAlive);
  }
}

function closedError(): Error {
  return new Error("The connection was closed");
}
