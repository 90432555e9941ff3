/**
 * Reads and writes the replica count of the StatefulSet, only through its `/scale` subresource, and always with the
 * resourceVersion of the last read. Nothing else in the program writes replicas.
 *
 * @module
 */
import type { Scale } from "kubernetes-types/autoscaling/v1.d.ts";
import type { ApiVerb } from "../base/metrics.ts";
import type { ApiTarget } from "./api_error.ts";
import type { KubeClient } from "./client.ts";

/** A replica count and the version of its StatefulSet. */
export interface Count {
  /** `spec.replicas`. */
  readonly replicas: number;
  /** `metadata.resourceVersion` of the StatefulSet. Its `/scale` has the same. */
  readonly version: string;
  /** The StatefulSet's uid, which its `/scale` has, too: one of the same name may have been made anew. */
  readonly uid?: string | undefined;
}

/** Options of a write. */
export interface WriteOptions {
  /** The API server checks everything, including permissions, and changes nothing. */
  readonly dryRun?: boolean;
}

/** Reads the replica count of a StatefulSet, and has no means to write it. */
export interface ScaleReader {
  /** Reads the count consistently, never from a cache. */
  read(signal: AbortSignal): Promise<Count>;
}

/** The replica count of a StatefulSet as an interface, so that the scaler can be tested without HTTP. */
export interface ScaleApi extends ScaleReader {
  /**
   * Replaces the count, if the StatefulSet still has the version of `count`.
   *
   * @throws ApiError 409 when it has not
   */
  update(count: Count, signal: AbortSignal, options?: WriteOptions): Promise<Count>;
  /**
   * Applies the count (server-side apply, forced) with a field manager that was never used before, if the StatefulSet
   * still has the version of `count`. This changes the version even if the count stays the same (observed on
   * kube-apiserver 1.36); `update` would not.
   *
   * @throws ApiError 409 when it has not
   */
  apply(count: Count, manager: string, signal: AbortSignal, options?: WriteOptions): Promise<Count>;
  /**
   * Ends a field manager's ownership of the count, if the StatefulSet still has the version of `count`. If no other
   * manager owns the count, the API server removes it: a dry run shows the result.
   *
   * @throws ApiError 409 when it has another version
   */
  giveUp(count: Count, manager: string, signal: AbortSignal, options?: WriteOptions): Promise<Count>;
}

/** Field manager of updates. A claim appends a random suffix. */
export const MANAGER = "buildkitd-autoscaler";

/** The real {@link ScaleReader} of one StatefulSet. */
export function statefulSetScaleReader(client: KubeClient, namespace: string, name: string): ScaleReader {
  const target = targetOf(namespace, name, "get");
  return {
    read: async (signal) => countOf(await client.json<Scale>({ target, method: "GET" }, signal)),
  };
}

/** The real {@link ScaleApi} of one StatefulSet. */
export function statefulSetScale(client: KubeClient, namespace: string, name: string): ScaleApi {
  const target = (verb: ApiVerb) => targetOf(namespace, name, verb);
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
    ...statefulSetScaleReader(client, namespace, name),
    async update(count, signal, options) {
      const query = { fieldManager: MANAGER, ...dry(options) };
      const request = { target: target("update"), method: "PUT", query, body: body(count) } as const;
      return countOf(await client.json<Scale>(request, signal));
    },
    apply: (count, manager, signal, options) => apply(manager, body(count), signal, options),
    // Without `spec`: with an empty one the ownership stays (observed on kube-apiserver 1.36).
    giveUp: (count, manager, signal, options) => apply(manager, bare(count), signal, options),
  };
}

function targetOf(namespace: string, name: string, verb: ApiVerb): ApiTarget {
  return { verb, group: "apps", resource: "statefulsets/scale", namespace, name };
}

function countOf(scale: Scale): Count {
  const version = scale.metadata?.resourceVersion;
  if (!version) throw new Error("Cannot read the replica count: the answer has no resourceVersion");
  // Kubernetes omits a count of 0 (omitempty in autoscaling/v1 ScaleSpec).
  const uid = scale.metadata?.uid;
  return { replicas: scale.spec?.replicas ?? 0, version, ...(uid === undefined ? {} : { uid }) };
}
