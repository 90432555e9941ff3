/**
 * Connections in memory, in pairs: what one end writes the other reads. A test chooses how many bytes a read or a write
 * takes, and how many may be under way, and breaks either end as a network does.
 *
 * @module
 */
import { concat } from "../../lib/base/bytes.ts";
import type { Address, Conn } from "../../lib/base/network.ts";

/** How a connection behaves. */
export interface MemoryOptions {
  /** How many of `offered` bytes a write takes; all. */
  readonly writeBytes?: (offered: number) => number;
  /** How many bytes a read gives of those that there are room and bytes for; all. */
  readonly readBytes?: (possible: number) => number;
  /** How many bytes may wait to be read before writes wait; 64 KiB. */
  readonly capacityBytes?: number;
}

/** One end. */
export class MemoryConn implements Conn {
  readonly remoteAddr: Address;
  /** The sizes of the buffers that were read into. */
  readonly bufferBytes: number[] = [];
  readonly #options: MemoryOptions;
  #peer!: MemoryConn;
  #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  /** The peer has sent its FIN. */
  #ended = false;
  /** This end has sent its FIN. */
  #finished = false;
  #closed = false;
  #fault: Error | undefined;
  #changed = Promise.withResolvers<void>();

  private constructor(port: number, options: MemoryOptions) {
    this.remoteAddr = { hostname: "192.0.2.1", port };
    this.#options = options;
  }

  /** Two ends of one connection. */
  static pair(left: MemoryOptions = {}, right: MemoryOptions = left): [MemoryConn, MemoryConn] {
    const ends: [MemoryConn, MemoryConn] = [new MemoryConn(1, left), new MemoryConn(2, right)];
    ends[0].#peer = ends[1];
    ends[1].#peer = ends[0];
    return ends;
  }

  /** Whether this end was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    this.bufferBytes.push(buffer.byteLength);
    for (;;) {
      this.#check();
      if (this.#inboxBytes > 0) return this.#take(buffer);
      if (this.#ended) return null;
      await this.#changed.promise;
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    const { capacityBytes = 64 * 1024, writeBytes = (offered) => offered } = this.#options;
    for (;;) {
      this.#check();
      if (this.#finished || this.#peer.#closed) throw new Deno.errors.BrokenPipe("Broken pipe");
      const room = capacityBytes - this.#peer.#inboxBytes;
      if (room > 0) {
        const n = Math.max(1, Math.min(room, bytes.byteLength, writeBytes(bytes.byteLength)));
        this.#peer.#inbox.push(bytes.slice(0, n));
        this.#peer.#inboxBytes += n;
        this.#peer.#change();
        return n;
      }
      await this.#peer.#changed.promise;
    }
  }

  async closeWrite(): Promise<void> {
    this.#check();
    this.#finished = true;
    this.#peer.#ended = true;
    this.#peer.#change();
    await Promise.resolve();
  }

  close(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Bad resource ID");
    this.#closed = true;
    // Bytes that nobody has read make it a reset.
    if (this.#inboxBytes > 0) this.#peer.#break();
    this.#peer.#ended = true;
    this.#change();
    this.#peer.#change();
  }

  /** Sends an RST and is closed. */
  break(): void {
    this.#peer.reset();
  }

  /** The peer's RST arrives: what waits to be read is lost. */
  reset(): void {
    this.#peer.#closed = true;
    this.#break();
    this.#peer.#change();
  }

  setNoDelay(): void {}

  setKeepAlive(): void {}

  #break(): void {
    this.#fault ??= new Deno.errors.ConnectionReset("Connection reset by peer");
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.#change();
  }

  #check(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Bad resource ID");
    if (this.#fault !== undefined) throw this.#fault;
  }

  #take(buffer: Uint8Array): number {
    const { readBytes = (possible) => possible } = this.#options;
    const possible = Math.min(buffer.byteLength, this.#inboxBytes);
    const wanted = Math.max(1, Math.min(possible, readBytes(possible)));
    let filled = 0;
    while (filled < wanted) {
      const chunk = this.#inbox[0]!;
      const part = chunk.subarray(0, wanted - filled);
      buffer.set(part, filled);
      filled += part.byteLength;
      if (part.byteLength === chunk.byteLength) this.#inbox.shift();
      else this.#inbox[0] = chunk.subarray(part.byteLength);
    }
    this.#inboxBytes -= filled;
    this.#change();
    return filled;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Writes all of `bytes`, however many writes that takes. */
export async function writeAll(conn: Conn, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.byteLength > 0;) rest = rest.subarray(await conn.write(rest));
}

/** Everything up to the peer's FIN. */
export async function readAll(conn: Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(4096);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    chunks.push(buffer.slice(0, n));
  }
  return concat(chunks);
}

export { concat };
