/**
 * Clients that fill their holds with calls and frames while there is no pod: as many as may wait at a time, and eight that
 * leave as soon as their hold has failed.
 *
 * @module
 */
import { concat } from "../../../lib/base/bytes.ts";
import { FLAG, FRAME, frame } from "../../../lib/target/http2_frames.ts";
import { OPENING } from "../../support/http2_client.ts";
import { type Attack, crowd, dial, send } from "./attack.ts";

/** HEADERS without content, each of which opens a call. */
function calls(count: number): Uint8Array {
  return concat(
    Array.from(
      { length: count },
      (_, i) => frame(FRAME.headers, FLAG.endHeaders, 2 * i + 1, new Uint8Array()),
    ),
  );
}

/** Frames of the given size until `bytes` are full. */
function data(bytes: number, payloadBytes: number): Uint8Array {
  const one = frame(FRAME.data, 0, 1, new Uint8Array(payloadBytes));
  return concat(Array(Math.ceil(bytes / one.length)).fill(one));
}

const FILL_BYTES = 256 * 1024;

/** What clients send, by its name. */
const LOADS: Readonly<Record<string, Uint8Array>> = {
  "HEADERS": concat([OPENING, calls(FILL_BYTES / 9)]),
  "1,000 HEADERS, then empty DATA": concat([OPENING, calls(1_000), data(FILL_BYTES, 0)]),
  "1,000 HEADERS, then DATA of 16 KiB": concat([OPENING, calls(1_000), data(FILL_BYTES, 16_384)]),
  "no HTTP/2": new Uint8Array(FILL_BYTES).fill(0x16),
};

/** Reads until the server has said more than SETTINGS, which is the end of the hold, or has closed. */
async function untilRefused(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let bytes = 0; bytes < 10;) {
    const n = await conn.read(buffer);
    if (n === null) return;
    bytes += n;
  }
}

/** Two for each load. */
export const CALLS: readonly Attack[] = Object.entries(LOADS).flatMap(([what, bytes]) => [
  {
    name: `8 held clients with ${what}, whose holds fail`,
    state: "held",
    settings: { "ready-wait-timeout": "5s" },
    livezBarMs: 100,
    endsHolds: true,
    async run({ address }, signal) {
      await Promise.all(Array.from({ length: 8 }, async () => {
        const conn = await dial(address);
        void send(conn, bytes);
        await untilRefused(conn).catch(() => {});
        conn.close();
      }));
      if (!signal.aborted) {
        await new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve(), { once: true })
        );
      }
    },
  } satisfies Attack,
  {
    name: `1,000 held clients with ${what}`,
    state: "held",
    run: ({ address }, signal) => crowd(address, 1_000, (conn) => send(conn, bytes), signal),
  } satisfies Attack,
]);
