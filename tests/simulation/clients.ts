/**
 * The simulated clients. Each connection carries the client's number in its first bytes, sends calls one after the other
 * and compares what comes back byte for byte; a watcher makes one call that has no end. How a connection ended is told to
 * the world, which knows what faults may have done to it.
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
  type Frame,
  frameBytes,
  LISTEN_BUILD_HISTORY,
  PREFACE,
  readFrame,
} from "../../lib/miniature/stub_http2.ts";
import { extension, message, prefixed, records, serverNameExtension } from "../support/client_hello.ts";
import { type CallHeaders, callHeaders, literalFields } from "../support/http2_client.ts";
import type { SeededRandom } from "../support/seeded_random.ts";
import { type End, NUMBER_SETTING } from "./connection.ts";
import { type ClientDoor, MAIN_DOOR } from "./plan.ts";

/** How one connection ended. */
export type Ending =
  /** No connection came about. */
  | "refused"
  /** All calls were answered, and it was closed properly. */
  | "served"
  /** The client left while it waited, or watched. */
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
  /** Where it connects. */
  readonly door: ClientDoor;
  /** Speaks HTTP/2, or something else. */
  readonly http2: boolean;
  /** Speaks TLS with the daemon, as far as the proxy sees: the name of the server that it asks for. */
  readonly serverName?: string | undefined;
  /** It only asks by HTTP/1.1 for a builder that is awake, and for as long as this, in seconds. */
  readonly wakesForSeconds?: number | undefined;
  /** It says nothing, and leaves when its patience ends. */
  readonly isProbe?: boolean;
  /** What its calls say about themselves, over HTTP/2. */
  readonly headers: CallHeaders;
  /** Sends its first call only once the server has greeted it, as real clients do. */
  readonly waitsForGreeting: boolean;
  /** Watches the build history first. */
  readonly watches?: undefined | {
    /** For so long, in ms. Then it builds, too, on the same connection; or it goes on until its patience ends. */
    readonly buildsAfterMs?: number | undefined;
  };
  /** Pauses between calls, in ms: one call more than there are pauses. */
  readonly pausesMs: readonly number[];
  /** Bytes of each call. */
  readonly bytes: number;
  /** Leaves if it is not served within this time, in ms. To watch is not to be served. */
  readonly patienceMs: number;
}

/** What a client does, for the trace. */
export function kindOf(
  { http2, headers, serverName, wakesForSeconds, isProbe, watches }: Omit<Plan, "id">,
): string {
  const name = headers.authority ?? "nobody";
  if (isProbe) return "a TCP check";
  if (wakesForSeconds !== undefined) return `wakes ${name}`;
  if (watches !== undefined) return `watches ${name}`;
  return http2 ? `HTTP/2 to ${name}` : serverName === undefined ? "other bytes" : `TLS to ${serverName}`;
}

/** A connection that is under way. */
export interface Progress {
  readonly plan: Plan;
  conn: End | undefined;
  /** Its first byte has come back: of a call that has an end. */
  served: boolean;
  /** What an HTTP/2 client was told instead: gRPC's status and message. */
  told: { readonly status: string; readonly message: string } | undefined;
}

/** The patience of clients that have all the time. */
const FOREVER_MS = 3_600_000;

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
    progress.conn = await network.connect({ hostname: proxy, port: plan.door.port }, limit.signal) as End;
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
  const onAbort = () => giveUp("left");
  if (plan.watches !== undefined && plan.watches.buildsAfterMs === undefined) {
    signal.addEventListener("abort", onAbort, { once: true });
  }
  const cancelGreeting = plan.http2 ? clock.setTimer(GREETING_MS, () => giveUp("not_greeted")) : () => {};
  try {
    if (plan.isProbe) return await saysNothing(conn);
    if (plan.wakesForSeconds !== undefined) return await speakHttp1(progress, conn, plan.wakesForSeconds);
    return plan.http2
      ? await speakHttp2(progress, conn, clock, cancelGreeting, signal)
      : await speakRaw(progress, conn, clock, signal);
  } catch {
    return gaveUp ?? (progress.served ? "broken" : "not_served");
  } finally {
    signal.removeEventListener("abort", onAbort);
    cancelGreeting();
    cancelPatience();
    closeQuietly(conn);
  }
}

