/**
 * Pods that are real buildkitd processes, for a demo as root on Linux with `buildkitd`, `buildctl` and `runc` on PATH.
 * Each ordinal keeps its root folder, as a pod keeps its volume. Starts subprocesses.
 *
 * @module
 */
import { type Clock, sleep } from "../base/clock.ts";
import { type Address, formatAddress } from "../base/network.ts";
import type { PodContext, PodProcess, PodRuntime } from "./pod_process.ts";

/** How often a daemon is asked whether it serves, in ms. */
const HEALTH_INTERVAL_MS = 100;
/** How long it may take to answer, in ms. */
const HEALTH_TIMEOUT_MS = 1000;
/** How much of a daemon's log is kept, in characters. */
const TAIL_LENGTH = 4000;

/** Runs a buildkitd a pod. */
export class BuildkitdPods implements PodRuntime {
  /** As {@link PodRuntime.description}. */
  readonly description = "a real buildkitd";
  readonly #folder: string;
  readonly #clock: Clock;
  #tail = "";

  /** Takes the folder for the daemons' files, and the clock for health checks. */
  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  /** The end of what the daemons have written, for an error message. */
  get logTail(): string {
    return this.#tail;
  }

  /** As {@link PodRuntime.start}. */
  start({ ordinal, address }: PodContext): PodProcess {
    const volume = `${this.#folder}/${ordinal}`;
    Deno.mkdirSync(volume, { recursive: true });
    Deno.writeTextFileSync(`${volume}/buildkitd.toml`, "");
    const child = new Deno.Command("buildkitd", {
      args: [
        `--config=${volume}/buildkitd.toml`,
        `--root=${volume}/root`,
        `--addr=tcp://${formatAddress(address)}`,
        `--otel-socket-path=${volume}/otel.sock`,
        "--oci-worker-net=host",
        "--containerd-worker=false",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const life = new AbortController();
    const log = this.#keepLog(child.stderr);
    const exited = Promise.all([child.status, log]).then(() => life.abort(new Error("buildkitd has ended")));
    const signal = (name: Deno.Signal) => {
      try {
        child.kill(name);
      } catch { /* it has ended */ }
    };
    let cancelGrace = () => {};
    return {
      serving: this.#untilServing(address, life.signal),
      exited: exited.then(() => cancelGrace()),
      stop: (graceMs) => {
        cancelGrace();
        signal(graceMs === 0 ? "SIGKILL" : "SIGTERM");
        if (!life.signal.aborted) cancelGrace = this.#clock.setTimer(graceMs, () => signal("SIGKILL"));
      },
      kill: () => signal("SIGKILL"),
    };
  }

  async #keepLog(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#tail = (this.#tail + text).slice(-TAIL_LENGTH);
    }
  }

  /** Resolves once the daemon's health service says SERVING; never, if it ends before. */
  async #untilServing(address: Address, signal: AbortSignal): Promise<void> {
    const client = Deno.createHttpClient({ http1: false, http2: true });
    try {
      while (!await isServing(address, client)) await sleep(this.#clock, HEALTH_INTERVAL_MS, signal);
    } catch {
      await new Promise(() => {});
    } finally {
      client.close();
    }
  }
}

/** `grpc.health.v1.Health/Check` without a library: an empty message, answered by one that says SERVING (1). */
async function isServing(address: Address, client: Deno.HttpClient): Promise<boolean> {
  try {
    const response = await fetch(`http://${formatAddress(address)}/grpc.health.v1.Health/Check`, {
      method: "POST",
      client,
      headers: { "content-type": "application/grpc", te: "trailers" },
      body: new Uint8Array(5),
      signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
    });
    return new Uint8Array(await response.arrayBuffer()).toHex() === "00000000020801";
  } catch {
    return false; // refused, or not able to answer yet
  }
}

/** Whether this machine can run real builds, and if not, what is missing. */
export async function missingForBuildkitd(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "Linux";
  // The compiled program may write no files.
  const { state } = await Deno.permissions.query({ name: "write" });
  if (state !== "granted") return "a checkout";
  for (const program of ["buildkitd", "buildctl", "runc"]) {
    if (await findProgram(program) === undefined) return `"${program}" on PATH`;
  }
  return Deno.uid() === 0 ? undefined : "root";
}

/** The path of a program on PATH. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${name}`;
    try {
      if ((await Deno.stat(path)).isFile) return path;
    } catch { /* not there */ }
  }
  return undefined;
}
