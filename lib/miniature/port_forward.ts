/**
 * `pods/portforward` as a kubelet serves it: a WebSocket of the subprotocol `v4.channel.k8s.io` between the API server's
 * client and a port of a pod. It has the real one's ways: it connects only after its answer, says on channel 1 why that
 * failed, knows no half-close, and takes a message only when the pod has taken the one before. Apart from
 * `lib/kube/websocket_frames.ts` on purpose: the client's tests speak to this file.
 * Source: k8s.io/cri-streaming/pkg/streaming/portforward/websocket.go
 *
 * @module
 */
import { createHash } from "node:crypto";
import { concat } from "../base/bytes.ts";
import { messageOf } from "../base/errors.ts";
import type { Conn, Network } from "../base/network.ts";
import { type ByteReader, closeQuietly, writeAll } from "./bytes.ts";

const PROTOCOL = "v4.channel.k8s.io";

/** The longest message that is taken, as `golang.org/x/net/websocket` has it. */
const LONGEST_MESSAGE_BYTES = 32 * 1024 * 1024;

/** Whether a request asks for a WebSocket. */
export function isWebSocketRequest(headers: Readonly<Record<string, string>>): boolean {
  return headers["upgrade"]?.toLowerCase() === "websocket" &&
    /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers["connection"] ?? "");
}

/** What is to be forwarded. */
export interface Forwarding {
  /** The pod's name. */
  readonly pod: string;
  /** The pod's address. */
  readonly hostname: string;
  /** The port. */
  readonly port: number;
}

/** Serves one connection whose request was accepted, until one side has ended. */
export async function servePortForward(
  conn: Conn,
  reader: ByteReader,
  headers: Readonly<Record<string, string>>,
  { pod, hostname, port }: Forwarding,
  network: Network,
): Promise<void> {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (!offered.includes(PROTOCOL)) {
    return await writeAll(conn, ascii("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"));
  }
  const accept = createHash("sha1").update(
    `${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
  ).digest("base64");
  await writeAll(
    conn,
    ascii(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${PROTOCOL}\r\n\r\n`,
    ),
  );
  const portBytes = Uint8Array.of(port & 0xff, port >> 8);
  await writeAll(conn, message(0, portBytes));
  await writeAll(conn, message(1, portBytes));
  const controller = new AbortController();
  let upstream: Conn;
  try {
    upstream = await network.connect({ hostname, port }, controller.signal);
  } catch (error) {
    const why = `error forwarding port ${port} to pod ${pod}, uid : failed to connect: ${messageOf(error)}`;
    await writeAll(conn, message(1, new TextEncoder().encode(why)));
    return await writeAll(conn, CLOSE);
  }
  try {
    // As in the real one: the first direction that ends, ends all.
    await Promise.race([toPod(reader, conn, upstream), fromPod(upstream, conn)]);
    await writeAll(conn, CLOSE).catch(() => {});
  } finally {
    closeQuietly(upstream);
    closeQuietly(conn);
  }
}

/** A Close frame with status 1000. */
const CLOSE = Uint8Array.of(0x88, 2, 0x03, 0xe8);

function message(channel: number, bytes: Uint8Array): Uint8Array {
  const length = bytes.length + 1;
  const head = length < 126
    ? [0x82, length]
    : length < 0x10000
    ? [0x82, 126, length >> 8, length & 0xff]
    : [0x82, 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff];
  return concat([Uint8Array.of(...head, channel), bytes]);
}

async function fromPod(upstream: Conn, conn: Conn): Promise<void> {
  const buffer = new Uint8Array(32 * 1024);
  for (let n = await upstream.read(buffer); n !== null; n = await upstream.read(buffer)) {
    await writeAll(conn, message(0, buffer.subarray(0, n)));
  }
}

/** Each message as a whole; ends with a Close frame, with the connection, or at the first frame that is none. */
async function toPod(reader: ByteReader, conn: Conn, upstream: Conn): Promise<void> {
  for (;;) {
    const frame = await readFrame(reader);
    if (frame === undefined || frame.opcode === 8) return;
    if (frame.opcode === 9) {
      await writeAll(conn, concat([Uint8Array.of(0x8a, frame.payload.length), frame.payload]));
    }
    if (frame.opcode <= 2 && frame.payload[0] === 0) await writeAll(upstream, frame.payload.subarray(1));
  }
}

interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

async function readFrame(reader: ByteReader): Promise<Frame | undefined> {
  const head = await reader.exactly(2);
  if (head === null || (head[1]! & 0x80) === 0) return undefined;
  const code = head[1]! & 0x7f;
  let length = code;
  if (code >= 126) {
    const more = await reader.exactly(code === 126 ? 2 : 8);
    if (more === null) return undefined;
    length = more.reduce((sum, byte) => sum * 256 + byte, 0);
  }
  if (length > LONGEST_MESSAGE_BYTES) return undefined;
  const mask = (await reader.exactly(4))?.slice();
  const masked = await reader.exactly(length);
  if (mask === undefined || masked === null) return undefined;
  return { opcode: head[0]! & 0x0f, payload: masked.map((byte, at) => byte ^ mask[at % 4]!) };
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
