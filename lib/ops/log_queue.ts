/**
 * The way of log lines to a stream that may be slow or gone. Writing is asynchronous and what waits is bounded, so a
 * reader that stops reading costs records (counted, and said once it reads again) but never holds up a session; a
 * reader that has left costs nothing at all.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import { codeOf } from "../base/errors.ts";

/** Where lines go: `Deno.stderr` has this shape. */
export interface ByteWriter {
  /** Writes some of `bytes` and says how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/** The most characters that wait, about as many bytes. */
const MAX_WAITING = 1 << 20;
/** How long to wait when a non-blocking stream is full. */
const FULL_RETRY_MS = 20;

const encoder = new TextEncoder();

/** A bounded queue of lines in front of a {@link ByteWriter}. */
export class LogQueue {
  readonly #writer: ByteWriter;
  readonly #clock: Clock;
  readonly #onDropped: (count: number) => string;
  #waiting: string[] = [];
  #waitingLength = 0;
  #dropped = 0;
  #closed = false;
  #pumping: Promise<void> | undefined;

  /** `onDropped` makes the line that says how many were lost. */
  constructor(writer: ByteWriter, clock: Clock, onDropped: (count: number) => string) {
    this.#writer = writer;
    this.#clock = clock;
    this.#onDropped = onDropped;
  }

  /** Takes a line, its line feed included. Never waits and never throws. */
  push(line: string): void {
    if (this.#closed) return;
    if (this.#waitingLength + line.length > MAX_WAITING) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingLength += line.length;
    this.#pumping ??= this.#pump();
  }

  /** Waits until all lines are written, but no longer than `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    let cancel: CancelTimer = () => {};
    const timeUp = new Promise<void>((resolve) => {
      cancel = this.#clock.setTimer(timeoutMs, resolve);
    });
    try {
      await Promise.race([this.#pumping, timeUp]);
    } finally {
      cancel();
    }
  }

  async #pump(): Promise<void> {
    // Let the caller go on: what it logs in the same turn goes out in one write.
    await Promise.resolve();
    while (this.#waiting.length > 0 && !this.#closed) {
      const lines = this.#waiting;
      this.#waiting = [];
      this.#waitingLength = 0;
      if (this.#dropped > 0) {
        lines.push(this.#onDropped(this.#dropped));
        this.#dropped = 0;
      }
      await this.#writeAll(encoder.encode(lines.join("")));
    }
    this.#pumping = undefined;
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      try {
        rest = rest.subarray(await this.#writer.write(rest));
      } catch (error) {
        if (codeOf(error) === "EAGAIN") {
          await new Promise<void>((resolve) => void this.#clock.setTimer(FULL_RETRY_MS, resolve));
          continue;
        }
        // The reader has left (EPIPE) or the stream is broken: there is nobody to tell.
        this.#closed = true;
        this.#waiting = [];
        return;
      }
    }
  }
}
