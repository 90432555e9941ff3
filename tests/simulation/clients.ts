/**
 * The simulated clients. Each connection carries the client's number in its first bytes, sends calls one after the other
 * and compares what comes back byte for byte. How a connection ended is told to the world, which knows what faults may
 * have done to it.
 *
 * @module
 */
import { type Clock, deadline, sleep } from "../../lib/base/clock.ts";
import type { Network } from "../../lib/base/network.ts";
import { ByteReader, closeQuietly, writeAll } from "../../lib/miniature/bytes.ts";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frameBytes,
  headerBlock,
  PREFACE,
  readFrame,
} from "../../lib/miniature/stub_http2.ts";
import { literalFields } from "../support/http2_client.ts";
import type { SeededRandom } from "../support/seeded_random.ts";
import type { End } from "./connection.ts";

/** How one connection ended. */
export type Ending =
  /** No connection came about. */
  | "refused"
  /** All calls were answered, and it was closed properly. */
  | "served"
  /** The client left while it waited. */
  | "left"
  /** It has got no sign of an HTTP/2 server in time, and gives the connection up, as grpc-go does. */
  | "not_greeted"
  /** It was told why there is no backend, as far as it can be, and closed, before its first byte came back. */
  | "not_served"
  /** It broke after its first byte had come back. */
  | "broken"
  /** What came back is not what was sent. */
  | "corrupt";

/** What one connection does. */
export interface Plan {
  /** Its number, which its first bytes tell. */
  readonly id: number;
  /** Speaks HTTP/2, or something else. */
  readonly http2: boolean;
  /** Pauses between calls, in ms: one call more than there are pauses. */
  readonly pausesMs: readonly number[];
  /** Bytes of each call. */
  readonly bytes: number;
  /** Leaves if it is not served within this time, in ms. */
  readonly patienceMs: number;
}

/** A connection that is under way. */
export interface Progress {
  readonly plan: Plan;
  conn: End | undefined;
  /** Its first byte has come back. */
  served: boolean;
  /** What an HTTP/2 client was told instead: gRPC's status and message. */
  told: { readonly status: string; readonly message: string } | undefined;
}

/** How long a gRPC client waits for the server's first SETTINGS frame, in ms. */
const GREETING_MS = 20_000;

/** Runs one connection. Never throws. */
export async function runConnection(
  progress: Progress,
  proxy: string,
  network: Network,
  clock: Clock,
  signal: AbortSignal,
): Promise<Ending> {
  const { plan } = progress;
  try {
    using limit = deadline(clock, 5_000, signal, () => new Error("No connection"));
    progress.conn = await network.connect({ hostname: proxy, port: 8080 }, limit.signal) as End;
  } catch {
    return "refused";
  }
  const { conn } = progress;
  let gaveUp: Ending | undefined;
  const giveUp = (ending: Ending) => {
    if (progress.served) return;
    gaveUp = ending;
    closeQuietly(conn);
  };
  const cancelPatience = clock.setTimer(plan.patienceMs, () => giveUp("left"));
  const cancelGreeting = plan.http2 ? clock.setTimer(GREETING_MS, () => giveUp("not_greeted")) : () => {};
  try {
    return plan.http2
      ? await speakHttp2(progress, conn, clock, cancelGreeting, signal)
      : await speakRaw(progress, conn, clock, signal);
  } catch {
    return gaveUp ?? (progress.served ? "broken" : "not_served");
  } finally {
    cancelGreeting();
    cancelPatience();
    closeQuietly(conn);
  }
}

function payload({ id, bytes }: Plan, call: number): Uint8Array {
  const head = new TextEncoder().encode(`#C${id}#${call}.`);
  const whole = new Uint8Array(Math.max(bytes, head.byteLength));
  whole.set(head);
  for (let i = head.byteLength; i < whole.byteLength; i++) whole[i] = (id * 31 + call * 7 + i) & 0xff;
  return whole;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}

