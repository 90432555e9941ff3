/**
 * The clients of the demo's second act: builds of named projects, as far as a proxy can tell. Each is one HTTP/2
 * connection with a call at its start and one at its end, both of which a stub pod answers with its name.
 *
 * @module
 */
import { type Address, type Conn, formatAddress, type Network } from "../base/network.ts";
import { ByteReader, closeQuietly, writeAll } from "../miniature/bytes.ts";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  FRAME,
  type Frame,
  frameBytes,
  headerBlock,
  PREFACE,
  readFrame,
  SERVED_BY,
} from "../miniature/stub_http2.ts";

/** A build that runs. */
export interface Build {
  /** The pod that it runs on. */
  readonly pod: string;
  /** Ends it. @throws Error unless the same pod still answers */
  finish(): Promise<void>;
  /** Closes its connection. Harmless when it has ended. */
  [Symbol.dispose](): void;
}

const NOTHING = new Uint8Array();

/**
 * Starts a build of `project` and waits until a pod has taken it. Closes its connection when `signal` is aborted.
 *
 * @throws Error that says what it did not get, or the reason of `signal`
 */
export async function startBuild(
  network: Network,
  address: Address,
  project: string,
  signal: AbortSignal,
): Promise<Build> {
  const conn = await network.connect(address, signal);
  // As gRPC does.
  conn.setNoDelay(true);
  const close = () => {
    signal.removeEventListener("abort", close);
    closeQuietly(conn);
  };
  signal.addEventListener("abort", close, { once: true });
  const authority = formatAddress({ hostname: project, port: address.port });
  const build = new HttpBuild(conn, authority);
  const orReason = async <T>(what: Promise<T>): Promise<T> => {
    try {
      return await what;
    } catch (error) {
      close();
      throw signal.aborted ? signal.reason : error;
    }
  };
  const pod = await orReason(build.start());
  const finish = async () => {
    const last = await build.call();
    close();
    if (last !== pod) throw new Error(`The build began on ${pod} and ended on ${last}`);
  };
  return { pod, finish: () => orReason(finish()), [Symbol.dispose]: close };
}

class HttpBuild {
  readonly #conn: Conn;
  readonly #reader: ByteReader;
  readonly #authority: string;
  #stream = -1;

  constructor(conn: Conn, authority: string) {
    this.#conn = conn;
    this.#reader = new ByteReader(conn);
    this.#authority = authority;
  }

  /** As gRPC does: no call before the server's SETTINGS. */
  async start(): Promise<string> {
    await writeAll(this.#conn, new TextEncoder().encode(PREFACE));
    await this.#send({ type: FRAME.settings, flags: 0, stream: 0, payload: NOTHING });
    for (let settings = false; !settings;) settings = (await this.#next()).type === FRAME.settings;
    return await this.call();
  }

  /** Makes a call. Resolves to the pod that has answered. */
  async call(): Promise<string> {
    const stream = this.#stream += 2;
    const fields = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/moby.buildkit.v1.Control/Solve"],
      [":authority", this.#authority],
      ["content-type", "application/grpc"],
    ] as const;
    await this.#send({ type: FRAME.headers, flags: END_HEADERS, stream, payload: headerBlock(fields) });
    await this.#send({ type: FRAME.data, flags: END_STREAM, stream, payload: NOTHING });
    let pod: string | undefined;
    while (true) {
      const frame = await this.#next();
      if (frame.stream !== stream) continue;
      if (frame.type === FRAME.headers) pod ??= servedBy(frame.payload);
      if ((frame.flags & END_STREAM) === 0) continue;
      if (pod === undefined) throw new Error("The call was refused");
      return pod;
    }
  }

  /** The next frame that is about more than the connection. */
  async #next(): Promise<Frame> {
    const frame = await readFrame(this.#reader);
    if (frame === null) throw new Error("The connection ended before the build did");
    if (frame.type === FRAME.settings && (frame.flags & ACK) === 0) {
      await this.#send({ type: FRAME.settings, flags: ACK, stream: 0, payload: NOTHING });
    }
    return frame;
  }

  async #send(frame: Frame): Promise<void> {
    await writeAll(this.#conn, frameBytes(frame));
  }
}

/** The value of the field in a header block that spells everything out. */
function servedBy(block: Uint8Array): string | undefined {
  const text = new TextDecoder("latin1").decode(block);
  const at = text.indexOf(SERVED_BY) + SERVED_BY.length;
  if (at < SERVED_BY.length) return undefined;
  return text.slice(at + 1, at + 1 + text.charCodeAt(at));
}
