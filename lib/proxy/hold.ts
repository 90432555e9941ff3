/**
 * Holds a client that has no pod yet: keeps the bytes that it sends, in order and up to a limit, and notices at once
 * when it leaves. An HTTP/2 client is sent an early SETTINGS frame, so that it waits (`http2_opening.ts`), and gets an
 * answer when the hold fails. There is always one read under way, since that is how a leaving client is noticed. The
 * relay takes that read over: only closing the socket would cancel it.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import { writeAll } from "../base/conn.ts";
import type { Conn } from "../base/network.ts";
import type { HandOver } from "./hand_over.ts";
import { MEANINGLESS } from "../target/http2_frames.ts";
import { goAway } from "./http2_errors.ts";
import type { Malformed } from "./http2_faults.ts";
import { Http2Opening, type OpeningKind, type Refusal } from "./http2_opening.ts";
import type { Words } from "./introduction.ts";
import { Pieces } from "./pieces.ts";
import type { ReadTurns } from "./read_turns.ts";
import { callerOf, TlsGreeting } from "./callers.ts";

/** Kept bytes of one session never exceed this. At the limit, reading stops until there is a pod. */
export const SESSION_LIMIT_BYTES = 128 * 1024;

/** Kept bytes of all sessions together never exceed this by more than the first bytes of each. */
export const TOTAL_LIMIT_BYTES = 32 * 1024 * 1024;

/**
 * So much of every session is kept, whatever others keep: its first call, or its ClientHello. A session that waits for no
 * pod, and so perhaps for ever, keeps no more.
 */
export const FIRST_BYTES = 16 * 1024;

/** Beyond its first bytes, a session may keep at most this part of what is left for all. */
const PART_OF_LEFT = 1 / 32;

/** The read buffer of a held session. Thousands may be held, and the first bytes of clients are few. */
const READ_BYTES = 512;

/** The one of a session that has filled that: each read takes time in which nobody else is heard. */
const LARGE_READ_BYTES = 4 * 1024;

/** How a held client left: with a FIN (which may also be a half-close), or with an RST. */
export type Leaving = "fin" | "reset";

/**
 * Bytes that all held sessions keep together. The fewer are left, the less each may keep, so those who keep most stop first
 * and later ones still have room (a dynamic threshold, as switches share their buffers by).
 *
 * @see https://doi.org/10.1109/90.664262 Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches
 */
export class HoldBudget {
  readonly #limitBytes: number;
  readonly #onChange: (usedBytes: number) => void;
  readonly #waiting = new Set<() => void>();
  #usedBytes = 0;

  /** The turns of sessions that send much. Without them they read as they can. */
  readonly turns: ReadTurns | undefined;

  /** Reports the sum to `onChange`. */
  constructor(limitBytes: number, onChange: (usedBytes: number) => void, turns?: ReadTurns) {
    this.turns = turns;
    this.#limitBytes = limitBytes;
    this.#onChange = onChange;
  }

  /** Bytes that may still be kept. Negative when first bytes have exceeded the limit. */
  get leftBytes(): number {
    return this.#limitBytes - this.#usedBytes;
  }

