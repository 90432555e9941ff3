/**
 * What honest clients see while an attack runs. A process of its own, so that the attack's load is not measured with it.
 * Connects every 50 ms as gRPC does and waits for the server's first 9 bytes, a SETTINGS frame; asks `/livez` every 50 ms;
 * and keeps one connection that says something every 100 ms, as a build does. Prints a {@link Measured} as JSON when its
 * standard input ends.
 *
 *     deno run -A meter.ts ADDRESS ADMIN_ADDRESS [CA [CERTIFICATE KEY]]
 *
 * @module
 */
import { OPENING } from "../../support/http2_client.ts";
import { delay } from "../processes.ts";

/** A client that is not served in this time counts as one that failed, in ms. */
const HANGS_MS = 20_000;

/** What a SETTINGS frame without settings has, and what the echo of a client's preface exceeds. */
const SERVED_BYTES = 9;

/** What was measured. Times in ms. */
export interface Measured {
  /** Honest clients, and those of them that were not served. */
  readonly honest: number;
  readonly failed: number;
  readonly medianMs: number;
  readonly worstMs: number;
  readonly livezWorstMs: number;
  /** The connection of the build has ended. */
  readonly isCut: boolean;
}

const [address = "", adminAddress = "", ca, cert, key] = Deno.args;
const pem = (path: string | undefined) => path === undefined ? undefined : Deno.readTextFileSync(path);
const [caCert, certPem, keyPem] = [pem(ca), pem(cert), pem(key)];

async function connect(): Promise<Deno.Conn> {
  const at = address.lastIndexOf(":");
  const to = { hostname: address.slice(0, at), port: Number(address.slice(at + 1)) };
  if (caCert === undefined) return await Deno.connect(to);
  const own = certPem === undefined || keyPem === undefined ? {} : { cert: certPem, key: keyPem };
  const tls = await Deno.connectTls({ ...to, ...own, caCerts: [caCert], alpnProtocols: ["h2"] });
  await tls.handshake();
  return tls;
}

/** Connects and says hello; resolves once it is answered. */
async function served(): Promise<Deno.Conn> {
  const conn = await connect();
  try {
    await conn.write(OPENING);
    const buffer = new Uint8Array(1_024);
    for (let bytes = 0; bytes < SERVED_BYTES;) {
      const n = await conn.read(buffer);
      if (n === null) throw new Error("The connection has ended");
      bytes += n;
    }
    return conn;
  } catch (error) {
    closeQuietly(conn);
    throw error;
  }
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed.
  }
}

/** How long something took, in ms; `Infinity` if it failed or did not end in time. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("late")), HANGS_MS);
  try {
    await Promise.race([work(), late.promise]);
    return performance.now() - startedMs;
  } catch {
    return Infinity;
  } finally {
    clearTimeout(timer);
  }
}

let isOver = false;
let isCut = false;
const honest: number[] = [];
const livez: number[] = [];

/** Starts `work` again and again, without waiting for the one before, and then waits for all. */
async function every(ms: number, work: () => Promise<void>): Promise<void> {
  const all: Promise<void>[] = [];
  while (!isOver) {
    all.push(work());
    await delay(ms);
  }
  await Promise.all(all);
}

async function build(): Promise<void> {
  const conn = await served();
  const reading = (async () => {
    const buffer = new Uint8Array(4_096);
    while (await conn.read(buffer) !== null);
  })().catch(() => {}).then(() => {
    isCut = !isOver;
  });
  // An empty DATA frame of a call that nobody has opened would be odd to a held client's proxy: a PING is what gRPC sends.
  const ping = Uint8Array.of(0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8);
  while (!isOver && !isCut) {
    await conn.write(ping).catch(() => {});
    await delay(100);
  }
  closeQuietly(conn);
  // The runtime does not end a read of a TLS connection that is closed.
  await Promise.race([reading, delay(1_000)]);
}

const working = [
  build().catch(() => {
    isCut = true;
  }),
  every(50, async () => {
    let conn: Deno.Conn | undefined;
    honest.push(
      await timed(async () => {
        conn = await served();
      }),
    );
    if (conn !== undefined) closeQuietly(conn);
  }),
  every(50, async () => {
    livez.push(
      await timed(async () => {
        const response = await fetch(`http://${adminAddress}/livez`);
        await response.body?.cancel();
        if (!response.ok) throw new Error(`found status ${response.status}`);
      }),
    );
  }),
];

const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
say("ready");
for await (const _ of Deno.stdin.readable);
isOver = true;
await Promise.all(working);
honest.sort((a, b) => a - b);
const measured: Measured = {
  honest: honest.length,
  failed: honest.filter((ms) => ms === Infinity).length,
  // JSON has no Infinity.
  medianMs: Math.min(HANGS_MS, honest[honest.length >> 1] ?? HANGS_MS),
  worstMs: Math.min(HANGS_MS, honest.at(-1) ?? HANGS_MS),
  livezWorstMs: Math.min(HANGS_MS, Math.max(...livez)),
  isCut,
};
say(JSON.stringify(measured));
Deno.exit(0);
