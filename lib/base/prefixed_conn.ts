/**
 * A connection of which some bytes were read already, by whoever had to look at them first.
 *
 * @module
 */
import type { Address, Conn } from "./network.ts";

/** {@link Conn} that gives `first` before all else. */
export class PrefixedConn implements Conn {
  readonly remoteAddr: Address;
  readonly #conn: Conn;
  /** What nobody has read from here; nothing of its buffer is kept longer. */
  #first: Uint8Array | undefined;

  /** Takes over a connection. `remoteAddr` is its client, where that is not the other end of the socket. */
  constructor(conn: Conn, first: Uint8Array, remoteAddr: Address = conn.remoteAddr) {
    this.#conn = conn;
    this.remoteAddr = remoteAddr;
    this.#keep(first);
  }

  /** See {@link Conn}. */
  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#first === undefined) return this.#conn.read(buffer);
    const part = this.#first.subarray(0, buffer.byteLength);
    buffer.set(part);
    this.#keep(this.#first.subarray(part.byteLength));
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

  #keep(rest: Uint8Array): void {
    this.#first = rest.byteLength === 0 ? undefined : rest;
  }
}