async function speakRaw(progress: Progress, conn: End, clock: Clock, signal: AbortSignal): Promise<Ending> {
  const { plan } = progress;
  const reader = new ByteReader(conn);
  for (let call = 0; call <= plan.pausesMs.length; call++) {
    const sent = payload(plan, call);
    const writing = writeAll(conn, sent);
    writing.catch(() => {});
    if (!await reader.peek()) throw new Error("closed");
    progress.served = true;
    const got = await reader.exactly(sent.byteLength);
    if (got === null) throw new Error("closed");
    if (!same(got, sent)) return "corrupt";
    await writing;
    await pause(plan.pausesMs[call], clock, signal);
  }
  await conn.closeWrite();
  return await reader.some() === null ? "served" : "corrupt";
}

async function speakHttp2(
  progress: Progress,
  conn: End,
  clock: Clock,
  onGreeting: () => void,
  signal: AbortSignal,
): Promise<Ending> {
  const { plan } = progress;
  const reader = new ByteReader(conn);
  await writeAll(conn, new TextEncoder().encode(PREFACE));
  await writeAll(conn, frameBytes({ type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() }));
  const head = headerBlock([[":method", "POST"], [":path", "/echo"], ["content-type", "application/grpc"]]);
  for (let call = 0; call <= plan.pausesMs.length; call++) {
    const stream = 2 * call + 1;
    const sent = payload(plan, call);
    await writeAll(conn, frameBytes({ type: FRAME.headers, flags: END_HEADERS, stream, payload: head }));
    await writeAll(conn, frameBytes({ type: FRAME.data, flags: END_STREAM, stream, payload: sent }));
    let got: Uint8Array | undefined;
    for (;;) {
      const frame = await readFrame(reader);
      if (frame === null) throw new Error("closed");
      onGreeting();
      if (frame.type === FRAME.settings && (frame.flags & ACK) === 0) {
        await writeAll(
          conn,
          frameBytes({ type: FRAME.settings, flags: ACK, stream: 0, payload: new Uint8Array() }),
        );
      }
      if (frame.type === FRAME.data && frame.stream === stream) {
        progress.served = true;
        got = frame.payload;
      }
      if (frame.type === FRAME.goAway) throw new Error("told to go");
      if (frame.type !== FRAME.headers || frame.stream !== stream || (frame.flags & END_STREAM) === 0) {
        continue;
      }
      const { "grpc-status": status = "", "grpc-message": message = "" } = literalFields(frame.payload);
      if (got === undefined) progress.told = { status, message };
      break;
    }
    if (got === undefined) throw new Error("told why");
    if (!same(got, sent)) return "corrupt";
    await pause(plan.pausesMs[call], clock, signal);
  }
  await conn.closeWrite();
  for (let frame = await readFrame(reader); frame !== null; frame = await readFrame(reader));
  return "served";
}

/** Waits, unless the end has come: then the client hurries. */
async function pause(ms: number | undefined, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ms !== undefined) await sleep(clock, ms, signal).catch(() => {});
}

/** What a whole client does: its connections, one after the other. */
export type Pattern = "buildctl" | "buildx" | "earth";

/**
 * Draws the connections of a client, without their numbers. Its longest one makes pauses of up to `longestPauseMs`;
 * `served` says whether the last one was.
 */
export function* connectionsOf(
  pattern: Pattern,
  longestPauseMs: number,
  random: SeededRandom,
  served: () => boolean,
): Generator<Omit<Plan, "id">> {
  const forever = 3_600_000;
  const http2 = random.chance(0.5);
  const long = (patienceMs: number): Omit<Plan, "id"> => ({
    http2,
    pausesMs: Array.from(
      { length: random.integer(0, 4) },
      () => random.integer(10, random.pick([300, longestPauseMs])),
    ),
    bytes: random.pick([0, 100, 2_000, http2 ? 16_000 : 30_000]),
    patienceMs,
  });
  const short = (patienceMs: number): Omit<Plan, "id"> => ({ ...long(patienceMs), pausesMs: [], bytes: 40 });
  if (pattern === "buildx") { for (let i = 0; i < 3; i++) yield short(forever); }
  if (pattern === "earth") { for (let i = 0; i < 120 && !served(); i++) yield short(1_000); }
  yield long(random.chance(0.15) ? random.integer(500, 20_000) : forever);
}
