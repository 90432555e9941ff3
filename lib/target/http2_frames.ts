/**
 * The parts of HTTP/2's wire format that the health check and the hold need: frames and literal header fields. Pure.
 * Sources: RFC 9113 (HTTP/2) and RFC 7541 (HPACK).
 *
 * @module
 */

/** A client's first bytes (RFC 9113, section 3.4). */
export const PREFACE: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Length, type, flags and stream come before each frame's payload (RFC 9113, section 4.1). */
export const FRAME_HEADER_BYTES = 9;

/** Where in a frame header the stream stands. */
export const STREAM_OFFSET_BYTES = 5;

/** No frame is larger until a peer has allowed it (SETTINGS_MAX_FRAME_SIZE, RFC 9113, section 6.5.2). */
export const LARGEST_FRAME_BYTES = 16_384;

/** Frame types (RFC 9113, section 6). */
export const FRAME = {
  /** A stream's content. */
  data: 0x0,
  /** Opens a stream, or ends it with trailers. */
  headers: 0x1,
  /** Cancels a stream. */
  rstStream: 0x3,
  /** Parameters of the connection. */
  settings: 0x4,
  /** Asks the peer for a sign of life. */
  ping: 0x6,
  /** No new streams. */
  goAway: 0x7,
  /** The rest of a header block that did not fit into its HEADERS. */
  continuation: 0x9,
} as const;

/** Frame flags (RFC 9113, section 6). */
export const FLAG = {
  /** Of SETTINGS and PING. */
  ack: 0x1,
  /** Of DATA and HEADERS. */
  endStream: 0x1,
  /** Of HEADERS and CONTINUATION. */
  endHeaders: 0x4,
  /** Of DATA and HEADERS. */
  padded: 0x8,
  /** Of HEADERS. */
  priority: 0x20,
} as const;

/** What stands before a payload. */
export interface FrameHeader {
  /** The payload's length. */
  readonly lengthBytes: number;
  /** One of {@link FRAME}, or another. */
  readonly type: number;
  /** Its flags. */
  readonly flags: number;
  /** Its stream; 0 is the connection. */
  readonly stream: number;
}

/** Reads a frame header from nine bytes, those from `from` on. */
export function parseFrameHeader(bytes: Uint8Array, from = 0): FrameHeader {
  // Without a DataView or a view of the bytes, which would cost more than the rest: this runs for each frame of a hold.
  const at = (i: number) => bytes[from + i]!;
  return {
    lengthBytes: at(0) << 16 | at(1) << 8 | at(2),
    type: at(3),
    flags: at(4),
    // The highest bit is reserved and must be ignored.
    stream: (at(5) & 0x7f) << 24 | at(6) << 16 | at(7) << 8 | at(8),
  };
}

/** A frame's bytes. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.byteLength << 8 | type);
  view.setUint8(4, flags);
  view.setUint32(STREAM_OFFSET_BYTES, stream);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** A SETTINGS frame that changes nothing. A gRPC client takes it as a sign that there is a server. */
export const EMPTY_SETTINGS: Uint8Array = frame(FRAME.settings, 0, 0, new Uint8Array());

/**
 * A frame of a type that nobody has defined. The peer must ignore it (RFC 9113, sections 4.1 and 5.5), so it needs no
 * answer; grpc-go does (`internal/transport/http2_client.go`, `reader`).
 */
export const MEANINGLESS: Uint8Array = frame(0xfe, 0, 0, new Uint8Array());

/** The answer to a peer's SETTINGS. */
export const SETTINGS_ACK: Uint8Array = frame(FRAME.settings, FLAG.ack, 0, new Uint8Array());

/** A header block of literal fields without indexing and without Huffman coding (RFC 7541, section 6.2.2). */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Uint8Array {
  const encoder = new TextEncoder();
  const bytes: number[] = [];
  for (const field of fields) {
    bytes.push(0);
    for (const text of field) {
      const encoded = encoder.encode(text);
      bytes.push(...prefixedLength(encoded.byteLength), ...encoded);
    }
  }
  return Uint8Array.from(bytes);
}

/** An integer with a 7-bit prefix (RFC 7541, section 5.1). */
function prefixedLength(length: number): number[] {
  if (length < 127) return [length];
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest >>>= 7) bytes.push(rest & 127 | 128);
  return [...bytes, rest];
}
