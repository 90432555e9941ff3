/**
 * The pods' server of the fault mix: an echo that takes note of the number with which a session begins.
 *
 * @module
 */
import { writeAll } from "../../../lib/miniature/bytes.ts";
import type { PodSession, Serve } from "../../support/server_pods.ts";

/** A session begins with its number, in as many decimal digits. */
export const NUMBER_BYTES = 12;

/** An echo server; `sessions` gets the sessions by number. */
export function numberedEcho(sessions: Map<number, PodSession>): Serve {
  return async (conn, _pod, session) => {
    const buffer = new Uint8Array(64 * 1024);
    let head = "";
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      if (head.length < NUMBER_BYTES) {
        head += new TextDecoder().decode(buffer.subarray(0, Math.min(n, NUMBER_BYTES - head.length)));
        if (head.length === NUMBER_BYTES && /^\d+$/.test(head)) sessions.set(Number(head), session);
      }
      await writeAll(conn, buffer.subarray(0, n));
    }
    await conn.closeWrite();
  };
}
