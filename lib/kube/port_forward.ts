/**
 * A connection to a port of a pod through the API server: `pods/portforward` by WebSocket, subprotocol
 * `v4.channel.k8s.io`. Each binary message begins with its channel: 0 carries bytes both ways, and on 1 the server says
 * why it could not connect, or why the connection broke. Both begin with the port, in two bytes.
 * Source: k8s.io/cri-streaming/pkg/streaming/portforward/websocket.go
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type CancelTimer, sleep } from "../base/clock.ts";
import type { Address, Conn } from "../base/network.ts";
import type { KubeClient } from "./client.ts";
import type { UpgradeAnswer } from "./http.ts";
import { type Piece, type WebSocketPorts, WebSocketStream } from "./websocket.ts";

/** The subprotocol. */
export const PORT_FORWARD_PROTOCOL = "v4.channel.k8s.io";

/** The channels. */
const CHANNEL = { data: 0, error: 1 } as const;

/** The bytes of the port at the beginning of each channel. */
const PORT_BYTES = 2;

/**
 * How long a connection in the pod may take to fail, in ms, from the answer of the API server. The server does not say
 * when it has connected; buildkitd speaks first, so that a plain one is known at once. Behind TLS the client does.
 */
export const SETTLE_MS = 300;

/**
 * The protocol has no half-close. After `closeWrite` the connection is read until nothing has come for so long, in ms,
 * and then closed: what was on its way still arrives, and a pod is not kept by a client that has left. gRPC servers end
 * a connection at once when the client has sent its FIN, so no build waits for more; containerd gives the rest as long.
 */
export const HALF_CLOSED_MS = 1_000;

/** Data in one message: the server hands each message on as a whole. */
const MESSAGE_BYTES = 64 * 1024 - 2;

/** The longest reason that is kept. */
const REASON_BYTES = 2_000;

/** Where to. */
export interface PodPort {
  /** The pod's namespace. */
  readonly namespace: string;
  /** The pod's name. */
  readonly pod: string;
  /** The port in the pod, on its loopback address. */
  readonly port: number;
}

/** What a port-forward works with. */
export interface PortForwardPorts extends WebSocketPorts {
  /** The server in the pod says nothing before the client does: nobody has to wait for its first byte. */
  readonly clientSpeaksFirst?: boolean;
  /** Told once, with the reason, when a connection that was made has broken. */
  onBroken?(error: Error): void;
}

/** The API server has reached the pod's node, and there the connection failed. */
export class PortForwardError extends Error {
  /** Always `PortForwardError`. */
  override readonly name = "PortForwardError";
}

/**
 * Connects to a port of a pod.
 *
 * @throws PortForwardError when nothing listens there, ApiError when a right is missing or the pod is gone, Error when the
 * stream broke, what else `KubeClient.upgrade` throws, or the signal's reason
 */
