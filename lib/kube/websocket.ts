/**
 * A WebSocket client's messages on a connection that has been upgraded (RFC 6455). The runtime's own `WebSocket` takes in
 * whatever a server sends, read or not; here a byte is read only when somebody asks for it, and a write ends only when
 * the connection has taken it. It keeps at most 16 KiB.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Random } from "../base/random.ts";
import type { ByteStream } from "./http.ts";
import {
  clientFrame,
  CLOSE_STATUS,
  closePayload,
  FrameError,
  MAX_HEADER_BYTES,
  OPCODE,
  parseClose,
  parseFrameHeader,
} from "./websocket_frames.ts";

/** What is read at a time, unless a message goes straight to its reader. */
const INBOX_BYTES = 16 * 1024;

/**
 * How often a Ping and an empty message are sent, in ms. Balancers forget connections that are silent for some minutes,
 * and the kubelet's server ends those without a message for four hours; Pings are no messages for it.
 */
export const KEEP_ALIVE_MS = 30_000;

/**
 * A reader that has waited for so long, from Ping to Ping, without a single byte has no peer any more, in ms. Never
 * shorter: a daemon that stands still for a while makes everything on the way to it stand still, its Pongs too.
 */
export const DEAD_AFTER_MS = 10 * KEEP_ALIVE_MS;
const PATIENT_PINGS = DEAD_AFTER_MS / KEEP_ALIVE_MS;

/**
 * After the machine has slept for so long, in ms, a peer is mostly gone without a word: then two Pings without an answer
 * are enough.
 */
const SLEEP_MS = 60_000;

/** Some bytes of a message. */
export interface Piece {
  /** How many bytes were read into the buffer; 0 in an empty message. */
  readonly length: number;
  /** They are the first of their message. */
  readonly begins: boolean;
  /** They are the last of their message. */
  readonly ends: boolean;
}

/** What a {@link WebSocketStream} works with. */
export interface WebSocketPorts {
  /** Times the keep-alive. */
  readonly clock: Clock;
  /** Masks. They protect from nothing here: TLS does. */
  readonly random: Random;
}

/** One end of a WebSocket connection. One `read` at a time; any number of `send`s, which go out in their order. */
export class WebSocketStream {
  readonly #stream: ByteStream;
  readonly #ports: WebSocketPorts;
  readonly #inbox = new Uint8Array(INBOX_BYTES);
  /** The part of the inbox that nobody has taken. */
  #from = 0;
  #to = 0;
  /** What is left of the frame that is being read. */
  #leftBytes = 0;
  #frameIsFinal = true;
  /** Between the first frame of a message and its last. */
  #inMessage = false;
  /** No byte of the message was given out yet. */
  #begins = false;
  #reading = false;
  #writing = 0;
  /** What the Pong that waits to be sent answers. */
  #pong: readonly number[] | undefined;
  #lastWrite: Promise<void> = Promise.resolve();
  /** Pings since anything was read, while somebody waited for it. */
  #unanswered = 0;
  /** How many of them there may be. */
  #patience = PATIENT_PINGS;
  /** The machine's clocks at the last round, to see that it has slept. */
  #round: { readonly nowMs: number; readonly bootMs: number };
  #closed = false;
  #fault: Error | undefined;
  #cancelKeepAlive: CancelTimer = () => {};

  /** Takes over the connection; closing this closes it. */
  constructor(stream: ByteStream, ports: WebSocketPorts) {
    this.#stream = stream;
    this.#ports = ports;
    this.#round = this.#clocks();
    this.#keepAlive();
  }

  /**
   * Reads some of the next message into `buffer`, or `null` once the server has said that it closes.
   *
   * @throws Error when the connection is broken, cut off, or no WebSocket
   */
  async read(buffer: Uint8Array): Promise<Piece | null> {
    this.#reading = true;
    try {
      return await this.#piece(buffer);
    } catch (error) {
      throw this.#fault ?? error;
    } finally {
      this.#reading = false;
    }
  }

  /** Sends one binary message, `start` and then `rest`, and resolves when the connection has taken it. */
  send(start: readonly number[], rest?: Uint8Array): Promise<void> {
    return this.#transmit(() => [clientFrame(OPCODE.binary, this.#mask(), start, rest)]);
  }

