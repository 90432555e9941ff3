/**
 * The kubelet of the miniature cluster, and what of the scheduler shows in a pod's status: gives each pod an address, runs
 * one process for it, reports its status, ends it when the pod is deleted and starts it again when it crashes. On demand
 * it leaves the pods of a StatefulSet pending. Times in ms by the clock port.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { invariant } from "../base/errors.ts";
import { type KubeObject, PODS } from "./objects.ts";
import type { PodProcess, PodRuntime } from "./pod_process.ts";
import { isReady, ordinalOf, setNameOf } from "./pods.ts";
import type { Registry } from "./registry.ts";

/** How long what takes. Each is drawn when it begins. */
export interface KubeletTimes {
  /** From the pod's creation to its address and the start of its process: scheduling, volumes, image pull. */
  readonly startMs: (pod: KubeObject) => number;
  /** From "the process serves" to the Ready condition: the readiness probe's delay. */
  readonly probeMs: (pod: KubeObject) => number;
  /** From the pod's deletion to the word to its process. */
  readonly stopMs: (pod: KubeObject) => number;
  /** From the process's crash to its next start. */
  readonly restartMs: (pod: KubeObject) => number;
}

/** How a kubelet is set up. */
export interface KubeletOptions extends KubeletTimes {
  /** Runs the processes. */
  readonly runtime: PodRuntime;
  /** The port that every process listens on. */
  readonly targetPort: number;
  /** The address of the `n`th pod, counted from 1. */
  readonly podAddress: (n: number) => string;
}

/** How a container's process ended, as its status says. */
export interface ContainerEnd {
  /** 128 and the signal, if one killed it. */
  readonly exitCode: number;
  /** `Error`, `OOMKilled` and so on. */
  readonly reason: string;
}

/** Why pods stay pending: no node takes them, or a container waits for this reason (such as `ImagePullBackOff`). */
export type PendingReason =
  | { readonly kind: "unschedulable"; readonly message: string }
  | { readonly kind: "waiting"; readonly reason: string; readonly message: string };

interface Run {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  process: PodProcess | undefined;
  restarts: number;
  /** How the process is about to end. */
  end: ContainerEnd;
  lastEnd: (ContainerEnd & { readonly finishedAt: string }) | undefined;
  address: string;
  stopping: boolean;
  cancelTimer: () => void;
  /** Starts it, once nothing keeps it pending; none while it runs. */
  pending: (() => void) | undefined;
}

/** What a pod's status is made from, beside the process. */
interface PodState {
  readonly phase: "Pending" | "Running" | "Failed";
  readonly reason?: string;
  readonly ready: boolean;
  readonly why?: PendingReason;
}

const BY_ITSELF: ContainerEnd = { exitCode: 1, reason: "Error" };

/** The one node of the cluster. */
export class Kubelet implements AsyncDisposable {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #options: KubeletOptions;
  readonly #unsubscribe: () => void;
  readonly #runs = new Map<string, Run>();
  readonly #holds = new Map<string, PendingReason>();
  readonly #exits = new Set<Promise<void>>();
  #addresses = 0;
  #stopped = false;

