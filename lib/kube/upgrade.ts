/**
 * Asks an API server to speak another protocol on a connection of its own: one HTTP/1.1 request, and after a 101 the
 * connection as a stream.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import { chunksOf, openApiStream, type Trust, writeAll } from "./api_stream.ts";
import type { Connection } from "./connection.ts";
import type { ByteStream, HttpRequest, UpgradeAnswer } from "./http.ts";
import { ByteReader, type Head, MAX_HEAD_BYTES, readBody, readHead, requestHead } from "./http1.ts";
import { explain } from "./http_errors.ts";

/** Sends the request; the same errors as `Http.send`. */
export async function sendUpgrade(
  request: HttpRequest,
  connection: Connection,
  trust: Trust,
): Promise<UpgradeAnswer> {
  const { url, signal } = request;
  try {
    return await askForUpgrade(await openApiStream(url, connection, trust, signal), request);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw explain(error, url, connection);
  }
}

/** Sends the request on a connection that is there, which is closed unless the answer is 101. */
export async function askForUpgrade(stream: ByteStream, request: HttpRequest): Promise<UpgradeAnswer> {
  const { method, url, headers, signal } = request;
  const close = () => {
    try {
      stream.close();
    } catch {
      // It is closed already.
    }
  };
  signal.addEventListener("abort", close, { once: true });
  let isOpen = false;
  try {
    signal.throwIfAborted();
    const head = requestHead(method, url.pathname + url.search, { ...headers, host: url.host });
    await writeAll(stream, new TextEncoder().encode(head));
    const reader = new ByteReader(chunksOf(stream));
    const answer = await readHead(reader, true);
    signal.throwIfAborted();
    if (answer.status === 101) {
      isOpen = true;
      return { ...answer, body: new Blob().stream(), stream: continued(stream, reader.rest()) };
    }
    const body = await refusal(reader, method, answer);
    return { ...answer, body: new Blob([body]).stream(), stream: undefined };
  } finally {
    signal.removeEventListener("abort", close);
    if (!isOpen) close();
  }
}

/** What a server says that does not upgrade; cut where it gets too long. */
async function refusal(
  reader: ByteReader,
  method: string,
  head: Head,
): Promise<Uint8Array<ArrayBuffer>> {
  const portions: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const portion of readBody(reader, method, head)) {
    portions.push(portion);
    if ((sizeBytes += portion.length) > MAX_HEAD_BYTES) break;
  }
  return concat(portions) as Uint8Array<ArrayBuffer>;
}

/** The stream with what was read of it already. */
function continued(stream: ByteStream, kept: Uint8Array): ByteStream {
  return {
    read(buffer) {
      if (kept.length === 0) return stream.read(buffer);
      const bytes = kept.subarray(0, buffer.length);
      buffer.set(bytes);
      kept = kept.subarray(bytes.length);
      return Promise.resolve(bytes.length);
    },
    write: (bytes) => stream.write(bytes),
    close: () => stream.close(),
  };
}
