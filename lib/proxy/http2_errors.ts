/**
 * The errors that the proxy sends to HTTP/2 clients while there is no daemon: of the whole connection (RFC 9113), and of
 * single calls in gRPC's form (gRPC's "PROTOCOL-HTTP2"). Pure.
 *
 * @module
 */
import { FLAG, FRAME, frame, headerBlock, STREAM_OFFSET_BYTES } from "../target/http2_frames.ts";

/** Error codes (RFC 9113, section 7). */
export const ERROR = {
  /** The peer breaks the protocol. */
  protocol: 0x1,
  /** A frame has a size that it must not have. */
  frameSize: 0x6,
  /** The peer causes excessive load. */
  enhanceYourCalm: 0xb,
} as const;

/** A GOAWAY frame: the connection ends because of an error of the peer (RFC 9113, section 6.8). */
export function goAway(code: number): Uint8Array {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setUint32(4, code);
  return frame(FRAME.goAway, 0, 0, payload);
}

/** gRPC's status codes that are used here. Source: https://grpc.io/docs/guides/status-codes/ */
export const GRPC_STATUS = {
  /** The wait was too long. */
  deadlineExceeded: 4,
  /** A limit was reached. */
  resourceExhausted: 8,
  /** Waiting here will not help. */
  failedPrecondition: 9,
  /** Nobody here takes such a call. */
  unimplemented: 12,
} as const;

/** A message of this size fits into one frame of the default size, with the other fields. */
const LONGEST_MESSAGE_BYTES = 8 * 1024;

/** All messages of one {@link grpcErrors} together never exceed this; with many calls, each message is shorter. */
const LONGEST_MESSAGES_BYTES = 128 * 1024;

/** Answers are made in parts of about this size: thousands of clients may take none of theirs. */
const PART_BYTES = 16 * 1024;

/**
 * Complete answers to some calls, one frame each ("trailers-only"): an error with a message for people. Long messages are
 * cut. Some frames at a time are made when they are asked for, since all of them may be large.
 */
export function* grpcErrors(
  streams: readonly number[],
  status: number,
  message: string,
): Generator<Uint8Array, void> {
  const longestBytes = Math.min(LONGEST_MESSAGE_BYTES, Math.floor(LONGEST_MESSAGES_BYTES / streams.length));
  const block = headerBlock([
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", String(status)],
    ["grpc-message", percentEncode(message, longestBytes)],
  ]);
  // The answers differ only in their stream.
  const one = frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 0, block);
  const atOnce = Math.ceil(PART_BYTES / one.byteLength);
  for (let from = 0; from < streams.length; from += atOnce) {
    const some = streams.slice(from, from + atOnce);
    const part = new Uint8Array(some.length * one.byteLength);
    const view = new DataView(part.buffer);
    for (const [i, stream] of some.entries()) {
      part.set(one, i * one.byteLength);
      view.setUint32(i * one.byteLength + STREAM_OFFSET_BYTES, stream);
    }
    yield part;
  }
}

/** As gRPC wants `grpc-message`: space to tilde as they are but for the percent sign, all else as UTF-8 in hex. */
function percentEncode(message: string, longestBytes: number): string {
  let encoded = "";
  for (const character of message) {
    let next = character;
    if (!/^[ -$&-~]$/.test(character)) {
      next = "";
      for (const byte of new TextEncoder().encode(character)) {
        next += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
      }
    }
    if (encoded.length + next.length > longestBytes) break;
    encoded += next;
  }
  return encoded;
}
