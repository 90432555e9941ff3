/**
 * The client side of HTTP/1.1 (RFC 9112) for one request on one connection: writes the request's head, reads the
 * response's head and body. Works on any source of byte chunks; opens and closes nothing. All buffers are bounded.
 *
 * @module
 */

/** The maximum of a response's head, and of a line between chunks, in bytes. */
export const MAX_HEAD_BYTES = 64 * 1024;

/** The head of a response. */
export interface Head {
  /** The HTTP status. */
  readonly status: number;
  /** Its headers. */
  readonly headers: Headers;
}

const latin1 = new TextDecoder("latin1");

/** Reads lines and blocks of bytes from a connection. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #kept: Uint8Array = new Uint8Array();

  /** Reads from `source`. */
  constructor(source: AsyncIterator<Uint8Array>) {
    this.#source = source;
  }

  /** Some bytes, at most `maxBytes`; `undefined` at the end. */
  async some(maxBytes: number): Promise<Uint8Array | undefined> {
    while (this.#kept.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      const { buffer, byteOffset, length } = next.value; // as a Uint8Array: the source may yield node's Buffers
      this.#kept = new Uint8Array(buffer, byteOffset, length);
    }
    const bytes = this.#kept.subarray(0, maxBytes);
    this.#kept = this.#kept.subarray(bytes.length);
    return bytes;
  }

  /** What was read and not asked for. Nothing may be asked for after it. */
  rest(): Uint8Array {
    return this.#kept;
  }

  /**
   * One line without its line end.
   *
   * @throws Error when it is longer than `maxBytes` or the connection ends first
   */
  async line(maxBytes: number): Promise<string> {
    let line = "";
    for (;;) {
      const bytes = await this.some(Infinity);
      if (bytes === undefined) throw new Error("The connection ended early, in the head of the answer");
      const end = bytes.indexOf(10);
      line += latin1.decode(end < 0 ? bytes : bytes.subarray(0, end));
      if (line.length > maxBytes) {
        throw new Error(`The answer's head is too long: want at most ${maxBytes} bytes`);
      }
      if (end < 0) continue;
      this.#kept = bytes.subarray(end + 1);
      return line.endsWith("\r") ? line.slice(0, -1) : line;
    }
  }
}

/**
 * The head of a request. The values of a header that is sent several times are separated by line feeds.
 *
 * @throws TypeError when a name or value cannot be sent
 */
export function requestHead(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
): string {
  const lines = [`${method} ${target} HTTP/1.1`];
  for (const [name, values] of Object.entries(headers)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new TypeError(`Cannot send the header "${name}"`);
    for (const value of values.split("\n")) {
      if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
        throw new TypeError(`Cannot send the value of the header "${name}"`);
      }
      lines.push(`${name}: ${value}`);
    }
  }
  return lines.join("\r\n") + "\r\n\r\n";
}

/**
 * Reads a response's head. Skips interim responses (1xx), except 101 where an upgrade was asked for.
 *
 * @throws Error when it is not HTTP, too long or incomplete
 */
export async function readHead(reader: ByteReader, upgrading = false): Promise<Head> {
  for (;;) {
    let leftBytes = MAX_HEAD_BYTES;
    const next = async () => {
      const line = await reader.line(leftBytes);
      leftBytes -= line.length;
      return line;
    };
    const match = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(await next());
    if (match === null) throw new Error("invalid HTTP version parsed: the answer is not HTTP/1.1");
    const headers = new Headers();
    for (let line = await next(); line !== ""; line = await next()) {
      const colon = line.indexOf(":");
      if (colon <= 0) throw new Error("The answer has a malformed header");
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    const status = Number(match[1]);
    if (status >= 200 || (upgrading && status === 101)) return { status, headers };
  }
}

/**
 * The chunks of a response's body.
 *
 * @throws Error when the connection ends before the body does
 */
export async function* readBody(
  reader: ByteReader,
  method: string,
  head: Head,
): AsyncGenerator<Uint8Array, void> {
  if (method === "HEAD" || head.status === 204 || head.status === 304) return;
  if (head.headers.get("transfer-encoding")?.toLowerCase().split(",").at(-1)?.trim() === "chunked") {
    return yield* chunked(reader);
  }
  const length = head.headers.get("content-length");
  if (length !== null) {
    if (!/^\d{1,15}$/.test(length)) throw new Error("The answer has a malformed content-length");
    return yield* exactly(reader, Number(length));
  }
  for (let bytes = await reader.some(Infinity); bytes !== undefined; bytes = await reader.some(Infinity)) {
    yield bytes;
  }
}

async function* exactly(reader: ByteReader, lengthBytes: number): AsyncGenerator<Uint8Array, void> {
  for (let left = lengthBytes; left > 0;) {
    const bytes = await reader.some(left);
    if (bytes === undefined) throw new Error("The connection ended early, in the body of the answer");
    left -= bytes.length;
    yield bytes;
  }
}

async function* chunked(reader: ByteReader): AsyncGenerator<Uint8Array, void> {
  for (;;) {
    const size = /^([0-9a-fA-F]{1,12})\s*(?:;|$)/.exec(await reader.line(MAX_HEAD_BYTES))?.[1];
    if (size === undefined) throw new Error("The answer has a malformed chunk");
    const lengthBytes = parseInt(size, 16);
    if (lengthBytes === 0) break;
    yield* exactly(reader, lengthBytes);
    if (await reader.line(2) !== "") throw new Error("The answer has a malformed chunk");
  }
  let leftBytes = MAX_HEAD_BYTES;
  for (let line = await reader.line(leftBytes); line !== ""; line = await reader.line(leftBytes)) {
    leftBytes -= line.length;
  }
}
