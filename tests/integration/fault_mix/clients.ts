/**
 * The clients of the fault mix: sessions of random length and pattern against the echo pods, every byte checked. A
 * session tells its pod its number first, so that it is known which pod a lost one was on.
 *
 * @module
 */
import type { Address } from "../../../lib/base/network.ts";
import { writeAll } from "../../../lib/miniature/bytes.ts";
import { within } from "../../support/deadline.ts";
import type { SeededRandom } from "../../support/seeded_random.ts";
import { pattern, resettable } from "../../support/tcp_client.ts";
import { NUMBER_BYTES } from "./pods.ts";

/** What a session does. */
export const PATTERNS = [
  "short",
  "long",
  "bulk",
  "half_close",
  "silent",
  "abandoned",
  "abandoned_rst",
] as const;
/** One of {@link PATTERNS}. */
export type Pattern = typeof PATTERNS[number];

/** How often each comes up, out of 100. */
const WEIGHTS: Readonly<Record<Pattern, number>> = {
  short: 35,
  long: 18,
  bulk: 7,
  half_close: 12,
  silent: 10,
  abandoned: 12,
  abandoned_rst: 6,
};

/** A session that did not get what it was owed. */
export interface Loss {
  readonly number: number;
  readonly pattern: Pattern;
  /** The client's own address, as the proxy logs it. */
  readonly client: string;
  readonly startedMs: number;
  readonly lostMs: number;
  readonly what: string;
}

/** How a session ended for its client. */
export type Outcome =
  | { readonly ended: "served" }
  | { readonly ended: "left" }
  | { readonly ended: "lost"; readonly loss: Loss };

/** Longer than any fault, or row of faults, keeps a client waiting, in ms. */
const SERVED_WITHIN_MS = 60_000;

/** Draws a pattern. */
export function drawPattern(random: SeededRandom): Pattern {
  let left = random.integer(0, 99);
  for (const pattern of PATTERNS) {
    left -= WEIGHTS[pattern];
    if (left < 0) return pattern;
  }
  return "short";
}

/** Resolves after some time: clients think, too. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs one session. Rejects only when it waits for ever or gets a wrong byte. */
export async function runSession(
  number: number,
  pattern: Pattern,
  proxy: Address,
  random: SeededRandom,
): Promise<Outcome> {
  if (pattern === "abandoned_rst") {
    return await within(
      abandonByReset(proxy, random),
      `session ${number} leaves`,
      () => "",
      SERVED_WITHIN_MS,
    );
  }
  const startedMs = performance.now();
  let conn: Deno.TcpConn;
  try {
    conn = await Deno.connect(proxy);
  } catch (error) {
    return lost(number, pattern, "", startedMs, `cannot connect: ${error}`);
  }
  const { hostname, port } = conn.localAddr as Deno.NetAddr;
  const client = `${hostname}:${port}`;
  try {
    conn.setNoDelay(true);
    if (pattern === "abandoned") {
      if (random.chance(0.5)) await conn.write(numberBytes(number));
      await pause(random.integer(0, 250));
      return { ended: "left" };
    }
    const what = `session ${number} (${pattern}) of ${client} is served`;
    await within(converse(conn, number, pattern, random), what, () => "", SERVED_WITHIN_MS);
    return { ended: "served" };
  } catch (error) {
    if (
      error instanceof Lost || error instanceof Deno.errors.ConnectionReset ||
      error instanceof Deno.errors.BrokenPipe
    ) {
      return lost(number, pattern, client, startedMs, String(error));
    }
    throw error;
  } finally {
    try {
      conn.close();
    } catch { /* it is closed */ }
  }
}

/** The connection has ended too early. */
class Lost extends Error {}

function lost(number: number, pattern: Pattern, client: string, startedMs: number, what: string): Outcome {
  return { ended: "lost", loss: { number, pattern, client, startedMs, lostMs: performance.now(), what } };
}

async function converse(
  conn: Deno.TcpConn,
  number: number,
  pattern: Pattern,
  random: SeededRandom,
): Promise<void> {
  if (pattern === "silent") await pause(random.integer(0, 700));
  await echo(conn, numberBytes(number));
  switch (pattern) {
    case "short":
      return await echo(conn, bytesOf(random, 1, 4_000));
    case "silent":
      await pause(random.integer(0, 700));
      return await echo(conn, bytesOf(random, 1, 100));
    case "long":
      for (let rounds = random.integer(5, 25); rounds > 0; rounds--) {
        await echo(conn, bytesOf(random, 1, 40_000));
        await pause(random.integer(0, 60));
      }
      return;
    case "bulk":
      return await echo(conn, bytesOf(random, 500_000, 3_000_000));
    case "half_close": {
      const bytes = bytesOf(random, 1, 300_000);
      const back = receive(conn, bytes);
      await writeAll(conn, bytes);
      await conn.closeWrite();
      await back;
      if (await conn.read(new Uint8Array(1)) !== null) {
        throw new Error(`Session ${number}: more than it had sent`);
      }
    }
  }
}

async function echo(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  const results = await Promise.allSettled([receive(conn, bytes), writeAll(conn, bytes)]);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function receive(conn: Deno.TcpConn, wanted: Uint8Array): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let at = 0; at < wanted.length;) {
    const n = await conn.read(buffer.subarray(0, Math.min(buffer.length, wanted.length - at)));
    if (n === null) throw new Lost(`ended after ${at} of ${wanted.length} bytes`);
    for (let i = 0; i < n; i++) {
      if (buffer[i] !== wanted[at + i]) throw new Error(`Byte ${at + i} of ${wanted.length} is wrong`);
    }
    at += n;
  }
}

async function abandonByReset(proxy: Address, random: SeededRandom): Promise<Outcome> {
  const client = await resettable(proxy);
  if (random.chance(0.5)) await client.send("to be forgotten");
  await pause(random.integer(0, 250));
  await client.reset();
  return { ended: "left" };
}

function bytesOf(random: SeededRandom, least: number, most: number): Uint8Array {
  return pattern(random.integer(least, most), random.integer(1, 1_000_000));
}

function numberBytes(number: number): Uint8Array {
  return new TextEncoder().encode(String(number).padStart(NUMBER_BYTES, "0"));
}
