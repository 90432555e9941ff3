/**
 * One gRPC health check of a daemon: does it answer, and does it serve? Speaks just enough HTTP/2 for that.
 * Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import { close, writeAll } from "../base/conn.ts";
import type { Conn } from "../base/network.ts";
import type { HealthAnswer } from "../scaler/readiness.ts";
import {
  EMPTY_SETTINGS,
  FLAG,
  FRAME,
  frame,
  FRAME_HEADER_BYTES,
  headerBlock,
  LARGEST_FRAME_BYTES,
  parseFrameHeader,
  PREFACE,
  SETTINGS_ACK,
} from "./http2_frames.ts";

/** The check ends without an answer after this many bytes. */
const LONGEST_ANSWER_BYTES = 64 * 1024;

const CALL = headerBlock([
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/grpc.health.v1.Health/Check"],
  [":authority", "buildkitd"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ["user-agent", "buildkitd-autoscaler"],
]);

/** `HealthCheckRequest{}`: the health of the whole server. */
const REQUEST = Uint8Array.of(0, 0, 0, 0, 0);

/** `HealthCheckResponse{status: SERVING}`. */
const SERVING = "0,0,0,0,2,8,1";

const QUESTION = concat([
  PREFACE,
  EMPTY_SETTINGS,
  frame(FRAME.headers, FLAG.endHeaders, 1, CALL),
  frame(FRAME.data, FLAG.endStream, 1, REQUEST),
]);

/**
 * Asks over a fresh connection, which it closes. `signal` ends it.
 *
 * @returns `unsupported` when the other side ends the connection without an HTTP/2 answer, or ends the call with an error;
 * `closed` when it does so without a byte: a daemon, or a sidecar in front of one that does not listen yet
 */
export async function checkHealth(conn: Conn, signal: AbortSignal): Promise<HealthAnswer | "closed"> {
  const onAbort = () => close(conn);
  if (signal.aborted) {
    close(conn);
    return "missed";
  }
  signal.addEventListener("abort", onAbort, { once: true });
  const heard = { bytes: 0 };
  try {
    await writeAll(conn, QUESTION);
    return await readAnswer(conn, heard) ?? (heard.bytes === 0 ? "closed" : "unsupported");
  } catch {
    return signal.aborted ? "missed" : heard.bytes === 0 ? "closed" : "unsupported";
  } finally {
    signal.removeEventListener("abort", onAbort);
    close(conn);
  }
}

/** Undefined if the connection ends before. */
async function readAnswer(conn: Conn, heard: { bytes: number }): Promise<HealthAnswer | undefined> {
  const buffer = new Uint8Array(4 * 1024);
  let bytes: Uint8Array = new Uint8Array();
  let message: Uint8Array = new Uint8Array();
  while (heard.bytes <= LONGEST_ANSWER_BYTES) {
    const n = await conn.read(buffer);
    if (n === null) return undefined;
    heard.bytes += n;
    bytes = concat([bytes, buffer.subarray(0, n)]);
    while (bytes.byteLength >= FRAME_HEADER_BYTES) {
      const { lengthBytes, type, flags, stream } = parseFrameHeader(bytes);
      if (lengthBytes > LARGEST_FRAME_BYTES) return "unsupported"; // TLS and other protocols look like this
      const end = FRAME_HEADER_BYTES + lengthBytes;
      if (bytes.byteLength < end) break;
      const payload = bytes.slice(FRAME_HEADER_BYTES, end);
      bytes = bytes.slice(end);
      const ack = (flags & FLAG.ack) !== 0;
      if (type === FRAME.settings && !ack) await writeAll(conn, SETTINGS_ACK);
      if (type === FRAME.ping && !ack) await writeAll(conn, frame(FRAME.ping, FLAG.ack, 0, payload));
      if (type === FRAME.goAway) return "missed";
      if (stream !== 1) continue;
      if (type === FRAME.data) message = concat([message, payload]);
      if (message.byteLength >= 5 && message.byteLength >= 5 + messageLength(message)) {
        return message.join() === SERVING ? "serving" : "not_serving";
      }
      // The call has ended without a message: it has failed, mostly because there is no such service.
      if (type === FRAME.rstStream || (flags & FLAG.endStream) !== 0) return "unsupported";
    }
  }
  return "unsupported";
}

/** The length of a gRPC message, from its bytes 1 to 4. */
function messageLength(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(1);
}
