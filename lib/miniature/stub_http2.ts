/**
 * As much of HTTP/2 as the stub server needs to pass for a gRPC server: frames, settings, pings, and one answer a
 * stream. A stream of the build history is answered and goes on. It only looks for that path in header blocks, spelled
 * out, and ignores flow control, so answers have to stay below 64 KiB.
 * Apart from `lib/target/http2_frames.ts` on purpose: the tests of the hold speak through this file, and must not share
 * the code that they check. Sources: RFC 9113; grpc.io/docs/guides, "PROTOCOL-HTTP2".
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import type { Conn } from "../base/network.ts";
import { type ByteReader, writeAll } from "./bytes.ts";

/** The client's first bytes (RFC 9113, section 3.4). */
export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Frame types (RFC 9113, section 6). */
export const FRAME = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goAway: 7 } as const;
/** The flag ACK of SETTINGS and PING. */
export const ACK = 0x1;
/** The flag END_STREAM of DATA and HEADERS. */
export const END_STREAM = 0x1;
/** The flag END_HEADERS of HEADERS. */
export const END_HEADERS = 0x4;

/** One frame. */
export interface Frame {
  /** One of {@link FRAME}, or another. */
  readonly type: number;
  /** Its flags. */
  readonly flags: number;
  /** Its stream; 0 is the connection. */
  readonly stream: number;
  /** What it carries. */
  readonly payload: Uint8Array;
}

/** The next frame; `null` at the end. */
export async function readFrame(reader: ByteReader): Promise<Frame | null> {
  const head = await reader.exactly(9);
  if (head === null) return null;
  const view = new DataView(head.buffer, head.byteOffset);
  const payload = await reader.exactly(view.getUint32(0) >>> 8);
  if (payload === null) return null;
  return { type: head[3]!, flags: head[4]!, stream: view.getUint32(5) & 0x7fffffff, payload };
}

/** A frame's bytes. */
export function frameBytes({ type, flags, stream, payload }: Frame): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length << 8 | type);
  bytes[4] = flags;
  view.setUint32(5, stream);
  bytes.set(payload, 9);
  return bytes;
}

/** A header block of literal fields without indexing (RFC 7541, section 6.2.2), names and values below 127 bytes. */
export function headerBlock(fields: readonly (readonly [string, string])[]): Uint8Array {
  const encoder = new TextEncoder();
  return Uint8Array.from(fields.flatMap(([name, value]) => {
    const nameBytes = encoder.encode(name), valueBytes = encoder.encode(value);
    return [0, nameBytes.length, ...nameBytes, valueBytes.length, ...valueBytes];
  }));
}

/** The call by which a client watches the build history. Its answer has no end. */
export const LISTEN_BUILD_HISTORY = "/moby.buildkit.v1.Control/ListenBuildHistory";
/** The field of an answer that names who has answered. */
export const SERVED_BY = "served-by";

/** A gRPC message without content: what a health check of the whole server sends. */
const EMPTY_MESSAGE = Uint8Array.of(0, 0, 0, 0, 0);
/** `HealthCheckResponse{status: SERVING}`. */
const SERVING = Uint8Array.of(0, 0, 0, 0, 2, 8, 1);

/** Serves one connection whose preface was read, until the client is done. Answers name `server`, if given. */
export async function serveHttp2(conn: Conn, reader: ByteReader, server?: string): Promise<void> {
  await writeAll(conn, frameBytes({ type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() }));
  const bodies = new Map<number, Uint8Array[]>();
  const endless = new Set<number>();
  for (let frame = await readFrame(reader); frame !== null; frame = await readFrame(reader)) {
    const { type, flags, stream, payload } = frame;
    if ((type === FRAME.settings || type === FRAME.ping) && (flags & ACK) === 0) {
      const answer = type === FRAME.ping ? payload : new Uint8Array();
      await writeAll(conn, frameBytes({ type, flags: ACK, stream: 0, payload: answer }));
    }
    if (type === FRAME.rstStream) bodies.delete(stream);
    if (type !== FRAME.headers && type !== FRAME.data) continue;
    if (type === FRAME.headers && spells(payload, LISTEN_BUILD_HISTORY)) endless.add(stream);
    const body = bodies.get(stream) ?? [];
    if (type === FRAME.data) body.push(payload);
    bodies.set(stream, body);
    if ((flags & END_STREAM) === 0) continue;
    bodies.delete(stream);
    for (const part of answer(stream, concat(body), endless.has(stream), server)) {
      await writeAll(conn, frameBytes(part));
    }
  }
  await conn.closeWrite();
}

function answer(stream: number, body: Uint8Array, isEndless: boolean, server: string | undefined): Frame[] {
  const isHealthCheck = body.length === EMPTY_MESSAGE.length && body.every((byte) => byte === 0);
  const head: Frame = {
    type: FRAME.headers,
    flags: END_HEADERS,
    stream,
    payload: headerBlock([
      [":status", "200"],
      ["content-type", "application/grpc"],
      ...(server === undefined ? [] : [[SERVED_BY, server]] as const),
    ]),
  };
  if (isEndless) return [head];
  return [
    head,
    { type: FRAME.data, flags: 0, stream, payload: isHealthCheck ? SERVING : body },
    {
      type: FRAME.headers,
      flags: END_HEADERS | END_STREAM,
      stream,
      payload: headerBlock([["grpc-status", "0"]]),
    },
  ];
}

function spells(block: Uint8Array, text: string): boolean {
  return block.length >= text.length && new TextDecoder("latin1").decode(block).includes(text);
}