  /** Whether one session may keep as many bytes as this. */
  allows(bytes: number): boolean {
    return bytes <= FIRST_BYTES || bytes - FIRST_BYTES <= this.leftBytes * PART_OF_LEFT;
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

/** What a hold reports. */
export interface HoldEvents {
  /** The client has sent something. */
  bytes(): void;
  /** The client has left; the last event. */
  left(how: Leaving): void;
  /** The client has broken the protocol, and was told so. It should be closed. The last event. */
  malformed(what: Malformed): void;
}

/** The hold of one session. */
export class Hold {
  readonly #conn: Conn;
  readonly #budget: HoldBudget;
  readonly #events: HoldEvents;
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  /** It has filled the first buffer at once. */
  #sendsMuch = false;
  /** What a read has of this hold, until that is over. */
  readonly #reader: { hold: Hold | undefined } = { hold: this };
  readonly #opening = new Http2Opening();
  readonly #hello = new TlsGreeting();
  /** For the daemon, in order; has been through the opening. */
  readonly #kept = new Pieces();
  /** What came while the hold did not parse: in order after `#kept`. */
  #unparsed: Pieces | undefined;
  #keptBytes = 0;
  #pending: Promise<Uint8Array | null> | undefined;
  #written = Promise.resolve();
  /** A reply is being written. */
  #writes = false;
  /** A reply could not be written; no further one is tried. */
  #deaf = false;
  /** Made when it is asked for: most holds end well. */
  #gone: AbortController | undefined;
  #goneWhy: Error | undefined;
  #left: Leaving | undefined;
  /** Bytes are parsed as they come; otherwise they are kept unparsed. */
  #parses = false;
  #spoke = false;
  /** `refuse` was called. */
  #refuses = false;
  /** Reading has stopped at one of the limits. */
  #stopped = false;
  #over = false;
  readonly #onRoom = () => {
    if (this.#stopped && !this.#over) this.#read();
  };

  readonly #onTurn = () => {
    if (!this.#over) this.#read();
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

  /** Aborted when the client has left, or cannot be told anything because it does not speak HTTP/2. */
  get gone(): AbortSignal {
    this.#gone ??= new AbortController();
    if (this.#goneWhy !== undefined) this.#gone.abort(this.#goneWhy);
    return this.#gone.signal;
  }

  /** What the client speaks, as far as that is known. */
  get speaks(): OpeningKind {
    return this.#opening.kind;
  }

  /** What the first bytes say of the session. Known only of bytes that were parsed. */
  get words(): Words {
    const { kind, tap } = this.#opening;
    return kind === "other" ? this.#hello.words : callerOf(tap);
  }

  /** The client has sent something. */
  get spoke(): boolean {
    return this.#spoke;
  }

  /** How much is kept, in bytes. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** The client has sent GOAWAY. */
  get goAway(): boolean {
    return this.#opening.goAway;
  }

  /** Resolves when all replies so far are written. */
  get written(): Promise<void> {
    return this.#written;
  }

  /** Begins to read, without parsing the bytes: a pod may be ready at once. */
  start(): void {
    this.#read();
  }

  /** There is no pod: parses the bytes, and sends an HTTP/2 client the early SETTINGS frame. */
  startParsing(): void {
    this.#parses = true;
    const unparsed = this.#takeUnparsed();
    const unparsedBytes = unparsed.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const stopped = this.#stopped;
    this.#stopped = false;
    if (this.#parse(unparsed, unparsedBytes) && stopped) this.#read();
  }

  /**
   * A pod is being dialled: stops parsing. For an HTTP/2 client it goes on: the client was sent SETTINGS, and its
   * acknowledgement is not meant for the daemon.
   */
  stopParsing(): void {
    this.#parses = this.#opening.kind === "http2";
  }

  /** Ends the hold, and gives the relay everything that was read and the read under way. */
  handOver(): HandOver {
    // In the order in which the bytes came: the unparsed ones are the latest, since `startParsing` takes all of
    // them out.
    const unparsed = this.#takeUnparsed();
    const chunks = [...this.#kept.take(), ...this.#opening.connected(), ...unparsed];
    const { tap } = this.#opening;
    for (const bytes of unparsed) tap.take(bytes);
    const handOver = {
      chunks,
      pending: this.#pending,
      ended: this.#left === "fin",
      written: this.#written,
      opening: this.#opening,
      tap,
    };
    this.end();
    return handOver;
  }

  /**
   * The hold has failed: answers every call of an HTTP/2 client with an error, present and future calls, and forgets what
   * was kept. Close the client when it has left or after a while, not at once: it makes one more call before it exits,
   * and would dial again if the connection were closed.
   */
  refuse(refusal: Refusal): void {
    if (!this.#parses) this.startParsing();
    this.#refuses = true;
    this.#reply(this.#opening.refuse(refusal));
    this.#forget();
    if (this.#opening.kind === "other") this.#go("The client cannot receive a message");
    if (this.#stopped) this.#read();
  }

  /** Answers the calls that are open with an error. The hold goes on, and so may the client. */
  decline(refusal: Refusal): void {
    this.#reply(this.#opening.decline(refusal));
  }

  /** Sends an HTTP/2 client something that means nothing: whoever stands in between sees that the connection is in use. */
  giveSign(): void {
    // A client that takes nothing must not make signs pile up.
    if (this.#opening.kind === "http2" && !this.#over && !this.#writes) this.#reply([MEANINGLESS]);
  }

  /** Ends the hold and forgets what was kept. Harmless after `handOver`. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#budget.forget(this.#onRoom);
    this.#budget.turns?.forget(this.#onTurn);
    this.#forget();
    this.#unparsed = undefined;
    // A read may be under way, for as long as the session runs: it keeps nothing of the hold.
    this.#reader.hold = undefined;
  }

  #takeUnparsed(): readonly Uint8Array[] {
    const unparsed = this.#unparsed?.take() ?? [];
    this.#unparsed = undefined;
    return unparsed;
  }

  #forget(): void {
    this.#budget.add(-this.#keptBytes);
    this.#keptBytes = 0;
    this.#kept.take();
  }

  #read(): void {
    this.#pending = undefined;
    const keptBytes = this.#keptBytes;
    const limitBytes = keptBytes < FIRST_BYTES ? FIRST_BYTES : SESSION_LIMIT_BYTES;
    const wantedBytes = this.#sendsMuch ? LARGE_READ_BYTES : READ_BYTES;
    const readBytes = Math.min(wantedBytes, Math.max(0, limitBytes - keptBytes));
    const full = readBytes === 0;
    this.#stopped = (full || !this.#budget.allows(keptBytes + readBytes)) && !this.#refuses;
    if (this.#stopped) {
      // It may stay so for long.
      this.#buffer = undefined;
      // A session at its own limit gains nothing from bytes that others give back.
      if (!full) this.#budget.onRoom(this.#onRoom);
      return;
    }
    if (this.#buffer?.byteLength !== wantedBytes) this.#buffer = new Uint8Array(wantedBytes);
    const buffer = this.#buffer.subarray(0, readBytes);
    const reader = this.#reader;
    // Not a copy: before the next read its bytes are copied or forgotten, and the relay has buffers of its own.
    const pending = this.#conn.read(buffer).then((n) => n === null ? null : buffer.subarray(0, n));
    this.#pending = pending;
    const tell = (what: (hold: Hold) => void) => {
      if (reader.hold !== undefined) what(reader.hold);
    };
    pending.then((bytes) => tell((hold) => hold.#came(bytes)), () => tell((hold) => hold.#leave("reset")));
  }

  #readOn(): void {
    const { turns } = this.#budget;
    if (this.#sendsMuch && turns !== undefined) turns.take(this.#onTurn);
    else this.#read();
  }

  #came(bytes: Uint8Array | null): void {
    if (this.#over) return;
    if (bytes === null) return this.#leave("fin");
    this.#pending = undefined;
    this.#spoke = true;
    this.#sendsMuch ||= bytes.byteLength === READ_BYTES;
    if (this.#parses) {
      if (!this.#parse([bytes], 0)) return;
    } else {
      this.#unparsed ??= new Pieces();
      this.#unparsed.push(bytes);
      this.#count(bytes.byteLength);
    }
    this.#events.bytes();
    // The next read waits until the replies are written, so a client that does not read them cannot make them pile up.
    if (this.#opening.kind === "http2") this.#written.then(() => this.#over || this.#readOn());
    else this.#readOn();
  }

  /** Parses bytes; `countedBytes` of them were counted when they came. False when the client has broken the protocol. */
  #parse(pieces: readonly Uint8Array[], countedBytes: number): boolean {
    const replies: Uint8Array[] = [];
    let keptBytes = 0;
    let malformed: Malformed | undefined;
    for (const bytes of pieces) {
      const step = this.#opening.take(bytes);
      for (const kept of step.kept) {
        if (this.#opening.kind === "other") this.#hello.take(kept);
        this.#kept.push(kept);
        keptBytes += kept.byteLength;
      }
      replies.push(...step.replies);
      if (step.answers !== undefined) {
        // SETTINGS, which may be among the replies, must come first (RFC 9113, section 3.4).
        this.#reply([concat(replies.splice(0))]);
        this.#reply(step.answers);
      }
      malformed = step.malformed;
      if (malformed !== undefined) break;
    }
    this.#count(keptBytes - countedBytes);
    if (malformed !== undefined) replies.push(goAway(malformed.code));
    if (replies.length > 0) this.#reply([concat(replies)]);
    if (this.#refuses && this.#opening.kind === "other") {
      this.#go("The client cannot receive a message");
    }
    if (malformed === undefined) return true;
    this.#events.malformed(malformed);
    return false;
  }

  #count(bytes: number): void {
    this.#keptBytes += bytes;
    this.#budget.add(bytes);
  }

  /** Writes all replies, each of which is made after the one before. Nothing is written after a write that failed. */
  #reply(replies: Iterable<Uint8Array>): void {
    if (this.#deaf) return;
    this.#written = this.#written.then(async () => {
      if (this.#deaf) return;
      this.#writes = true;
      try {
        for (const bytes of replies) await writeAll(this.#conn, bytes);
      } catch {
        // The client is gone; the read under way will report it.
        this.#deaf = true;
      }
      this.#writes = false;
    });
  }

  #leave(how: Leaving): void {
    if (this.#over) return;
    this.#pending = undefined;
    this.#left = how;
    this.#events.left(how);
    this.#go("The client has left");
  }

  #go(why: string): void {
    this.#goneWhy ??= new Error(why);
    this.#gone?.abort(this.#goneWhy);
  }
}
