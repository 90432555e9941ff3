/**
 * One pod in the kubelet stand-in: bound to the node, its process run and run again, its status reported, ended and
 * removed.
 *
 * Reports are tried again while the API server is away; one that the server refuses for another reason than a pod that
 * is gone fails the run.
 *
 * @module
 */

import { join } from "node:path";
import type { Pod } from "./containers/pod_spec.ts";
import { ApiError, type KubeApi } from "./kube_api.ts";
import type { PodProcess, PodRuntime } from "./pod_process.ts";
import { delay, Gate } from "./waiting.ts";

export class Behaviour {
  /** While shut, pods find no Node. */
  readonly bind = new Gate();
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
    for (const gate of [this.bind, this.start, this.ready, this.terminate, this.remove]) gate.open();
  }
}

export interface KubeletOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly nodeName: string;
  readonly runtime: PodRuntime;
  /** Volumes and logs go here. */
  readonly folder: string;
  /** The first half of all pods' addresses; {@link LOCAL_PODS} unless said otherwise. */
  readonly subnet?: string;
}

/** Addresses of the suite's own interface, for pods whose process listens on its pod's address alone. */
const LOCAL_PODS = "10.99";

/** Addresses that are free for pods with a network of their own. */
export const ROUTED_PODS = "10.97";

/** Something that happened to a pod, for assertions and for the report of a failed test. */
export interface PodHistoryEntry {
  readonly atMs: number;
  readonly pod: string;
  readonly uid: string;
  readonly what: "bound" | "started" | "ready" | "unready" | "ended" | "terminating" | "removed";
  readonly detail?: string;
}

const PROBE_EVERY_MS = 25;
const RESTART_AFTER_MS = 200;
/** A real kubelet looks for containers that have ended once a second, and reports what it has found a moment later. */
const END_REPORTED_AFTER_MS = 1_500;
const RETRY_MS = 100;
const DEFAULT_GRACE_SECONDS = 30;

let podsSoFar = 0;

/** A pod address is never used again. */
function nextPodAddress(subnet: string): string {
  const n = podsSoFar++;
  return `${subnet}.${100 + Math.floor(n / 250)}.${1 + n % 250}`;
}

/** `state.terminated` of a container's status. */
interface ContainerEnd {
  readonly exitCode: number;
  readonly reason: string;
  readonly finishedAt: string;
}

/** How a container ends that is told to. */
const COMPLETED: Partial<ContainerEnd> = { exitCode: 0, reason: "Completed" };

/** One pod from its appearance to its removal. */
export class PodRun {
  readonly name: string;
  readonly finished: Promise<void>;
  readonly #uid: string;
  readonly #path: string;
  readonly #ip: string;
  readonly #startTime = new Date().toISOString();
  readonly #terminating = Promise.withResolvers<void>();
  readonly #vanished = Promise.withResolvers<void>();
  readonly #options: KubeletOptions;
  readonly #behaviour: Behaviour;
  readonly #note: (what: PodHistoryEntry["what"], detail?: string) => void;
  #pod: Pod;
  #isTerminating = false;
  #hasVanished = false;
  #process: PodProcess | undefined;
  #restarts = 0;
  #lastEnd: ContainerEnd | undefined;
  #reported: readonly [phase: string, ready: boolean] = ["Pending", false];
  /** Reports reach the API server in the order in which they are made. */
  #reporting = Promise.resolve();
  #readinessFollowed = Promise.resolve();

