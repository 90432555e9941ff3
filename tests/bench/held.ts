/**
 * What clients that wait for a cold start cost, and how soon they are served: from the moment that the pod is ready, or
 * that the daemon answers a health check, to the first byte of the client's that reaches the daemon. The API server lives in
 * this process, and the client and the daemon of a single cold start; very many clients and their daemon are the Go
 * programs. Each client speaks as much HTTP/2 as a gRPC client does before its first answer.
 *
 * @module
 */
import type { Conn } from "../../lib/base/network.ts";
import type { EndpointSlice } from "../../lib/kube/types.ts";
import { ByteReader } from "../../lib/miniature/bytes.ts";
import type { MiniatureCluster } from "../../lib/miniature/miniature_cluster.ts";
import { ENDPOINT_SLICES } from "../../lib/miniature/objects.ts";
import { PREFACE, serveHttp2 } from "../../lib/miniature/stub_http2.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { ServerPods } from "../support/server_pods.ts";
import { eventually, Front } from "./builders/field.ts";
import type { Part, Row } from "./figures.ts";
import type { Rest } from "./memory.ts";
import type { Peers } from "./peers.ts";
import { delay, Kept } from "./processes.ts";
import { Stage } from "./stage.ts";

const HELD = 9_000;
/** The path of a client's call, which tells its connection from a health check's. */
const CALL = "/moby.buildkit";
/** Nothing is ready by itself. */
const NEVER_MS = 3_600_000;
const POD = "buildkitd-0";
/** From the start of a daemon to its readiness, in ms, at most: each round another. */
const LONGEST_START_MS = 500;
/** The release of very many clients is given up after so long, in ms, which then stands for the time that it took. */
const RELEASE_MS = 30_000;

/** Daemons that note when the first byte of each session arrived. */
class Daemons {
  readonly pods: ServerPods;
  /** Times of the first bytes, by `performance.now()`. */
  arrivedMs: number[] = [];
  /** Connections since they last began anew. */
  connections = 0;
  #answers = Promise.withResolvers<void>();

  constructor() {
    this.pods = new ServerPods(denoNetwork, (conn) => this.#serve(conn), () => {});
    this.answer();
  }

  /** Lets them answer from now on. */
  answer(): void {
    this.#answers.resolve();
  }

  /** Forgets what was. Until told to answer, they take connections and read nothing from them. */
  beginAnew(): void {
    this.#answers = Promise.withResolvers();
    this.arrivedMs = [];
    this.connections = 0;
    this.pods.forget();
  }

  async #serve(conn: Conn): Promise<void> {
    conn.setNoDelay(true);
    this.connections++;
    await this.#answers.promise;
    const reader = new ByteReader(this.#watched(conn));
    if (await reader.startsWith(PREFACE)) await serveHttp2(conn, reader, POD);
  }

  /** Notes the arrival of what turns out to be a client's. */
  #watched(conn: Conn): Conn {
    let firstMs: number | undefined;
    let isNoted = false;
    const read = async (buffer: Uint8Array) => {
      const n = await conn.read(buffer);
      firstMs ??= performance.now();
      if (n === null || isNoted) return n;
      isNoted = new TextDecoder("latin1").decode(buffer.subarray(0, n)).includes(CALL);
      if (isNoted) this.arrivedMs.push(firstMs);
      return n;
    };
    return {
      remoteAddr: conn.remoteAddr,
      read,
      write: (bytes) => conn.write(bytes),
      closeWrite: () => conn.closeWrite(),
      close: () => conn.close(),
      setNoDelay: (noDelay) => conn.setNoDelay(noDelay),
      setKeepAlive: (keepAlive) => conn.setKeepAlive(keepAlive),
    };
  }
}

/** Cold starts one after the other: how long after readiness the one client's first byte arrives, in ms. */
async function coldStarts(folder: string, rounds: number, by: "pod" | "answer"): Promise<readonly number[]> {
  const daemons = new Daemons();
  await using stage = await Stage.open(folder, undefined, { runtime: daemons.pods, probeMs: () => NEVER_MS });
  const { cluster } = stage;
  const isByPod = by === "pod";
  await using front = new Front(
    await stage.startProgram({ "idle-timeout": "1s", ...(isByPod ? { readiness: "pod" } : {}) }),
  );
  const tookMs: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    await eventually("the builder is asleep", () => cluster.pods.length === 0);
    daemons.beginAnew();
    if (isByPod) daemons.answer();
    const started = daemons.pods.started.length;
    using _client = await front.call("localhost");
    await eventually("the daemon runs", () => daemons.pods.started.length > started);
    if (!isByPod) await eventually("a health check waits for its answer", () => daemons.connections > 0);
    await delay(LONGEST_START_MS * (round + 1) / (rounds + 1));
    const answersMs = performance.now();
    if (!isByPod) daemons.answer();
    const readyMs = isByPod ? await makeReady(cluster) : answersMs;
    await eventually("the client is served", () => daemons.arrivedMs.length > 0);
    // The first round warms up.
    if (round > 0) tookMs.push(daemons.arrivedMs[0]! - readyMs);
  }
  return tookMs;
}

/**
 * Makes the pod ready. Resolves when the API server has written that in an EndpointSlice, with that moment by
 * `performance.now()`: nobody can know it sooner. What the controllers take until then is Kubernetes' own time.
 */
