/**
 * A connection whose bytes are encrypted: what a client gets after its TLS handshake. Reads and writes are plain text.
 * In both directions it holds a bounded number of bytes for a peer that does not take them.
 *
 * @module
 */
import type { TLSSocket } from "node:tls";
import { close } from "../base/conn.ts";
import { Ending } from "../base/ending.ts";
import type { Address, Conn } from "../base/network.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { Wire } from "./wire.ts";

/** Decrypted bytes that may wait to be read; past that nothing more is read from the socket. */
const FULL_BYTES = 64 * 1024;

/** What is written at a time: the runtime's TLS takes no more while none of it has gone out. */
const WRITE_BYTES = 64 * 1024;

/** Decrypted bytes that nobody has read yet. */
export class Inbox {
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #error: Error | undefined;
  #arrived: (() => void) | undefined;

  /** Whether more may come. */
  get hasRoom(): boolean {
    return this.#bytes < FULL_BYTES;
  }

  /** Takes bytes in. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    this.#arrived?.();
  }

  /** Nothing comes any more; the first end counts. Bytes that are there can still be taken, unless it was an error. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#arrived?.();
  }

  /** The next bytes, as many as fit; `null` at the end. */
  async take(buffer: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0 && !this.#ended) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#arrived = resolve;
      await promise;
      this.#arrived = undefined;
    }
    if (this.#error !== undefined) throw this.#error;
    let filled = 0;
    for (
      let chunk = this.#chunks[0];
      chunk !== undefined && filled < buffer.byteLength;
      chunk = this.#chunks[0]
    ) {
      const part = chunk.subarray(0, buffer.byteLength - filled);
      buffer.set(part, filled);
      filled += part.byteLength;
      if (part.byteLength === chunk.byteLength) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.byteLength);
    }
    this.#bytes -= filled;
    return filled > 0 || buffer.byteLength === 0 ? filled : null;
  }
}

/** {@link Conn} over TLS. */
export class TlsConn implements Conn {
  readonly remoteAddr: Address;
  readonly peerName: string | undefined;
  readonly #socket: TLSSocket;
  readonly #wire: Wire;
  readonly #tcp: Conn;
  readonly #inbox: Inbox;
  /** The connection is broken or closed, and nobody waits any more. */
  readonly #over = new Ending();
  #closed = false;

  /** Takes over what a handshake has made. */
  constructor(
    { socket, wire, tcp, inbox }: {
      readonly socket: TLSSocket;
      readonly wire: Wire;
      readonly tcp: Conn;
      readonly inbox: Inbox;
    },
    peerName: string | undefined,
  ) {
    this.remoteAddr = tcp.remoteAddr;
    this.peerName = peerName;
    this.#socket = socket;
    this.#wire = wire;
    this.#tcp = tcp;
    this.#inbox = inbox;
    socket.on("data", (chunk: Uint8Array) => inbox.push(chunk));
    socket.on("end", () => inbox.end());
    socket.on("error", (error) => this.#break(error));
    socket.on("close", () => {
      // After both ends the stream closes by itself. Its last bytes may still be on their way, for as long as the relay lets
      // a silent session stand.
      if (socket.readableEnded && socket.writableFinished) return;
      this.#break(new Deno.errors.ConnectionReset("The connection was reset"));
    });
  }

  /** See {@link Conn}. */
  async read(buffer: Uint8Array): Promise<number | null> {
    this.#checkOpen();
    const n = await this.#inbox.take(buffer);
    this.#checkOpen();
    this.#wire.pull();
    return n;
  }

  /** See {@link Conn}. Waits until the bytes are with the kernel, as a write to a socket does. */
  async write(bytes: Uint8Array): Promise<number> {
    this.#checkOpen();
    this.#checkWhole();
    const part = bytes.subarray(0, WRITE_BYTES);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.write(part, (error) => error ? reject(error) : resolve());
    await orAborted(promise.then(() => this.#wire.flushed()), this.#over);
    this.#checkWhole();
    return part.byteLength;
  }

  /** See {@link Conn}. Says that it is the end of the stream (`close_notify`), then sends the FIN. */
  async closeWrite(): Promise<void> {
    this.#checkOpen();
    this.#checkWhole();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.end(resolve);
    // The runtime may say nothing of it on a connection that is broken.
    await orAborted(promise.then(() => this.#wire.flushed()), this.#over);
    await this.#tcp.closeWrite();
  }

  /** See {@link Conn}. */
  close(): void {
    this.#checkOpen();
    this.#closed = true;
    // The end of the stream is said if the kernel takes it at once.
    if (!this.#socket.writableEnded) this.#socket.end();
    this.#socket.destroy();
    this.#wire.destroy();
    this.#break(closedError());
    close(this.#tcp);
  }

  /** See {@link Conn}. */
  setNoDelay(noDelay?: boolean): void {
    this.#tcp.setNoDelay(noDelay);
  }

  /** See {@link Conn}. */
  setKeepAlive(keepAlive?: boolean): void {
    this.#tcp.setKeepAlive(keepAlive);
  }

  #break(error: Error): void {
    this.#over.abort(error);
    this.#inbox.end(error);
  }

  /** The runtime's TLS says of every write to a broken connection that it went well (seen on Deno 2.9.6). */
  #checkWhole(): void {
    this.#over.throwIfAborted();
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError();
  }
}

function closedError(): Error {
  return new Deno.errors.BadResource("The connection is closed");
}
