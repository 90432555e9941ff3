/**
 * A stand-in for the kubelet and the scheduler: binds each pod of one namespace, runs one process for it, reports its
 * status, and ends it when the pod is deleted.
 *
 * As a real one it keeps working while the API server is away, and makes up for it later; a process that ends by
 * itself is started again. When a pod starts, becomes ready and goes away is decided by the gates and counts in
 * `behaviour`, which a test may change at any time. It never touches the StatefulSet or its Service. What a pod's process
 * is, a runtime decides: one that stands in for the daemon (`pod_process.ts`), or what the pod's spec says
 * (`containers/runtime.ts`).
 *
 * @module
 */

import type { Pod } from "./containers/pod_spec.ts";
import { ApiError } from "./kube_api.ts";
import { Behaviour, type KubeletOptions, type PodHistoryEntry, PodRun } from "./pod_run.ts";
import { until, within } from "./waiting.ts";

export class Kubelet {
  /** Of all pods whose StatefulSet has none of its own. */
  readonly behaviour = new Behaviour();
  readonly #behaviours = new Map<string, Behaviour>();
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
      run = new PodRun(pod, this.#options, this.#behaviourFor(pod), (entry) => this.history.push(entry));
      this.#runs.set(uid, run);
      run.finished.then(() => this.#runs.delete(uid));
    }
    if (gone) run.vanish();
    else if (pod.metadata.deletionTimestamp !== undefined) run.terminate(pod);
  }

  /** Gives the pods of one StatefulSet a behaviour of their own, from the next pod on. */
  behaviourOf(statefulSet: string): Behaviour {
    let behaviour = this.#behaviours.get(statefulSet);
    if (behaviour === undefined) this.#behaviours.set(statefulSet, behaviour = new Behaviour());
    return behaviour;
  }

  #behaviourFor({ metadata: { name } }: Pod): Behaviour {
    return this.#behaviours.get(name.slice(0, name.lastIndexOf("-"))) ?? this.behaviour;
  }

  /** Kills the process of the running pod of that name, as the kernel would when memory is short. */
  async killProcess(podName: string): Promise<void> {
    await this.#find(podName).killProcess();
  }

  /** Lets the process of the running pod of that name stand still, as a hang would. */
  async freezeProcess(podName: string): Promise<void> {
    await this.#find(podName).freezeProcess();
  }

  /** Runs a command in the container of the running pod of that name, as kubectl would, and gives what it printed. */
  async exec(podName: string, command: readonly string[]): Promise<string> {
    return await this.#find(podName).exec(command);
  }

  #find(podName: string): PodRun {
    const run = [...this.#runs.values()].find((candidate) => candidate.name === podName);
    if (run === undefined) throw new Error(`Cannot reach the process of "${podName}": no such pod runs`);
    return run;
  }

  /** The pods that have not been removed, whatever state they are in. */
  get podCount(): number {
    return this.#runs.size;
  }

  /** Ends every process at once and reports nothing any more. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const behaviour of [this.behaviour, ...this.#behaviours.values()]) behaviour.openAll();
    await within("the end of the kubelet's watch of pods", this.#following);
    const runs = [...this.#runs.values()];
    runs.forEach((run) => run.vanish());
    await within("the end of all pods", Promise.all(runs.map((run) => run.finished)));
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

/** Waits until the last pod of that name is ready, and gives its address. */
export async function readyAt({ history }: Kubelet, pod: string): Promise<string> {
  const last = () => history.findLast((entry) => entry.pod === pod)?.what;
  await until(`${pod} to be ready`, () => last() === "ready");
  return history.findLast((entry) => entry.pod === pod && entry.what === "started")?.detail ?? "";
}
