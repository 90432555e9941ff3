/**
 * A connection of which some bytes were read already, by whoever had to look at them first.
 *
 * @module
 */
import type { Address, Conn } from "./network.ts";

/** {@link Conn} that gives `first` before all else. */
export class PrefixedConn implements Conn {
  readonly remoteAddr: Address;
  readonly peerName: string | undefined;
  readonly #conn: Conn;
  /** What nobody has read from here; nothing of its buffer is kept longer. */
  #first: Uint8Array | undefined;
  /** The read that comes after that, if it has begun already. */
  #pending: Promise<Uint8Array | null> | undefined;

  /**
   * Takes over a connection. `remoteAddr` is its client, where that is not the other end of the socket. `pending` is a read
   * that nobody waits for any more.
   */
  constructor(
    conn: Conn,
    first: Uint8Array,
    remoteAddr: Address = conn.remoteAddr,
    pending?: Promise<Uint8Array | null>,
  ) {
    this.#conn = conn;
    this.remoteAddr = remoteAddr;
    this.peerName = conn.peerName;
    this.#keep(first);
    this.#pending = pending;
    pending?.catch(() => {}); // whoever reads is told
  }

  /** See {@link Conn}. */
  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#first !== undefined) return Promise.resolve(this.#take(this.#first, buffer));
    // Nothing else is done to the many reads of a session that runs.
    return this.#pending === undefined ? this.#conn.read(buffer) : this.#readPending(this.#pending, buffer);
  }

  async #readPending(pending: Promise<Uint8Array | null>, buffer: Uint8Array): Promise<number | null> {
    const bytes = await pending;
    this.#pending = undefined;
    return bytes && this.#take(bytes, buffer);
  }

  #take(bytes: Uint8Array, buffer: Uint8Array): number {
    const part = bytes.subarray(0, buffer.byteLength);
    buffer.set(part);
    this.#keep(bytes.subarray(part.byteLength));
    return part.byteLength;
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
