/**
 * Parses what an HTTP/2 client sends before it has a server, frame by frame. A gRPC client waits 20 s for the server's
 * first SETTINGS frame (grpc-go `internal/transport/http2_client.go`). So a longer hold sends one, and removes the
 * client's acknowledgement of it: the daemon must see what it would have seen from the client directly. Pure: bytes in,
 * bytes out, bounded memory. Other protocols pass unchanged.
 *
 * @module
 */
import {
  EMPTY_SETTINGS,
  FLAG,
  FRAME,
  frame,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  parseFrameHeader,
  PREFACE,
} from "../target/http2_frames.ts";
import { CallTap } from "./call_tap.ts";
import { ERROR, grpcErrors } from "./http2_errors.ts";
import { faultOf, type Malformed } from "./http2_faults.ts";
import { OPEN_CALLS_LIMIT, OpenCalls } from "./open_calls.ts";

/** What the first bytes are: still a part of the preface, HTTP/2, or something else. */
export type OpeningKind = "undecided" | "http2" | "other";

/** The result of parsing some bytes. */
export interface Step {
  /** For the daemon, in order. */
  readonly kept: readonly Uint8Array[];
  /** For the client, at once. */
  readonly replies: readonly Uint8Array[];
  /** For the client, too: to calls that it has made after the refusal. They are made when they are taken. */
  readonly answers?: Iterable<Uint8Array>;
  /** The client has broken the protocol; the bytes after that were not parsed. */
  readonly malformed?: Malformed;
}

/** The error that every call gets once the hold has failed. */
export interface Refusal {
  /** One of gRPC's status codes. */
  readonly status: number;
  /** For people. */
  readonly message: string;
}

const NO_BYTES = new Uint8Array();
/** In the place of lists that nobody adds to now: a hold may last, and even an empty list that was added to is large. */
const NONE: Uint8Array[] = [];

/** What is done with the frame that is being read. */
type Fate = "pass" | "drop" | "answer";

/** The opening of one connection. */
export class Http2Opening {
  /**
   * Listens to the client's calls. It takes all bytes that the opening takes; what the client sends beside or after that,
   * it must be given, in order, until it is done.
   */
  readonly tap = new CallTap();
  #kind: OpeningKind = "undecided";
  #matched = 0;
  #first = true;
  #ackExpected = false;
  #goAway = false;
  #connected = false;
  #refusal: Refusal | undefined;
  /** Calls that were made after the refusal, and those of them that the bytes at hand have made. */
  #refusedCalls = 0;
  #toAnswer: number[] = [];
  #calls = new OpenCalls();
  /** The header of the next frame, as far as it has come, where it does not come in one piece; or that of a PING. */
  #header = NO_BYTES;
  #headerBytes = 0;
  /** The frame whose payload is being read. */
  #fate: Fate = "pass";
  #leftBytes = 0;
  /** The payload of a PING that will be answered, as far as it has come. */
  #ping = NO_BYTES;
  /** What is being taken, where the next byte of it is, and the run before that which is kept and not yet noted. */
  #bytes: Uint8Array = NO_BYTES;
  #at = 0;
  #runFrom = 0;
  #runTo = 0;
  /** What comes of it. */
  #kept = NONE;
  #replies = NONE;

  /** What the first bytes are. */
  get kind(): OpeningKind {
    return this.#kind;
  }

  /** The client has said GOAWAY: it is about to leave. */
  get goAway(): boolean {
    return this.#goAway;
  }

  /** Calls that wait for an answer. */
  get streams(): readonly number[] {
    return this.#calls.all;
  }

  /** The daemon is connected, and no acknowledgement of ours is still to come: bytes need no parsing any more. */
  get blind(): boolean {
    return this.#kind !== "http2" || (this.#connected && !this.#ackExpected);
  }

