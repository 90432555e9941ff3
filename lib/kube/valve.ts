/**
 * Backpressure for `node:tls`: a TCP connection that is not read while the TLS layer above has unread bytes. Without
 * it, the runtime's `node:tls` buffers everything that a server sends (observed on Deno 2.9.6: 256 MB).
 *
 * @module
 */
import type { Socket } from "node:net";
import { Duplex, type Readable } from "node:stream";

/** The maximum of decrypted bytes that wait to be read, as for node's streams. */
const FULL_BYTES = 64 * 1024;

/** Given to `node:tls` instead of the socket. */
export class Valve extends Duplex {
  readonly #socket: Socket;
  /** The decrypted stream, once there is one. */
  #outlet: Readable | undefined;

  /** Takes over a connected socket, and destroys it with itself. */
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
    socket.resume(); // it may have been paused after a proxy's response
  }

  /** The chunks of `outlet`, the TLS layer above. The valve opens for each of them. */
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

  /** Part of {@link Duplex}. Bytes are pushed. */
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
