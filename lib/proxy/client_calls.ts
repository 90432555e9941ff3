/**
 * Reads the calls that an HTTP/2 client makes out of the bytes that it sends. Changes nothing of them, and knows nothing of
 * what the daemon answers. Pure, in bounded memory, and in bounded time for each read. Sources: RFC 9113, sections 4 and 6;
 * `hpack.ts`.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import {
  FLAG,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  parseFrameHeader,
  PREFACE,
} from "../target/http2_frames.ts";
import { Gathered } from "./byte_reader.ts";
import { type FirstCall, firstCallOf } from "./first_call.ts";
import { HpackDecoder } from "./hpack.ts";
import { faultOf } from "./http2_faults.ts";
import { Pieces } from "./pieces.ts";

/** The frames of one header block may have so many bytes of payload. Those of BuildKit's clients have a few hundred. */
export const LONGEST_BLOCK_BYTES = 8 * 1024;

/**
 * Parsing is counted in steps: one for each frame and each header field, and for a frame of a header block
 * {@link BLOCK_STEPS} more and one for every {@link STEP_BYTES} of its payload. Each read brings {@link STEPS_PER_READ};
 * those that are not used are kept, up to this many. A client that needs more is read no further. So parsing a read takes
 * less time than copying it, for as long as a connection lasts. A watcher's call takes 20 to 30 steps, and comes with two
 * reads or more.
 */
export const MOST_STEPS = 1_024;
const STEPS_PER_READ = 32;
const BLOCK_STEPS = 8;
const STEP_BYTES = 16;

/** What a HEADERS frame with a priority has before its block: a stream and a weight (RFC 9113, section 6.2). */
const PRIORITY_BYTES = 5;

/** A header block of which not all frames have come yet. */
interface OpenBlock {
  readonly stream: number;
  /** What its frames have announced so far. */
  bytes: number;
  /** The payload of its present frame, and what the frames before had of it. */
  readonly payload: Pieces;
  readonly block: Pieces;
}

/** The calls of one connection. */
export class ClientCalls {
  readonly #hpack = new HpackDecoder();
  /** So many bytes of the preface have come. */
  #prefaceBytes = 0;
  #isFirstFrame = true;
  /** The header of the next frame, where it does not come in one piece. */
  #header: Gathered | undefined;
  /** The frame whose payload is being read. */
  #frame: FrameHeader | undefined;
  #leftBytes = 0;
  #open: OpenBlock | undefined;
  #over = false;
  #steps = MOST_STEPS;

  /** Nothing more will be read: this is not HTTP/2, something about it is odd, or enough was read. */
  get over(): boolean {
    return this.#over;
  }

  /** Takes the client's next bytes, from its very first on. Returns the calls whose headers are complete with them. */
  take(bytes: Uint8Array): readonly FirstCall[] {
    const calls: FirstCall[] = [];
    this.#steps = Math.min(MOST_STEPS, this.#steps + STEPS_PER_READ);
    for (let at = 0; at < bytes.byteLength && !this.#over;) {
      if (this.#prefaceBytes < PREFACE.byteLength) at += this.#takePreface(bytes);
      else if (this.#frame === undefined) at += this.#takeHeader(bytes, at);
      else at += this.#takePayload(bytes, at);
      if (this.#frame !== undefined && this.#leftBytes === 0) this.#endFrame(this.#frame, calls);
    }
    return calls;
  }

  /** Only the start of a read can have it. */
  #takePreface(bytes: Uint8Array): number {
    const wanted = PREFACE.subarray(this.#prefaceBytes, this.#prefaceBytes + bytes.byteLength);
    this.#over = wanted.some((byte, i) => byte !== bytes[i]);
    this.#prefaceBytes += wanted.byteLength;
    return wanted.byteLength;
  }

  #takeHeader(bytes: Uint8Array, at: number): number {
    let taken = FRAME_HEADER_BYTES;
    let frame: FrameHeader;
    if (this.#header === undefined && at + FRAME_HEADER_BYTES <= bytes.byteLength) {
      frame = parseFrameHeader(bytes, at);
    } else {
      this.#header ??= new Gathered(FRAME_HEADER_BYTES);
      taken = this.#header.take(bytes.subarray(at));
      if (!this.#header.isWhole) return taken;
      frame = parseFrameHeader(this.#header.bytes);
      this.#header = undefined;
    }
    this.#steps--;
    this.#over = faultOf(frame, this.#isFirstFrame) !== undefined || !this.#fits(frame) || this.#steps < 0;
    this.#isFirstFrame = false;
    this.#frame = frame;
    this.#leftBytes = frame.lengthBytes;
    return taken;
  }

  /** Whether the frame may come now: nothing comes between the frames of one block (RFC 9113, section 6.10). */
  #fits({ type, stream, lengthBytes }: FrameHeader): boolean {
    if (type === FRAME.headers && this.#open === undefined) {
      this.#open = { stream, bytes: 0, payload: new Pieces(), block: new Pieces() };
    } else if (type !== FRAME.continuation) return this.#open === undefined;
    if (this.#open?.stream !== stream) return false;
    this.#open.bytes += lengthBytes;
    this.#steps -= BLOCK_STEPS + Math.ceil(lengthBytes / STEP_BYTES);
    return this.#open.bytes <= LONGEST_BLOCK_BYTES;
  }

  #takePayload(bytes: Uint8Array, at: number): number {
    const taken = Math.min(this.#leftBytes, bytes.byteLength - at);
    this.#open?.payload.push(bytes.subarray(at, at + taken));
    this.#leftBytes -= taken;
    return taken;
  }

  #endFrame(frame: FrameHeader, calls: FirstCall[]): void {
    this.#frame = undefined;
    if (this.#over || this.#open === undefined) return;
    const { payload, block } = this.#open;
    const fragment = fragmentOf(frame, concat(payload.take()));
    if (fragment === undefined) {
      this.#over = true;
      return;
    }
    block.push(fragment);
    if ((frame.flags & FLAG.endHeaders) === 0) return;
    this.#open = undefined;
    const fields = this.#hpack.decode(concat(block.take())) ?? [];
    this.#steps -= fields.length;
    const call = firstCallOf(fields);
    if (call !== undefined) calls.push(call);
    // Trailers are odd, too: gRPC's clients send none.
    this.#over = call === undefined || this.#steps < 0;
  }
}

/** What a frame has of its block; undefined if its padding leaves nothing of the frame (RFC 9113, section 6.2). */
function fragmentOf({ type, flags }: FrameHeader, payload: Uint8Array): Uint8Array | undefined {
  if (type !== FRAME.headers) return payload;
  const isPadded = (flags & FLAG.padded) !== 0;
  const [firstByte = 0] = payload;
  const from = (isPadded ? 1 : 0) + ((flags & FLAG.priority) !== 0 ? PRIORITY_BYTES : 0);
  const to = payload.byteLength - (isPadded ? firstByte : 0);
  return from <= to ? payload.subarray(from, to) : undefined;
}
