/**
 * Parses the events of one watch. Ends when the server ends the stream; throws when the stream breaks, is silent for
 * too long, or contains an error. Knows nothing about lists and versions.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { ApiError, type ApiTarget, type StatusLike } from "./api_error.ts";
import { JsonText } from "./json_text.ts";

/**
 * One event. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
export interface WatchEvent<T> {
  /** What happened; `BOOKMARK` only carries a resourceVersion. */
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  /** The object as it is after the event (before it, for `DELETED`). */
  readonly object: T;
}

/** The stream was silent for too long: the peer may be dead, which TCP does not report. */
export class SilenceError extends Error {
  /** Always `SilenceError`. */
  override readonly name = "SilenceError";
}

/**
 * A longer line is refused. The objects that the program watches have a few kB, and 500 kB at most (an EndpointSlice of 1,000
 * endpoints). etcd stores no more than 1.5 MiB of an object.
 */
const LONGEST_LINE_BYTES = 4 * 1024 * 1024;

/** How long a stream may be silent. Can change while the stream runs. */
export class SilenceLimit {
  #limitMs: number;
  #onChange: (() => void) | undefined;

  /** Starts with a limit in ms. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The limit now, in ms. */
  get limitMs(): number {
    return this.#limitMs;
  }

  /** Sets another limit, which also counts for a silence that has begun. */
  set limitMs(value: number) {
    if (value === this.#limitMs) return;
    this.#limitMs = value;
    this.#onChange?.();
  }

  /** Told of changes; only one stream at a time. */
  watch(onChange: (() => void) | undefined): void {
    this.#onChange = onChange;
  }
}

/**
 * Reads the events of a watch's body.
 *
 * @throws SilenceError when the stream was silent for too long, ApiError for an `ERROR` event, the signal's reason, or
 * what the stream throws
 */
export async function* watchEvents<T>(
  body: ReadableStream<Uint8Array>,
  target: ApiTarget,
  clock: Clock,
  silence: SilenceLimit,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent<T>> {
  const reader = body.getReader();
  let ended: unknown;
  const end = (reason: unknown) => {
    ended = reason;
    reader.cancel(reason).catch(() => {});
  };
  const onAbort = () => end(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  let heardMs = clock.nowMs();
  let cancelTimer = () => {};
  const arm = () => {
    cancelTimer();
    const leftMs = heardMs + silence.limitMs - clock.nowMs();
    cancelTimer = clock.setTimer(Math.max(0, leftMs), () => {
      end(new SilenceError(`The watch was silent for ${silence.limitMs / 1000}s`));
    });
  };
  silence.watch(arm);
  arm();
  const text = new JsonText(LONGEST_LINE_BYTES);
  const add = (piece: Uint8Array) => {
    try {
      text.add(piece);
    } catch (cause) {
      throw new Error(`Cannot read a watch event: ${messageOf(cause)}`);
    }
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (ended !== undefined) throw ended;
      // A last line without its newline is incomplete. It is dropped; the next watch sends it again.
      if (done) return;
      heardMs = clock.nowMs();
      arm();
      let rest = value;
      for (let end = rest.indexOf(LINE_FEED); end >= 0; end = rest.indexOf(LINE_FEED)) {
        add(rest.subarray(0, end));
        rest = rest.subarray(end + 1);
        const line = text.take();
        if (line.trim() === "") continue;
        yield parseEvent(line, target);
        if (ended !== undefined) throw ended;
      }
      add(rest);
    }
  } finally {
    cancelTimer();
    silence.watch(undefined);
    signal.removeEventListener("abort", onAbort);
    reader.cancel().catch(() => {});
  }
}

const LINE_FEED = 10;

function parseEvent<T>(line: string, target: ApiTarget): WatchEvent<T> {
  let event: { type?: string; object?: unknown };
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new Error("Cannot read a watch event: it is not JSON", { cause });
  }
  switch (event.type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
    case "BOOKMARK":
      if (typeof event.object !== "object" || event.object === null) {
        throw new Error("A watch event has no object");
      }
      return event as WatchEvent<T>;
    case "ERROR": {
      const status = (event.object ?? {}) as StatusLike;
      throw new ApiError(target, status.code ?? 500, status);
    }
    default:
      throw new Error(`Cannot read a watch event: found type "${event.type}"`);
  }
}
