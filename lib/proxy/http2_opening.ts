/**
 * What an HTTP/2 client says before it has a server, taken apart frame by frame. A gRPC client gives a new connection
 * 20 s to bring the server's first SETTINGS frame (grpc-go `internal/transport/http2_client.go`), so a longer hold has to
 * send one, and has to take the client's acknowledgement of it out of the stream again: the daemon must see what it
 * would have seen from the client directly. Pure: bytes in, bytes out, bounded memory. Anything that is no HTTP/2
 * passes untouched.
 *
 * @module
 */
import {
  EMPTY_SETTINGS,
  ERROR,
  FLAG,
  FRAME,
  frame,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  grpcErrors,
  LARGEST_FRAME_BYTES,
  parseFrameHeader,
  PREFACE,
} from "./http2_frames.ts";

/**
 * Calls that may be open at a time before there is a server. A BuildKit client has a few; more of them cost memory and
 * an answer each. The limit is not announced to the client (SETTINGS_MAX_CONCURRENT_STREAMS): a daemon that announces
 * none would not lift it.
 */
export const OPEN_CALLS_LIMIT = 1_000;

/** What the first bytes are: still a part of the preface, HTTP/2, or something else. */
export type OpeningKind = "undecided" | "http2" | "other";

/** The client breaks the protocol in a way that ends the connection. */
export interface Malformed {
  /** The error code for a GOAWAY frame. */
  readonly code: number;
  /** What is wrong, for the log. */
  readonly why: string;
}

/** What comes of some bytes. */
export interface Step {
  /** For the daemon, in order. */
  readonly kept: readonly Uint8Array[];
  /** For the client, at once. */
  readonly replies: readonly Uint8Array[];
  /** If set, nothing after it was looked at. */
  readonly malformed?: Malformed;
}

/** The error that every call gets once the hold has failed. */
export interface Refusal {
  /** One of gRPC's status codes. */
  readonly status: number;
  /** For people. */
  readonly message: string;
}

/** What is done with the frame that is being read. */
type Fate = "pass" | "drop" | "answer";

/** The opening of one connection. */
export class Http2Opening {
  #kind: OpeningKind = "undecided";
  #matched = 0;
  #first = true;
  #ackOwed = false;
  #goAway = false;
  #connected = false;
  #refusal: Refusal | undefined;
  /** Calls that were made after the refusal, and those of them that the bytes at hand have made. */
  #refusedCalls = 0;
  #toAnswer: number[] = [];
  readonly #streams = new Set<number>();
  /** The header of the next frame, as far as it has come. */
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  /** The frame whose payload is being read. */
  #fate: Fate = "pass";
  #leftBytes = 0;
  /** The payload of a PING that will be answered, as far as it has come. */
  readonly #ping = new Uint8Array(8);
  #kept: Uint8Array[] = [];
  #replies: Uint8Array[] = [];

  /** What the first bytes are. */
  get kind(): OpeningKind {
    return this.#kind;
  }

  /** The client has said GOAWAY: it is about to leave. */
  get goAway(): boolean {
    return this.#goAway;
  }

  /** Calls that wait for an answer. */
  get streams(): ReadonlySet<number> {
    return this.#streams;
  }

  /** The daemon is connected and the client owes nothing to us: bytes need no look any more. */
  get blind(): boolean {
    return this.#kind !== "http2" || (this.#connected && !this.#ackOwed);
  }

