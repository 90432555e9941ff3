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
import type { ReadTurns } from "./read_turns.ts";

/**
 * The read buffer of an idle connection, each way. One byte above a round size, so that a
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
/**
 * Spare buffers kept of each size: 21 MB at most, once 64 streams have run at full speed. Each needs one. With 8 of them 64
 * streams took 2.5 times the CPU, since new buffers have to be zeroed and collected.
 */
const KEPT_BUFFERS = 64;
/**
 * While buffers of so many bytes are in use, others have the smallest size: writes that nobody takes may keep theirs for
 * long. There is room for those of the streams above.
 */
const USED_LIMIT_BYTES = KEPT_BUFFERS * LARGEST_BUFFER_BYTES;

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
  called?(tap: CallTap): boolean;
  /** buildkitd has sent its FIN before the client did: it has left, or has died with nothing of the client's unread. */
  upstreamLeft?(): void;
}

/** How a relay ended: both sides sent their FIN, or one of them broke the connection. */
export type RelayEnd = "completed" | "downstream_reset" | "upstream_reset";

/** How one direction ended. */
type End = "fin" | { readonly broken: Conn; readonly while: "reading" | "writing" };

/**
 * Relays one session until both directions have ended; closes both connections.
 *
 * A reset while reading ends both directions at once (Deno has no way to send an RST, so the other side sees the
 * connection close). A connection that breaks while it is written to may still have sent something before: the other
 * direction is read to its end.
 *
 * There may be thousands of relays, which wait for most of their time: what one keeps meanwhile is two reads.
 */
export class Relay {
  readonly #downstream: Conn;
  readonly #upstream: Conn;
  readonly #traffic: Traffic;
  readonly #events: RelayEvents;
  readonly #turns: ReadTurns;
  /** Listens to the client's calls as long as there is something to learn. */
  #tap: CallTap | undefined;
  #tellEnd: (how: RelayEnd) => void = () => {};
  #tellFault: (error: unknown) => void = () => {};
  /** Directions that run. */
  #directions = 2;
  /** From then on nothing is reported or counted: a write may still be under way. */
  #over = false;
  #isHalf = false;
  #clientEnded = false;
  /** The first connection that broke is the cause. What breaks after that, also by our own close, is a consequence. */
  #broken: Conn | undefined;

  /** Takes over both connections; `traffic` counts what goes through them, and a stream at full speed takes `turns`. */
  constructor(downstream: Conn, upstream: Conn, traffic: Traffic, events: RelayEvents, turns: ReadTurns) {
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#traffic = traffic;
    this.#events = events;
    this.#turns = turns;
  }

