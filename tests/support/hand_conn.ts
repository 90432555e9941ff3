/**
 * A connection whose reads and writes end when the test says so.
 *
 * @module
 */
import type { Conn } from "../../lib/base/network.ts";
import { settle } from "./virtual_clock.ts";

/** A connection in the test's hand. */
export class HandConn implements Conn {
  readonly remoteAddr = { hostname: "192.0.2.1", port: 1 };
  readonly #reads: { readonly buffer: Uint8Array; readonly done: (n: number | null) => void }[] = [];
  readonly #writes: (() => void)[] = [];
  /** What was written, write by write. */
  readonly written: Uint8Array[] = [];
  /** While true, writes do not end. */
  stuck = false;
  /** While true, writes fail. */
  broken = false;

  get reading(): number {
    return this.#reads.length;
  }

  /** The room of the oldest read; undefined if there is none. */
  get roomBytes(): number | undefined {
    return this.#reads[0]?.buffer.length;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return new Promise((done) => this.#reads.push({ buffer, done }));
  }

  write(bytes: Uint8Array): Promise<number> {
    this.written.push(bytes);
    if (this.broken) return Promise.reject(new Deno.errors.BrokenPipe("Broken pipe"));
    return new Promise((resolve) => {
      if (this.stuck) this.#writes.push(() => resolve(bytes.length));
      else resolve(bytes.length);
    });
  }

  /** Ends the oldest read. */
  async bring(bytes: Uint8Array): Promise<void> {
    const { buffer, done } = this.#reads.shift()!;
    buffer.set(bytes);
    done(bytes.length);
    await settle();
  }

  /** Ends the oldest read with the end of the stream. */
  async end(): Promise<void> {
    this.#reads.shift()!.done(null);
    await settle();
  }

  /** Ends reads with all of `bytes`, as much of them as each has room for. */
  async bringAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const n = Math.min(this.#reads[0]!.buffer.length, bytes.length - at);
      await this.bring(bytes.subarray(at, at += n));
    }
  }

  /** Ends reads with bytes that are no HTTP/2, for as long as there are any. */
  async fill(): Promise<void> {
    while (this.reading > 0) await this.bring(new Uint8Array(Math.min(500, this.roomBytes!)).fill(1));
  }

  async release(): Promise<void> {
    this.stuck = false;
    for (const release of this.#writes.splice(0)) release();
    await settle();
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }
  close(): void {}
  setNoDelay(): void {}
  setKeepAlive(): void {}
}