  /** Takes the client's next bytes. */
  take(bytes: Uint8Array): Step {
    this.#kept = [];
    this.#replies = [];
    let malformed: Malformed | undefined;
    let rest = bytes;
    while (rest.byteLength > 0 && malformed === undefined) {
      if (this.blind && this.#kind !== "undecided") {
        this.#keep(rest);
        break;
      }
      if (this.#kind === "undecided") rest = this.#takePreface(rest);
      else if (this.#leftBytes > 0) rest = this.#takePayload(rest);
      else [rest, malformed] = this.#takeHeader(rest);
    }
    if (this.#refusal !== undefined) this.#answer(this.#toAnswer.splice(0), this.#refusal);
    const step = { kept: this.#kept, replies: this.#replies };
    return malformed === undefined ? step : { ...step, malformed };
  }

  /**
   * The daemon is connected: from now on pings are its affair, and only our acknowledgement is taken out. Returns what
   * was held back inside of a frame.
   */
  connect(): readonly Uint8Array[] {
    this.#connected = true;
    // Too early to tell: then nothing of ours was said, and nothing has to be taken out.
    if (this.#kind === "undecided") this.#kind = "other";
    const back: Uint8Array[] = [];
    if (this.#fate === "answer" && this.#leftBytes > 0) {
      back.push(this.#header.slice(), this.#ping.slice(0, 8 - this.#leftBytes));
      this.#fate = "pass";
    }
    if (!this.#ackOwed && this.#headerBytes > 0 && this.#headerBytes < FRAME_HEADER_BYTES) {
      back.push(this.#header.slice(0, this.#headerBytes));
      this.#headerBytes = 0;
    }
    return back;
  }

  /**
   * The hold has failed: from now on every call is answered with an error, and nothing is kept. Returns the answers to
   * the calls that wait already, in one piece.
   */
  refuse(refusal: Refusal): readonly Uint8Array[] {
    this.#refusal = refusal;
    this.#replies = [];
    this.#answer([...this.#streams], refusal);
    this.#streams.clear();
    return this.#replies;
  }

  #takePreface(bytes: Uint8Array): Uint8Array {
    let n = 0;
    while (n < bytes.byteLength && this.#matched < PREFACE.byteLength) {
      if (bytes[n] !== PREFACE[this.#matched]) {
        this.#kind = "other";
        this.#keep(bytes.subarray(0, n));
        return bytes.subarray(n);
      }
      n++;
      this.#matched++;
    }
    this.#keep(bytes.subarray(0, n));
    if (this.#matched === PREFACE.byteLength) {
      this.#kind = "http2";
      this.#ackOwed = true;
      this.#replies.push(EMPTY_SETTINGS);
    }
    return bytes.subarray(n);
  }

  #takeHeader(bytes: Uint8Array): [rest: Uint8Array, malformed: Malformed | undefined] {
    const n = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, bytes.byteLength);
    this.#header.set(bytes.subarray(0, n), this.#headerBytes);
    this.#headerBytes += n;
    const rest = bytes.subarray(n);
    if (this.#headerBytes < FRAME_HEADER_BYTES) return [rest, undefined];
    const header = parseFrameHeader(this.#header);
    // Once the daemon is connected, what is wrong is its affair.
    const malformed = this.#connected ? undefined : faultOf(header, this.#first) ?? this.#excessOf(header);
    if (malformed !== undefined) return [rest, malformed];
    this.#first = false;
    this.#headerBytes = 0;
    this.#leftBytes = header.lengthBytes;
    this.#fate = this.#fateOf(header);
    if (this.#fate === "pass") this.#keep(this.#header.slice());
    return [rest, undefined];
  }

  #fateOf({ type, flags, stream, lengthBytes }: FrameHeader): Fate {
    const ack = (flags & FLAG.ack) !== 0;
    if (type === FRAME.settings && ack && this.#ackOwed && lengthBytes === 0) {
      this.#ackOwed = false;
      return "drop";
    }
    if (this.#connected) return "pass";
    if (type === FRAME.ping && !ack) return "answer";
    if (type === FRAME.goAway) this.#goAway = true;
    if (type === FRAME.rstStream) this.#streams.delete(stream);
    if (type === FRAME.headers && this.#refusal !== undefined) {
      this.#refusedCalls++;
      this.#toAnswer.push(stream);
    } else if (type === FRAME.headers) this.#streams.add(stream);
    return "pass";
  }

  /** Whether the frame would open one call too many. */
  #excessOf({ type, stream }: FrameHeader): Malformed | undefined {
    if (type !== FRAME.headers || this.#streams.has(stream)) return undefined;
    if (Math.max(this.#streams.size, this.#refusedCalls) < OPEN_CALLS_LIMIT) return undefined;
    return { code: ERROR.enhanceYourCalm, why: `more than ${OPEN_CALLS_LIMIT} open calls` };
  }

  #answer(streams: readonly number[], { status, message }: Refusal): void {
    if (streams.length > 0) this.#replies.push(grpcErrors(streams, status, message));
  }

  #takePayload(bytes: Uint8Array): Uint8Array {
    const n = Math.min(this.#leftBytes, bytes.byteLength);
    const part = bytes.subarray(0, n);
    if (this.#fate === "answer") this.#ping.set(part, this.#ping.byteLength - this.#leftBytes);
    if (this.#fate === "pass") this.#keep(part);
    this.#leftBytes -= n;
    if (this.#fate === "answer" && this.#leftBytes === 0) {
      this.#replies.push(frame(FRAME.ping, FLAG.ack, 0, this.#ping));
    }
    return bytes.subarray(n);
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.byteLength > 0 && this.#refusal === undefined) this.#kept.push(bytes);
  }
}

/** What makes a frame an error of the whole connection, as far as that matters before there is a server. */
function faultOf({ lengthBytes, type, flags, stream }: FrameHeader, first: boolean): Malformed | undefined {
  const ack = (flags & FLAG.ack) !== 0;
  const protocol = (why: string): Malformed => ({ code: ERROR.protocol, why });
  const size = (why: string): Malformed => ({ code: ERROR.frameSize, why });
  // RFC 9113, section 3.4: the preface ends with a SETTINGS frame.
  if (first && (type !== FRAME.settings || ack)) return protocol(`the first frame has type ${type}`);
  if (lengthBytes > LARGEST_FRAME_BYTES) return size(`a frame of ${lengthBytes} bytes`);
  switch (type) {
    case FRAME.settings:
      if (stream !== 0) return protocol(`SETTINGS on stream ${stream}`);
      if (ack ? lengthBytes !== 0 : lengthBytes % 6 !== 0) return size(`SETTINGS of ${lengthBytes} bytes`);
      return undefined;
    case FRAME.ping:
      if (stream !== 0) return protocol(`PING on stream ${stream}`);
      return lengthBytes === 8 ? undefined : size(`PING of ${lengthBytes} bytes`);
    case FRAME.goAway:
      return stream === 0 ? undefined : protocol(`GOAWAY on stream ${stream}`);
    case FRAME.headers:
      // A client opens odd streams only (RFC 9113, section 5.1.1).
      return stream % 2 === 1 ? undefined : protocol(`HEADERS on stream ${stream}`);
    case FRAME.rstStream:
      if (stream === 0) return protocol("RST_STREAM on stream 0");
      return lengthBytes === 4 ? undefined : size(`RST_STREAM of ${lengthBytes} bytes`);
    case FRAME.data:
      return stream === 0 ? protocol("DATA on stream 0") : undefined;
    default:
      return undefined;
  }
}
