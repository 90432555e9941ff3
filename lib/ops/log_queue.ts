/**
 * The way of log lines to a stream that may be slow, full or gone. Writing is asynchronous and what waits is bounded, so
 * a reader that stops reading, or a disk that is full, costs records (counted, and said once they can be written again)
 * but never holds up a session; a reader that has left costs nothing at all.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import { codeOf, messageOf } from "../base/errors.ts";

/** Where lines go: `Deno.stderr` has this shape. */
export interface ByteWriter {
  /** Writes some of `bytes` and says how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/** The most characters that wait, about as many bytes. */
const MAX_WAITING = 1 << 20;
/** How long to wait when a non-blocking stream is full. */
const FULL_RETRY_MS = 20;

const LINE_FEED = 10;

const encoder = new TextEncoder();

/** A bounded queue of lines in front of a {@link ByteWriter}. */
export class LogQueue {
  readonly #writer: ByteWriter;
  readonly #clock: Clock;
  readonly #onDropped: (count: number, cause: string) => string;
  #waiting: string[] = [];
  #waitingLength = 0;
  #dropped = 0;
  /** Why the last of them were dropped. */
  #cause = "";
  /** A write has failed in the middle of a line. */
  #torn = false;
  #closed = false;
  #pumping: Promise<void> | undefined;

  /** `onDropped` makes the line that says how many were lost, and why. */
  constructor(writer: ByteWriter, clock: Clock, onDropped: (count: number, cause: string) => string) {
    this.#writer = writer;
    this.#clock = clock;
    this.#onDropped = onDropped;
  }

  /** Takes a line, its line feed included. Never waits and never throws. */
  push(line: string): void {
    if (this.#closed) return;
    if (this.#waitingLength + line.length > MAX_WAITING) {
      this.#dropped += 1;
      this.#cause = "the log was not read";
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
      const records = lines.length;
      const dropped = this.#dropped;
      this.#waiting = [];
      this.#waitingLength = 0;
      this.#dropped = 0;
      if (dropped > 0) lines.push(this.#onDropped(dropped, this.#cause));
      const unwritten = await this.#writeAll(encoder.encode(`${this.#torn ? "\n" : ""}${lines.join("")}`));
      // What could not be written is said to be lost, and so is what that would have said.
      if (unwritten > 0) this.#dropped += dropped + Math.min(records, unwritten - (dropped > 0 ? 1 : 0));
    }
    this.#pumping = undefined;
  }

  /** Gives the number of lines that could not be written. */
  async #writeAll(bytes: Uint8Array): Promise<number> {
    for (let rest = bytes; rest.length > 0;) {
      try {
        rest = rest.subarray(await this.#writer.write(rest));
      } catch (error) {
        if (codeOf(error) === "EAGAIN") {
          await new Promise<void>((resolve) => void this.#clock.setTimer(FULL_RETRY_MS, resolve));
          continue;
        }
        if (isGone(error)) {
          this.#closed = true;
          this.#waiting = [];
          return 0; // nobody reads what would be said of the rest
        }
        this.#cause = messageOf(error);
        if (rest.length < bytes.length) this.#torn = bytes[bytes.length - rest.length - 1] !== LINE_FEED;
        return rest.filter((byte) => byte === LINE_FEED).length;
      }
    }
    this.#torn = false;
    return 0;
  }
}

/** Nobody will ever read what is written here: the reader has left, or the stream is closed. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource ||
    ["EPIPE", "EBADF"].includes(codeOf(error) ?? "");
}
