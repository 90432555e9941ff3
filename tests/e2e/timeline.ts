/**
 * What the API server showed over time: each change of the StatefulSet's counts, each pod that became ready, and when
 * its readiness stood in an EndpointSlice.
 *
 * It watches as any client does, so the times are those at which a client could know. Times are milliseconds on the
 * monotonic clock of this process.
 *
 * @module
 */

import type { Pod } from "./containers/pod_spec.ts";
import { type KubeApi, type KubeObject, statefulSetPath } from "./kube_api.ts";
import { until, type WaitOptions, within } from "./waiting.ts";

interface StatefulSet extends KubeObject {
  readonly spec: { readonly replicas?: number };
}

interface EndpointSlice extends KubeObject {
  readonly endpoints?: readonly {
    readonly conditions?: { readonly serving?: boolean; readonly terminating?: boolean };
    readonly targetRef?: { readonly name?: string; readonly uid?: string };
  }[];
}

export interface ReplicasEntry {
  readonly atMs: number;
  readonly replicas: number;
}

export interface ReadyEntry {
  readonly atMs: number;
  readonly pod: string;
  readonly uid: string;
}

export class Timeline {
  /** Each change of `spec.replicas`, beginning with the count that was found. */
  readonly replicas: ReplicasEntry[] = [];
  /** Each pod at the moment when its Ready condition was first seen to be true. */
  readonly ready: ReadyEntry[] = [];
  /**
   * Each pod at the moment when an EndpointSlice first showed it as serving. The controller that writes the slices
   * backs off for up to a second when its own cache is behind, so this may be long after {@link ready}.
   */
  readonly serving: ReadyEntry[] = [];
  readonly #stopped = new AbortController();
  readonly #following: Promise<unknown>;

  constructor(api: KubeApi, namespace: string, statefulSet: string) {
    const signal = this.#stopped.signal;
    this.#following = Promise.all([
      api.follow<StatefulSet>(
        statefulSetPath(namespace),
        { fieldSelector: `metadata.name=${statefulSet}` },
        ({ type, object }) => {
          if (type === "DELETED") return;
          const replicas = object.spec.replicas ?? 1;
          if (this.replicas.at(-1)?.replicas === replicas) return;
          this.replicas.push({ atMs: performance.now(), replicas });
        },
        signal,
      ),
      api.follow<Pod>(`/api/v1/namespaces/${namespace}/pods`, {}, ({ object }) => {
        const uid = object.metadata.uid ?? "";
        const ready = object.status?.conditions?.some(({ type, status }) =>
          type === "Ready" && status === "True"
        );
        if (!ready || this.ready.some((entry) => entry.uid === uid)) return;
        this.ready.push({ atMs: performance.now(), pod: object.metadata.name, uid });
      }, signal),
      api.follow<EndpointSlice>(
        `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
        {},
        ({ object }) => {
          for (const { conditions, targetRef } of object.endpoints ?? []) {
            const { name = "", uid = "" } = targetRef ?? {};
            if (conditions?.serving !== true || conditions.terminating === true) continue;
            if (this.serving.some((entry) => entry.uid === uid)) continue;
            this.serving.push({ atMs: performance.now(), pod: name, uid });
          }
        },
        signal,
      ),
    ]);
  }

  /** The counts in order, such as `[0, 1, 0]`. */
  get counts(): readonly number[] {
    return this.replicas.map((entry) => entry.replicas);
  }

  /** Waits until the counts are exactly these; fails at once when they can no longer become so. */
  async settle(want: readonly number[], options: WaitOptions = {}): Promise<void> {
    const matches = (length: number) => this.counts.slice(0, length).every((count, i) => count === want[i]);
    await until(`replicas to go ${want.join(" → ")}`, () => {
      return this.counts.length >= want.length || !matches(this.counts.length);
    }, { explain: () => `seen: ${this.counts.join(" → ")}`, ...options });
    if (this.counts.length !== want.length || !matches(want.length)) {
      throw new Error(`Replicas went ${this.counts.join(" → ")}, want ${want.join(" → ")}`);
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await within("the end of the timeline's watches", this.#following);
  }
}
