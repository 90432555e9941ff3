/**
 * Reads and writes the replica count of the scale target, through its `/scale` subresource only, and always with the
 * resourceVersion that the count was read at. Nothing else in the program writes replicas.
 *
 * @module
 */
import type { Scale } from "kubernetes-types/autoscaling/v1.d.ts";
import type { ApiVerb } from "../base/metrics.ts";
import type { ApiTarget } from "./api_error.ts";
import type { KubeClient } from "./client.ts";

/** A replica count and the version of the StatefulSet that it stands in. */
export interface Count {
  /** `spec.replicas`. */
  readonly replicas: number;
  /** `metadata.resourceVersion` of the StatefulSet object, which is that of its `/scale`, too. */
  readonly version: string;
}

/** Options of a write. */
export interface WriteOptions {
  /** Has the API server check everything, rights included, and change nothing. */
  readonly dryRun?: boolean;
}

/** The scale target's count, as an interface so that the scaler can be tested without HTTP. */
export interface ScaleApi {
  /** Reads the count consistently (never from a cache). */
  read(signal: AbortSignal): Promise<Count>;
  /**
   * Replaces the count, if the StatefulSet still has the version of `count`.
   *
   * @throws ApiError 409 when it has not
   */
  update(count: Count, signal: AbortSignal, options?: WriteOptions): Promise<Count>;
  /**
   * Applies the count (server-side, forced) under a field manager name that must never have been used before, if the
   * StatefulSet still has the version of `count`. The version then changes even when the count does not (observed on
   * kube-apiserver 1.36), which `update` would not do.
   *
   * @throws ApiError 409 when it has not
   */
  apply(count: Count, manager: string, signal: AbortSignal, options?: WriteOptions): Promise<Count>;
  /**
   * Has a field manager that applied the count give up its share of it, if the StatefulSet still has the version of
   * `count`. Where no other one has applied it, the API server takes the count away: a dry run shows what it would be.
   *
   * @throws ApiError 409 when it has another version
   */
  giveUp(count: Count, manager: string, signal: AbortSignal, options?: WriteOptions): Promise<Count>;
}

/** Field manager of updates; what claims add to it makes the name of theirs. */
export const MANAGER = "buildkitd-autoscaler";

/** The real {@link ScaleApi} of one StatefulSet. */
export function statefulSetScale(client: KubeClient, namespace: string, name: string): ScaleApi {
  const target = (verb: ApiVerb): ApiTarget => ({
    verb,
    group: "apps",
    resource: "statefulsets/scale",
    namespace,
    name,
  });
  const bare = ({ version }: Count): Scale => ({
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: { name, namespace, resourceVersion: version },
  });
  const body = (count: Count): Scale => ({ ...bare(count), spec: { replicas: count.replicas } });
  const apply = async (manager: string, body: Scale, signal: AbortSignal, options?: WriteOptions) => {
    const scale = await client.json<Scale>({
      target: target("patch"),
      method: "PATCH",
      query: { fieldManager: manager, force: "true", ...dry(options) },
      contentType: "application/apply-patch+yaml",
      body,
    }, signal);
    return countOf(scale);
  };
  const dry = (options?: WriteOptions) => (options?.dryRun ? { dryRun: "All" } : {});
  return {
    async read(signal) {
      return countOf(await client.json<Scale>({ target: target("get"), method: "GET" }, signal));
    },
    async update(count, signal, options) {
      const query = { fieldManager: MANAGER, ...dry(options) };
      const request = { target: target("update"), method: "PUT", query, body: body(count) } as const;
      return countOf(await client.json<Scale>(request, signal));
    },
    apply: (count, manager, signal, options) => apply(manager, body(count), signal, options),
    // Without `spec`; with an empty one the share stays (seen on kube-apiserver 1.36).
    giveUp: (count, manager, signal, options) => apply(manager, bare(count), signal, options),
  };
}

function countOf(scale: Scale): Count {
  const version = scale.metadata?.resourceVersion;
  if (!version) throw new Error("Cannot read the replica count: the answer has no resourceVersion");
  // Kubernetes leaves out a count of 0 here (omitempty in autoscaling/v1 ScaleSpec).
  return { replicas: scale.spec?.replicas ?? 0, version };
}
