/**
 * A connection of which the first bytes were read already.
 *
 * @module
 */
import type { Address, Conn } from "../base/network.ts";

/** {@link Conn} that gives the first bytes before all else. */
export class GreetedConn implements Conn {
  readonly #conn: Conn;
  #first: Uint8Array | undefined;

  /** Takes the connection over. */
  constructor(conn: Conn, first: Uint8Array) {
    this.#conn = conn;
    this.#first = first;
  }

  /** See {@link Conn}. */
  get remoteAddr(): Address {
    return this.#conn.remoteAddr;
  }

  /** See {@link Conn}. */
  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#first === undefined) return this.#conn.read(buffer);
    const part = this.#first.subarray(0, buffer.byteLength);
    buffer.set(part);
    this.#first = part.byteLength === this.#first.byteLength
      ? undefined
      : this.#first.subarray(part.byteLength);
    return Promise.resolve(part.byteLength);
  }

  /** See {@link Conn}. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#conn.write(bytes);
  }

  /** See {@link Conn}. */
  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  /** See {@link Conn}. */
  close(): void {
    this.#conn.close();
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