export async function openPortForward(
  client: KubeClient,
  to: PodPort,
  ports: PortForwardPorts,
  signal: AbortSignal,
): Promise<Conn> {
  const key = btoa(
    String.fromCharCode(...Array.from({ length: 16 }, () => Math.floor(ports.random() * 256))),
  );
  const answer = await client.upgrade({
    target: {
      verb: "get",
      // Kubernetes 1.36 asks for the right of `kubectl port-forward`, too, which sends a POST.
      verbs: ["get", "create"],
      group: "",
      resource: "pods/portforward",
      namespace: to.namespace,
      name: to.pod,
    },
    method: "GET",
    query: { ports: String(to.port) },
    upgrade: {
      "upgrade": "websocket",
      "connection": "Upgrade",
      "sec-websocket-key": key,
      "sec-websocket-version": "13",
      "sec-websocket-protocol": PORT_FORWARD_PROTOCOL,
    },
  }, signal);
  const fault = faultOf(answer, key);
  if (fault !== undefined) {
    answer.stream.close();
    throw new Error(`Cannot forward a port of pod "${to.pod}": ${fault}`);
  }
  const conn = new PortForward(new WebSocketStream(answer.stream, ports), to, ports);
  const onAbort = () => conn.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await conn.settle(signal);
    signal.throwIfAborted();
    conn.isMade = true;
    return conn;
  } catch (error) {
    conn.close();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** What is wrong with the server's side of the handshake (RFC 6455, 4.1). */
function faultOf({ headers }: UpgradeAnswer, key: string): string | undefined {
  const wanted = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (headers.get("sec-websocket-accept") !== wanted) return "the server's answer is none of a WebSocket";
  const protocol = headers.get("sec-websocket-protocol");
  if (protocol === PORT_FORWARD_PROTOCOL) return undefined;
  return `found the subprotocol "${protocol ?? ""}", want "${PORT_FORWARD_PROTOCOL}"`;
}

/** One connection. */
class PortForward implements Conn {
  readonly remoteAddr: Address;
  readonly #messages: WebSocketStream;
  /** The caller has it. */
  isMade = false;
  readonly #ports: PortForwardPorts;
  readonly #name: string;
  /** The channel of the message that is being read. */
  #channel: number | undefined;
  /** How much of its port each channel has brought. */
  readonly #portBytes = [0, 0];
  #reason = new Uint8Array();
  /** The read that `settle` has begun, and what is left of it. */
  #first: Promise<Uint8Array | null> | undefined;
  #kept: Uint8Array = new Uint8Array();
  readonly #answered = Promise.withResolvers<void>();
  /** Something has come from the pod. */
  #hasSpoken = false;
  #reads = 0;
  #halfClosed = false;
  #ended = false;
  #closed = false;
  #cancelSilence: CancelTimer = () => {};

  constructor(messages: WebSocketStream, { pod, port }: PodPort, ports: PortForwardPorts) {
    this.#messages = messages;
    this.#ports = ports;
    this.#name = `port ${port} of pod "${pod}"`;
    this.remoteAddr = { hostname: pod, port };
  }

  /** Waits until the daemon has spoken, or can be taken to listen. @throws when it does not */
  async settle(signal: AbortSignal): Promise<void> {
    const buffer = new Uint8Array(1024);
    const first = this.#next(buffer).then((n) => n === null ? null : buffer.subarray(0, n));
    this.#first = first;
    first.catch(() => {});
    const spoken = first.then((bytes) => {
      if (bytes === null) {
        throw new PortForwardError(`Cannot connect to ${this.#name}: the connection was closed`);
      }
    });
    const settled = new AbortController();
    try {
      await Promise.race([spoken, this.#answered.promise]);
      const settleMs = this.#ports.clientSpeaksFirst ? 0 : SETTLE_MS;
      await Promise.race([spoken, sleep(this.#ports.clock, settleMs, settled.signal).catch(() => {})]);
      signal.throwIfAborted();
    } finally {
      settled.abort();
    }
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#first !== undefined) {
      const bytes = await this.#first;
      this.#first = undefined;
      if (bytes === null) return null;
      this.#kept = bytes;
    }
    if (this.#kept.length > 0) {
      const bytes = this.#kept.subarray(0, buffer.length);
      buffer.set(bytes);
      this.#kept = this.#kept.subarray(bytes.length);
      return bytes.length;
    }
    return await this.#next(buffer);
  }

  async write(bytes: Uint8Array): Promise<number> {
    const part = bytes.subarray(0, MESSAGE_BYTES);
    if (this.#halfClosed) throw new Deno.errors.BrokenPipe("Broken pipe");
    await this.#messages.send([CHANNEL.data], part);
    return part.length;
  }

  closeWrite(): Promise<void> {
    this.#halfClosed = true;
    this.#awaitSilence();
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    this.#cancelSilence();
    this.#messages.close();
  }

  /** The API server's side of the connection sends at once anyway. */
  setNoDelay(): void {}

  /** The keep-alive of the WebSocket does it. */
  setKeepAlive(): void {}

  /** After `closeWrite`: a reader that has waited for long enough has reached the end. */
  #awaitSilence(): void {
    this.#cancelSilence();
    if (!this.#halfClosed || this.#closed || this.#reads === 0) return;
    this.#cancelSilence = this.#ports.clock.setTimer(HALF_CLOSED_MS, () => {
      this.#ended = true;
      this.#messages.close();
    });
  }

  /** Reads data; an empty message is passed over. */
  async #next(buffer: Uint8Array): Promise<number | null> {
    if (this.#ended) return null;
    this.#reads++;
    this.#awaitSilence();
    try {
      for (;;) {
        const n = await this.#some(buffer);
        if (n !== 0) return n;
      }
    } catch (error) {
      if (this.#ended) return null;
      throw this.#closed ? error : this.#broken(error);
    } finally {
      this.#reads--;
      this.#cancelSilence();
    }
  }

  #broken(cause: unknown): Error {
    const error = cause instanceof PortForwardError
      ? cause
      : new Error(`The connection to ${this.#name} through the API server broke`, { cause });
    // After `closeWrite` the client has left, and misses nothing.
    if (this.isMade && !this.#halfClosed) this.#ports.onBroken?.(error);
    return error;
  }

  /** Reads a piece of a message: how much of it is data, or `null` at the end. */
  async #some(buffer: Uint8Array): Promise<number | null> {
    if (this.#channel === undefined) {
      const channel = new Uint8Array(1);
      const piece = await this.#messages.read(channel);
      if (piece === null) return this.#end();
      if (piece.length === 0 || piece.ends) return 0;
      this.#channel = channel[0]!;
    }
    const channel = this.#channel;
    const skipped = this.#portBytes[channel] ?? PORT_BYTES;
    const into = skipped < PORT_BYTES
      ? new Uint8Array(PORT_BYTES - skipped)
      : channel === CHANNEL.data
      ? buffer
      : new Uint8Array(REASON_BYTES);
    const piece = await this.#messages.read(into);
    if (piece === null) return this.#end();
    if (piece.ends) this.#channel = undefined;
    if (skipped < PORT_BYTES) {
      this.#portBytes[channel] = skipped + piece.length;
      if (this.#portBytes.every((bytes) => bytes === PORT_BYTES)) this.#answered.resolve();
      return 0;
    }
    if (channel === CHANNEL.data) {
      this.#hasSpoken ||= piece.length > 0;
      return piece.length;
    }
    if (channel === CHANNEL.error) this.#note(into, piece);
    return 0;
  }

  #note(bytes: Uint8Array, { length, ends }: Piece): void {
    const room = REASON_BYTES - this.#reason.length;
    const longer = new Uint8Array(this.#reason.length + Math.min(room, length));
    longer.set(this.#reason);
    longer.set(bytes.subarray(0, Math.min(room, length)), this.#reason.length);
    this.#reason = longer;
    if (ends) throw this.#failure();
  }

  #end(): null {
    if (this.#reason.length > 0) throw this.#failure();
    this.#ended = true;
    return null;
  }

  #failure(): PortForwardError {
    const reason = new TextDecoder().decode(this.#reason).trim();
    return new PortForwardError(
      this.#hasSpoken
        ? `The connection to ${this.#name} broke: ${reason}`
        : `Cannot connect to ${this.#name}: ${reason}`,
    );
  }
}
