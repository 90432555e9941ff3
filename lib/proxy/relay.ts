/**
 * Carries bytes both ways between a client and buildkitd, with half-close, until both directions have ended. It looks at
 * no byte. Reads are never cancelled other than by closing the socket (Deno cannot), and nothing that was read is lost.
 *
 * @module
 */
import type { Conn } from "../base/network.ts";
import type { HandOver } from "./hold.ts";

/**
 * Buffers start at the smallest size, since an idle session must not hold a large one, and grow to the largest while
 * reads fill them: 256 KiB is where a stream reaches the throughput of a splicing proxy (`tests/bench`).
 */
const SMALLEST_BUFFER_BYTES = 8 * 1024;
/** The next read of a socket that was just drained waits with no more than this. */
const DRAINED_BUFFER_BYTES = 64 * 1024;
const LARGEST_BUFFER_BYTES = 256 * 1024;

/** What has gone through a session so far. */
export interface Traffic {
  /** From the client to buildkitd. */
  upstreamBytes: number;
  /** From buildkitd to the client. */
  downstreamBytes: number;
}

/** Told when the first bytes have gone through. */
export interface FirstBytes {
  /** From the client to buildkitd. */
  upstream(): void;
  /** From buildkitd to the client. */
  downstream(): void;
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
 */
export async function relay(
  downstream: Conn,
  upstream: Conn,
  first: HandOver,
  traffic: Traffic,
  firstBytes: FirstBytes,
): Promise<RelayEnd> {
  const closeBoth = () => {
    close(downstream);
    close(upstream);
  };
  // The first thing that broke is the cause; what breaks because of it, by our own closing too, says nothing.
  let broken: Conn | undefined;
  const watch = async (direction: Promise<End>): Promise<void> => {
    const end = await direction;
    if (end === "fin") return;
    broken ??= end.broken;
    if (end.while === "reading") closeBoth();
  };
  await Promise.all([
    watch(toUpstream(downstream, upstream, first, (n) => {
      if (traffic.upstreamBytes === 0) firstBytes.upstream();
      traffic.upstreamBytes += n;
    })),
    watch(copyAfter(first.written, upstream, downstream, (n) => {
      if (traffic.downstreamBytes === 0) firstBytes.downstream();
      traffic.downstreamBytes += n;
    })),
  ]);
  closeBoth();
  if (broken === undefined) return "completed";
  return broken === downstream ? "downstream_reset" : "upstream_reset";
}

/** Closes a connection that may be closed already. */
export function close(conn: Conn): void {
  try {
    conn.close();
  } catch {
    // BadResource: it was closed before.
  }
}

async function toUpstream(
  downstream: Conn,
  upstream: Conn,
  { chunks, pending, ended, opening }: HandOver,
  count: (bytes: number) => void,
): Promise<End> {
  try {
    for (const chunk of chunks) await writeAll(upstream, chunk, count);
  } catch {
    return { broken: upstream, while: "writing" };
  }
  if (ended) return await finish(upstream);
  // The read that was under way comes first, and then more until nothing has to be taken out.
  for (let reading = pending; reading !== undefined || !opening.blind; reading = undefined) {
    let bytes: Uint8Array | null;
    try {
      bytes = await (reading ?? readSome(downstream));
    } catch {
      return { broken: downstream, while: "reading" };
    }
    if (bytes === null) return await finish(upstream);
    try {
      for (const part of opening.take(bytes).kept) await writeAll(upstream, part, count);
    } catch {
      return { broken: upstream, while: "writing" };
    }
  }
  return await copy(downstream, upstream, count);
}

async function readSome(from: Conn): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(SMALLEST_BUFFER_BYTES);
  const n = await from.read(buffer);
  return n === null ? null : buffer.subarray(0, n);
}

async function copyAfter(
  before: Promise<void>,
  from: Conn,
  to: Conn,
  count: (n: number) => void,
): Promise<End> {
  await before;
  return await copy(from, to, count);
}

async function copy(from: Conn, to: Conn, count: (bytes: number) => void): Promise<End> {
  let buffer = new Uint8Array(SMALLEST_BUFFER_BYTES);
  for (;;) {
    let n: number | null;
    try {
      n = await from.read(buffer);
    } catch {
      return { broken: from, while: "reading" };
    }
    if (n === null) return await finish(to);
    try {
      await writeAll(to, n === buffer.byteLength ? buffer : buffer.subarray(0, n), count);
    } catch {
      return { broken: to, while: "writing" };
    }
    const nextBytes = nextBufferBytes(buffer.byteLength, n);
    if (nextBytes !== buffer.byteLength) buffer = new Uint8Array(nextBytes);
  }
}

/** The size of the next read's buffer, after a read of `n` bytes into one of `sizeBytes`. */
export function nextBufferBytes(sizeBytes: number, n: number): number {
  if (n === sizeBytes) return Math.min(LARGEST_BUFFER_BYTES, sizeBytes * 2);
  if (n > DRAINED_BUFFER_BYTES / 2) return DRAINED_BUFFER_BYTES;
  return n > SMALLEST_BUFFER_BYTES ? Math.min(sizeBytes, DRAINED_BUFFER_BYTES) : SMALLEST_BUFFER_BYTES;
}

/** Writes all of `bytes`, telling `count` of each part. */
export async function writeAll(
  to: Conn,
  bytes: Uint8Array,
  count: (bytes: number) => void = () => {},
): Promise<void> {
  for (let rest = bytes;;) {
    const n = await to.write(rest);
    count(n);
    if (n === rest.byteLength) return;
    rest = rest.subarray(n);
  }
}

/** Passes a FIN on. */
async function finish(to: Conn): Promise<End> {
  try {
    await to.closeWrite();
  } catch {
    // It is gone already: its own direction ends by that.
  }
  return "fin";
}
