/**
 * What the figures of `builders.ts` are measured on: a miniature cluster with several builders whose pods are stub daemons
 * in this process, programs in front of it as processes of their own, and clients that speak as much HTTP/2 as a gRPC
 * client does.
 *
 * @module
 */
import { ByteReader } from "../../../lib/miniature/bytes.ts";
import type { MiniatureClusterOptions } from "../../../lib/miniature/miniature_cluster.ts";
import type { PodContext } from "../../../lib/miniature/pod_process.ts";
import { isReady } from "../../../lib/miniature/pods.ts";
import { FRAME, PREFACE, serveHttp2 } from "../../../lib/miniature/stub_http2.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { rank } from "../../../lib/route/rank.ts";
import { call, Http2Client, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { type PodSession, ServerPods } from "../../support/server_pods.ts";
import { type Program, Stage } from "../stage.ts";

/** Clients that connect at a time: more than the kernel queues would only measure their retries. */
export const AT_A_TIME = 200;

/** How long a cluster may take to do what it is asked, in ms. */
const CLUSTER_MS = 60_000;

/** The sessions of each pod, as its daemon counts them: from the client's first bytes on. */
class Count {
  /** Now, by pod. */
  readonly now = new Map<string, number>();
  /** At most so far, by pod. */
  readonly most = new Map<string, number>();

  add(pod: string, by: 1 | -1): void {
    const now = (this.now.get(pod) ?? 0) + by;
    this.now.set(pod, now);
    this.most.set(pod, Math.max(now, this.most.get(pod) ?? 0));
  }
}

/** A cluster with builders, and their daemons. */
export class Field implements AsyncDisposable {
  /** The cluster, and what starts programs in front of it. */
  readonly stage: Stage;
  /** The builders' names, in their declared order. */
  readonly names: readonly string[];
  /** Their daemons. */
  readonly pods: ServerPods;
  /** Sessions at the daemons. */
  readonly count: Count;
  readonly #folder: string;

  private constructor(
    stage: Stage,
    parts: { readonly names: readonly string[]; readonly pods: ServerPods; readonly count: Count },
    folder: string,
  ) {
    this.stage = stage;
    this.names = parts.names;
    this.pods = parts.pods;
    this.count = parts.count;
    this.#folder = folder;
  }

  /** Sets it up with so many builders; `options` are the cluster's. Without `replicas` the builders are asleep. */
  static async open(builders: number, options: Partial<MiniatureClusterOptions> = {}): Promise<Field> {
    const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
    const count = new Count();
    const serve = async (conn: Parameters<typeof serveHttp2>[0], { name }: PodContext) => {
      // As buildkitd does. Otherwise its second write waits for the other side's delayed acknowledgement.
      conn.setNoDelay(true);
      const reader = new ByteReader(conn);
      if (!await reader.startsWith(PREFACE)) return;
      count.add(name, 1);
      try {
        await serveHttp2(conn, reader, name);
      } finally {
        count.add(name, -1);
      }
    };
    const pods = new ServerPods(denoNetwork, serve, () => {});
    const names = ["buildkitd", ...Array.from({ length: builders - 1 }, (_, at) => `buildkitd-b${at + 2}`)];
    const { replicas = 0, ...others } = options;
    const stage = await Stage.open(folder, undefined, {
      runtime: pods,
      replicas,
      more: names.slice(1).map((name) => ({ name, replicas })),
      podAddress: (n) => `127.0.1.${n % 250 + 1}`,
      ...others,
    });
    const field = new Field(stage, { names, pods, count }, folder);
    await field.untilReady(builders * replicas);
    return field;
  }

  /** Starts a program in front of all builders. Pods are asked nothing, and dialled directly. */
  async start(more: Readonly<Record<string, string>> = {}, main?: string): Promise<Front> {
    const { names } = this;
    const builders: Record<string, string> = names.length === 1 ? {} : { builders: names.join(",") };
    const direct = { readiness: "pod", upstream: "slices" };
    return new Front(await this.stage.startProgram({ ...direct, ...builders, ...more }, main));
  }

  /** Resolves once so many pods are ready. */
  async untilReady(count: number): Promise<void> {
    await this.stage.cluster.untilReady(count, AbortSignal.timeout(CLUSTER_MS));
  }

  /** Resolves once so many pods run, ready or not. */
  async untilRunning(count: number): Promise<void> {
    const running = () => this.pods.started.length >= count;
    await this.stage.cluster.until(running, AbortSignal.timeout(CLUSTER_MS));
  }

  /** Lets all pods be ready that are not, in one step. */
  release(): void {
    const { kubelet, pods } = this.stage.cluster;
    for (const pod of pods) if (!isReady(pod)) kubelet.setReady(pod.metadata.name, true);
  }

  /** Sessions at the daemons that have not ended. */
  get open(): readonly PodSession[] {
    return this.pods.sessions.filter(({ state }) => state === "open");
  }

  /** Names of projects, one for each builder, whose home that is. */
  get projects(): readonly string[] {
    const found = new Map<string, string>();
    for (let n = 0; found.size < this.names.length; n++) {
      const project = `team-${n}`;
      const [home] = rank(this.names, `${project}.default`);
      if (!found.has(home!)) found.set(home!, project);
    }
    return this.names.map((name) => found.get(name)!);
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A program that clients connect to. */
export class Front implements AsyncDisposable {
  /** What it costs. */
  readonly process: Program["process"];
  readonly #address: string;

  /** Takes it over. */
  constructor({ address, process }: Program) {
    this.#address = address;
    this.process = process;
  }

  /** Connects a client and lets it call once; `project` is whom it says that it has dialled. */
  async call(project: string | undefined, address: string = this.#address): Promise<Http2Client> {
    const at = address.lastIndexOf(":");
    const client = await Http2Client.connect({
      hostname: address.slice(0, at),
      port: Number(address.slice(at + 1)),
    });
    await client.send(OPENING);
    await until(client, FRAME.settings);
    await client.send(SETTINGS_ACK, ...call(1, "hello", { authority: project ?? "localhost" }));
    return client;
  }

  /** Connects a client, waits for its answer and closes it. Returns how long that took up to the answer, in ms. */
  async visit(project: string | undefined, address?: string): Promise<number> {
    const startedMs = performance.now();
    using client = await this.call(project, address);
    await until(client, FRAME.data);
    return performance.now() - startedMs;
  }

  /** Connects so many clients that call once, in batches. */
  async callAll(count: number, projects: readonly string[]): Promise<Http2Client[]> {
    const clients: Http2Client[] = [];
    while (clients.length < count) {
      const batch = Math.min(AT_A_TIME, count - clients.length);
      const from = clients.length;
      clients.push(
        ...await Promise.all(
          Array.from({ length: batch }, (_, at) => this.call(projects[(from + at) % projects.length])),
        ),
      );
    }
    return clients;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

/** Resolves with the time at which the next frame of this type has come. */
export async function until(client: Http2Client, type: number): Promise<number> {
  for (;;) {
    const frame = await client.next();
    if (frame === null) throw new Error("Cannot serve a client: its connection has ended");
    if (frame.type === type) return performance.now();
  }
}

/** Resolves once the condition holds. */
export async function eventually(what: string, holds: () => boolean, timeoutMs = CLUSTER_MS): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > untilMs) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
