/**
 * One end of a connection in memory, of which all is read that comes: a client of the proxy, or a daemon.
 *
 * @module
 */
import { FRAME, type Frame, SERVED_BY } from "../../lib/miniature/stub_http2.ts";
import { framesOf, hasMeaning, literalFields } from "./http2_client.ts";
import { type MemoryConn, writeAll } from "./memory_network.ts";

/** A client that reads all that comes. */
export class VirtualClient {
  readonly #conn: MemoryConn;
  #bytes: Uint8Array = new Uint8Array();
  /** How the connection has ended, once it has. */
  ended: "fin" | "reset" | undefined;

  constructor(conn: MemoryConn) {
    this.#conn = conn;
    void this.#read();
  }

  /** What has come. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** What has come, as text. */
  get text(): string {
    return new TextDecoder().decode(this.#bytes);
  }

  /** What has come, as HTTP/2 frames, those without a meaning left out. */
  get frames(): readonly Frame[] {
    return framesOf(this.#bytes).filter(hasMeaning);
  }

  /** The pod that has answered a call, once one has. */
  get servedBy(): string | undefined {
    const answers = this.frames.filter(({ type }) => type === FRAME.headers);
    return answers.map(({ payload }) => literalFields(payload)[SERVED_BY]).find((name) => name !== undefined);
  }

  /** The error that the call was answered with, if it was. */
  get refusal(): { readonly status: string | undefined; readonly message: string } | undefined {
    const answer = this.frames.find(({ type }) => type === FRAME.headers);
    if (answer === undefined) return undefined;
    const fields = literalFields(answer.payload);
    return { status: fields["grpc-status"], message: decodeURIComponent(fields["grpc-message"] ?? "") };
  }

  async send(bytes: Uint8Array | string): Promise<void> {
    await writeAll(this.#conn, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  }

  /** Sends a FIN. */
  async end(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** Breaks the connection. */
  break(): void {
    this.#conn.break();
  }

  close(): void {
    if (!this.#conn.closed) this.#conn.close();
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      for (let n = await this.#conn.read(buffer); n !== null; n = await this.#conn.read(buffer)) {
        const bytes = new Uint8Array(this.#bytes.byteLength + n);
        bytes.set(this.#bytes);
        bytes.set(buffer.subarray(0, n), this.#bytes.byteLength);
        this.#bytes = bytes;
      }
      this.ended = "fin";
    } catch {
      this.ended = "reset";
    }
  }
}
