/**
 * The server side of HTTP/1.1 (RFC 9112): parses the head of a request and encodes a response. Opens, reads and closes
 * nothing; the caller limits the size of a head.
 *
 * @module
 */
import { concat } from "./bytes.ts";

/** A request without its body. */
export interface RequestHead {
  /** The method, such as `GET`. */
  readonly method: string;
  /** A path with its query, or an absolute URL. */
  readonly target: string;
  /** Whether the client speaks HTTP/1.0, without chunks and keep-alive. */
  readonly isHttp10: boolean;
  /** The header fields. Repeated fields are joined by a comma. */
  readonly headers: Headers;
}

/** The parts of a response. A `Response` has them. */
export interface ResponseParts {
  /** The HTTP status. */
  readonly status: number;
  /** The header fields. Without a content-length the body is sent in chunks. */
  readonly headers: Headers;
  /** The body, or null. */
  readonly body: ReadableStream<Uint8Array> | null;
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

/** More fields are refused. `Headers` compares each field with all others: 2,600 fields in 16 KiB take 0.1 s. */
export const MAX_FIELDS = 100;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** The value of `Host`: a name or an IP address, and a port (RFC 3986, sections 3.2.2 and 3.2.3). May be empty. */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?$/;

/**
 * Parses a head without the empty line at its end. Returns `undefined` if it is malformed, has too many fields, or has not
 * exactly one `Host` (RFC 9112, section 3.2; none is needed in HTTP/1.0).
 */
export function parseRequestHead(text: string): RequestHead | undefined {
  const [first = "", ...lines] = text.split("\r\n");
  const match = /^(\S+) ([\x21-\x7e]+) HTTP\/1\.([01])$/.exec(first);
  if (match === null || !TOKEN.test(match[1]!) || lines.length > MAX_FIELDS) return undefined;
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (!TOKEN.test(line.slice(0, Math.max(0, colon)))) return undefined;
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    if (name.toLowerCase() === "host" && (headers.has("host") || !HOST.test(value))) return undefined;
    try {
      headers.append(name, value);
    } catch {
      return undefined; // an invalid value
    }
  }
  const isHttp10 = match[3] === "0";
  if (!isHttp10 && !headers.has("host")) return undefined;
  return { method: match[1]!, target: match[2]!, isHttp10, headers };
}

const encoder = new TextEncoder();

/**
 * The response as chunks of bytes. Cancels the body if the caller stops early. For a client of HTTP/1.0, a body without
 * content-length ends with the connection.
 */
export async function* responseBytes(
  { method, isHttp10 }: Pick<RequestHead, "method" | "isHttp10">,
  { status, headers, body }: ResponseParts,
  last: boolean,
): AsyncGenerator<Uint8Array, void> {
  const chunked = !headers.has("content-length") && !isHttp10 && body !== null;
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
    // The first chunk of a stream may take long, so the head is sent at once.
    if (chunked) yield head;
    let before = chunked ? [] : [head];
    for await (const piece of body) {
      if (piece.byteLength === 0) continue;
      // One write for each chunk: several small ones would delay each other (Nagle's algorithm).
      const size = chunked ? [encoder.encode(`${piece.byteLength.toString(16)}\r\n`)] : [];
      const end = chunked ? [encoder.encode("\r\n")] : [];
      yield concat([...before, ...size, piece, ...end]);
      before = [];
    }
    if (before.length > 0) yield head;
    if (chunked) yield encoder.encode("0\r\n\r\n");
  } finally {
    await body.cancel().catch(() => {}); // already ended or cancelled
  }
}
