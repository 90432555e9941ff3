/**
 * Daemons that differ in what they say of their own health. To whoever speaks no HTTP/2 each of them is an echo server,
 * so that a test sees to which pod a session was sent.
 *
 * @module
 */
import type { Conn } from "../../lib/base/network.ts";
import { ByteReader, writeAll } from "../../lib/miniature/bytes.ts";
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  frameBytes,
  headerBlock,
  PREFACE,
  readFrame,
} from "../../lib/miniature/stub_http2.ts";
import { bytesOf, SETTINGS_ACK } from "./http2_client.ts";
import type { Serve } from "./server_pods.ts";

/** What a daemon answers to a health check. */
export type HealthHabit =
  /** SERVING. */
  | "serving"
  /** NOT_SERVING. */
  | "not_serving"
  /** The call fails: there is no such service. */
  | "unimplemented"
  /** It speaks TLS and answers anything else with an alert. */
  | "tls"
  /** It takes the connection and never answers. */
  | "silent"
  /** It takes the connection and closes it, as the sidecar of a mesh does while the daemon does not listen. */
  | "closes";

/** A TLS alert: fatal, unexpected message (RFC 8446, section 6). */
const ALERT = Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a);

/** Serves, with a habit that a test may change at any time, and counts checks. */
export class HealthDaemon {
  habit: HealthHabit;
  /** Called after every change. */
  onChange: () => void = () => {};
  /** Checks that have come. */
  begun = 0;
  /** Of those, that are over: the other side has its answer, or waits no more, and has closed the connection. */
  over = 0;

  constructor(habit: HealthHabit) {
    this.habit = habit;
  }

  /** For pods. */
  readonly serve: Serve = async (conn) => {
    const reader = new ByteReader(conn);
    if (await reader.startsWith(PREFACE)) return await this.#check(conn, reader);
    for (let bytes = await reader.some(); bytes !== null; bytes = await reader.some()) {
      await writeAll(conn, bytes);
    }
    await conn.closeWrite();
  };

  async #check(conn: Conn, reader: ByteReader): Promise<void> {
    this.begun++;
    this.onChange();
    try {
      const { habit } = this;
      if (habit === "tls") {
        await writeAll(conn, ALERT);
        await conn.closeWrite();
      }
      if (habit === "closes") return conn.close();
      if (habit === "tls" || habit === "silent") {
        while (await reader.some() !== null);
        return;
      }
      await writeAll(
        conn,
        bytesOf({ type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() }, SETTINGS_ACK),
      );
      for (let frame = await readFrame(reader); frame !== null; frame = await readFrame(reader)) {
        if ((frame.flags & END_STREAM) === 0 || frame.stream === 0) continue;
        await writeAll(conn, answer(frame.stream, habit));
      }
    } finally {
      this.over++;
      this.onChange();
    }
  }
}

function answer(stream: number, habit: "serving" | "not_serving" | "unimplemented"): Uint8Array {
  const head: [string, string][] = [[":status", "200"], ["content-type", "application/grpc"]];
  const end = END_HEADERS | END_STREAM;
  if (habit === "unimplemented") {
    const payload = headerBlock([...head, ["grpc-status", "12"], ["grpc-message", "unknown service"]]);
    return frameBytes({ type: FRAME.headers, flags: end, stream, payload });
  }
  const status = habit === "serving" ? 1 : 2;
  return bytesOf(
    { type: FRAME.headers, flags: END_HEADERS, stream, payload: headerBlock(head) },
    { type: FRAME.data, flags: 0, stream, payload: Uint8Array.of(0, 0, 0, 0, 2, 8, status) },
    { type: FRAME.headers, flags: end, stream, payload: headerBlock([["grpc-status", "0"]]) },
  );
}