function makeReady({ api, kubelet }: MiniatureCluster): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const unsubscribe = api.registry.store.subscribe(({ resource, after }) => {
    const endpoints = resource === ENDPOINT_SLICES ? (after as EndpointSlice | undefined)?.endpoints : [];
    if (!endpoints?.some(({ conditions }) => conditions?.ready === true)) return;
    unsubscribe();
    resolve(performance.now());
  });
  kubelet.setReady(POD, true);
  return promise;
}

/** One client that waits for one pod. */
export async function measureColdStarts(folder: string, rounds: number): Promise<Part> {
  const row = (id: string, what: string, ms: readonly number[]): Row => ({
    id,
    what,
    unit: "ms",
    by: { program: ms },
  });
  return {
    name: "cold",
    title: "Cold starts",
    meaning:
      "What the program adds to a cold start: from the event that the pod is ready, or from the daemon's answer to a health check that waits for it, to the first byte of the waiting client at the daemon.",
    contenders: ["program"],
    rows: [
      row("cold-ready", "cold start, after the pod is ready", await coldStarts(folder, rounds, "pod")),
      row("cold-answer", "cold start, after the daemon answers", await coldStarts(folder, rounds, "answer")),
    ],
    plots: [{
      name: "cold",
      title: "Hand-over of a waiting client, in ms: less is better",
      rows: ["cold-ready", "cold-answer"],
    }],
  };
}

/** Very many clients that wait, and what becomes of them. */
interface Release {
  readonly heldMb: number;
  /** How many were served in time. */
  readonly served: number;
  readonly cpuSeconds: number;
  /** The first, the middle and the last one's first byte at the daemon after the pod was ready, in ms. */
  readonly afterMs: readonly number[];
}

async function release(folder: string, { backend, load }: Peers, { restMs }: Rest): Promise<Release> {
  await using stage = await Stage.open(folder, backend, { replicas: 0, probeMs: () => NEVER_MS });
  const { address, process } = await stage.startProgram({ readiness: "pod" });
  await using _program = process;
  await using _clients = await Kept.open(load, ["held", address, `${HELD}`]);
  await process.until(() => arrivals(stage.backendAddress));
  await delay(restMs);
  const heldMb = process.residentMb;
  const cpuSeconds = process.cpuSeconds;
  const readyMs = performance.timeOrigin + await makeReady(stage.cluster);
  const untilMs = performance.now() + RELEASE_MS;
  let found = await arrivals(stage.backendAddress);
  while (found.count < HELD && performance.now() < untilMs) {
    await delay(20);
    found = await arrivals(stage.backendAddress);
  }
  const isWhole = found.count === HELD;
  return {
    heldMb,
    served: found.count,
    cpuSeconds: process.cpuSeconds - cpuSeconds,
    // Before all have come, the one in the middle of those that have is not the one in the middle of all.
    afterMs: found.atMs.map((ms, at) => isWhole || (at === 0 && found.count > 0) ? ms - readyMs : RELEASE_MS),
  };
}

/** How many clients the backend has met, and when the first, the middle and the last one came, in ms since 1970. */
async function arrivals(
  address: string,
): Promise<{ readonly count: number; readonly atMs: readonly number[] }> {
  const [hostname, port] = address.split(":");
  using conn = await Deno.connect({ hostname: hostname!, port: Number(port) });
  await conn.write(new TextEncoder().encode("q"));
  const [count = 0, ...atUs] = (await new Response(conn.readable).text()).split(" ").map(Number);
  return { count, atMs: atUs.map((us) => us / 1_000) };
}

/** As many clients as may wait: their memory, and their release at once. */
export async function measureHolds(
  folder: string,
  peers: Peers,
  rest: Rest,
  emptyMb: () => Promise<readonly number[]>,
): Promise<Part> {
  const all: Release[] = [];
  for (let round = 0; round < rest.rounds; round++) all.push(await release(folder, peers, rest));
  const row = (id: string, what: string, unit: string, of: (release: Release) => number): Row => ({
    id,
    what,
    unit,
    by: { program: all.map(of) },
  });
  const memory = row("held-memory", "memory with 9,000 waiting clients", "MB", ({ heldMb }) => heldMb);
  return {
    name: "held",
    title: `${HELD.toLocaleString("en")} clients that wait`,
    meaning:
      "All wait for one pod and are released at once when it is ready: when the first, the middle and the last one's first byte reach the daemon.",
    contenders: ["program", "empty"],
    rows: [
      { ...memory, by: { ...memory.by, empty: await emptyMb() } },
      row("held-served", `release: served within ${RELEASE_MS / 1_000} s`, "clients", ({ served }) => served),
      row("held-first", "release: the first", "ms", ({ afterMs }) => afterMs[0]!),
      row("held-median", "release: half of them", "ms", ({ afterMs }) => afterMs[1]!),
      row("held-last", "release: all of them", "ms", ({ afterMs }) => afterMs[2]!),
      row("held-cpu", "release: CPU", "CPU s", ({ cpuSeconds }) => cpuSeconds),
    ],
    plots: [{
      name: "held",
      title: "Release of 9,000 waiting clients, in ms after the pod is ready: less is better",
      rows: ["held-first", "held-median", "held-last"],
    }],
  };
}
