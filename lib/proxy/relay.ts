/**
 * Copies bytes both ways between a client and buildkitd, with half-close, until both directions have ended. It does not
 * interpret them. Only closing the socket cancels a read (Deno has no other way), and nothing that was read is lost.
 *
 * @module
 */
import { close, writeAll } from "../base/conn.ts";
import type { Conn } from "../base/network.ts";
import type { CallTap } from "./call_tap.ts";
import type { HandOver } from "./hand_over.ts";

/**
 * The read buffer of an idle connection, each way: all that an idle session costs. One byte above a round size, so that a
 * message of that size does not fill it.
 */
const WAITING_BUFFER_BYTES = 1024 + 1;
/**
 * The buffers used while reads fill them, starting with the smallest. With 256 KiB a stream reaches the throughput of a
 * splicing proxy (`tests/bench`).
 */
const SMALLEST_BUFFER_BYTES = 16 * 1024;
const LARGEST_BUFFER_BYTES = 256 * 1024;
/** The factor from one size to the next. */
const GROWTH = 4;
/** Spare buffers kept of each size. A stream at full speed needs one each way. */
const KEPT_BUFFERS = 8;

/** What has gone through a session so far. */
export interface Traffic {
  /** From the client to buildkitd. */
  upstreamBytes: number;
  /** From buildkitd to the client. */
  downstreamBytes: number;
}

/** What a relay reports. */
export interface RelayEvents {
  /** The first bytes have gone from the client to buildkitd. */
  upstream(): void;
  /** The first bytes have gone from buildkitd to the client. */
  downstream(): void;
  /** One side has ended, with a FIN or broken, and the other has not yet. Called once. */
  halfClosed?(): void;
  /**
   * The tap of the hand-over has learnt something from bytes that are not sent yet. If it returns false, they must not be:
   * the relay ends at once.
   */
  called?(): boolean;
  /** buildkitd has sent its FIN before the client did: it has left, or has died with nothing of the client's unread. */
  upstreamLeft?(): void;
}

/** How a relay ended: both sides sent their FIN, or one of them broke the connection. */
export type RelayEnd = "completed" | "downstream_reset" | "upstream_reset";

/** How one direction ended. */
type End = "fin" | { readonly broken: Conn; readonly while: "reading" | "writing" };

/**
 * Relays until both directions have ended; closes both connections.
 *
 * A reset while reading ends both directions at once (Deno has no way to send an RST, so the other side sees the
 * connection close). A connection that breaks while it is written to may still have sent something before: the other
 * direction is read to its end.
 *
 * `stop` ends it at once. Closing the connections from outside does not: on Deno 2.6 a write that is under way goes on
 * until the peer takes it or is gone.
 */
export async function relay(
  downstream: Conn,
  upstream: Conn,
  first: HandOver,
  traffic: Traffic,
  events: RelayEvents,
  stop?: AbortSignal,
): Promise<RelayEnd> {
  const closeBoth = () => {
    close(downstream);
    close(upstream);
  };
  const stopped = Promise.withResolvers<void>();
  // From then on nothing is reported or counted: a write may still be under way.
  let over = false;
  const onStop = () => {
    over = true;
    closeBoth();
    stopped.resolve();
  };
  stop?.addEventListener("abort", onStop, { once: true });
  if (stop?.aborted) onStop();
  let half = false;
  const sideEnded = () => {
    if (half || over) return;
    half = true;
    events.halfClosed?.();
  };
  // The first connection that broke is the cause. What breaks after that, also by our own close, is a consequence.
  let broken: Conn | undefined;
  const onEnd = (end: End): void => {
    if (end !== "fin") broken ??= end.broken;
    if (end !== "fin" && end.while === "reading") closeBoth();
    else sideEnded();
  };
  const countUpstream = (n: number) => {
    if (over) return;
    if (traffic.upstreamBytes === 0) events.upstream();
    traffic.upstreamBytes += n;
  };
  const countDownstream = (n: number) => {
    if (over) return;
    if (traffic.downstreamBytes === 0) events.downstream();
    traffic.downstreamBytes += n;
  };
  // The client may have ended, and what was held may still wait to be written.
  if (first.ended) sideEnded();
  first.pending?.then((bytes) => bytes === null && sideEnded(), sideEnded);
  let clientEnded = false;
  const mayCall = () => events.called?.() ?? true;
  const sent = sendFirst(downstream, upstream, first, countUpstream, mayCall);
  const listening = first.tap && { tap: first.tap, mayCall };
  const ends = Promise.all([
    copy(sent, downstream, upstream, countUpstream, listening).then((end) => {
      clientEnded = true;
      onEnd(end);
    }),
    copy(first.written, upstream, downstream, countDownstream).then((end) => {
      if (end === "fin" && !clientEnded && !over) events.upstreamLeft?.();
      onEnd(end);
    }),
  ]);
  await Promise.race([ends, stopped.promise]);
  over = true;
  stop?.removeEventListener("abort", onStop);
  closeBoth();
  if (broken === undefined) return "completed";
  return broken === downstream ? "downstream_reset" : "upstream_reset";
}

