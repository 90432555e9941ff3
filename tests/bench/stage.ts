/**
 * What the benchmark plays on: a miniature cluster in this process whose one pod is the Go backend (or one that never
 * becomes ready), and the program itself as a process in front of it.
 *
 * `AUTOSCALER_BIN` names a compiled program to measure instead of the sources.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { systemClock } from "../../lib/base/clock.ts";
import { HttpListener } from "../../lib/miniature/http_listener.ts";
import { MiniatureCluster, type MiniatureClusterOptions } from "../../lib/miniature/miniature_cluster.ts";
import type { PodContext, PodProcess, PodRuntime } from "../../lib/miniature/pod_process.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { Background, connectOnce, freePort, output } from "./processes.ts";

/** The program's `main.ts` in this checkout, to measure the sources where a compiled program is named. */
export const SOURCES = fileURLToPath(new URL("../../main.ts", import.meta.url));
const POD_HOST = "127.0.1.1";

/** The program's executable and its first arguments; `main` is that of another checkout. */
function programCommand(main: string | undefined): readonly [string, ...string[]] {
  const compiled = Deno.env.get("AUTOSCALER_BIN");
  if (compiled !== undefined && main === undefined) return [compiled];
  return [
    Deno.execPath(),
    "run",
    "--allow-all",
    "--no-check",
    "--cached-only",
    ...v8Flags(),
    main ?? SOURCES,
  ];
}

/** The flags of V8 that the `start` task sets; `BENCH_V8_FLAGS` instead, for experiments. */
export function v8Flags(): readonly string[] {
  const flags = Deno.env.get("BENCH_V8_FLAGS") ?? /--v8-flags=(\S+)/.exec(config.tasks.start.command)?.[1];
  return flags === undefined ? [] : [`--v8-flags=${flags}`];
}

/** What the program says of its version and runtime. */
export async function programVersion(): Promise<string> {
  const [command, ...before] = programCommand(undefined);
  return await output(command, [...before, "version"]);
}

/** A cluster, its API on a port. */
export class Stage implements AsyncDisposable {
  readonly #cluster: MiniatureCluster;
  readonly #api: HttpListener;
  readonly #folder: string;
  readonly #targetPort: number;

  private constructor(cluster: MiniatureCluster, api: HttpListener, folder: string, targetPort: number) {
    this.#cluster = cluster;
    this.#api = api;
    this.#folder = folder;
    this.#targetPort = targetPort;
  }

  /**
   * Sets it up. With a `backend` there is one ready pod that runs it, unless `options` say that there are none yet;
   * without one there are none. `options` replace parts of that.
   */
  static async open(
    folder: string,
    backend: string | undefined,
    options: Partial<MiniatureClusterOptions> = {},
  ): Promise<Stage> {
    const targetPort = freePort(POD_HOST);
    const replicas = options.replicas ?? (backend === undefined ? 0 : 1);
    const cluster = new MiniatureCluster({
      clock: systemClock,
      runtime: backend === undefined ? new StuckPods() : new BackendPods(backend, `${folder}/backend.log`),
      targetPort,
      podAddress: () => POD_HOST,
      ...options,
      replicas,
    });
    const api = new HttpListener(cluster.api, denoNetwork, { hostname: "127.0.0.1", port: 0 });
    const stage = new Stage(cluster, api, folder, targetPort);
    await Deno.writeTextFile(`${folder}/kubeconfig`, stage.#kubeconfig());
    if (backend !== undefined && replicas > 0) {
      await cluster.untilReady(replicas, AbortSignal.timeout(30_000));
    }
    return stage;
  }

  /** The cluster. */
  get cluster(): MiniatureCluster {
    return this.#cluster;
  }

  /** Where the pod listens. */
  get backendAddress(): string {
    return `${POD_HOST}:${this.#targetPort}`;
  }

  /**
   * Starts the program, with more flags than it needs if wanted, and waits until it is ready. `main` is the `main.ts` of
   * another checkout, to measure that instead.
   */
  async startProgram(more: Readonly<Record<string, string>> = {}, main?: string): Promise<Program> {
    const address = `127.0.0.1:${freePort("127.0.0.1")}`;
    const adminAddress = `127.0.0.1:${freePort("127.0.0.1")}`;
    const listen = "tls-cert" in more
      ? { "listen-addr": "off", "tls-listen-addr": address }
      : { "listen-addr": address };
    const flags = {
      ...listen,
      "admin-addr": adminAddress,
      "target-port": `${this.#targetPort}`,
      "kubeconfig": `${this.#folder}/kubeconfig`,
      "max-held": "10000",
      "idle-timeout": "1h",
      // On a machine that is busy enough, a pod may seem not to answer: then the rest would be measured through the API server.
      "upstream": "slices",
      ...more,
    };
    const [command, ...before] = programCommand(main);
    const args = [
      ...before,
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    ];
    const process = new Background("the program", `${this.#folder}/program.log`, command, args);
    await process.until(async () => {
      const response = await fetch(`http://${adminAddress}/readyz`);
      await response.body?.cancel();
      if (!response.ok) throw new Error("not ready");
    });
    return { address, adminAddress, process };
  }

  /** As a kubeconfig that points to the API server. */
  #kubeconfig(): string {
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "bench",
      clusters: [{ name: "bench", cluster: { server: this.#api.url.href } }],
      users: [{ name: "bench", user: {} }],
      contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
    });
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
    await this.#api[Symbol.asyncDispose]();
  }
}

/** The program as it runs. */
export interface Program {
  /** Where it takes sessions. */
  readonly address: string;
  /** Where its admin port is. */
  readonly adminAddress: string;
  /** What it costs. */
  readonly process: Background;
}

/** Pods that are the Go backend. */
class BackendPods implements PodRuntime {
  readonly description = "the Go backend";
  readonly #command: string;
  readonly #logFile: string;

  constructor(command: string, logFile: string) {
    this.#command = command;
    this.#logFile = logFile;
  }

  start({ address: { hostname, port } }: PodContext): PodProcess {
    const process = new Background("the backend", this.#logFile, this.#command, [`${hostname}:${port}`]);
    const exit = Promise.withResolvers<void>();
    const kill = () => void process[Symbol.asyncDispose]().then(exit.resolve);
    const serving = process.until(() => connectOnce(hostname, port));
    return { serving, exited: exit.promise, stop: kill, kill };
  }
}

/** Pods that never serve. */
class StuckPods implements PodRuntime {
  readonly description = "nothing";

  start(): PodProcess {
    const exit = Promise.withResolvers<void>();
    return {
      serving: new Promise(() => {}),
      exited: exit.promise,
      stop: () => exit.resolve(),
      kill: () => exit.resolve(),
    };
  }
}
