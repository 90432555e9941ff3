/**
 * A stand-in for the kubelet and the scheduler: binds each pod of one namespace, runs one process for it, reports its
 * status, and ends it when the pod is deleted.
 *
 * As a real one it keeps working while the API server is away, and makes up for it later; a process that ends by
 * itself is started again. When a pod starts, becomes ready and goes away is decided by the gates and counts in
 * `behaviour`, which a test may change at any time. It never touches the StatefulSet or its Service.
 *
 * @module
 */

import { join } from "node:path";
import { ApiError, type KubeApi, type KubeObject } from "./kube_api.ts";
import type { PodProcess, PodRuntime } from "./pod_process.ts";
import { delay, Gate, until, within } from "./waiting.ts";

export interface Pod extends KubeObject {
  readonly spec: { readonly nodeName?: string; readonly terminationGracePeriodSeconds?: number };
  readonly status?: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export class Behaviour {
  /** While shut, pods are bound and pending, but their process does not start (an image is pulled, say). */
  readonly start = new Gate();
  /** While shut, a process that is up is not yet reported as ready (the probe's period has not passed). */
  readonly ready = new Gate();
  /** While shut, a terminating pod's process is not told to leave (a preStop hook runs, say). */
  readonly terminate = new Gate();
  /** While shut, a terminating pod whose process is gone stays (volumes are unmounted, say). */
  readonly remove = new Gate();
  /** So many starts from now end before the process is ready. */
  crashes = 0;

  openAll(): void {
    for (const gate of [this.start, this.ready, this.terminate, this.remove]) gate.open();
  }
}

export interface KubeletOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly nodeName: string;
  readonly runtime: PodRuntime;
  /** Volumes and logs go here. */
  readonly folder: string;
}

/** Something that happened to a pod, for assertions and for the report of a failed test. */
export interface PodHistoryEntry {
  readonly atMs: number;
  readonly pod: string;
  readonly uid: string;
  readonly what: "bound" | "started" | "ready" | "ended" | "terminating" | "removed";
  readonly detail?: string;
}

const PROBE_EVERY_MS = 25;
const RESTART_AFTER_MS = 200;
const RETRY_MS = 100;
const DEFAULT_GRACE_SECONDS = 30;

let podsSoFar = 0;

/** A pod address is never used again. */
function nextPodAddress(): string {
  const n = podsSoFar++;
  return `10.99.${100 + Math.floor(n / 250)}.${1 + n % 250}`;
}

export class Kubelet {
  readonly behaviour = new Behaviour();
  readonly history: PodHistoryEntry[] = [];
  readonly #options: KubeletOptions;
  readonly #stopped = new AbortController();
  readonly #runs = new Map<string, PodRun>();
  readonly #following: Promise<void>;

