/**
 * Reads and writes the Leases of one namespace, through which proxies exchange their records. Every update and delete
 * has a resourceVersion as its precondition.
 *
 * @module
 */
import type { ApiVerb } from "../base/metrics.ts";
import type { ApiTarget } from "./api_error.ts";
import type { KubeClient } from "./client.ts";
import type { Lease } from "./types.ts";

/** The API group of Leases. */
export const LEASE_GROUP = "coordination.k8s.io";

/** Leases as an interface, so that its users can be tested without HTTP. */
export interface LeaseApi {
  /** Lists Leases consistently, never from a cache. */
  list(labelSelector: string, signal: AbortSignal): Promise<readonly Lease[]>;
  /** Reads a Lease. @throws ApiError 404 */
  get(name: string, signal: AbortSignal): Promise<Lease>;
  /** Creates a Lease. @throws ApiError 409 when it exists */
  create(lease: Lease, signal: AbortSignal): Promise<Lease>;
  /**
   * Replaces a Lease if it still has the version and uid in `lease.metadata`. Without the uid, a PUT would recreate a
   * deleted Lease (observed on kube-apiserver 1.36).
   *
   * @throws ApiError 404 or 409
   */
  update(lease: Lease, signal: AbortSignal): Promise<Lease>;
  /** Deletes a Lease if it still has the version and uid of `lease`. @throws ApiError 404 or 409 */
  remove(lease: Lease, signal: AbortSignal): Promise<void>;
}

/** The real {@link LeaseApi}. */
export function leaseApi(client: KubeClient, namespace: string): LeaseApi {
  const target = (verb: ApiVerb, name = ""): ApiTarget => {
    return { verb, group: LEASE_GROUP, resource: "leases", namespace, name };
  };
  const body = (lease: Lease): Lease => ({ ...lease, apiVersion: `${LEASE_GROUP}/v1`, kind: "Lease" });
  const nameOf = ({ metadata }: Lease): string => metadata?.name ?? "";
  return {
    async list(labelSelector, signal) {
      const request = { target: target("list"), method: "GET", query: { labelSelector } } as const;
      return (await client.json<{ items?: Lease[] | null }>(request, signal)).items ?? [];
    },
    get(name, signal) {
      return client.json({ target: target("get", name), method: "GET", expected: [404] }, signal);
    },
    create(lease, signal) {
      return client.json({ target: target("create"), method: "POST", body: body(lease) }, signal);
    },
    update(lease, signal) {
      return client.json(
        { target: target("update", nameOf(lease)), method: "PUT", body: body(lease) },
        signal,
      );
    },
    async remove(lease, signal) {
      const { uid, resourceVersion } = lease.metadata ?? {};
      const options = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid, resourceVersion } };
      await client.json({ target: target("delete", nameOf(lease)), method: "DELETE", body: options }, signal);
    },
  };
}