  /** Closes the connection; reads and writes that wait fail. Does nothing the second time. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelKeepAlive();
    this.#stream.close();
  }

  async #piece(buffer: Uint8Array): Promise<Piece | null> {
    for (;;) {
      if (this.#leftBytes === 0 && !await this.#nextFrame()) return null;
      const length = this.#leftBytes === 0 ? 0 : await this.#payload(buffer);
      const ends = this.#leftBytes === 0 && this.#frameIsFinal;
      // An empty frame in the middle of a message says nothing.
      if (length === 0 && !ends) continue;
      const begins = this.#begins;
      this.#begins = false;
      if (ends) this.#inMessage = false;
      return { length, begins, ends };
    }
  }

  /** Reads on to the payload of the next frame that belongs to a message; false when the server closes. */
  async #nextFrame(): Promise<boolean> {
    for (;;) {
      const header = parseFrameHeader(this.#inbox.subarray(this.#from, this.#to));
      if (header === undefined) {
        await this.#fill(MAX_HEADER_BYTES);
        continue;
      }
      this.#from += header.headerBytes;
      const { opcode, isFinal, payloadBytes } = header;
      if (opcode >= OPCODE.close) {
        if (!await this.#control(opcode, payloadBytes)) return false;
        continue;
      }
      if ((opcode === OPCODE.continuation) !== this.#inMessage) {
        throw new FrameError(
          this.#inMessage ? "found a message inside another" : "found the middle of no message",
        );
      }
      if (opcode === OPCODE.text) throw new FrameError("found text, want bytes");
      this.#begins ||= !this.#inMessage;
      this.#inMessage = true;
      this.#frameIsFinal = isFinal;
      this.#leftBytes = payloadBytes;
      return true;
    }
  }

  /** Answers a control frame; false for a Close. */
  async #control(opcode: number, payloadBytes: number): Promise<boolean> {
    while (this.#to - this.#from < payloadBytes) await this.#fill(payloadBytes);
    const payload = this.#inbox.slice(this.#from, this.#from += payloadBytes);
    if (opcode === OPCODE.ping) this.#answer([...payload]);
    if (opcode !== OPCODE.close) return true;
    const { code, reason } = parseClose(payload);
    this.#say(() => [clientFrame(OPCODE.close, this.#mask(), closePayload(CLOSE_STATUS.normal))]);
    if (([CLOSE_STATUS.normal, CLOSE_STATUS.goingAway, CLOSE_STATUS.none] as number[]).includes(code)) {
      return false;
    }
    throw new Error(`The server closed the stream with status ${code}${reason === "" ? "" : `: ${reason}`}`);
  }

  /** Reads some of the current frame's payload: out of the inbox, or straight from the connection. */
  async #payload(buffer: Uint8Array): Promise<number> {
    if (this.#from === this.#to && buffer.length >= INBOX_BYTES) {
      const n = await this.#receive(buffer.subarray(0, this.#leftBytes));
      this.#leftBytes -= n;
      return n;
    }
    if (this.#from === this.#to) await this.#fill(1);
    const bytes = this.#inbox.subarray(this.#from, this.#to).subarray(
      0,
      Math.min(buffer.length, this.#leftBytes),
    );
    buffer.set(bytes);
    this.#from += bytes.length;
    this.#leftBytes -= bytes.length;
    return bytes.length;
  }

  /** Reads once into the inbox, which has room for `roomBytes` from where it now begins. */
  async #fill(roomBytes: number): Promise<void> {
    if (this.#from === this.#to) this.#from = this.#to = 0;
    else if (INBOX_BYTES - this.#from < roomBytes) {
      this.#inbox.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    this.#to += await this.#receive(this.#inbox.subarray(this.#to));
  }

  async #receive(buffer: Uint8Array): Promise<number> {
    const n = await this.#stream.read(buffer);
    this.#unanswered = 0;
    this.#patience = PATIENT_PINGS;
    if (n === null) {
      throw new Error("The stream ended early: the server, or something on the way, cut it off");
    }
    return n;
  }

  #mask(): number {
    return Math.floor(this.#ports.random() * 2 ** 32);
  }

  /** Sends a Pong. One that still waits for other writes answers the newest Ping only (RFC 6455, 5.5.3). */
  #answer(payload: readonly number[]): void {
    const isWaiting = this.#pong !== undefined;
    this.#pong = payload;
    if (isWaiting) return;
    this.#say(() => {
      const frame = clientFrame(OPCODE.pong, this.#mask(), this.#pong ?? []);
      this.#pong = undefined;
      return [frame];
    });
  }

  /** Sends what nobody waits for. */
  #say(frames: () => readonly Uint8Array[]): void {
    this.#transmit(frames).catch(() => {});
  }

  /** Sends frames, made when it is their turn. */
  #transmit(frames: () => readonly Uint8Array[]): Promise<void> {
    this.#writing++;
    const written = this.#lastWrite.then(async () => {
      try {
        if (this.#closed) throw this.#fault ?? new Error("The stream is closed");
        for (const frame of frames()) {
          for (let rest = frame; rest.length > 0;) rest = rest.subarray(await this.#stream.write(rest));
        }
      } finally {
        this.#writing--;
      }
    });
    this.#lastWrite = written.catch(() => {});
    return written;
  }

  #keepAlive(): void {
    this.#cancelKeepAlive = this.#ports.clock.setTimer(KEEP_ALIVE_MS, () => {
      const { nowMs, bootMs } = this.#round;
      this.#round = this.#clocks();
      const sleptMs = this.#round.bootMs - bootMs - (this.#round.nowMs - nowMs);
      if (sleptMs > SLEEP_MS) this.#patience = Math.min(this.#patience, this.#unanswered + 2);
      if (this.#unanswered >= this.#patience) {
        this.#fault = new Error(
          `No byte came in ${formatDurationMs(this.#patience * KEEP_ALIVE_MS)}, nor an answer to a Ping`,
        );
        return this.close();
      }
      // While a write waits, bytes are on the way already, and what the peer does not take cannot be answered.
      if (this.#writing === 0) {
        if (this.#reading) this.#unanswered++;
        this.#say(() => [OPCODE.ping, OPCODE.binary].map((opcode) => clientFrame(opcode, this.#mask(), [])));
      }
      this.#keepAlive();
    });
  }

  #clocks(): { readonly nowMs: number; readonly bootMs: number } {
    const { clock } = this.#ports;
    return { nowMs: clock.nowMs(), bootMs: clock.bootMs() };
  }
}
