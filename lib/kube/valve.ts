/**
 * A TCP connection that stands still while TLS on top of it has bytes that nobody has read. The runtime's `node:tls`
 * takes in whatever a server sends when it owns the socket itself, read or not (seen on Deno 2.9.6: 256 MB).
 *
 * @module
 */
import type { Socket } from "node:net";
import { Duplex, type Readable } from "node:stream";

/** As many decrypted bytes may wait to be read; streams of node hold no more either. */
const FULL_BYTES = 64 * 1024;

/** What `node:tls` gets in the place of the socket. */
export class Valve extends Duplex {
  readonly #socket: Socket;
  /** The reader's end, once there is one. */
  #outlet: Readable | undefined;

  /** Takes over a connected socket; destroying the valve destroys it. */
  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on("data", (bytes) => {
      this.push(bytes);
      if (this.#outlet !== undefined && this.#outlet.readableLength >= FULL_BYTES) socket.pause();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
    socket.resume(); // it may have been stopped after a proxy's answer
  }

  /** The chunks that come out of `outlet`, the TLS on top of this valve, which opens for each. */
  chunksOf(outlet: Readable): AsyncIterator<Uint8Array> {
    this.#outlet = outlet;
    const chunks: AsyncIterator<Uint8Array> = outlet[Symbol.asyncIterator]();
    return {
      next: () => {
        this.#socket.resume();
        return chunks.next();
      },
    };
  }

  /** Part of {@link Duplex}: bytes come by themselves. */
  override _read(): void {}

  /** Part of {@link Duplex}. */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  /** Part of {@link Duplex}. */
  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done());
  }

  /** Part of {@link Duplex}. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
