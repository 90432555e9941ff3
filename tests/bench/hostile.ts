/**
 * What clients that mean harm cost the program while there is no pod: how long `/livez` takes while they fill their holds
 * with calls, while the holds fail and while they leave; and the memory of as many full holds as there may be. Clients and
 * API server live in this process, the program in one of its own.
 *
 *     deno run -A tests/bench/hostile.ts
 *
 * `AUTOSCALER_BIN` names a compiled program. Exits with 1 when a bar does not hold. Needs Linux and `ulimit -n` above 4096.
 *
 * @module
 */
import { concat } from "../../lib/base/bytes.ts";
import { FLAG, FRAME, frame } from "../../lib/target/http2_frames.ts";
import { OPENING } from "../support/http2_client.ts";
import { delay } from "./processes.ts";
import { type Program, Stage } from "./stage.ts";

const LIVEZ_BAR_MS = 100;
const MEMORY_BAR_MB = 128;
/** How long the holds last, in ms; all must be full by then. */
const HOLD_MS = 20_000;
const SETTLE_MS = 6_000;
/** As many as may wait at a time, and as many as fill 64 MiB. */
const MOST_HELD = 1_000;

/** A client that sends all of `bytes`, as far as they are taken, and answers nothing. */
class Hostile {
  readonly #conn: Deno.TcpConn;
  /** Settles when no more is taken, or the connection has ended. */
  readonly sent: Promise<void>;

  private constructor(conn: Deno.TcpConn, bytes: Uint8Array) {
    this.#conn = conn;
    this.sent = (async () => {
      for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
    })().catch(() => {});
  }

  static async connect(address: string, bytes: Uint8Array): Promise<Hostile> {
    const at = address.lastIndexOf(":");
    const conn = await Deno.connect({ hostname: address.slice(0, at), port: Number(address.slice(at + 1)) });
    return new Hostile(conn, bytes);
  }

  /** Resolves with how much the server has said once that is at least `least`, or it has ended. */
  async heard(least: number): Promise<number> {
    const buffer = new Uint8Array(64 * 1024);
    let bytes = 0;
    try {
      while (bytes < least) {
        const n = await this.#conn.read(buffer);
        if (n === null) break;
        bytes += n;
      }
    } catch {
      // It has been closed.
    }
    return bytes;
  }

  close(): void {
    try {
      this.#conn.close();
    } catch {
      // It is closed.
    }
  }
}

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

/** The slowest answer of `/livez` so far, asked every 10 ms. */
class Livez implements AsyncDisposable {
  #over = false;
  slowestMs = 0;
  readonly #asking: Promise<void>;

  constructor({ adminAddress }: Program) {
    this.#asking = (async () => {
      while (!this.#over) {
        const startedMs = performance.now();
        const response = await fetch(`http://${adminAddress}/livez`);
        await response.body?.cancel();
        if (!response.ok) throw new Error(`Cannot ask /livez: found status ${response.status}, want 200`);
        this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
        await delay(10);
      }
    })();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#asking;
  }
}

const FILL_BYTES = 256 * 1024;

/** What clients send, by its name. */
const LOADS: Readonly<Record<string, Uint8Array>> = {
  "only HEADERS": concat([OPENING, calls(FILL_BYTES / 9)]),
  "1,000 HEADERS, then empty DATA": concat([OPENING, calls(1_000), data(FILL_BYTES, 0)]),
  "1,000 HEADERS, then DATA of 16 KiB": concat([OPENING, calls(1_000), data(FILL_BYTES, 16_384)]),
  "no HTTP/2": new Uint8Array(FILL_BYTES).fill(0x16),
};

let held = true;

function report(what: string, found: string, holds: boolean): void {
  held &&= holds;
  const line = `${what}: ${found}: ${holds ? "holds" : "DOES NOT HOLD"}\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(line));
}

async function withProgram(folder: string, run: (program: Program) => Promise<void>): Promise<void> {
  await using stage = await Stage.open(folder, undefined);
  const program = await stage.startProgram({
    "ready-wait-timeout": `${HOLD_MS}ms`,
    "max-held": `${MOST_HELD}`,
  });
  await using _ = program.process;
  await run(program);
}

/** Eight clients that leave as soon as their hold has failed. */
async function leave(folder: string, what: string, bytes: Uint8Array): Promise<void> {
  await withProgram(folder, async (program) => {
    await delay(1_000);
    const livez = new Livez(program);
    const clients = await Promise.all(
      Array.from({ length: 8 }, () => Hostile.connect(program.address, bytes)),
    );
    // SETTINGS have nine bytes: whatever comes after them is the end of the hold.
    await Promise.all(clients.map((client) => client.heard(10)));
    for (const client of clients) client.close();
    await delay(3_000);
    await livez[Symbol.asyncDispose]();
    report(
      `8 clients with ${what}: slowest /livez`,
      `${livez.slowestMs.toFixed(0)} ms, bar ${LIVEZ_BAR_MS} ms`,
      livez.slowestMs <= LIVEZ_BAR_MS,
    );
  });
}

/** As many clients as fill all holds. */
async function fill(folder: string, what: string, bytes: Uint8Array): Promise<void> {
  await withProgram(folder, async (program) => {
    await delay(SETTLE_MS / 2);
    const before = program.process.residentMb;
    const clients: Hostile[] = [];
    for (let i = 0; i < MOST_HELD; i++) clients.push(await Hostile.connect(program.address, bytes));
    await delay(SETTLE_MS);
    const metrics = await (await fetch(`http://${program.adminAddress}/metrics`)).text();
    const kept = Number(/^buildkitd_autoscaler_hold_bytes (\S+)$/m.exec(metrics)?.[1]);
    const grown = program.process.residentMb - before;
    for (const client of clients) client.close();
    report(
      `${MOST_HELD} clients with ${what}: memory for ${(kept / 1e6).toFixed(1)} MB kept`,
      `${grown.toFixed(1)} MB more, bar ${MEMORY_BAR_MB} MB`,
      grown <= MEMORY_BAR_MB,
    );
  });
}

const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
try {
  for (const [what, bytes] of Object.entries(LOADS)) {
    await leave(folder, what, bytes);
    await fill(folder, what, bytes);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(held ? 0 : 1);
