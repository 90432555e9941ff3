/**
 * A connection of which some bytes were read already, and whose client is somebody else than the other end of the socket:
 * what remains after the header of a load balancer.
 *
 * @module
 */
import type { Address, Conn } from "../base/network.ts";

/** {@link Conn} that gives `first` before all else. */
export class PrefixedConn implements Conn {
  readonly remoteAddr: Address;
  readonly #conn: Conn;
  #first: Uint8Array;

  /** Takes over a connection. */
  constructor(conn: Conn, remoteAddr: Address, first: Uint8Array) {
    this.#conn = conn;
    this.remoteAddr = remoteAddr;
    this.#first = first;
  }

  /** See {@link Conn}. */
  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#first.byteLength === 0) return this.#conn.read(buffer);
    const part = this.#first.subarray(0, buffer.byteLength);
    buffer.set(part);
    this.#first = this.#first.subarray(part.byteLength);
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
