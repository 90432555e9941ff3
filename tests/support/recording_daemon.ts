/**
 * A daemon that writes down what it receives and speaks HTTP/2 as far as a grpc-go server does by itself: its SETTINGS
 * on the client's preface, an acknowledgement of the client's SETTINGS, an answer to each PING. Calls are left open.
 *
 * @module
 */
import type { Conn } from "../../lib/base/network.ts";
import { writeAll } from "../../lib/miniature/bytes.ts";
import { ACK, FRAME, type Frame, frameBytes, PREFACE } from "../../lib/miniature/stub_http2.ts";
import { bytesOf, framesOf, SETTINGS_ACK } from "./http2_client.ts";
import type { Serve } from "./server_pods.ts";

/** The daemon's SETTINGS: they differ from the empty ones of a hold (SETTINGS_MAX_FRAME_SIZE = 16384). */
export const DAEMON_SETTINGS: Frame = {
  type: FRAME.settings,
  flags: 0,
  stream: 0,
  payload: Uint8Array.of(0, 5, 0, 0, 0x40, 0),
};

/** One connection of a client. */
export class Recording {
  readonly #conn: Conn;
  #bytes: Uint8Array = new Uint8Array();
  /** The client has sent a FIN, or has broken the connection. */
  ended = false;

  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /** Everything that came. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The frames that came whole after the preface. */
  get frames(): readonly Frame[] {
    return framesOf(this.#bytes.subarray(PREFACE.length));
  }

  /** Says something to the client. */
  async send(...frames: readonly Frame[]): Promise<void> {
    await writeAll(this.#conn, bytesOf(...frames));
  }

  /** Takes note of more bytes. */
  add(bytes: Uint8Array): void {
    this.#bytes = bytesOf(this.#bytes, bytes);
  }
}

/** Serves and records. */
export class RecordingDaemon {
  /** The connections so far. */
  readonly recordings: Recording[] = [];
  /** Called after every change. */
  onChange: () => void = () => {};

  /** For pods. */
  readonly serve: Serve = (conn) => this.record(conn);

  /** Serves and records one connection until its client has ended it. */
  async record(conn: Conn): Promise<void> {
    const recording = new Recording(conn);
    this.recordings.push(recording);
    this.onChange();
    const buffer = new Uint8Array(64 * 1024);
    let answered = 0;
    let greeted = false;
    try {
      for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
        recording.add(buffer.slice(0, n));
        const text = new TextDecoder("latin1").decode(recording.bytes.subarray(0, PREFACE.length));
        if (text === PREFACE) {
          if (!greeted) await writeAll(conn, frameBytes(DAEMON_SETTINGS));
          greeted = true;
          for (const frame of recording.frames.slice(answered)) {
            answered++;
            if ((frame.flags & ACK) !== 0) continue;
            if (frame.type === FRAME.settings) await writeAll(conn, frameBytes(SETTINGS_ACK));
            if (frame.type === FRAME.ping) await writeAll(conn, frameBytes({ ...frame, flags: ACK }));
          }
        }
        this.onChange();
      }
    } finally {
      recording.ended = true;
      this.onChange();
    }
  }
}