  constructor(
    pod: Pod,
    options: KubeletOptions,
    behaviour: Behaviour,
    note: (entry: PodHistoryEntry) => void,
  ) {
    this.name = pod.metadata.name;
    this.#pod = { ...pod, spec: { ...pod.spec, nodeName: options.nodeName } };
    this.#ip = nextPodAddress(options.subnet ?? LOCAL_PODS);
    this.#uid = pod.metadata.uid ?? "";
    this.#path = `/api/v1/namespaces/${options.namespace}/pods/${this.name}`;
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

  terminate(pod: Pod): void {
    if (this.#isTerminating) return;
    this.#isTerminating = true;
    this.#pod = pod;
    this.#note("terminating");
    this.#terminating.resolve();
  }

  /** The pod is gone from the API server (or the suite ends): its process may not outlive it. */
  vanish(): void {
    this.#hasVanished = true;
    this.#vanished.resolve();
    this.terminate(this.#pod);
  }

  async killProcess(): Promise<void> {
    if (this.#process === undefined) throw new Error(`Cannot kill the process of "${this.name}": none runs`);
    await this.#process.kill();
  }

  async exec(command: readonly string[]): Promise<string> {
    if (this.#process?.exec === undefined) throw new Error(`Cannot run a command in "${this.name}"`);
    const { code, output } = await this.#process.exec(command);
    if (code !== 0) throw new Error(`"${command.join(" ")}" in "${this.name}" ended with ${code}\n${output}`);
    return output;
  }

  async freezeProcess(): Promise<void> {
    if (this.#process?.freeze === undefined) throw new Error(`Cannot freeze the process of "${this.name}"`);
    await this.#process.freeze();
  }

  async #run(unbound: boolean): Promise<void> {
    if (unbound) {
      await Promise.race([this.#behaviour.bind.pass(), this.#terminating.promise]);
      if (!this.#isTerminating) await this.#bind();
    }
    while (!this.#isTerminating) {
      await Promise.race([this.#behaviour.start.pass(), this.#terminating.promise]);
      if (this.#isTerminating) break;
      await this.#runProcess();
      if (this.#isDone) await this.#terminating.promise;
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

  /** It ran to its end, and is not to be started again. */
  get #isDone(): boolean {
    return this.#pod.spec.restartPolicy === "Never" && this.#restarts > 0;
  }

  async #bind(): Promise<void> {
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

  /** Runs the process until it ends by itself or the pod is to go away. */
  async #runProcess(): Promise<void> {
    const { folder, runtime } = this.#options;
    const process = await runtime({
      name: this.name,
      ip: this.#ip,
      pod: this.#pod,
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
      this.#readinessFollowed = this.#followReadiness(process, exited);
      await Promise.race([exited, this.#terminating.promise]);
    }
    if (this.#isTerminating) return;
    this.#restarts++;
    await this.#readinessFollowed;
    const end = endOf(await process.exited);
    if (this.#isDone) return await this.#report(end.exitCode === 0 ? "Succeeded" : "Failed", false, end);
    await this.#report("Running", false);
    void this.#reportEnd(end);
  }

  /** Reports how the process has ended, late, whatever the pod's state is by then. */
  async #reportEnd(end: ContainerEnd): Promise<void> {
    await Promise.race([delay(END_REPORTED_AFTER_MS), this.#terminating.promise]);
    this.#lastEnd = end;
    if (!this.#isTerminating) await this.#report(...this.#reported);
  }

  /** Reports each change of a process that was ready, until it has ended; also while the pod terminates. */
  async #followReadiness(process: PodProcess, exited: Promise<void>): Promise<void> {
    if (process.readinessChange === undefined) return;
    let ready = true;
    let ended = false;
    exited.then(() => ended = true);
    while (!ended) {
      const change = process.readinessChange();
      const now = await process.isReady();
      if (now === ready) {
        await Promise.race([change, exited]);
        continue;
      }
      ready = now;
      await this.#report("Running", ready);
      this.#note(ready ? "ready" : "unready");
    }
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
    await this.#readinessFollowed;
  }

  get #graceMs(): number {
    const { metadata, spec } = this.#pod;
    const seconds = metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds;
    return (seconds ?? DEFAULT_GRACE_SECONDS) * 1000;
  }

  #report(phase: string, ready: boolean, end = COMPLETED): Promise<void> {
    this.#reported = [phase, ready];
    this.#reporting = this.#reporting.then(() => this.#sendReport(phase, ready, end));
    return this.#reporting;
  }

  #sendReport(phase: string, ready: boolean, end: Partial<ContainerEnd>): Promise<void> {
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
            name: this.#pod.spec.containers[0]?.name,
            image: this.#pod.spec.containers[0]?.image,
            imageID: "",
            ready,
            started: running,
            restartCount: this.#restarts,
            lastState: this.#lastEnd === undefined ? {} : { terminated: this.#lastEnd },
            state: running ? { running: { startedAt: new Date().toISOString() } } : { terminated: end },
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
        if (error instanceof ApiError && saysGone(error)) return;
        if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
        await Promise.race([delay(RETRY_MS), this.#vanished.promise]);
      }
    }
  }
}

/** The pod is not there, or another one has its name: a patch with the uid of the old one would change that of the new one. */
function saysGone({ status, message }: ApiError): boolean {
  return status === 404 || status === 409 || (status === 422 && message.includes("metadata.uid"));
}

/** An end as a kubelet reports it. Whoever kills a process of this suite hard stands in for the kernel, out of memory. */
function endOf(exited: string): ContainerEnd {
  const finishedAt = new Date().toISOString();
  if (exited === "SIGKILL") return { exitCode: 137, reason: "OOMKilled", finishedAt };
  const exitCode = exited === "SIGTERM" ? 143 : Number(/^exit (\d+)$/.exec(exited)?.[1] ?? 1);
  return { exitCode, reason: exitCode === 0 ? "Completed" : "Error", finishedAt };
}
