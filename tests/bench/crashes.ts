/**
 * How long a client that waits after a crash of buildkitd waits too long: from the first moment that the new daemon
 * answers a health check to the daemon's first answer to the client. Clients, daemon and API server belong to this
 * process, the program runs in one of its own. The daemon is a stub, or a real buildkitd, which needs `buildkitd`,
 * `buildctl` and `runc` on PATH, and root.
 *
 * @module
 */
import { systemClock } from "../../lib/base/clock.ts";
import { BuildkitdPods, missingForBuildkitd } from "../../lib/miniature/buildkitd_pods.ts";
import { FRAME } from "../../lib/miniature/stub_http2.ts";
import { StubPods } from "../../lib/miniature/stub_pods.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { checkHealth } from "../../lib/target/health_check.ts";
import { call, Http2Client, OPENING, SETTINGS_ACK } from "../support/http2_client.ts";
import type { Part } from "./figures.ts";
import { connectOnce, delay } from "./processes.ts";
import { Stage } from "./stage.ts";

/** From the end of a daemon to the start of the next one, in ms: each round another. */
const RESTARTS_MS = [200, 500, 1_000, 2_000, 5_000];
/** How long the stub listens before it answers, in ms. */
const WARM_UP_MS = 300;
/** How often the daemon is asked for its first answer, in ms. */
const PROBE_EVERY_MS = 5;
/** How long a session runs before the daemon crashes, in ms, at most: longer than from one health check to the next. */
const LONGEST_RUN_MS = 6_000;

/** A client with one call, and when the daemon began to answer it. */
async function connect(address: string): Promise<{ client: Http2Client; served: Promise<number> }> {
  const at = address.lastIndexOf(":");
  const client = await Http2Client.connect({
    hostname: address.slice(0, at),
    port: Number(address.slice(at + 1)),
  });
  await client.send(OPENING, SETTINGS_ACK, ...call(1));
  const answered = async () => {
    for (;;) {
      const frame = await client.next();
      if (frame === null) throw new Error("Cannot serve a client: its connection has ended");
      if (frame.type === FRAME.headers && frame.stream === 1) return performance.now();
    }
  };
  return { client, served: answered() };
}

/** Resolves once nobody listens any more. */
async function gone(address: string): Promise<void> {
  const [hostname, port] = address.split(":");
  while (await connectOnce(hostname!, Number(port)).then(() => true, () => false));
}

/** Resolves with the time at which the daemon first said SERVING. */
async function firstAnswer(address: string): Promise<number> {
  const [hostname, port] = address.split(":");
  for (;;) {
    try {
      const conn = await denoNetwork.connect(
        { hostname: hostname!, port: Number(port) },
        AbortSignal.timeout(1_000),
      );
      const answer = await checkHealth(conn, AbortSignal.timeout(10_000));
      if (answer === "serving") return performance.now();
    } catch {
      // It is not there yet.
    }
    await delay(PROBE_EVERY_MS);
  }
}

/** So many crashes, at different moments of a session, each with another restart. */
export async function measureCrashes(folder: string, rounds: number, isReal: boolean): Promise<Part> {
  const missing = isReal ? await missingForBuildkitd() : undefined;
  if (missing !== undefined) throw new Error(`Cannot run a real buildkitd: needs ${missing}`);
  let restartMs = 0;
  await using stage = await Stage.open(folder, undefined, {
    runtime: isReal
      ? new BuildkitdPods(folder, systemClock)
      : new StubPods({ network: denoNetwork, clock: systemClock, warmUpMs: () => WARM_UP_MS }),
    replicas: 1,
    restartMs: () => restartMs,
    // The daemon's own word decides, as with a real readiness probe, which lags.
    probeMs: () => 30_000,
  });
  const { address, process } = await stage.startProgram();
  await using _program = process;
  const afterMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    restartMs = RESTARTS_MS[round % RESTARTS_MS.length]!;
    const running = await connect(address);
    await running.served;
    await delay(LONGEST_RUN_MS * (round * 7 % rounds) / rounds);
    stage.cluster.kubelet.crash("buildkitd-0");
    await gone(stage.backendAddress);
    const waiting = await connect(address);
    const [answeredMs, servedMs] = await Promise.all([firstAnswer(stage.backendAddress), waiting.served]);
    afterMs.push(servedMs - answeredMs);
    running.client.close();
    waiting.client.close();
  }
  return {
    name: "crashes",
    title: "Crashes",
    meaning: `${
      isReal ? "buildkitd" : "A stub daemon"
    } crashes under a session and is started again after 0.2 to 5 s, while a client waits: from the new daemon's first answer to anybody to its first answer to that client. The daemon is asked every ${PROBE_EVERY_MS} ms, so the client may be first.`,
    contenders: ["program"],
    rows: [{ id: "crashes", what: "hand-over after a crash", unit: "ms", by: { program: afterMs } }],
    plots: [{ name: "crashes", title: "Hand-over after a crash, in ms: less is better", rows: ["crashes"] }],
  };
}