  private constructor(options: KubeletOptions) {
    this.#options = options;
    this.#following = options.api.follow<Pod>(
      `/api/v1/namespaces/${options.namespace}/pods`,
      {},
      ({ type, object }) => this.#onPod(object, type === "DELETED"),
      this.#stopped.signal,
    );
  }

  /** The Node comes first: the EndpointSlice controller leaves out pods whose Node does not exist. */
  static async start(options: KubeletOptions): Promise<Kubelet> {
    try {
      await options.api.create("/api/v1/nodes", {
        apiVersion: "v1",
        kind: "Node",
        metadata: { name: options.nodeName },
      });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
    return new Kubelet(options);
  }

  #onPod(pod: Pod, gone: boolean): void {
    const uid = pod.metadata.uid ?? "";
    let run = this.#runs.get(uid);
    if (run === undefined) {
      if (gone) return;
      run = new PodRun(pod, this.#options, this.behaviour, (entry) => this.history.push(entry));
      this.#runs.set(uid, run);
      run.finished.then(() => this.#runs.delete(uid));
    }
    if (gone) run.vanish();
    else if (pod.metadata.deletionTimestamp !== undefined) run.terminate();
  }

  /** Kills the process of the running pod of that name, as the kernel would when memory is short. */
  async killProcess(podName: string): Promise<void> {
    const run = [...this.#runs.values()].find((candidate) => candidate.name === podName);
    if (run === undefined) throw new Error(`Cannot kill the process of "${podName}": no such pod runs`);
    await run.killProcess();
  }

  /** The pods that have not been removed, whatever state they are in. */
  get podCount(): number {
    return this.#runs.size;
  }

  /** Ends every process at once and reports nothing any more. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.behaviour.openAll();
    await this.#following;
    const runs = [...this.#runs.values()];
    runs.forEach((run) => run.vanish());
    await within("the end of all pods", Promise.all(runs.map((run) => run.finished)));
  }
}

/** One pod from its appearance to its removal. */
class PodRun {
  readonly name: string;
  readonly finished: Promise<void>;
  readonly #uid: string;
  readonly #path: string;
  readonly #ip = nextPodAddress();
  readonly #graceMs: number;
  readonly #startTime = new Date().toISOString();
  readonly #terminating = Promise.withResolvers<void>();
  readonly #vanished = Promise.withResolvers<void>();
  readonly #options: KubeletOptions;
  readonly #behaviour: Behaviour;
  readonly #note: (what: PodHistoryEntry["what"], detail?: string) => void;
  #isTerminating = false;
  #hasVanished = false;
  #process: PodProcess | undefined;
  #restarts = 0;

  constructor(
    pod: Pod,
    options: KubeletOptions,
    behaviour: Behaviour,
    note: (entry: PodHistoryEntry) => void,
  ) {
    this.name = pod.metadata.name;
    this.#uid = pod.metadata.uid ?? "";
    this.#path = `/api/v1/namespaces/${options.namespace}/pods/${this.name}`;
    this.#graceMs = (pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
    this.#options = options;
    this.#behaviour = behaviour;
    this.#note = (what, detail) =>
      note({
        atMs: performance.now(),
        pod: this.name,
        uid: this.#uid,
        what,
        ...(detail === undefined ? {} : { detail }),
      });
    this.finished = this.#run(pod.spec.nodeName === undefined).finally(() => this.#process?.kill());
  }

  terminate(): void {
    if (this.#isTerminating) return;
    this.#isTerminating = true;
    this.#note("terminating");
    this.#terminating.resolve();
  }

  /** The pod is gone from the API server (or the suite ends): its process may not outlive it. */
  vanish(): void {
    this.#hasVanished = true;
    this.#vanished.resolve();
    this.terminate();
  }

  async killProcess(): Promise<void> {
    if (this.#process === undefined) throw new Error(`Cannot kill the process of "${this.name}": none runs`);
    await this.#process.kill();
  }

  async #run(unbound: boolean): Promise<void> {
    if (unbound) {
      await this.#persist(() =>
        this.#options.api.create(`${this.#path}/binding`, {
          apiVersion: "v1",
          kind: "Binding",
          metadata: { name: this.name, uid: this.#uid },
          target: { apiVersion: "v1", kind: "Node", name: this.#options.nodeName },
        })
      );
      this.#note("bound");
    }
    while (!this.#isTerminating) {
      await Promise.race([this.#behaviour.start.pass(), this.#terminating.promise]);
      if (this.#isTerminating) break;
      await this.#runProcess();
      if (!this.#isTerminating) await Promise.race([delay(RESTART_AFTER_MS), this.#terminating.promise]);
    }
    await this.#endProcess();
    if (this.#hasVanished) return;
    await this.#report("Succeeded", false);
    await Promise.race([this.#behaviour.remove.pass(), this.#vanished.promise]);
    await this.#persist(() =>
      this.#options.api.delete(this.#path, { gracePeriodSeconds: 0, preconditions: { uid: this.#uid } })
    );
    this.#note("removed");
  }

  /** Runs the process until it ends by itself or the pod is to go away. */
  async #runProcess(): Promise<void> {
    const { folder, runtime } = this.#options;
    const process = await runtime({
      name: this.name,
      ip: this.#ip,
      volume: join(folder, "volumes", this.name),
      logFile: join(folder, `${this.name}.log`),
    });
    this.#process = process;
    let ended: string | undefined;
    const exited = process.exited.then((how) => {
      ended = how;
      this.#note("ended", how);
    });
    this.#note("started", this.#ip);
    await this.#report("Running", false);
    if (this.#behaviour.crashes > 0) {
      this.#behaviour.crashes--;
      await process.kill();
    }
    while (ended === undefined && !this.#isTerminating && !await process.isReady()) {
      await delay(PROBE_EVERY_MS);
    }
    await Promise.race([this.#behaviour.ready.pass(), exited, this.#terminating.promise]);
    if (ended === undefined && !this.#isTerminating) {
      await this.#report("Running", true);
      this.#note("ready");
      await Promise.race([exited, this.#terminating.promise]);
    }
    if (this.#isTerminating) return;
    this.#restarts++;
    await this.#report("Running", false);
  }

  async #endProcess(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    if (!this.#hasVanished) {
      await Promise.race([this.#behaviour.terminate.pass(), this.#vanished.promise]);
      process.terminate();
      await Promise.race([process.exited, this.#vanished.promise, delay(this.#graceMs)]);
    }
    await process.kill();
    await process.exited;
  }

  #report(phase: string, ready: boolean): Promise<void> {
    const status = ready ? "True" : "False";
    const condition = (type: string, value: string) => ({
      type,
      status: value,
      lastTransitionTime: new Date().toISOString(),
    });
    const running = phase === "Running";
    return this.#persist(() =>
      this.#options.api.patch(`${this.#path}/status`, {
        metadata: { uid: this.#uid },
        status: {
          phase,
          startTime: this.#startTime,
          podIP: this.#ip,
          podIPs: [{ ip: this.#ip }],
          conditions: [
            condition("PodScheduled", "True"),
            condition("Initialized", "True"),
            condition("ContainersReady", status),
            condition("Ready", status),
          ],
          containerStatuses: [{
            name: "buildkitd",
            image: "buildkitd",
            imageID: "",
            ready,
            started: running,
            restartCount: this.#restarts,
            state: running
              ? { running: { startedAt: new Date().toISOString() } }
              : { terminated: { exitCode: 0, reason: "Completed" } },
          }],
        },
      })
    );
  }

  /** Tries again while the API server is away; a pod that is no longer there needs no report. */
  async #persist(call: () => Promise<unknown>): Promise<void> {
    while (!this.#hasVanished) {
      try {
        await call();
        return;
      } catch (error) {
        if (error instanceof ApiError && [404, 409].includes(error.status)) return;
        if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
        await Promise.race([delay(RETRY_MS), this.#vanished.promise]);
      }
    }
  }
}

/** Waits until `kubelet` has noted `what` for a pod at or after `sinceMs`, and gives the entry. */
export function noted(
  kubelet: Kubelet,
  what: PodHistoryEntry["what"],
  sinceMs = 0,
): Promise<PodHistoryEntry> {
  return until(
    `a pod to be ${what}`,
    () => kubelet.history.find((entry) => entry.what === what && entry.atMs >= sinceMs),
  );
}
