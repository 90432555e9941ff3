/**
 * The benchmark of the way from a laptop: the program's port-forward beside `kubectl port-forward`, in turns, to one pod
 * behind a real kube-apiserver and the kubelet's streaming server. The pod's server and the client are in this process,
 * and the same for both.
 *
 *     deno run -A tests/e2e/run.ts tests/bench/port_forward.ts
 *
 * Fails when the program is slower than its bars allow. With `AUTOSCALER_BIN`, or `--compiled`, it measures the compiled program.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Child } from "../e2e/child_process.ts";
import { kubeconfig } from "../e2e/kube_api.ts";
import { type PodRuntime, TARGET_PORT } from "../e2e/pod_process.ts";
import { DOCUMENTED_RULES, PORT_FORWARD_RULE, programPath, scenario } from "../e2e/scenario.ts";
import { startStreaming } from "../e2e/streaming.ts";
import { until } from "../e2e/waiting.ts";

const ROUNDS = 5;
const STREAM_BYTES = 200_000_000;
const ROUND_TRIPS = 1_000;
const CONNECTIONS = 20;
/** What noise may make of "not slower". */
const SLOWER_BAR = 1.1;
/**
 * Upwards the kubelet is the slower half: its WebSocket library takes the mask off byte by byte, which is 40 % of its CPU
 * time then. kubectl's SPDY has no mask.
 */
const SLOWER_UPWARDS_BAR = 1.4;

const CHUNK = new Uint8Array(256 * 1024);

async function readExactly(conn: Deno.Conn, count: number, buffer: Uint8Array): Promise<void> {
  for (let left = count; left > 0;) {
    const n = await conn.read(buffer.subarray(0, Math.min(buffer.length, left)));
    if (n === null) throw new Error("The connection has ended");
    left -= n;
  }
}

async function writeAll(conn: Deno.Conn, count: number): Promise<void> {
  for (let left = count; left > 0;) left -= await conn.write(CHUNK.subarray(0, Math.min(CHUNK.length, left)));
}

/**
 * Greets with one byte, as gRPC servers speak first. Then the client's first byte says what it does: `u` takes a stream
 * and answers with a byte, `d` sends one, `e` sends back 64 bytes at a time.
 */
async function serve(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(256 * 1024);
  conn.write(Uint8Array.of(1));
  await readExactly(conn, 1, buffer);
  const mode = String.fromCharCode(buffer[0]!);
  if (mode === "u") {
    await readExactly(conn, STREAM_BYTES, buffer);
    await conn.write(Uint8Array.of(1));
  }
  if (mode === "d") await writeAll(conn, STREAM_BYTES);
  while (mode === "e") {
    await readExactly(conn, 64, buffer);
    await conn.write(buffer.subarray(0, 64));
  }
  await conn.read(buffer);
}

const runtime: PodRuntime = (pod) => {
  const listener = Deno.listen({ hostname: pod.ip, port: TARGET_PORT });
  const ended = Promise.withResolvers<string>();
  (async () => {
    for await (const conn of listener) {
      conn.setNoDelay(true);
      serve(conn).catch(() => {}).finally(() => conn.close());
    }
  })().catch(() => {});
  let up = true;
  const stop = () => {
    if (up) listener.close();
    up = false;
    ended.resolve("exit 0");
  };
  return Promise.resolve({
    exited: ended.promise,
    isReady: () => Promise.resolve(up),
    terminate: stop,
    kill: () => Promise.resolve(stop()),
  });
};

type Connect = () => Promise<Deno.TcpConn>;

/** One connection that was greeted. */
async function greeted(connect: Connect): Promise<Deno.TcpConn> {
  const conn = await connect();
  conn.setNoDelay(true);
  await readExactly(conn, 1, new Uint8Array(1));
  return conn;
}

interface Load {
  readonly what: string;
  readonly unit: string;
  /**
   * How many times slower ours may be. None for connects: kubectl opens a stream on a connection that it has, and ours are
   * connections of their own, so that no session waits for another.
   */
  readonly bar?: number;
  /** The figure of one turn; more is better. */
  run(connect: Connect): Promise<number>;
}

const since = (startMs: number) => (performance.now() - startMs) / 1000;

