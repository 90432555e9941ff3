/**
 * The client's side of a session on a real socket, with a reset on demand.
 *
 * @module
 */
import { createHash } from "node:crypto";
import net from "node:net";
import type { Address, Conn } from "../../lib/base/network.ts";
import { closeQuietly, writeAll } from "../../lib/miniature/bytes.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { within } from "./deadline.ts";

/** One client. Dispose of it. */
export class TcpClient implements Disposable {
  readonly #conn: Conn;

  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /** Connects. */
  static async connect(address: Address): Promise<TcpClient> {
    const conn = await denoNetwork.connect(address, new AbortController().signal);
    conn.setNoDelay(true);
    return new TcpClient(conn);
  }

  /** Sends bytes, or text. */
  async send(what: string | Uint8Array): Promise<void> {
    await writeAll(this.#conn, typeof what === "string" ? new TextEncoder().encode(what) : what);
  }

  /** The next `length` bytes; fewer when the stream ends first. */
  async receive(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const n = await this.#conn.read(bytes.subarray(filled));
      if (n === null) break;
      filled += n;
    }
    return bytes.subarray(0, filled);
  }

  /** Sends text and waits until it has come back. */
  async echo(text: string): Promise<string> {
    const bytes = new TextEncoder().encode(text);
    const [, back] = await Promise.all([
      this.send(bytes),
      within(this.receive(bytes.length), `the echo of "${text}"`),
    ]);
    return new TextDecoder().decode(back);
  }

  /** Reads to the end: how much came, and its digest. Rejects when the connection is reset. */
  async rest(): Promise<{ bytes: number; sha256: string }> {
    const hash = createHash("sha256");
    const buffer = new Uint8Array(64 * 1024);
    let bytes = 0;
    for (let n = await this.#conn.read(buffer); n !== null; n = await this.#conn.read(buffer)) {
      hash.update(buffer.subarray(0, n));
      bytes += n;
    }
    return { bytes, sha256: hash.digest("hex") };
  }

  /** How the server's side ends, read to there: `fin`, or `reset`. */
  async ending(): Promise<"fin" | "reset"> {
    return await this.rest().then(() => "fin" as const, (error) => {
      if (error instanceof Deno.errors.ConnectionReset) return "reset" as const;
      throw error;
    });
  }

  /** Sends a FIN. */
  async end(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** Closes the socket. */
  close(): void {
    closeQuietly(this.#conn);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A client that ends its connection with an RST, which Deno's own sockets cannot do. */
export interface ResettableClient {
  /** Sends text. */
  send(text: string): Promise<void>;
  /** Sends an RST. */
  reset(): Promise<void>;
}

/** Connects a client that can reset. */
export async function resettable({ hostname, port }: Address): Promise<ResettableClient> {
  const socket = net.connect({ host: hostname, port, noDelay: true });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  // From now on the server may end it, too.
  socket.on("error", () => {});
  return {
    send: (text) =>
      Promise.race([closed, new Promise<void>((resolve) => socket.write(text, () => resolve()))]),
    reset() {
      socket.resetAndDestroy();
      return closed;
    },
  };
}

/** Bytes that repeat nowhere soon, the same for the same seed. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

/** The digest of bytes, as {@link TcpClient.rest} gives it. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
