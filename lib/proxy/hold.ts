/**
 * What a client does while it has no backend: the bytes that it sends are kept, in order and bounded, and that it leaves
 * is noticed at once. A client that speaks HTTP/2 is kept patient (`http2_opening.ts`), and told why when the hold fails.
 * A pending read is how a leaving client is noticed; it is handed on to the relay, since only closing the socket cancels
 * it.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import { writeAll } from "../base/conn.ts";
import type { Conn } from "../base/network.ts";
import type { HandOver } from "./hand_over.ts";
import { goAway } from "./http2_errors.ts";
import type { Malformed } from "./http2_faults.ts";
import { Http2Opening, type OpeningKind, type Refusal } from "./http2_opening.ts";
import { Pieces } from "./pieces.ts";

/** Kept bytes of one session never exceed this; past it reading stops until there is a backend. */
export const SESSION_LIMIT_BYTES = 128 * 1024;

/** Kept bytes of all sessions together never exceed this by more than one read of each. */
export const TOTAL_LIMIT_BYTES = 64 * 1024 * 1024;

/** What a held session waits with, as long as nothing comes: thousands may be held, and openings are small. */
const READ_BYTES = 1024;

const NO_BYTES = new Uint8Array();

/** How a held client left: with a FIN (which may also be a half-close), or with an RST. */
export type Leaving = "fin" | "reset";

/** Bytes that all held sessions keep together. */
export class HoldBudget {
  readonly #limitBytes: number;
  readonly #onChange: (usedBytes: number) => void;
  readonly #waiting = new Set<() => void>();
  #usedBytes = 0;

  /** Reports the sum to `onChange`. */
  constructor(limitBytes: number, onChange: (usedBytes: number) => void) {
    this.#limitBytes = limitBytes;
    this.#onChange = onChange;
  }

  /** Bytes that may still be kept. */
  get leftBytes(): number {
    return this.#limitBytes - this.#usedBytes;
  }

  /** Keeps (or, if negative, gives back) some bytes. */
  add(bytes: number): void {
    if (bytes === 0) return;
    this.#usedBytes += bytes;
    this.#onChange(this.#usedBytes);
    if (bytes > 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const look of waiting) look();
  }

  /** Calls `look` once, when bytes were given back. */
  onRoom(look: () => void): void {
    this.#waiting.add(look);
  }

  /** Undoes `onRoom`. */
  forget(look: () => void): void {
    this.#waiting.delete(look);
  }
}

/** What a hold tells. */
export interface HoldEvents {
  /** The client has sent something. */
  bytes(): void;
  /** The client has left; the last event. */
  left(how: Leaving): void;
  /** The client breaks the protocol: it has been told, and should be closed; the last event. */
  malformed(what: Malformed): void;
}

/** The hold of one session. */
export class Hold {
  readonly #conn: Conn;
  readonly #budget: HoldBudget;
  readonly #events: HoldEvents;
  #buffer = new Uint8Array(READ_BYTES);
  readonly #opening = new Http2Opening();
  /** For the daemon, in order; has been through the opening. */
  readonly #kept = new Pieces();
  /** What came while the hold did not look at it. */
  readonly #unseen = new Pieces();
  #keptBytes = 0;
  #pending: Promise<Uint8Array | null> | undefined;
  #written = Promise.resolve();
  /** A reply could not be written: nobody hears the next one. */
  #deaf = false;
  readonly #gone = new AbortController();
  #left: Leaving | undefined;
  #looks = false;
  #refuses = false;
  /** The bounds have stopped the reading. */
  #stopped = false;
  #over = false;
  readonly #onRoom = () => {
    if (this.#stopped && !this.#over) this.#read();
  };

  /** Reads nothing before `start`. */
  constructor(conn: Conn, budget: HoldBudget, events: HoldEvents) {
    this.#conn = conn;
    this.#budget = budget;
    this.#events = events;
  }

  /** How the client left, if it has. */
  get left(): Leaving | undefined {
    return this.#left;
  }

  /** Aborted when the client has left, or when nothing can be said to it: it speaks something else. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** What the client speaks, as far as that is known. */
  get speaks(): OpeningKind {
    return this.#opening.kind;
  }

  /** The client has said that it is about to leave. */
  get goAway(): boolean {
    return this.#opening.goAway;
  }

  /** Resolves when all that was said to the client so far is written. */
  get written(): Promise<void> {
    return this.#written;
  }

  /** Begins to read, without a look at the bytes: there may be a backend at once. */
  start(): void {
    this.#read();
  }