  /** Starts at once. */
  constructor(registry: Registry, clock: Clock, options: KubeletOptions) {
    this.#registry = registry;
    this.#clock = clock;
    this.#options = options;
    this.#unsubscribe = registry.store.subscribe(({ resource, before, after }) => {
      if (resource === PODS) this.#sync(before, after);
    });
    for (const pod of registry.store.list(PODS)) this.#sync(undefined, pod);
  }

  /** Pods of this StatefulSet that do not run yet stay pending until the returned function is called; then they start. */
  keepPending(set: string, why: PendingReason): () => void {
    this.#holds.set(set, why);
    return () => {
      if (this.#holds.get(set) !== why) return;
      this.#holds.delete(set);
      for (const run of [...this.#runs.values()]) if (setNameOf(run.name) === set) run.pending?.();
    };
  }

  /** The pod's process ends by itself, and is started again after a while. */
  crash(name: string, end: ContainerEnd = BY_ITSELF): void {
    const run = this.#runOf(name);
    if (run?.process === undefined) return;
    run.end = end;
    run.process.kill();
  }

  /** The node takes the pod away: its process is killed and the pod has failed; the controller makes a new one. */
  evict(name: string): void {
    const run = this.#runOf(name);
    if (run === undefined) return;
    run.stopping = true;
    run.pending = undefined;
    run.cancelTimer();
    this.#report(run, { phase: "Failed", reason: "Evicted", ready: false });
    run.process?.kill();
  }

  /** The pod fails, or passes again, its readiness probe while its process goes on. Nothing without a process. */
  setReady(name: string, ready: boolean): void {
    const run = this.#runOf(name);
    if (run?.process !== undefined) this.#report(run, { phase: "Running", ready });
  }

  /** Kills everything and waits until it is gone. Pods stay in the store. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe();
    for (const run of this.#runs.values()) {
      run.stopping = true;
      run.cancelTimer();
      run.process?.kill();
    }
    await Promise.all(this.#exits);
  }

  #runOf(name: string): Run | undefined {
    return [...this.#runs.values()].findLast((run) => run.name === name && !run.stopping);
  }

  #sync(before: KubeObject | undefined, after: KubeObject | undefined): void {
    if (before !== undefined && before.metadata.uid !== after?.metadata.uid) {
      this.#end(before, 0);
    }
    if (after === undefined) return;
    const { uid, name, namespace, deletionGracePeriodSeconds: graceSeconds } = after.metadata;
    if (graceSeconds !== undefined) return this.#end(after, graceSeconds * 1000);
    if (this.#runs.has(uid) || after.spec?.nodeName === undefined) return;
    const run: Run = {
      name,
      namespace,
      uid,
      process: undefined,
      restarts: 0,
      end: BY_ITSELF,
      lastEnd: undefined,
      address: "",
      stopping: false,
      cancelTimer: () => {},
      pending: undefined,
    };
    this.#runs.set(uid, run);
    this.#prepare(run, after);
  }

  /** Starts the pod's process after a while, and not before nothing keeps the pod pending. */
  #prepare(run: Run, pod: KubeObject): void {
    run.cancelTimer = this.#clock.setTimer(this.#options.startMs(pod), () => {
      const why = this.#holds.get(setNameOf(run.name));
      // A container that waits has a sandbox, and so an address; a pod without a node has none.
      if (why?.kind !== "unschedulable" && run.address === "") {
        run.address = this.#options.podAddress(++this.#addresses);
      }
      if (why === undefined) return this.#start(run, pod);
      run.pending = () => {
        run.pending = undefined;
        this.#prepare(run, pod);
      };
      this.#report(run, { phase: "Pending", ready: false, why });
    });
  }

  #start(run: Run, pod: KubeObject): void {
    const { name, uid, address: hostname } = run;
    const address = { hostname, port: this.#options.targetPort };
    const process = this.#options.runtime.start({ name, uid, ordinal: ordinalOf(pod), address });
    run.process = process;
    process.serving.then(() => {
      if (run.process !== process || run.stopping) return;
      run.cancelTimer = this.#clock.setTimer(this.#options.probeMs(pod), () => {
        if (run.process === process && !run.stopping) this.#report(run, { phase: "Running", ready: true });
      });
    });
    const exit = process.exited.then(() => this.#exited(run, pod));
    this.#exits.add(exit);
    exit.finally(() => this.#exits.delete(exit));
    this.#report(run, { phase: "Running", ready: false });
  }

  #exited(run: Run, pod: KubeObject): void {
    run.process = undefined;
    run.cancelTimer();
    if (this.#stopped) return;
    if (run.stopping) return this.#gone(run);
    run.restarts++;
    run.lastEnd = { ...run.end, finishedAt: this.#registry.now() };
    run.end = BY_ITSELF;
    this.#report(run, { phase: "Running", ready: false });
    run.cancelTimer = this.#clock.setTimer(this.#options.restartMs(pod), () => this.#start(run, pod));
  }

  #end(pod: KubeObject, graceMs: number): void {
    const run = this.#runs.get(pod.metadata.uid);
    if (run === undefined) return;
    run.stopping = true;
    run.pending = undefined;
    run.cancelTimer();
    const { process } = run;
    const stopMs = graceMs === 0 ? 0 : this.#options.stopMs(pod);
    if (process !== undefined && stopMs > 0) {
      run.cancelTimer = this.#clock.setTimer(stopMs, () => process.stop(graceMs));
      return;
    }
    if (process !== undefined) return process.stop(graceMs);
    // Not from within the write that brought the news: a real kubelet answers with a request of its own.
    run.cancelTimer = this.#clock.setTimer(0, () => this.#gone(run));
  }

  /** The process is no more: the pod object goes with it, if it is still this one and is to go. */
  #gone(run: Run): void {
    const pod = this.#registry.store.get(PODS, run.namespace, run.name);
    const isMine = pod?.metadata.uid === run.uid;
    // An evicted pod stays, failed, until its controller deletes it.
    if (isMine && pod.metadata.deletionTimestamp === undefined) return;
    this.#runs.delete(run.uid);
    if (!isMine) return;
    this.#registry.delete(PODS, run.namespace, run.name, { gracePeriodSeconds: 0 });
  }

  #report(run: Run, state: PodState): void {
    const pod = this.#registry.store.get(PODS, run.namespace, run.name);
    if (pod?.metadata.uid !== run.uid) return;
    const status = (value: boolean) => value ? "True" : "False";
    const known = isReady(pod) === state.ready ? pod.status?.conditions?.[0]?.lastTransitionTime : undefined;
    const lastTransitionTime = known ?? this.#registry.now();
    invariant(run.address !== "" || state.phase !== "Running", "a pod runs at an address");
    this.#registry.replace(PODS, run.namespace, run.name, {
      ...pod,
      status: {
        phase: state.phase,
        ...(state.reason === undefined ? {} : { reason: state.reason }),
        ...(run.address === "" ? {} : { podIP: run.address, podIPs: [{ ip: run.address }] }),
        conditions: [
          { type: "ContainersReady", status: status(state.ready), lastTransitionTime },
          { type: "Ready", status: status(state.ready), lastTransitionTime },
          ...unscheduled(state.why, lastTransitionTime),
        ],
        containerStatuses: state.why?.kind === "unschedulable" ? [] : [{
          name: "main",
          ready: state.ready,
          restartCount: run.restarts,
          state: run.process === undefined ? { waiting: waiting(state.why) } : { running: {} },
          lastState: run.lastEnd === undefined ? {} : { terminated: run.lastEnd },
        }],
      },
    }, { manager: "kubelet", subresource: "status" });
  }
}

function waiting(why: PendingReason | undefined) {
  return why?.kind === "waiting" ? { reason: why.reason, message: why.message } : {};
}

function unscheduled(why: PendingReason | undefined, lastTransitionTime: string) {
  if (why?.kind !== "unschedulable") return [];
  const { message } = why;
  return [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message, lastTransitionTime }];
}
