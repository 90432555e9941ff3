/**
 * The `demo` subcommand: a miniature cluster, the real program in front of it, clients through it, and a timeline of
 * what happens. Everything runs in this process and on loopback, but for the real buildkitd where there is one. The first
 * act is about one builder; `many_builders.ts` is the second.
 *
 * @module
 */
import { systemClock } from "../base/clock.ts";
import { FatalError, messageOf } from "../base/errors.ts";
import { type Address, formatAddress } from "../base/network.ts";
import { HALF_CLOSED_MS, SETTLE_MS } from "../kube/port_forward.ts";
import { denoNetwork as network } from "../proxy/deno_network.ts";
import { BuildkitdPods, missingForBuildkitd } from "../miniature/buildkitd_pods.ts";
import { buildctlClients, type DemoClients, echoClients } from "./demo_clients.ts";
import { playManyBuilders } from "./many_builders.ts";
import { MiniatureCluster } from "../miniature/miniature_cluster.ts";
import type { PodRuntime } from "../miniature/pod_process.ts";
import { StubPods } from "../miniature/stub_pods.ts";
import { perform, type Within } from "./stage.ts";
import { seconds, Timeline } from "./timeline.ts";

/** What the demo is given. All but `stop` have defaults. */
export interface DemoOptions {
  /** Use stand-ins even where buildkitd and buildctl are installed. */
  readonly stub?: boolean;
  /** As on a laptop: pods cannot be reached by their addresses. */
  readonly laptop?: boolean;
  /** The user's wish to end. */
  readonly stop: AbortSignal;
  /** Where the timeline goes: standard output. */
  readonly write?: (text: string) => void;
  /** Whether it may be in colour: on a terminal. */
  readonly colors?: boolean;
  /** From a pod's creation to the start of its process, in ms: 4000. */
  readonly podStartMs?: number;
  /** The program's idle timeout, in ms: 6000. */
  readonly idleTimeoutMs?: number;
  /** How long builds of the second act go on, in ms: 1500. */
  readonly buildMs?: number;
}

const PARALLEL_CLIENTS = 8;
const WARM_CLIENTS = 3;
/** From "the program sees a client leave" to "the client has ended", at most, in ms. */
const LEAVING_MS = 500;

