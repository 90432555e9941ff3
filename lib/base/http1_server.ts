/**
 * The wire of an HTTP/1.1 server (RFC 9112): what a request's head says, and a response as bytes. Opens, reads and
 * closes nothing; what it is handed is bounded by whoever reads.
 *
 * @module
 */
import { concat } from "./bytes.ts";

/** A request without its body. */
export interface RequestHead {
  /** As it was sent, `GET` and the like. */
  readonly method: string;
  /** A path with its query, or a whole URL. */
  readonly target: string;
  /** Whether the client speaks HTTP/1.0, which knows neither chunks nor connections that stay. */
  readonly isOld: boolean;
  /** By lower-case name; the values of a name that was sent several times are joined by a comma. */
  readonly headers: Headers;
}

/** What is sent back. A `Response` is one. */
export interface ResponseParts {
  /** The HTTP status. */
  readonly status: number;
  /** Its headers. With a content-length the body is sent as it is, else in chunks. */
  readonly headers: Headers;
  /** Its body; null is none. */
  readonly body: ReadableStream<Uint8Array> | null;
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** Many more than any client of ours sends. `Headers` compares each field with all before it: 2,600 in 16 KiB take 0.1 s. */
export const MOST_FIELDS = 100;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Reads a head, from its first line up to the empty one, which is left out; `undefined` if it is none, or too large. */
export function parseRequestHead(text: string): RequestHead | undefined {
  const [first = "", ...lines] = text.split("\r\n");
  const match = /^(\S+) ([\x21-\x7e]+) HTTP\/1\.([01])$/.exec(first);
  if (match === null || !TOKEN.test(match[1]!) || lines.length > MOST_FIELDS) return undefined;
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (!TOKEN.test(line.slice(0, Math.max(0, colon)))) return undefined;
    try {
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    } catch {
      return undefined; // a value that may not be
    }
  }
  return { method: match[1]!, target: match[2]!, isOld: match[3] === "0", headers };
}

const encoder = new TextEncoder();

/**
 * The response's bytes, piece by piece; the body is cancelled if nobody takes the rest. Without a content-length an old
 * client knows the end by that of the connection.
 */
export async function* responseBytes(
  { method, isOld }: Pick<RequestHead, "method" | "isOld">,
  { status, headers, body }: ResponseParts,
  last: boolean,
): AsyncGenerator<Uint8Array, void> {
  const chunked = !headers.has("content-length") && !isOld && body !== null;
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? ""}`,
    ...[...headers].map(([name, value]) => `${name}: ${value}`),
    ...(chunked ? ["transfer-encoding: chunked"] : []),
    ...(body === null && !headers.has("content-length") ? ["content-length: 0"] : []),
    ...(last ? ["connection: close"] : []),
  ];
  const head = encoder.encode(`${lines.join("\r\n")}\r\n\r\n`);
  if (method === "HEAD" || body === null) {
    await body?.cancel();
    return yield head;
  }
  try {
    // A stream may wait long for its first piece: then its head goes alone.
    if (chunked) yield head;
    let before = chunked ? [] : [head];
    for await (const piece of body) {
      if (piece.byteLength === 0) continue;
      // In one write: several small ones would wait for each other (Nagle's algorithm).
      const size = chunked ? [encoder.encode(`${piece.byteLength.toString(16)}\r\n`)] : [];
      const end = chunked ? [encoder.encode("\r\n")] : [];
      yield concat([...before, ...size, piece, ...end]);
      before = [];
    }
    if (before.length > 0) yield head;
    if (chunked) yield encoder.encode("0\r\n\r\n");
  } finally {
    await body.cancel().catch(() => {}); // it has ended, or was cancelled by the loop, or was never begun
  }
}