const LOADS: readonly Load[] = [
  {
    what: "1 stream of 200 MB, to the pod",
    unit: "MB/s",
    bar: SLOWER_UPWARDS_BAR,
    async run(connect) {
      const conn = await greeted(connect);
      const startMs = performance.now();
      await conn.write(new TextEncoder().encode("u"));
      await writeAll(conn, STREAM_BYTES);
      await readExactly(conn, 1, new Uint8Array(1));
      const rate = STREAM_BYTES / since(startMs) / 1e6;
      conn.close();
      return rate;
    },
  },
  {
    what: "1 stream of 200 MB, from the pod",
    unit: "MB/s",
    bar: SLOWER_BAR,
    async run(connect) {
      const conn = await greeted(connect);
      const startMs = performance.now();
      await conn.write(new TextEncoder().encode("d"));
      await readExactly(conn, STREAM_BYTES, new Uint8Array(256 * 1024));
      const rate = STREAM_BYTES / since(startMs) / 1e6;
      conn.close();
      return rate;
    },
  },
  {
    what: "1 connection, 64 bytes there and back",
    unit: "/s",
    bar: SLOWER_BAR,
    async run(connect) {
      const conn = await greeted(connect);
      await conn.write(new TextEncoder().encode("e"));
      const buffer = new Uint8Array(64);
      const startMs = performance.now();
      for (let n = 0; n < ROUND_TRIPS; n++) {
        await conn.write(buffer);
        await readExactly(conn, 64, buffer);
      }
      const rate = ROUND_TRIPS / since(startMs);
      conn.close();
      return rate;
    },
  },
  {
    what: "connect and be greeted, one after the other",
    unit: "/s",
    async run(connect) {
      const startMs = performance.now();
      for (let n = 0; n < CONNECTIONS; n++) (await greeted(connect)).close();
      return CONNECTIONS / since(startMs);
    },
  },
];

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

function range(values: readonly number[]): string {
  const round = (value: number) => value.toFixed(0);
  return `${round(median(values))} (${round(Math.min(...values))}–${round(Math.max(...values))})`;
}

scenario(
  "the program's port-forward is not slower than kubectl's",
  { runtime, replicas: 1 },
  async (cluster) => {
    const streaming = await startStreaming(cluster.api);
    const config = join(cluster.folder, "kubectl.kubeconfig");
    await Deno.writeTextFile(config, kubeconfig(cluster.api.access));
    await cluster.setRules([...DOCUMENTED_RULES, PORT_FORWARD_RULE], { allowed: true });
    await until("the pod to be ready", () => cluster.kubelet.history.some(({ what }) => what === "ready"));
    const kubectl = new Child({
      name: "kubectl",
      command: programPath("kubectl"),
      args: [
        ...["--kubeconfig", config, "--namespace", cluster.namespace],
        ...["port-forward", "pod/buildkitd-0", `18372:${TARGET_PORT}`],
      ],
      logFile: join(cluster.folder, "kubectl.log"),
    });
    try {
      const program = await cluster.startProgram({ "upstream": "port-forward", "log-level": "info" });
      await program.untilReady();
      const ways: Readonly<Record<string, Connect>> = {
        ours: () => program.connect(),
        kubectl: () => Deno.connect({ hostname: "127.0.0.1", port: 18372 }),
      };
      await until("kubectl to listen", async () => {
        try {
          (await ways["kubectl"]!()).close();
          return true;
        } catch {
          return false;
        }
      });
      const lines: string[] = [];
      const slow: string[] = [];
      for (const { what, unit, bar = Infinity, run } of LOADS) {
        const figures: Record<string, number[]> = { ours: [], kubectl: [] };
        // The first turn of each warms up and does not count.
        for (let round = 0; round <= ROUNDS; round++) {
          for (const [name, connect] of Object.entries(ways)) {
            const figure = await run(connect);
            if (round > 0) figures[name]!.push(figure);
          }
        }
        const { ours = [], kubectl = [] } = figures;
        const slower = median(kubectl) / median(ours);
        lines.push(
          `${what}, ${unit}: ours ${range(ours)}, kubectl ${range(kubectl)}, ${
            slower.toFixed(2)
          } times slower`,
        );
        if (slower > bar) slow.push(what);
      }
      Deno.stdout.writeSync(new TextEncoder().encode(`\n${lines.join("\n")}\n`));
      assert.deepEqual(slow, []);
    } finally {
      await kubectl.kill();
      await streaming.kill();
    }
  },
);