/**
 * Runs the demo.
 *
 * @throws FatalError unless every client was served, and all scale-downs were seen
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const write = options.write ?? print;
  const timeline = new Timeline(
    write,
    systemClock,
    options.colors ?? (Deno.stdout.isTerminal() && !Deno.noColor),
  );
  const missing = options.stub ? "" : await missingForBuildkitd();
  const folder = missing === undefined
    ? await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-demo-" })
    : undefined;
  try {
    const runtime = folder === undefined
      ? new StubPods({ network, clock: systemClock, warmUpMs: () => 50 })
      : new BuildkitdPods(folder, systemClock);
    const clients = folder === undefined ? echoClients(network) : await buildctlClients(folder);
    await new Demo(options, timeline, runtime, clients, missing).run();
    // The way to the pods is the same for many builders.
    if (!options.laptop) await playManyBuilders(timeline, options);
  } finally {
    if (folder !== undefined) await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

class Demo {
  readonly #timeline: Timeline;
  readonly #clients: DemoClients;
  readonly #missing: string | undefined;
  readonly #options: DemoOptions;
  readonly #cluster: MiniatureCluster;
  readonly #runtime: PodRuntime;
  readonly #podStartMs: number;
  readonly #idleTimeoutMs: number;
  #served = 0;
  #failed = 0;

  constructor(
    options: DemoOptions,
    timeline: Timeline,
    runtime: PodRuntime,
    clients: DemoClients,
    missing: string | undefined,
  ) {
    this.#options = options;
    this.#timeline = timeline;
    this.#runtime = runtime;
    this.#clients = clients;
    this.#missing = missing;
    this.#podStartMs = options.podStartMs ?? 4000;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 6000;
    // Every address of 127.0.0.0/8 is there on Linux only; the demo needs just one pod.
    const podHost = Deno.build.os === "linux" ? "127.0.1.1" : "127.0.0.1";
    this.#cluster = new MiniatureCluster({
      clock: systemClock,
      runtime,
      targetPort: freePort(podHost),
      startMs: () => this.#podStartMs,
      podAddress: () => podHost,
    });
  }

  async run(): Promise<void> {
    await using cluster = this.#cluster;
    this.#introduce();
    const stage = {
      cluster,
      timeline: this.#timeline,
      idleTimeoutMs: this.#idleTimeoutMs,
      hasRoute: !this.#options.laptop,
      stop: this.#options.stop,
    };
    try {
      await perform(stage, (address, within) => this.#play(address, within));
    } catch (error) {
      const tail = this.#runtime instanceof BuildkitdPods ? this.#runtime.logTail : "";
      if (tail !== "" && !this.#options.stop.aborted) {
        this.#timeline.text(`\nThe end of buildkitd's log:\n${tail}`);
      }
      throw error;
    }
  }

  #introduce(): void {
    const timeline = this.#timeline;
    timeline.text(
      "buildkitd-autoscaler demo: clients -> the real program -> a Kubernetes cluster in miniature",
    );
    timeline.text("");
    timeline.text(
      `  cluster  an API server, controllers and a kubelet in this process; a pod takes ${
        seconds(this.#podStartMs)
      } to start`,
    );
    timeline.text(`  pods     ${this.#runtime.description}`);
    if (this.#missing) timeline.text(`           (the demo needs ${this.#missing} to run a real buildkitd)`);
    timeline.text(
      `  program  scales the StatefulSet between 0 and 1; idle timeout ${seconds(this.#idleTimeoutMs)}`,
    );
    if (this.#options.laptop) {
      timeline.text("  way      as on a laptop, there is no route to the pods: through the API server");
      for (const line of this.#costsOfTheWay()) timeline.text(`           ${line}`);
    }
    timeline.text(`  clients  each ${this.#clients.description}`);
  }

  /** What clients of stub pods wait for, and builds do not: buildkitd speaks first, and its clients leave at once. */
  #costsOfTheWay(): readonly string[] {
    if (!(this.#runtime instanceof StubPods)) return [];
    return [
      `it does not say that a pod listens: a silent stub is trusted after ${seconds(SETTLE_MS)}`,
      `it has no half-close: who waits for its end gets that ${seconds(HALF_CLOSED_MS)} later`,
    ];
  }

  async #play(address: Address, within: Within): Promise<void> {
    const timeline = this.#timeline;
    timeline.heading(`1  Cold start: ${PARALLEL_CLIENTS} clients at once, and there is no pod`);
    timeline.event(
      "client",
      `${PARALLEL_CLIENTS} connect to ${formatAddress(address)}; buildkitd does not run yet`,
    );
    await within((signal) => this.#runClients(1, PARALLEL_CLIENTS, address, signal));

    timeline.heading("2  Warm: the pod is there, so connections go straight through");
    for (let number = PARALLEL_CLIENTS + 1; number <= PARALLEL_CLIENTS + WARM_CLIENTS; number++) {
      await within((signal) => this.#runClients(number, number, address, signal));
    }
    const idleSinceMs = timeline.elapsedMs;

    timeline.heading("3  Idle: nobody is connected, so the pod goes");
    timeline.event("client", `all have left; the idle timeout of ${seconds(this.#idleTimeoutMs)} runs`);
    await within((signal) => this.#cluster.until(({ replicas }) => replicas === 0, signal));
    const idleMs = timeline.elapsedMs - idleSinceMs;
    await within((signal) => this.#cluster.until(({ pods }) => pods.length === 0, signal));
    this.#conclude(idleMs);
  }

  #conclude(idleMs: number): void {
    const all = PARALLEL_CLIENTS + WARM_CLIENTS;
    // The program sees the last client leave a moment before the client itself says so.
    const early = idleMs < this.#idleTimeoutMs - LEAVING_MS;
    const good = this.#failed === 0 && this.#served === all && !early;
    const summary = `${this.#served} of ${all} clients were served; ` +
      `the pod went ${seconds(idleMs)} after the last (idle timeout ${seconds(this.#idleTimeoutMs)})`;
    this.#timeline.verdict(good, summary);
    if (!good) throw new FatalError("The demo has failed");
  }

  async #runClients(first: number, last: number, address: Address, signal: AbortSignal): Promise<void> {
    const timeline = this.#timeline;
    const numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    await Promise.all(numbers.map(async (number) => {
      const beganMs = timeline.elapsedMs, who = String(number).padStart(2);
      let servedMs: number | undefined;
      try {
        const { text } = await this.#clients.run(
          number,
          address,
          signal,
          () => servedMs = timeline.elapsedMs,
        );
        this.#served++;
        const tookMs = (servedMs ?? timeline.elapsedMs) - beganMs;
        timeline.event("client", `${who} served after ${seconds(tookMs)}: ${text}`);
      } catch (error) {
        signal.throwIfAborted();
        this.#failed++;
        timeline.event(
          "client",
          `${number} FAILED after ${seconds(timeline.elapsedMs - beganMs)}: ${messageOf(error)}`,
        );
      }
    }));
  }
}

/** A port that nobody listens on just now. */
function freePort(hostname: string): number {
  const listener = network.listen({ hostname, port: 0 });
  listener.close();
  return listener.addr.port;
}

/** Writes at once. A reader that has left is no error. */
function print(text: string): void {
  try {
    for (let rest = new TextEncoder().encode(text); rest.length > 0;) {
      rest = rest.subarray(Deno.stdout.writeSync(rest));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
