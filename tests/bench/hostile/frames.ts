/**
 * Clients that make their bytes expensive to parse: header blocks of short fields, frames without content, streams at full
 * speed for comparison.
 *
 * @module
 */
import { concat } from "../../../lib/base/bytes.ts";
import { closeQuietly } from "../../../lib/miniature/bytes.ts";
import { FLAG, FRAME, frame } from "../../../lib/target/http2_frames.ts";
import { blockOf, LOOK_UP } from "../../support/calls.ts";
import { OPENING } from "../../support/http2_client.ts";
import { delay } from "../processes.ts";
import { type Attack, crowd, dial, MOST_CONNECTIONS, send } from "./attack.ts";

const FILL_BYTES = 256 * 1024;

/** As many of them as have so many bytes together. */
const filled = (one: Uint8Array, bytes = FILL_BYTES) =>
  concat(Array(Math.floor(bytes / one.length)).fill(one));

/** A call with as many fields of two bytes as fit into 8 KiB, each of which is inserted into the dynamic table. */
const INSERTS = frame(
  FRAME.headers,
  FLAG.endHeaders,
  1,
  concat([blockOf(LOOK_UP), filled(Uint8Array.of(0x53, 0), 8_000)]),
);

/** Takes what the pod sends back: else the kernel's memory for TCP would be full before the program's. Never fails. */
async function take(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // It has been closed.
  }
}

/** Sends all of `bytes`, and takes what comes back. */
async function exchange(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  const taking = take(conn);
  await send(conn, bytes);
  await taking;
}

/** Sends the same again and again, and takes what comes back, until the signal is aborted. */
async function stream(conn: Deno.TcpConn, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  signal.addEventListener("abort", () => closeQuietly(conn), { once: true });
  const taking = take(conn);
  // Throws when the connection is closed.
  for (let at = 0; !signal.aborted;) at = (at + await conn.write(bytes.subarray(at))) % bytes.length;
  await taking;
}

/** Such a stream on each of `count` connections. */
function streams(name: string, count: number, one: Uint8Array): Attack {
  return {
    name: `${count} streams of ${name}`,
    state: "warm",
    run: ({ address }, signal) =>
      crowd(address, count, async (conn) => {
        await send(conn, OPENING);
        await stream(conn, filled(one), signal);
      }, signal),
  };
}

/** Connects, sends all of `bytes` and leaves, 64 at a time, as fast as can be. */
async function visits(address: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  let left = MOST_CONNECTIONS;
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (!signal.aborted && left-- > 0) {
      const conn = await dial(address).catch(() => undefined);
      if (conn === undefined) {
        await delay(10);
        continue;
      }
      const taking = take(conn);
      await send(conn, bytes);
      closeQuietly(conn);
      await taking;
    }
  }));
}

const inserting = concat([OPENING, filled(INSERTS)]);

/** Header blocks in both states, and streams of frames of both sizes. */
export const FRAMES: readonly Attack[] = [
  ...(["warm", "held"] as const).map((state): Attack => ({
    name: `1,500 ${state} clients with 256 KiB of HPACK inserts`,
    state,
    run: ({ address }, signal) =>
      crowd(address, MOST_CONNECTIONS, (conn) => exchange(conn, inserting), signal),
  })),
  {
    name: "64 clients at a time that send 256 KiB of HPACK inserts and leave",
    state: "warm",
    run: ({ address }, signal) => visits(address, inserting, signal),
  },
  streams("frames of 9 bytes", 200, frame(FRAME.data, 0, 1, new Uint8Array())),
  streams("DATA of 16 KiB", 100, frame(FRAME.data, 0, 1, new Uint8Array(16_384))),
];
