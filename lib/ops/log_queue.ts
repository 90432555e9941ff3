/**
 * A bounded queue of log lines in front of a stream that may be slow, full or closed. Writing is asynchronous, so it
 * never delays a session. If the reader stops or the disk is full, records are dropped, counted, and reported once
 * writing works again. If the stream is closed, all records are dropped.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import { codeOf, messageOf } from "../base/errors.ts";

/** Where lines go: `Deno.stderr` has this shape. */
export interface ByteWriter {
  /** Writes some of `bytes` and resolves to their number. */
  write(bytes: Uint8Array): Promise<number>;
}

/** The maximum of queued characters, which is about the number of bytes. */
const MAX_WAITING = 1 << 20;
/** The pause when a non-blocking stream is full, in ms. */
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
  /** Why the last records were dropped. */
  #cause = "";
  /** Whether a write has failed in the middle of a line. */
  #partialLine = false;
  #closed = false;
  #pumping: Promise<void> | undefined;

  /** `onDropped` makes the line that reports the number of lost records and the cause. */
  constructor(writer: ByteWriter, clock: Clock, onDropped: (count: number, cause: string) => string) {
    this.#writer = writer;
    this.#clock = clock;
    this.#onDropped = onDropped;
  }

  /** Queues a line with its line feed. Never waits and never throws. */
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

  /** Waits until all lines are written, at most `timeoutMs`. */
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
    // Lines that are logged in the same turn are written together.
    await Promise.resolve();
    while (this.#waiting.length > 0 && !this.#closed) {
      const lines = this.#waiting;
      const records = lines.length;
      const dropped = this.#dropped;
      this.#waiting = [];
      this.#waitingLength = 0;
      this.#dropped = 0;
      if (dropped > 0) lines.push(this.#onDropped(dropped, this.#cause));
      const unwritten = await this.#writeAll(
        encoder.encode(`${this.#partialLine ? "\n" : ""}${lines.join("")}`),
      );
      // Lines that could not be written count as lost, and so do those that the lost report was about.
      if (unwritten > 0) this.#dropped += dropped + Math.min(records, unwritten - (dropped > 0 ? 1 : 0));
    }
    this.#pumping = undefined;
  }

  /** Returns the number of lines that could not be written. */
  async #writeAll(bytes: Uint8Array): Promise<number> {
    for (let rest = bytes; rest.length > 0;) {
      try {
        rest = rest.subarray(await this.#writer.write(rest));
      } catch (error) {
        if (codeOf(error) === "EAGAIN") {
          await new Promise<void>((resolve) => void this.#clock.setTimer(FULL_RETRY_MS, resolve));
          continue;
        }
        if (isStreamClosed(error)) {
          this.#closed = true;
          this.#waiting = [];
          return 0; // there is no reader to report the rest to
        }
        this.#cause = messageOf(error);
        if (rest.length < bytes.length) {
          this.#partialLine = bytes[bytes.length - rest.length - 1] !== LINE_FEED;
        }
        return rest.filter((byte) => byte === LINE_FEED).length;
      }
    }
    this.#partialLine = false;
    return 0;
  }
}

/** Whether the stream is closed for good. */
function isStreamClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource ||
    ["EPIPE", "EBADF"].includes(codeOf(error) ?? "");
}
