/**
 * What a cold start with very many waiting clients costs: the memory of the program while it holds them, and how long
 * the last of them waits once the daemon is ready. Clients, daemon and API server live in this process, the program in
 * one of its own; each client speaks as much HTTP/2 as a gRPC client does before its first answer.
 *
 *     deno run -A tests/bench/held.ts [COUNT]
 *
 * Exits with 1 when a bar does not hold. Needs Linux and `ulimit -n` above twice the count.
 *
 * @module
 */
import { ByteReader } from "../../lib/miniature/bytes.ts";
import { FRAME, PREFACE, serveHttp2 } from "../../lib/miniature/stub_http2.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { call, Http2Client, OPENING, SETTINGS_ACK } from "../support/http2_client.ts";
import { ServerPods } from "../support/server_pods.ts";
import { delay } from "./processes.ts";
import { Stage } from "./stage.ts";

const COUNT = Number(Deno.args[0] ?? 5_000);
/** Clients that connect at a time: more than the kernel queues would only measure their retries. */
const AT_A_TIME = 200;
/** How long the program may take to come to rest before its memory is looked at, in ms. */
const SETTLE_MS = 6_000;

const MEMORY_BAR_MB = 200;
const SERVED_BAR_MS = 5_000;

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Connects a client and waits for the SETTINGS that keep it patient. */
async function hold(hostname: string, port: number): Promise<Http2Client> {
  const client = await Http2Client.connect({ hostname, port });
  await client.send(OPENING);
  const frame = await client.next();
  if (frame?.type !== FRAME.settings) throw new Error("Cannot hold a client: it got no SETTINGS");
  await client.send(SETTINGS_ACK, ...call(1));
  return client;
}

/** Resolves with the time at which the daemon's answer to the client's call has come. */
async function served(client: Http2Client): Promise<number> {
  for (;;) {
    const frame = await client.next();
    if (frame === null) throw new Error("Cannot serve a client: its connection has ended");
    if (frame.type === FRAME.data) return performance.now();
  }
}

async function measure(folder: string): Promise<number> {
  const pods = new ServerPods(denoNetwork, async (conn) => {
    const reader = new ByteReader(conn);
    if (await reader.startsWith(PREFACE)) await serveHttp2(conn, reader);
  }, () => {});
  pods.listens = false;
  await using stage = await Stage.open(folder, undefined, { runtime: pods, probeMs: () => 3_600_000 });
  const { address, process } = await stage.startProgram();
  await using _program = process;
  const idleMb = process.residentMb;
  const at = address.lastIndexOf(":");
  const [hostname, port] = [address.slice(0, at), Number(address.slice(at + 1))];
  const clients: Http2Client[] = [];
  try {
    while (clients.length < COUNT) {
      const batch = Math.min(AT_A_TIME, COUNT - clients.length);
      clients.push(...await Promise.all(Array.from({ length: batch }, () => hold(hostname, port))));
    }
    await delay(SETTLE_MS);
    const heldMb = process.residentMb;
    const waiting = clients.map(served);
    const readyMs = performance.now();
    pods.listen();
    stage.cluster.kubelet.setReady("buildkitd-0", true);
    const afterMs = (await Promise.all(waiting)).map((ms) => ms - readyMs).sort((a, b) => a - b);
    const lastMs = afterMs.at(-1)!;
    const servedMb = process.residentMb;
    const memoryHolds = heldMb < MEMORY_BAR_MB;
    const servedHolds = lastMs < SERVED_BAR_MS;
    const verdict = (holds: boolean) => holds ? "holds" : "DOES NOT HOLD";
    say(
      `${COUNT} held connections: ${heldMb.toFixed(1)} MB (idle: ${idleMb.toFixed(1)}), ` +
        `bar ${MEMORY_BAR_MB} MB: ${verdict(memoryHolds)}`,
    );
    say(
      `served after readiness: first ${afterMs[0]!.toFixed(0)} ms, median ${
        afterMs[COUNT >> 1]!.toFixed(0)
      } ms, last ${lastMs.toFixed(0)} ms, bar ${SERVED_BAR_MS} ms: ${verdict(servedHolds)}; ` +
        `${servedMb.toFixed(1)} MB then`,
    );
    return memoryHolds && servedHolds ? 0 : 1;
  } finally {
    for (const client of clients) client.close();
  }
}

const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
let code: number;
try {
  code = await measure(folder);
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(code);