  /** There is no backend: looks at the bytes, and keeps an HTTP/2 client patient. */
  wait(): void {
    this.#looks = true;
    const unseen = this.#unseen.take();
    const unseenBytes = unseen.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const stopped = this.#stopped;
    this.#stopped = false;
    if (this.#look(unseen, unseenBytes) && stopped) this.#read();
  }

  /** There may be a backend: stops looking, unless something was said to the client already. */
  dial(): void {
    this.#looks = this.#opening.kind === "http2";
  }

  /** Ends the hold. Everything that was read, and the read under way, is the relay's now. */
  handOver(): HandOver {
    const chunks = [...this.#kept.take(), ...this.#opening.connect(), ...this.#unseen.take()];
    const handOver = {
      chunks,
      pending: this.#pending,
      ended: this.#left === "fin",
      written: this.#written,
      opening: this.#opening,
    };
    this.end();
    return handOver;
  }

  /**
   * The hold has failed: answers every call of an HTTP/2 client with an error, those that wait and those to come, and
   * forgets what was kept. The client is then to be closed when it has left or after a while, not at once: it makes
   * another call before it exits, and on a closed connection it would dial again.
   */
  refuse(refusal: Refusal): void {
    if (!this.#looks) this.wait();
    this.#refuses = true;
    this.#reply(this.#opening.refuse(refusal));
    this.#forget();
    if (this.#opening.kind === "other") this.#gone.abort(new Error("The client cannot be told"));
    if (this.#stopped) this.#read();
  }

  /** Ends the hold and forgets what was kept. Harmless after `handOver`. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#budget.forget(this.#onRoom);
    this.#forget();
    this.#unseen.take();
    // The session refers to its hold to the end; only a read that is under way still needs the buffer.
    this.#buffer = NO_BYTES;
  }

  #forget(): void {
    this.#budget.add(-this.#keptBytes);
    this.#keptBytes = 0;
    this.#kept.take();
  }

  #read(): void {
    this.#pending = undefined;
    const full = this.#keptBytes + READ_BYTES > SESSION_LIMIT_BYTES;
    this.#stopped = (full || this.#budget.leftBytes < READ_BYTES) && !this.#refuses;
    if (this.#stopped) {
      // What others give back is no room for a session that is full by itself.
      if (!full) this.#budget.onRoom(this.#onRoom);
      return;
    }
    const buffer = this.#buffer;
    // Not a copy: before the next read all of it has been copied or forgotten, and the relay reads into buffers of its own.
    const pending = this.#conn.read(buffer).then((n) => n === null ? null : buffer.subarray(0, n));
    this.#pending = pending;
    pending.then((bytes) => this.#came(bytes), () => this.#leave("reset"));
  }

  #came(bytes: Uint8Array | null): void {
    if (this.#over) return;
    if (bytes === null) return this.#leave("fin");
    this.#pending = undefined;
    if (this.#looks) {
      if (!this.#look([bytes], 0)) return;
    } else {
      this.#unseen.push(bytes);
      this.#count(bytes.byteLength);
    }
    this.#events.bytes();
    // A client that does not read our replies is not read from either: nothing piles up.
    if (this.#opening.kind === "http2") this.#written.then(() => this.#over || this.#read());
    else this.#read();
  }

  /** Looks at bytes of which `countedBytes` were counted when they came. False when the client has broken the protocol. */
  #look(pieces: readonly Uint8Array[], countedBytes: number): boolean {
    const replies: Uint8Array[] = [];
    let keptBytes = 0;
    let malformed: Malformed | undefined;
    for (const bytes of pieces) {
      const step = this.#opening.take(bytes);
      for (const kept of step.kept) {
        this.#kept.push(kept);
        keptBytes += kept.byteLength;
      }
      replies.push(...step.replies);
      malformed = step.malformed;
      if (malformed !== undefined) break;
    }
    this.#count(keptBytes - countedBytes);
    if (malformed !== undefined) replies.push(goAway(malformed.code));
    this.#reply(replies);
    if (this.#refuses && this.#opening.kind === "other") {
      this.#gone.abort(new Error("The client cannot be told"));
    }
    if (malformed === undefined) return true;
    this.#events.malformed(malformed);
    return false;
  }

  #count(bytes: number): void {
    this.#keptBytes += bytes;
    this.#budget.add(bytes);
  }

  /** All of it is one buffer and one write, and nothing is written after a write that failed. */
  #reply(replies: readonly Uint8Array[]): void {
    if (replies.length === 0 || this.#deaf) return;
    const bytes = concat(replies);
    this.#written = this.#written.then(async () => {
      if (this.#deaf) return;
      try {
        await writeAll(this.#conn, bytes);
      } catch {
        // The client is gone: the read under way says so.
        this.#deaf = true;
      }
    });
  }

  #leave(how: Leaving): void {
    if (this.#over) return;
    this.#pending = undefined;
    this.#left = how;
    this.#events.left(how);
    this.#gone.abort(new Error("The client has left"));
  }
}