  /**
   * Sends what the hold has kept, and then all that comes. Settles when both connections are closed.
   *
   * @throws what an event or the parsing of the client's bytes has thrown, which would be a bug
   */
  run(first: HandOver): Promise<RelayEnd> {
    if (this.#over) return Promise.resolve("completed");
    return new Promise((resolve, reject) => {
      this.#tellEnd = resolve;
      this.#tellFault = reject;
      this.#begin(first);
    });
  }

  /**
   * Ends it at once. Closing the connections from outside does not: on Deno 2.6 a write that is under way goes on until the
   * peer takes it or is gone.
   */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#closeBoth();
    if (this.#broken === undefined) return this.#tellEnd("completed");
    this.#tellEnd(this.#broken === this.#downstream ? "downstream_reset" : "upstream_reset");
  }

  #begin(first: HandOver): void {
    this.#tap = first.tap;
    const fail = (error: unknown) => this.#fail(error);
    // The client may have ended, and what was held may still wait to be written.
    const clientEnds = () => this.#sideEnded();
    if (first.ended) clientEnds();
    first.pending?.then((bytes) => bytes === null && clientEnds(), clientEnds).catch(fail);
    this.#copy(this.#sendFirst(first), this.#downstream, this.#upstream).then((end) => {
      this.#clientEnded = true;
      this.#directionEnded(end);
    }).catch(fail);
    this.#copy(first.written, this.#upstream, this.#downstream).then((end) => {
      if (end === "fin" && !this.#clientEnded && !this.#over) this.#events.upstreamLeft?.();
      this.#directionEnded(end);
    }).catch(fail);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#closeBoth();
    this.#tellFault(error);
  }

  #directionEnded(end: End): void {
    if (end !== "fin") this.#broken ??= end.broken;
    if (--this.#directions === 0) this.stop();
    else if (end !== "fin" && end.while === "reading") this.#closeBoth();
    else this.#sideEnded();
  }

  #sideEnded(): void {
    if (this.#isHalf || this.#over) return;
    this.#isHalf = true;
    this.#events.halfClosed?.();
  }

  #closeBoth(): void {
    close(this.#downstream);
    close(this.#upstream);
  }

  /** Whether the client may go on after what its tap has just learnt. If not, the session has lost its pod. */
  #mayGoOn(tap: CallTap): boolean {
    if (this.#events.called?.(tap) !== false) return true;
    this.stop();
    return false;
  }

  /** Sends what the hold has kept, then what must be parsed before the rest can be copied. Returns how it ended, if it has. */
  async #sendFirst({ chunks, pending, ended, opening, tap }: HandOver): Promise<End | undefined> {
    const downstream = this.#downstream, upstream = this.#upstream;
    const count = (bytes: number) => this.#count(upstream, bytes);
    if (tap?.first !== undefined && !this.#mayGoOn(tap)) return "fin";
    try {
      // Taken out one by one: the next read may be long in coming, and kept bytes are large.
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
      if (bytes === null) {
        this.#sideEnded();
        return await finish(upstream);
      }
      const changes = tap?.changes;
      const { kept } = opening.take(bytes);
      if (tap !== undefined && tap.changes !== changes && !this.#mayGoOn(tap)) return "fin";
      try {
        for (const part of kept) await writeAll(upstream, part, count);
      } catch {
        return { broken: upstream, while: "writing" };
      }
    }
    return undefined;
  }

  /** Copies after `before`, unless that has ended the direction. */
  async #copy(before: Promise<End | undefined | void>, from: Conn, to: Conn): Promise<End> {
    const end = await before;
    if (end !== undefined) return end;
    const waiting = new Uint8Array(WAITING_BUFFER_BYTES);
    let sizeBytes = SMALLEST_BUFFER_BYTES;
    let filled = false;
    for (;;) {
      if (filled) await new Promise<void>((resolve) => this.#turns.take(resolve));
      const buffer: Uint8Array = filled ? borrow(sizeBytes) : waiting;
      try {
        let n: number | null;
        try {
          n = await from.read(buffer);
        } catch {
          return { broken: from, while: "reading" };
        }
        if (n === null) break;
        filled = n === buffer.byteLength;
        const bytes = filled ? buffer : buffer.subarray(0, n);
        if (this.#tap !== undefined && from === this.#downstream && !this.#listen(this.#tap, bytes)) {
          return "fin";
        }
        try {
          const written = await to.write(bytes);
          this.#count(to, written);
          if (written < n) await writeAll(to, bytes.subarray(written), (rest) => this.#count(to, rest));
        } catch {
          return { broken: to, while: "writing" };
        }
        if (buffer === waiting) continue;
        keep(buffer);
        sizeBytes = nextBufferBytes(buffer.byteLength, n);
      } finally {
        if (buffer !== waiting) usedBytes -= buffer.byteLength;
      }
    }
    // Now, and not when the end is passed on: over TLS that waits for a peer that takes nothing.
    this.#sideEnded();
    return await finish(to);
  }

  /** Hears what the client sends. False if it must not be sent. */
  #listen(tap: CallTap, bytes: Uint8Array): boolean {
    const mayGoOn = !tap.take(bytes) || this.#mayGoOn(tap);
    if (tap.done) this.#tap = undefined;
    return mayGoOn;
  }

  #count(to: Conn, bytes: number): void {
    if (this.#over) return;
    const traffic = this.#traffic;
    if (to === this.#upstream) {
      if (traffic.upstreamBytes === 0) this.#events.upstream();
      traffic.upstreamBytes += bytes;
    } else {
      if (traffic.downstreamBytes === 0) this.#events.downstream();
      traffic.downstreamBytes += bytes;
    }
  }
}

async function readSome(from: Conn): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(WAITING_BUFFER_BYTES);
  const n = await from.read(buffer);
  return n === null ? null : buffer.subarray(0, n);
}

/** The size of the next buffer, after a read of `n` bytes into one of `sizeBytes`. */
export function nextBufferBytes(sizeBytes: number, n: number): number {
  if (n === sizeBytes) return Math.min(LARGEST_BUFFER_BYTES, sizeBytes * GROWTH);
  return n <= sizeBytes / GROWTH ? Math.max(SMALLEST_BUFFER_BYTES, sizeBytes / GROWTH) : sizeBytes;
}

/** Unused buffers, by size: to allocate one costs more than to fill it, since the kernel zeroes its pages. */
const spare = new Map<number, Uint8Array[]>();

/** Bytes of the buffers that are in use. */
let usedBytes = 0;

/** A buffer of that size, or of the smallest one. */
function borrow(wantedBytes: number): Uint8Array {
  const sizeBytes = usedBytes + wantedBytes <= USED_LIMIT_BYTES ? wantedBytes : SMALLEST_BUFFER_BYTES;
  usedBytes += sizeBytes;
  return spare.get(sizeBytes)?.pop() ?? new Uint8Array(sizeBytes);
}

/** Nothing may read from the buffer or write to it after this, which is not sure of one whose read or write has failed. */
function keep(buffer: Uint8Array): void {
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