  /** Takes the client's next bytes. What is kept are views of them. */
  take(bytes: Uint8Array): Step {
    this.tap.take(bytes);
    this.#kept = [];
    this.#replies = [];
    this.#bytes = bytes;
    this.#at = this.#runFrom = this.#runTo = 0;
    let malformed: Malformed | undefined;
    while (this.#at < bytes.byteLength && malformed === undefined) {
      if (this.#kind === "undecided") this.#takePreface();
      else if (this.blind) this.#keepNext(bytes.byteLength - this.#at);
      else if (this.#leftBytes > 0) this.#takePayload();
      else malformed = this.#takeHeader();
    }
    this.#endRun();
    this.#bytes = NO_BYTES;
    const step = { kept: this.#kept, replies: this.#replies, ...this.#answers() };
    this.#kept = this.#replies = NONE;
    return malformed === undefined ? step : { ...step, malformed };
  }

  /**
   * The daemon is connected: from now on it answers pings, and only the acknowledgement of our SETTINGS is removed.
   * Returns the bytes of an unfinished frame that were held back.
   */
  connected(): readonly Uint8Array[] {
    this.#connected = true;
    // Nothing was sent to the client yet, so nothing has to be removed.
    if (this.#kind === "undecided") this.#kind = "other";
    const back: Uint8Array[] = [];
    if (this.#fate === "answer" && this.#leftBytes > 0) {
      back.push(this.#header.slice(), this.#ping.slice(0, this.#ping.byteLength - this.#leftBytes));
      this.#fate = "pass";
    }
    if (!this.#ackExpected && this.#headerBytes > 0 && this.#headerBytes < FRAME_HEADER_BYTES) {
      back.push(this.#header.slice(0, this.#headerBytes));
      this.#headerBytes = 0;
    }
    return back;
  }

  /**
   * The hold has failed: from now on every call is answered with an error, and nothing is kept. Returns the answers to
   * the calls that are open.
   */
  refuse(refusal: Refusal): Iterable<Uint8Array> {
    this.#refusal = refusal;
    return this.decline(refusal);
  }

  /**
   * Answers the calls that are open with an error. They are kept for the daemon all the same, since later calls are
   * encoded on top of them; the client ignores its answer.
   */
  decline({ status, message }: Refusal): Iterable<Uint8Array> {
    const streams = this.#calls.all;
    this.#calls = new OpenCalls();
    return grpcErrors(streams, status, message);
  }

  #takePreface(): void {
    let n = 0;
    const left = this.#bytes.byteLength - this.#at;
    while (n < left && this.#matched < PREFACE.byteLength && this.#kind === "undecided") {
      if (this.#bytes[this.#at + n] === PREFACE[this.#matched]) {
        n++;
        this.#matched++;
      } else this.#kind = "other";
    }
    this.#keepNext(n);
    if (this.#matched < PREFACE.byteLength) return;
    this.#kind = "http2";
    this.#ackExpected = true;
    this.#replies.push(EMPTY_SETTINGS);
  }

  #takeHeader(): Malformed | undefined {
    const n = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, this.#bytes.byteLength - this.#at);
    const from = this.#at;
    const isOnePiece = n === FRAME_HEADER_BYTES;
    if (!isOnePiece) this.#gatherHeader(n);
    this.#headerBytes += n;
    this.#at += n;
    if (this.#headerBytes < FRAME_HEADER_BYTES) return undefined;
    const header = isOnePiece ? parseFrameHeader(this.#bytes, from) : parseFrameHeader(this.#header);
    // Once the daemon is connected, it deals with errors itself.
    const malformed = this.#connected ? undefined : faultOf(header, this.#first) ?? this.#excessOf(header);
    if (malformed !== undefined) {
      if (isOnePiece) this.#header = this.#bytes.slice(from, from + n);
      return malformed;
    }
    this.#first = false;
    this.#headerBytes = 0;
    this.#leftBytes = header.lengthBytes;
    this.#fate = this.#fateOf(header);
    if (this.#fate === "answer" && isOnePiece) this.#header = this.#bytes.slice(from, from + n);
    if (this.#fate !== "pass") return undefined;
    if (isOnePiece) {
      this.#at = from;
      this.#keepNext(n);
    } else this.#keepCopy(this.#header);
    return undefined;
  }

  /** Copies the next `n` bytes of a header that comes in pieces. */
  #gatherHeader(n: number): void {
    if (this.#headerBytes === 0) this.#header = new Uint8Array(FRAME_HEADER_BYTES);
    for (let i = 0; i < n; i++) this.#header[this.#headerBytes + i] = this.#bytes[this.#at + i]!;
  }

  #fateOf({ type, flags, stream, lengthBytes }: FrameHeader): Fate {
    const ack = (flags & FLAG.ack) !== 0;
    if (type === FRAME.settings && ack && this.#ackExpected && lengthBytes === 0) {
      this.#ackExpected = false;
      return "drop";
    }
    if (this.#connected) return "pass";
    if (type === FRAME.ping && !ack) {
      this.#ping = new Uint8Array(lengthBytes);
      return "answer";
    }
    if (type === FRAME.goAway) this.#goAway = true;
    if (type === FRAME.rstStream) this.#calls.close(stream);
    if (type === FRAME.headers && this.#refusal !== undefined) {
      this.#refusedCalls++;
      this.#toAnswer.push(stream);
    } else if (type === FRAME.headers) this.#calls.open(stream);
    return "pass";
  }

  /** Whether the frame would open one call too many. */
  #excessOf({ type, stream }: FrameHeader): Malformed | undefined {
    if (type !== FRAME.headers || this.#calls.has(stream)) return undefined;
    if (Math.max(this.#calls.all.length, this.#refusedCalls) < OPEN_CALLS_LIMIT) return undefined;
    return { code: ERROR.enhanceYourCalm, why: `more than ${OPEN_CALLS_LIMIT} open calls` };
  }

  #answers(): Pick<Step, "answers"> {
    if (this.#refusal === undefined || this.#toAnswer.length === 0) return {};
    return { answers: grpcErrors(this.#toAnswer.splice(0), this.#refusal.status, this.#refusal.message) };
  }

  #takePayload(): void {
    const n = Math.min(this.#leftBytes, this.#bytes.byteLength - this.#at);
    const done = this.#ping.byteLength - this.#leftBytes;
    this.#leftBytes -= n;
    if (this.#fate === "pass") return this.#keepNext(n);
    if (this.#fate === "answer") {
      this.#ping.set(this.#bytes.subarray(this.#at, this.#at + n), done);
      if (this.#leftBytes === 0) this.#replies.push(frame(FRAME.ping, FLAG.ack, 0, this.#ping));
    }
    this.#at += n;
  }

  /** Keeps the next `n` bytes. One run of them is one view, however many frames it has. */
  #keepNext(n: number): void {
    if (this.#at !== this.#runTo) {
      this.#endRun();
      this.#runFrom = this.#at;
    }
    this.#at += n;
    this.#runTo = this.#at;
  }

  /** Keeps bytes that came earlier. */
  #keepCopy(bytes: Uint8Array): void {
    this.#endRun();
    if (this.#refusal === undefined) this.#kept.push(bytes.slice());
  }

  #endRun(): void {
    if (this.#runFrom < this.#runTo && this.#refusal === undefined) {
      this.#kept.push(this.#bytes.subarray(this.#runFrom, this.#runTo));
    }
    this.#runFrom = this.#runTo;
  }
}
