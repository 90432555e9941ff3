/**
 * TLS by `node:tls` over any stream, for what the runtime's own TLS cannot do: no verification, a client certificate
 * on a connection that is there already, TLS inside TLS. `node:tls` takes in whatever comes, read or not; so the stream
 * under it is read only while few bytes wait above it.
 *
 * @module
 */
import { isIP } from "node:net";
import { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import type { ByteStream } from "./http.ts";
import type { KeyPair } from "./pem.ts";

/** As many decrypted bytes may wait to be read. */
const FULL_BYTES = 64 * 1024;

/** What is read at a time. */
const READ_BYTES = 16 * 1024;

/** How to greet the server. */
export interface NodeTlsOptions {
  /** The name that its certificate must be for. */
  readonly name: string;
  /** Certificates of authorities, PEM. */
  readonly ca: string | undefined;
  /** The client's certificate. */
  readonly pair: KeyPair | undefined;
  /** Takes any certificate. */
  readonly insecure: boolean;
}

/** TLS on top of `under`, after the handshake. Closing the one closes the other. */
export async function nodeTls(under: ByteStream, options: NodeTlsOptions): Promise<ByteStream> {
  const { name, ca, pair, insecure } = options;
  const lower = new Lower(under);
  const upper = connect({
    socket: lower,
    host: name,
    // No name is announced for an address (RFC 6066); it is verified all the same.
    ...(isIP(name) ? {} : { servername: name }),
    ...(ca === undefined ? {} : { ca }),
    ...pair,
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: !insecure,
  });
  lower.upper = upper;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  upper.once("secureConnect", resolve);
  upper.once("error", reject);
  upper.once("close", () => reject(new Error("The connection was closed: connection closed")));
  upper.on("error", () => {}); // whoever waits is told by what waits; later ones are of no interest
  try {
    await promise;
  } catch (error) {
    upper.destroy();
    throw error;
  }
  return new Upper(upper, lower);
}

/** The stream under TLS. */
class Lower extends Duplex {
  upper: TLSSocket | undefined;
  readonly #under: ByteStream;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #isWanted = false;
  #isReading = false;

  constructor(under: ByteStream) {
    super();
    this.#under = under;
  }

  /** Reads on if TLS has asked for more and few enough bytes wait above it. */
  flow(): void {
    if (!this.#isWanted || this.#isReading || this.destroyed) return;
    if ((this.upper?.readableLength ?? 0) >= FULL_BYTES) return;
    this.#isWanted = false;
    this.#isReading = true;
    this.#under.read(this.#buffer).then((n) => {
      this.#isReading = false;
      this.push(n === null ? null : this.#buffer.slice(0, n));
      this.flow();
    }, (error) => this.destroy(error));
  }

  override _read(): void {
    this.#isWanted = true;
    this.flow();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    (async () => {
      for (let rest = chunk; rest.length > 0;) rest = rest.subarray(await this.#under.write(rest));
    })().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    try {
      this.#under.close();
    } catch {
      // It is closed already.
    }
    done(error);
  }
}

/** What TLS gives and takes. */
class Upper implements ByteStream {
  readonly #socket: TLSSocket;
  readonly #lower: Lower;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #kept: Uint8Array = new Uint8Array();

  constructor(socket: TLSSocket, lower: Lower) {
    this.#socket = socket;
    this.#lower = lower;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#kept.length === 0) {
      this.#lower.flow();
      const next = await this.#chunks.next();
      if (next.done === true) return null;
      this.#kept = next.value;
    }
    const bytes = this.#kept.subarray(0, buffer.length);
    buffer.set(bytes);
    this.#kept = this.#kept.subarray(bytes.length);
    return bytes.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      // TLS keeps what it is given until it is sent, while the caller may use it anew.
      this.#socket.write(bytes.slice(), (error) => error ? reject(error) : resolve(bytes.length));
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
