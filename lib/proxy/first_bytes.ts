/**
 * Tells by its first bytes whether a client speaks HTTP/1.1, which buildkitd does not: that request is for the proxy
 * itself, and wakes nothing. Everything else is a session. Consumes no byte, and never fails.
 *
 * @module
 */
import { type Clock, setSilenceTimer } from "../base/clock.ts";
import type { Ending } from "../base/ending.ts";
import type { Conn } from "../base/network.ts";
import { PrefixedConn } from "../base/prefixed_conn.ts";
import { PREFACE } from "../target/http2_frames.ts";
import { SILENT_MS } from "./introduction.ts";

/** So long may a client take for the method of its request that it has begun, in ms. */
const METHOD_MS = 10_000;

/** So many bytes are read at first: more than most clients send in one piece. */
const READ_BYTES = 1024;

/** The methods of RFC 9110 and RFC 5789, each with the space that follows it. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"]
  .map((method) => new TextEncoder().encode(`${method} `));

/** What a client speaks. */
export interface Opening {
  /** `http`: HTTP/1.1, or the beginning of a method and no more in time. */
  readonly kind: "http" | "session";
  /** The connection, with all its bytes. */
  readonly conn: Conn;
  /** How long the client has been silent so far, in ms; 0 if it has sent something. */
  readonly silentForMs: number;
}

/** Waits for the first bytes. Once `cut` is aborted, everything is a session. */
export async function openingOf(tcp: Conn, clock: Clock, cut: Ending): Promise<Opening> {
  const buffer = new Uint8Array(READ_BYTES);
  let filled = 0;
  let isPatient = false;
  let isLate = false;
  let isOver = false;
  let end = () => {};
  const onCut = () => {
    isOver = true;
    end();
  };
  const limit = (ms: number) =>
    setSilenceTimer(clock, ms, () => {
      isLate = true;
      onCut();
    });
  let cancel = limit(SILENT_MS);
  cut.follow(onCut);
  const taken = () => buffer.subarray(0, filled);
  const found = (kind: Opening["kind"], pending?: Promise<Uint8Array | null>): Opening => ({
    kind,
    conn: new PrefixedConn(tcp, taken(), tcp.remoteAddr, pending),
    silentForMs: isLate && filled === 0 ? SILENT_MS : 0,
  });
  try {
    for (;;) {
      const from = filled;
      const pending = tcp.read(buffer.subarray(from)).then((n) =>
        n === null ? null : buffer.subarray(from, from + n)
      );
      // The first of both. Who reads on after a fault sees it again.
      const bytes = await new Promise<Uint8Array | null | "over">((resolve) => {
        end = () => resolve("over");
        pending.then(resolve, end);
        if (isOver) end();
      });
      if (bytes === "over") {
        return found(isMethodBegun(taken()) && !cut.aborted ? "http" : "session", pending);
      }
      if (bytes === null) return found("session", pending);
      filled += bytes.byteLength;
      const is = speaksHttp1(taken());
      if (is !== undefined) return found(is ? "http" : "session");
      if (!isPatient && isMethodBegun(taken())) {
        isPatient = true;
        cancel();
        cancel = limit(METHOD_MS);
      }
    }
  } finally {
    cancel();
    cut.leave(onCut);
  }
}

/** Whether a client that begins like this speaks HTTP/1.1; undefined while that cannot be known. */
export function speaksHttp1(bytes: Uint8Array): boolean | undefined {
  let isBegun = false;
  for (const method of METHODS) {
    if (!agree(bytes, method)) continue;
    if (bytes.byteLength >= method.byteLength) return true;
    isBegun = true;
  }
  return isBegun ? undefined : false;
}

/** The bytes can only go on as a method, not as HTTP/2. */
function isMethodBegun(bytes: Uint8Array): boolean {
  return bytes.byteLength > 0 && speaksHttp1(bytes) !== false && !agree(bytes, PREFACE);
}

/** Whether one begins with the other. */
function agree(a: Uint8Array, b: Uint8Array): boolean {
  const n = Math.min(a.byteLength, b.byteLength);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return false;
  return true;
}
