/**
 * One StatefulSet of the miniature cluster, and what people and tools do to it: scale, delete and create it again. Writes
 * through the registry, as a client without network.
 *
 * @module
 */
import type { ApiServer } from "./api_server.ts";
import { type KubeObject, PODS, STATEFULSETS } from "./objects.ts";
import { setNameOf } from "./pods.ts";
import { PATCH_TYPES } from "./registry.ts";

/** How one StatefulSet is set up. */
export interface StatefulSetOptions {
  /** Its name. */
  readonly name: string;
  /** Its headless Service: `<name>-headless`. */
  readonly serviceName?: string | undefined;
  /** The count that it starts with: 0. */
  readonly replicas?: number | undefined;
  /** Its first ordinal: 0. */
  readonly firstOrdinal?: number | undefined;
  /** `OrderedReady`, the default, or `Parallel`. */
  readonly podManagementPolicy?: "OrderedReady" | "Parallel" | undefined;
  /** The pods' grace period, in seconds: 30. */
  readonly gracePeriodSeconds?: number | undefined;
}

/** One StatefulSet. */
export class MiniatureStatefulSet {
  /** Its name. */
  readonly name: string;
  /** The name of its headless Service. */
  readonly serviceName: string;
  readonly #api: ApiServer;
  readonly #namespace: string;
  readonly #options: StatefulSetOptions;

  /** Creates it. */
  constructor(api: ApiServer, namespace: string, options: StatefulSetOptions) {
    this.#api = api;
    this.#namespace = namespace;
    this.#options = options;
    this.name = options.name;
    this.serviceName = options.serviceName ?? `${options.name}-headless`;
    this.create();
  }

  /** Whether it is there. */
  get exists(): boolean {
    return this.#api.registry.store.get(STATEFULSETS, this.#namespace, this.name) !== undefined;
  }

  /** As it now is. @throws ApiError 404 while it is absent */
  get object(): KubeObject {
    return this.#api.registry.get(STATEFULSETS, this.#namespace, this.name);
  }

  /** The replicas that are wanted now. @throws ApiError 404 while it is absent */
  get replicas(): number {
    return this.object.spec.replicas;
  }

  /** Its pods, terminating ones too. */
  get pods(): readonly KubeObject[] {
    return this.#api.registry.store.list(PODS, this.#namespace)
      .filter((pod) => setNameOf(pod.metadata.name) === this.name);
  }

  /** Scales it by hand, as `kubectl scale` does. @throws ApiError 404 while it is absent */
  scale(replicas: number): void {
    const patch = { spec: { replicas } };
    this.#api.registry.patch(STATEFULSETS, this.#namespace, this.name, PATCH_TYPES.merge, patch, {
      manager: "kubectl",
      subresource: "scale",
    });
  }

  /** Deletes it; its pods are deleted soon. @throws ApiError 404 while it is absent */
  delete(): void {
    this.#api.registry.delete(STATEFULSETS, this.#namespace, this.name, {});
  }

  /** Creates it as it was set up, under a uid of its own. @throws ApiError 409 if it is there */
  create(): void {
    const { firstOrdinal, replicas = 0, podManagementPolicy = "OrderedReady" } = this.#options;
    const labels = { app: this.name };
    const spec = {
      replicas,
      serviceName: this.serviceName,
      podManagementPolicy,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: this.#options.gracePeriodSeconds ?? 30,
          containers: [{ name: "main", image: "buildkitd" }],
        },
      },
      ...(firstOrdinal === undefined ? {} : { ordinals: { start: firstOrdinal } }),
    };
    const body = { metadata: { name: this.name }, spec };
    this.#api.registry.create(STATEFULSETS, this.#namespace, body, { manager: "kubectl-create" });
  }

  /** Nobody may do anything with it, by its name, until the returned function is called. Open watches go on. */
  forbid(): () => void {
    return this.#api.access.deny(({ resource, name }) => resource === STATEFULSETS && name === this.name);
  }
}