/** Sends what the hold has kept, then what must be parsed before the rest can be copied. Returns how it ended, if it has. */
async function sendFirst(
  downstream: Conn,
  upstream: Conn,
  { chunks, pending, ended, opening, tap }: HandOver,
  count: (bytes: number) => void,
  mayCall: () => boolean,
): Promise<End | undefined> {
  if (tap?.first !== undefined && !mayCall()) return lost(upstream);
  // Taken out one by one: the hand-over stays referenced as long as the session runs, and kept bytes are large.
  try {
    for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) {
      await writeAll(upstream, chunk, count);
    }
  } catch {
    return { broken: upstream, while: "writing" };
  }
  if (ended) return await finish(upstream);
  // First the read that was under way, then more until nothing has to be removed any more.
  for (let reading = pending; reading !== undefined || !opening.blind; reading = undefined) {
    let bytes: Uint8Array | null;
    try {
      bytes = await (reading ?? readSome(downstream));
    } catch {
      return { broken: downstream, while: "reading" };
    }
    if (bytes === null) return await finish(upstream);
    const knew = tap?.first;
    const watched = tap?.watches;
    const { kept } = opening.take(bytes);
    if ((tap?.first !== knew || tap?.watches !== watched) && !mayCall()) return lost(upstream);
    try {
      for (const part of kept) await writeAll(upstream, part, count);
    } catch {
      return { broken: upstream, while: "writing" };
    }
  }
  return undefined;
}

async function readSome(from: Conn): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(WAITING_BUFFER_BYTES);
  const n = await from.read(buffer);
  return n === null ? null : buffer.subarray(0, n);
}

/** Listens to the client's calls while its bytes are copied. */
interface Listening {
  readonly tap: CallTap;
  /** What the tap has just learnt permits to send the bytes. */
  readonly mayCall: () => boolean;
}

/** The session has lost its pod, and nothing more may be sent there. */
function lost(upstream: Conn): End {
  return { broken: upstream, while: "reading" };
}

/** Copies after `before`, unless that has ended the direction. */
async function copy(
  before: Promise<End | undefined | void>,
  from: Conn,
  to: Conn,
  count: (bytes: number) => void,
  listening?: Listening,
): Promise<End> {
  const end = await before;
  if (end !== undefined) return end;
  const waiting = new Uint8Array(WAITING_BUFFER_BYTES);
  let sizeBytes = SMALLEST_BUFFER_BYTES;
  let filled = false;
  for (;;) {
    const buffer: Uint8Array = filled ? borrow(sizeBytes) : waiting;
    let n: number | null;
    try {
      n = await from.read(buffer);
    } catch {
      return { broken: from, while: "reading" };
    }
    if (n === null) {
      if (buffer !== waiting) giveBack(buffer);
      return await finish(to);
    }
    filled = n === buffer.byteLength;
    if (listening !== undefined) {
      const { tap, mayCall } = listening;
      if (tap.take(buffer.subarray(0, n)) && !mayCall()) return lost(to);
      if (tap.done) listening = undefined;
    }
    try {
      await writeAll(to, filled ? buffer : buffer.subarray(0, n), count);
    } catch {
      return { broken: to, while: "writing" };
    }
    if (buffer === waiting) continue;
    giveBack(buffer);
    sizeBytes = nextBufferBytes(sizeBytes, n);
  }
}

/** The size of the next buffer, after a read of `n` bytes into one of `sizeBytes`. */
export function nextBufferBytes(sizeBytes: number, n: number): number {
  if (n === sizeBytes) return Math.min(LARGEST_BUFFER_BYTES, sizeBytes * GROWTH);
  return n <= sizeBytes / GROWTH ? Math.max(SMALLEST_BUFFER_BYTES, sizeBytes / GROWTH) : sizeBytes;
}

/** Unused buffers, by size: to allocate one costs more than to fill it, since the kernel zeroes its pages. */
const spare = new Map<number, Uint8Array[]>();

function borrow(sizeBytes: number): Uint8Array {
  return spare.get(sizeBytes)?.pop() ?? new Uint8Array(sizeBytes);
}

/** Nothing may read from the buffer or write to it after this. */
function giveBack(buffer: Uint8Array): void {
  const kept = spare.get(buffer.byteLength);
  if (kept === undefined) spare.set(buffer.byteLength, [buffer]);
  else if (kept.length < KEPT_BUFFERS) kept.push(buffer);
}

/** Passes a FIN on. */
async function finish(to: Conn): Promise<End> {
  try {
    await to.closeWrite();
  } catch {
    // It is gone already, which ends its own direction.
  }
  return "fin";
}
