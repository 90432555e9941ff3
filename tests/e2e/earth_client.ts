/**
 * An imitation of `earth`, whose program cannot be built here, as far as its connections go: how often it dials, for how
 * long, and what it sends. The bytes are recorded ones (`tests/property/openings`).
 *
 * It makes one attempt after the other to ask the daemon something, with a limit of 1, 2, 4, 8 … s each and a second
 * between them, 60 s in all. An attempt that is too late is given up as grpc-go does it: the call is cancelled, then
 * GOAWAY, then FIN.
 *
 * @module
 */

import { concat as join } from "../../lib/base/bytes.ts";
import { delay } from "./waiting.ts";

const FIRST_LIMIT_MS = 1_000;
const PAUSE_MS = 1_000;
const ALL_MS = 60_000;

const HEADER_BYTES = 9;
const PREFACE_BYTES = 24;
const TYPE = { data: 0, headers: 1, settings: 4 };
const ACK = 1;
const END_STREAM = 1;

/** The daemon's answer, or that there was none in time. */
export interface EarthOutcome {
  readonly attempts: number;
  readonly served: boolean;
}

/** What the client says at which point. */
interface Script {
  /** At once. */
  readonly opening: Uint8Array;
  /** On the server's first SETTINGS. */
  readonly call: Uint8Array;
  /** When the limit has passed. */
  readonly goodbye: Uint8Array;
}

/**
 * Makes attempts until one is served, or until its user stops it after `most` of them. `onGivenUp` is awaited after each
 * that was not served.
 */
export async function runEarth(
  connect: () => Promise<Deno.Conn>,
  onGivenUp: (attempt: number) => Promise<void>,
  most = Infinity,
): Promise<EarthOutcome> {
  const script = await loadScript();
  const startedMs = performance.now();
  for (let attempt = 1, limitMs = FIRST_LIMIT_MS;; attempt++, limitMs *= 2) {
    const leftMs = ALL_MS - (performance.now() - startedMs);
    if (leftMs <= 0 || attempt > most) return { attempts: attempt - 1, served: false };
    if (await tryOnce(connect, script, Math.min(limitMs, leftMs))) return { attempts: attempt, served: true };
    await onGivenUp(attempt);
    await delay(PAUSE_MS);
  }
}

async function loadScript(): Promise<Script> {
  const url = new URL("../property/openings/earth-settings-0.bin", import.meta.url);
  const bytes = await Deno.readFile(url);
  const frames = framesOf(bytes.subarray(PREFACE_BYTES));
  const ackAt = frames.findIndex((frame) => frame[3] === TYPE.settings && (frame[4]! & ACK) !== 0);
  const callEnd = frames.findIndex((frame) => frame[3] === TYPE.data && (frame[4]! & END_STREAM) !== 0) + 1;
  return {
    opening: join([bytes.subarray(0, PREFACE_BYTES), ...frames.slice(0, ackAt)]),
    call: join(frames.slice(ackAt, callEnd)),
    goodbye: join(frames.slice(callEnd)),
  };
}

/** One attempt: true when the daemon has answered the call. */
async function tryOnce(connect: () => Promise<Deno.Conn>, script: Script, limitMs: number): Promise<boolean> {
  const conn = await connect();
  const limit = setTimeout(async () => {
    await conn.write(script.goodbye).catch(() => {});
    conn.close();
  }, limitMs);
  try {
    await conn.write(script.opening);
    let called = false;
    let rest: Uint8Array = new Uint8Array();
    const buffer = new Uint8Array(16 * 1024);
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      rest = join([rest, buffer.subarray(0, n)]);
      const frames = framesOf(rest);
      rest = rest.slice(frames.reduce((sum, frame) => sum + frame.byteLength, 0));
      for (const frame of frames) {
        if (frame[3] === TYPE.settings && (frame[4]! & ACK) === 0) {
          // grpc-go acknowledges each; the first one also lets it call.
          await conn.write(called ? Uint8Array.of(0, 0, 0, TYPE.settings, ACK, 0, 0, 0, 0) : script.call);
          called = true;
        }
        if (frame[3] === TYPE.data) {
          await conn.write(script.goodbye);
          return true;
        }
      }
    }
    return false;
  } catch {
    return false; // The limit has passed, or the connection was refused or broken.
  } finally {
    clearTimeout(limit);
    try {
      conn.close();
    } catch {
      // The limit has closed it.
    }
  }
}

/** The whole frames at the start of `bytes`. */
function framesOf(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.byteLength;) {
    const end = at + HEADER_BYTES + (bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!);
    if (end > bytes.byteLength) break;
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}