function payload({ id, bytes, serverName }: Plan, call: number): Uint8Array {
  if (serverName !== undefined && call === 0) return helloOf(id, serverName, bytes);
  const head = new TextEncoder().encode(`#C${id}#${call}.`);
  const whole = new Uint8Array(Math.max(bytes, head.byteLength));
  whole.set(head);
  for (let i = head.byteLength; i < whole.byteLength; i++) whole[i] = (id * 31 + call * 7 + i) & 0xff;
  return whole;
}

/** A ClientHello that asks for this server, and has the client's number where TLS has 32 random bytes. */
function helloOf(id: number, serverName: string, bytes: number): Uint8Array {
  const random = new Uint8Array(32);
  random.set(new TextEncoder().encode(`#C${id}#0.`));
  const padding = extension(21, new Uint8Array(bytes));
  const extensions = prefixed(2, serverNameExtension(serverName), padding);
  const body = [
    Uint8Array.of(3, 3),
    random,
    prefixed(1),
    prefixed(2, Uint8Array.of(0x13, 1)),
    prefixed(1, Uint8Array.of(0)),
    extensions,
  ];
  return records(message(bytesOf(body)));
}

function bytesOf(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
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

/** Waits for the other side to close. */
async function saysNothing(conn: End): Promise<Ending> {
  while (await conn.read(new Uint8Array(64)) !== null);
  throw new Error("closed");
}

/** Asks for a builder that is awake. Served: the proxy has said that one serves. */
async function speakHttp1(progress: Progress, conn: End, forSeconds: number): Promise<Ending> {
  const { id, headers: { authority = "localhost" } } = progress.plan;
  const query = forSeconds === 0 ? "" : `?for=${forSeconds}s`;
  const head = [
    `POST /wake${query} HTTP/1.1`,
    `host: ${authority}`,
    `user-agent: #C${id}#`,
    "accept: application/json",
    "",
    "",
  ];
  await writeAll(conn, new TextEncoder().encode(head.join("\r\n")));
  const reader = new ByteReader(conn);
  let text = "";
  for (let some = await reader.some(); some !== null; some = await reader.some()) {
    text += new TextDecoder().decode(some);
    // Its bytes came too late for the proxy to look at them: it is on a daemon, which sends them back.
    if (text.startsWith("POST")) return "left";
    if (!text.includes('"state":"ready"')) continue;
    progress.served = true;
    return "served";
  }
  const [, status = ""] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  const last = text.split(/\r?\n/).findLast((line) => line.startsWith("{") && line.endsWith("}"));
  const { error, reason, state } = last === undefined ? {} : JSON.parse(last);
  if (error !== undefined || state === "failed") progress.told = { status, message: error ?? reason ?? "" };
  throw new Error("told why");
}

async function speakHttp2(
  progress: Progress,
  conn: End,
  clock: Clock,
  onGreeting: () => void,
  signal: AbortSignal,
): Promise<Ending> {
  const { plan } = progress;
  const server = new Server(conn, onGreeting);
  await server.open(plan.id);
  if (plan.waitsForGreeting) await server.greeting();
  let stream = -1;
  if (plan.watches !== undefined) {
    stream += 2;
    await server.call(stream, { ...plan.headers, path: LISTEN_BUILD_HISTORY }, new Uint8Array(5));
    if (plan.watches.buildsAfterMs === undefined) return await watch(progress, server, stream);
    await pause(plan.watches.buildsAfterMs, clock, signal);
  }
  for (let call = 0; call <= plan.pausesMs.length; call++) {
    stream += 2;
    const sent = payload(plan, call);
    await server.call(stream, plan.headers, sent);
    let got: Uint8Array | undefined;
    for (;;) {
      const frame = await server.next();
      if (frame.type === FRAME.data && frame.stream === stream) {
        progress.served = true;
        got = frame.payload;
      }
      if (!endsStream(frame, stream)) continue;
      if (got === undefined) progress.told = statusOf(frame);
      break;
    }
    if (got === undefined) throw new Error("told why");
    if (!same(got, sent)) return "corrupt";
    await pause(plan.pausesMs[call], clock, signal);
  }
  await conn.closeWrite();
  await server.ended();
  return "served";
}

/** Listens on a stream that has no end until there is one. */
async function watch(progress: Progress, server: Server, stream: number): Promise<never> {
  for (;;) {
    const frame = await server.next();
    if (!endsStream(frame, stream)) continue;
    progress.told = statusOf(frame);
    throw new Error("told why");
  }
}

function endsStream({ type, stream, flags }: Frame, wanted: number): boolean {
  return type === FRAME.headers && stream === wanted && (flags & END_STREAM) !== 0;
}

function statusOf({ payload }: Frame): Progress["told"] {
  const { "grpc-status": status = "", "grpc-message": message = "" } = literalFields(payload);
  return { status, message };
}

/** The server as an HTTP/2 client sees it. */
class Server {
  readonly #conn: End;
  readonly #reader: ByteReader;
  readonly #onGreeting: () => void;
  #greeted = false;

  constructor(conn: End, onGreeting: () => void) {
    this.#conn = conn;
    this.#reader = new ByteReader(conn);
    this.#onGreeting = onGreeting;
  }

  /** Says who is there: a setting that no server knows tells the client's number. */
  async open(id: number): Promise<void> {
    const settings = new Uint8Array(6);
    const view = new DataView(settings.buffer);
    view.setUint16(0, NUMBER_SETTING);
    view.setUint32(2, id);
    await writeAll(this.#conn, new TextEncoder().encode(PREFACE));
    await this.#send({ type: FRAME.settings, flags: 0, stream: 0, payload: settings });
  }

  /** Waits for the server's SETTINGS. */
  async greeting(): Promise<void> {
    while (!this.#greeted) await this.next();
  }

  /** Makes a call. */
  async call(stream: number, headers: CallHeaders, message: Uint8Array): Promise<void> {
    await this.#send({ type: FRAME.headers, flags: END_HEADERS, stream, payload: callHeaders(headers) });
    await this.#send({ type: FRAME.data, flags: END_STREAM, stream, payload: message });
  }

  /** The next frame. @throws Error at the end, and when the server says goodbye */
  async next(): Promise<Frame> {
    const frame = await readFrame(this.#reader);
    if (frame === null) throw new Error("closed");
    this.#onGreeting();
    if (frame.type === FRAME.settings && (frame.flags & ACK) === 0) {
      this.#greeted = true;
      await this.#send({ type: FRAME.settings, flags: ACK, stream: 0, payload: new Uint8Array() });
    }
    if (frame.type === FRAME.goAway) throw new Error("told to go");
    return frame;
  }

  /** Resolves when the server has closed the connection. */
  async ended(): Promise<void> {
    while (await readFrame(this.#reader) !== null);
  }

  #send(frame: Frame): Promise<void> {
    return writeAll(this.#conn, frameBytes(frame));
  }
}

/** Waits, unless the end has come: then the client hurries. */
async function pause(ms: number | undefined, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ms !== undefined) await sleep(clock, ms, signal).catch(() => {});
}

/** What a whole client does: its connections, one after the other. */
export type Pattern = "buildctl" | "buildx" | "earth";

/** What clients dial: a project in each of the ways in which it can be written, and addresses that name none. */
const AUTHORITIES = [
  ["localhost", "10.99.0.1:8372", undefined],
  ["team-a", "team-a.default:8372", "Team-A.default.svc.cluster.local.:8372"],
  ["team-b:8372", "team-b.default.svc"],
  ["team-c"],
] as const;

/** What clients of a run have in common. */
export interface ClientWorld {
  /** Where they connect. */
  readonly doors: readonly ClientDoor[];
  /** Whether some of them speak TLS. */
  readonly tls: boolean;
  /** How long the pauses of a build are, at most, in ms. */
  readonly pauseMs: number;
}

/** What all calls of one client say about themselves: whom it has dialled, and which build they belong to. */
function drawHeaders(random: SeededRandom): CallHeaders {
  const digits = () => random.integer(1, 0xffff_ffff).toString(16).padStart(8, "0");
  return {
    path: random.pick(["/moby.buildkit.v1.Control/Info", "/moby.buildkit.v1.Control/Solve"]),
    authority: random.pick<string | undefined>(random.pick<readonly (string | undefined)[]>(AUTHORITIES)),
    traceId: random.chance(0.6) ? digits() + digits() + digits() + digits() : undefined,
  };
}

/** Draws the connection of a watcher, which lasts so long; now and then it builds in between. */
export function watcherOf(
  { doors }: ClientWorld,
  random: SeededRandom,
  lastsMs: number,
): Omit<Plan, "id"> {
  const builds = random.chance(0.3);
  return {
    door: random.pick(doors),
    http2: true,
    // Other calls may be a watcher's, too.
    headers: { ...drawHeaders(random), path: "/moby.buildkit.v1.Control/Solve" },
    waitsForGreeting: builds || random.chance(0.7),
    watches: { buildsAfterMs: builds ? random.integer(0, lastsMs) : undefined },
    pausesMs: builds ? [random.integer(10, 10_000)] : [],
    bytes: 100,
    patienceMs: builds ? FOREVER_MS : lastsMs,
  };
}

/** A watcher that does nothing else, and lasts for ever. */
export const ETERNAL_WATCHER: Omit<Plan, "id"> = {
  door: MAIN_DOOR,
  http2: true,
  headers: { authority: "team-a" },
  waitsForGreeting: true,
  watches: {},
  pausesMs: [],
  bytes: 0,
  patienceMs: FOREVER_MS,
};

/** A TCP check, which says nothing for so long. */
export function probeOf(door: ClientDoor, lastsMs: number): Omit<Plan, "id"> {
  return { ...ETERNAL_WATCHER, door, http2: false, watches: undefined, isProbe: true, patienceMs: lastsMs };
}

/** Draws a client that asks for a builder to be awake. */
export function wakeOf({ doors }: ClientWorld, random: SeededRandom): Omit<Plan, "id"> {
  return {
    ...ETERNAL_WATCHER,
    door: random.pick(doors),
    http2: false,
    watches: undefined,
    headers: { authority: random.pick(["localhost", "team-a", "team-b:8372", "team-c"]) },
    wakesForSeconds: random.pick([0, 0, 5, 30, 90]),
    patienceMs: random.chance(0.2) ? random.integer(500, 20_000) : FOREVER_MS,
  };
}

/** A client of a backlog: one short build of this project, or of none. */
export function queuerOf(
  { doors, tls }: ClientWorld,
  project: string | undefined,
  buildMs: number,
  random: SeededRandom,
): Omit<Plan, "id"> {
  const speaksTls = tls && project !== undefined && random.chance(0.3);
  return {
    door: random.chance(0.8) ? MAIN_DOOR : random.pick(doors),
    http2: !speaksTls && (project !== undefined || random.chance(0.8)),
    serverName: speaksTls ? `${project}.default.svc` : undefined,
    headers: { path: "/moby.buildkit.v1.Control/Solve", authority: project },
    waitsForGreeting: random.chance(0.5),
    pausesMs: [random.integer(10, buildMs)],
    bytes: 40,
    patienceMs: random.chance(0.1) ? random.integer(500, 20_000) : FOREVER_MS,
  };
}

/** Draws the connections of a client, without their numbers. `served` says whether the last one was. */
export function* connectionsOf(
  pattern: Pattern,
  { doors, tls, pauseMs }: ClientWorld,
  random: SeededRandom,
  served: () => boolean,
): Generator<Omit<Plan, "id">> {
  const http2 = random.chance(0.5);
  const speaksTls = !http2 && tls && random.chance(0.7);
  const headers = drawHeaders(random);
  const waitsForGreeting = random.chance(0.5);
  const door = random.pick(doors);
  const long = (patienceMs: number): Omit<Plan, "id"> => ({
    door,
    http2,
    serverName: speaksTls ? headers.authority?.replace(/:\d+$/, "") ?? "localhost" : undefined,
    headers,
    waitsForGreeting,
    pausesMs: Array.from(
      { length: random.integer(0, 4) },
      () => random.integer(10, random.pick([300, pauseMs])),
    ),
    bytes: random.pick([0, 100, 2_000, http2 || speaksTls ? 16_000 : 30_000]),
    patienceMs,
  });
  const short = (patienceMs: number): Omit<Plan, "id"> => ({ ...long(patienceMs), pausesMs: [], bytes: 40 });
  if (pattern === "buildx") { for (let i = 0; i < 3; i++) yield short(FOREVER_MS); }
  if (pattern === "earth") { for (let i = 0; i < 120 && !served(); i++) yield short(1_000); }
  yield long(random.chance(0.15) ? random.integer(500, 20_000) : FOREVER_MS);
}
