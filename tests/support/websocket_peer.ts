/**
 * The server's end of a WebSocket in memory: sends frames as a test writes them, and reads those of the client.
 *
 * @module
 */
import { WebSocketStream } from "../../lib/kube/websocket.ts";
import { concat, MemoryConn, type MemoryOptions, writeAll } from "./memory_network.ts";
import { seededRandom } from "./seeded_random.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** A frame of the client, unmasked. */
export interface ClientFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** A frame as a server sends it. */
export function serverFrame(opcode: number, payload: Uint8Array, isFinal = true): Uint8Array {
  const { length } = payload;
  const first = (isFinal ? 0x80 : 0) | opcode;
  const head = new DataView(new ArrayBuffer(10));
  if (length < 126) return concat([Uint8Array.of(first, length), payload]);
  const long = length >= 0x10000;
  if (long) head.setBigUint64(2, BigInt(length));
  else head.setUint16(2, length);
  head.setUint8(0, first);
  head.setUint8(1, long ? 127 : 126);
  return concat([new Uint8Array(head.buffer, 0, long ? 10 : 4), payload]);
}

/** Two ends, and the client on one of them. */
export function webSocketPair(options: MemoryOptions = {}, clock = new VirtualClock()) {
  const [conn, peer] = MemoryConn.pair(options);
  const client = new WebSocketStream(conn, { clock, random: seededRandom(1).next });
  return {
    clock,
    conn,
    peer,
    client,
    sendRaw: (bytes: Uint8Array) => writeAll(peer, bytes),
    send: (opcode: number, payload: Uint8Array, isFinal = true) =>
      writeAll(peer, serverFrame(opcode, payload, isFinal)),
    receive: () => readClientFrame(peer),
  };
}

/** The next frame that a client has sent. */
export async function readClientFrame(peer: MemoryConn): Promise<ClientFrame> {
  const [first = 0, second = 0] = await exactly(peer, 2);
  if ((second & 0x80) === 0) throw new Error("The client's frame is not masked");
  const code = second & 0x7f;
  const lengthBytes = code === 126 ? 2 : code === 127 ? 8 : 0;
  const length = lengthBytes === 0
    ? code
    : (await exactly(peer, lengthBytes)).reduce((sum, byte) => sum * 256 + byte, 0);
  const mask = await exactly(peer, 4);
  const payload = (await exactly(peer, length)).map((byte, at) => byte ^ mask[at % 4]!);
  return { opcode: first & 0x0f, payload };
}

async function exactly(peer: MemoryConn, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  for (let at = 0; at < lengthBytes;) {
    const n = await peer.read(bytes.subarray(at));
    if (n === null) throw new Error("The client has ended the connection");
    at += n;
  }
  return bytes;
}
