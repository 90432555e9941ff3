/**
 * The frames of the WebSocket protocol (RFC 6455, section 5), as a client sends and takes them. Pure: bytes in, bytes out.
 *
 * @module
 */

/** What a frame is. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The longest payload of a control frame, in bytes (RFC 6455, 5.5). */
export const MAX_CONTROL_BYTES = 125;

/** The longest header that a server's frame can have, in bytes: it is not masked. */
export const MAX_HEADER_BYTES = 10;

/** Status codes of a Close frame (RFC 6455, 7.4.1). */
export const CLOSE_STATUS = { normal: 1000, goingAway: 1001, protocolError: 1002, none: 1005 } as const;

/** The first bytes of a frame, understood. */
export interface FrameHeader {
  /** One of {@link OPCODE}. */
  readonly opcode: number;
  /** The last frame of its message. */
  readonly isFinal: boolean;
  /** Bytes that follow the header. */
  readonly payloadBytes: number;
  /** The header's own length. */
  readonly headerBytes: number;
}

/** The other side does not keep to RFC 6455. */
export class FrameError extends Error {
  /** Always `FrameError`. */
  override readonly name = "FrameError";
}

/**
 * Reads the header of a server's frame; `undefined` when `bytes` do not hold all of it.
 *
 * @throws FrameError when no server may send such a frame
 */
export function parseFrameHeader(bytes: Uint8Array): FrameHeader | undefined {
  if (bytes.length < 2) return undefined;
  const [first = 0, second = 0] = bytes;
  const opcode = first & 0x0f;
  const isFinal = (first & 0x80) !== 0;
  if ((first & 0x70) !== 0) throw new FrameError("found an extension that nobody has asked for");
  if ((opcode > 2 && opcode < 8) || opcode > 10) throw new FrameError(`found the unknown opcode ${opcode}`);
  if ((second & 0x80) !== 0) throw new FrameError("found a masked frame from a server");
  const code = second & 0x7f;
  if (opcode >= 8) {
    if (!isFinal) throw new FrameError("found a control frame in several parts");
    if (code > MAX_CONTROL_BYTES) throw new FrameError("found a control frame that is too long");
  }
  if (code < 126) return { opcode, isFinal, payloadBytes: code, headerBytes: 2 };
  const headerBytes = code === 126 ? 4 : 10;
  if (bytes.length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const payloadBytes = code === 126 ? view.getUint16(2) : Number(view.getBigUint64(2));
  if (payloadBytes < (code === 126 ? 126 : 0x10000)) {
    throw new FrameError("found a length in more bytes than it needs");
  }
  if (payloadBytes > Number.MAX_SAFE_INTEGER) throw new FrameError("found a frame that is too long");
  return { opcode, isFinal, payloadBytes, headerBytes };
}

/** Room before the payload: the longest header of a client (14 bytes), and the payload begins where words begin. */
const ROOM_BYTES = 16;

/**
 * One whole message of a client in one frame, masked with the 32 bits of `mask` (RFC 6455, 5.3). Its payload is the
 * bytes of `start` and then `rest`.
 */
export function clientFrame(
  opcode: number,
  mask: number,
  start: readonly number[],
  rest: Uint8Array = new Uint8Array(),
): Uint8Array {
  const payloadBytes = start.length + rest.length;
  const lengthBytes = payloadBytes < 126 ? 0 : payloadBytes < 0x10000 ? 2 : 8;
  const buffer = new ArrayBuffer(ROOM_BYTES + Math.ceil(payloadBytes / 4) * 4);
  const bytes = new Uint8Array(buffer);
  bytes.set(start, ROOM_BYTES);
  bytes.set(rest, ROOM_BYTES + start.length);
  const from = ROOM_BYTES - 4 - lengthBytes - 2;
  const view = new DataView(buffer);
  bytes[from] = 0x80 | opcode;
  bytes[from + 1] = 0x80 | (lengthBytes === 0 ? payloadBytes : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) view.setUint16(from + 2, payloadBytes);
  else if (lengthBytes === 8) view.setBigUint64(from + 2, BigInt(payloadBytes));
  view.setUint32(ROOM_BYTES - 4, mask);
  // Word by word, in whatever order this machine has their bytes: the mask's own word is read in the same order.
  const words = new Uint32Array(buffer);
  const key = words[ROOM_BYTES / 4 - 1]!;
  for (let at = ROOM_BYTES / 4; at < words.length; at++) words[at]! ^= key;
  return bytes.subarray(from, ROOM_BYTES + payloadBytes);
}

/** What a Close frame says: its code, and the reason in words if there is one. */
export function parseClose(payload: Uint8Array): { readonly code: number; readonly reason: string } {
  if (payload.length < 2) return { code: CLOSE_STATUS.none, reason: "" };
  const code = payload[0]! << 8 | payload[1]!;
  return { code, reason: new TextDecoder().decode(payload.subarray(2)) };
}

/** The payload of a Close frame. */
export function closePayload(code: number): readonly number[] {
  return [code >> 8, code & 0xff];
}
