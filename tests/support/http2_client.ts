/**
 * An HTTP/2 client on a real socket that does exactly what a test tells it to, frame by frame.
 *
 * @module
 */
import type { Address, Conn } from "../../lib/base/network.ts";
import { ByteReader, closeQuietly, writeAll } from "../../lib/miniature/bytes.ts";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  FRAME,
  type Frame,
  frameBytes,
  headerBlock,
  PREFACE,
  readFrame,
} from "../../lib/miniature/stub_http2.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { MEANINGLESS } from "../../lib/target/http2_frames.ts";
import { within } from "./deadline.ts";

/** An acknowledgement of the peer's SETTINGS. */
export const SETTINGS_ACK: Frame = { type: FRAME.settings, flags: ACK, stream: 0, payload: new Uint8Array() };

/** The client's first bytes: preface and an empty SETTINGS frame. */
export const OPENING: Uint8Array = bytesOf(
  new TextEncoder().encode(PREFACE),
  { type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() },
);

/** A PING with eight times the same byte. */
export function ping(byte: number, flags = 0): Frame {
  return { type: FRAME.ping, flags, stream: 0, payload: new Uint8Array(8).fill(byte) };
}

/** What a call says about itself; in what is not given, it is like a call that names nobody. */
export interface CallHeaders {
  /** `/package.Service/Method`. */
  readonly path?: string | undefined;
  /** Whom the client has dialled, as it says so. */
  readonly authority?: string | undefined;
  /** Of `traceparent`: 32 digits in hex. */
  readonly traceId?: string | undefined;
}

/** The header block of a call as grpc-go sends it, in literals without indexing and without Huffman coding. */
export function callHeaders(
  { path = "/moby.buildkit.v1.Control/Info", authority, traceId }: CallHeaders,
): Uint8Array {
  return headerBlock([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    ...(authority === undefined ? [] : [[":authority", authority]] as const),
    ["content-type", "application/grpc"],
    ...(traceId === undefined ? [] : [["traceparent", `00-${traceId}-00f067aa0ba902b7-01`]] as const),
  ]);
}

/** A call as gRPC makes it: HEADERS, then DATA that ends the stream. */
export function call(stream: number, message = "hello", headers: CallHeaders = {}): readonly Frame[] {
  const payload = callHeaders({ path: `/moby.buildkit.v1.Control/Info${stream}`, ...headers });
  return [
    { type: FRAME.headers, flags: END_HEADERS, stream, payload },
    { type: FRAME.data, flags: END_STREAM, stream, payload: new TextEncoder().encode(message) },
  ];
}

/** The client gives a call up. */
export function resetStream(stream: number): Frame {
  return { type: FRAME.rstStream, flags: 0, stream, payload: Uint8Array.of(0, 0, 0, 8) };
}

/** The client is about to leave. */
export const GOODBYE: Frame = { type: FRAME.goAway, flags: 0, stream: 0, payload: new Uint8Array(8) };

/** Bytes and frames in a row. */
export function bytesOf(...parts: readonly (Uint8Array | Frame)[]): Uint8Array {
  const all = parts.map((part) => part instanceof Uint8Array ? part : frameBytes(part));
  const bytes = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The type of the frames that clients must ignore, and that held ones are sent from time to time. */
const [MEANINGLESS_TYPE] = MEANINGLESS.subarray(3);

/** Whether a client is told something by the frame. */
export function hasMeaning({ type }: Frame): boolean {
  return type !== MEANINGLESS_TYPE;
}

/** The whole frames of `bytes`. */
export function framesOf(bytes: Uint8Array): readonly Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length;) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const end = at + 9 + (view.getUint32(0) >>> 8);
    if (end > bytes.length) break;
    frames.push({
      type: bytes[at + 3]!,
      flags: bytes[at + 4]!,
      stream: view.getUint32(5) & 0x7fff_ffff,
      payload: bytes.slice(at + 9, end),
    });
    at = end;
  }
  return frames;
}

/** The fields of a block that consists of literals without indexing and without Huffman coding. */
export function literalFields(block: Uint8Array): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  let at = 0;
  const text = () => {
    let length = block[at++]! & 127;
    if (length === 127) {
      for (let shift = 0;; shift += 7) {
        const byte = block[at++]!;
        length += (byte & 127) << shift;
        if (byte < 128) break;
      }
    }
    return new TextDecoder().decode(block.subarray(at, at += length));
  };
  while (at < block.length) {
    if (block[at++] !== 0) throw new Error(`Cannot read a header block: found an indexed field at ${at - 1}`);
    const name = text();
    fields[name] = text();
  }
  return fields;
}

/** One field of a header block as it is encoded, with or without Huffman coding. */
export interface RawField {
  /** How it refers to the tables, and its name where that is spelled out. */
  readonly name: Uint8Array;
  /** Its value where that is spelled out. */
  readonly value: Uint8Array;
}

/** Takes a header block apart without decoding it (RFC 7541, section 6). */
export function rawFields(block: Uint8Array): readonly RawField[] {
  const fields: RawField[] = [];
  let at = 0;
  const integer = (prefixBits: number): number => {
    const limit = 2 ** prefixBits - 1;
    let value = block[at++]! & limit;
    if (value < limit) return value;
    for (let shift = 0;; shift += 7) {
      const byte = block[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  const text = () => {
    const length = integer(7);
    at += length;
  };
  while (at < block.length) {
    const start = at;
    const first = block[at]!;
    const indexed = (first & 0x80) !== 0;
    const resize = (first & 0xe0) === 0x20;
    const index = integer(indexed ? 7 : (first & 0x40) !== 0 ? 6 : resize ? 5 : 4);
    const literal = !indexed && !resize;
    if (literal && index === 0) text();
    const middle = at;
    if (literal) text();
    fields.push({ name: block.slice(start, middle), value: block.slice(middle, at) });
  }
  return fields;
}

/** One client. Dispose of it. */
export class Http2Client implements Disposable {
  readonly #conn: Conn;
  readonly #reader: ByteReader;

  constructor(conn: Conn) {
    this.#conn = conn;
    this.#reader = new ByteReader(conn);
  }

  /** Connects and says nothing. */
  static async connect(address: Address): Promise<Http2Client> {
    const conn = await denoNetwork.connect(address, new AbortController().signal);
    conn.setNoDelay(true);
    return new Http2Client(conn);
  }

  /** Sends bytes and frames, in one write. */
  async send(...parts: readonly (Uint8Array | Frame)[]): Promise<void> {
    await writeAll(this.#conn, bytesOf(...parts));
  }

  /** The server's next frame that has a meaning; `null` when it has closed the connection. */
  async next(what = "a frame of the server's"): Promise<Frame | null> {
    for (;;) {
      const frame = await within(readFrame(this.#reader), what);
      if (frame === null || hasMeaning(frame)) return frame;
    }
  }

  /** Resolves when the server has closed the connection; throws if it says anything before. */
  async closed(): Promise<void> {
    const frame = await this.next("the end of the connection").catch((error) => {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    });
    if (frame !== null) {
      throw new Error(`Cannot see the end of the connection: found ${JSON.stringify(frame)}`);
    }
  }

  /** Sends a FIN. */
  async end(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** Closes the socket. */
  close(): void {
    closeQuietly(this.#conn);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
