/**
 * Reads what the doctor looks at. It only reads: its two POSTs ask the API server who the caller is and what it may do,
 * and store nothing. Never throws for what the API server answers or does not: that is an answer, too.
 *
 * @module
 */
import { messageOf } from "../base/errors.ts";
import { ApiError, type ApiTarget, isForbidden } from "../kube/api_error.ts";
import type { ApiRequest, KubeClient } from "../kube/client.ts";
import type { Read } from "./finding.ts";
import type { Right } from "./rights.ts";

const REVIEWS = { verb: "create", namespace: "", name: "" } as const;

/** One object, or those that a selector finds. */
export type Wanted = Omit<ApiTarget, "verb" | "verbs">;

/** Asks one API server. */
export class ClusterReader {
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;

  /** Asks nothing yet. The signal ends a question, which then throws its reason. */
  constructor(client: KubeClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** Such as `v1.36.0`. */
  async version(): Promise<Read<string>> {
    const target = { verb: "get", group: "", resource: "version", namespace: "", name: "" } as const;
    return valueOf(
      await this.#ask<{ gitVersion?: unknown }>({ target, path: "/version", method: "GET" }),
      ({ gitVersion }) => String(gitVersion ?? ""),
    );
  }

  /** The name by which the API server knows the caller. */
  async user(): Promise<Read<string>> {
    const group = "authentication.k8s.io";
    const answer = await this.#ask<{ status?: { userInfo?: { username?: string } } }>({
      target: { ...REVIEWS, group, resource: "selfsubjectreviews" },
      method: "POST",
      body: { apiVersion: `${group}/v1`, kind: "SelfSubjectReview" },
    });
    return valueOf(answer, ({ status }) => status?.userInfo?.username ?? "");
  }

  /** Whether the caller has a right. */
  async allows({ verb, group, resource: path, name }: Right, namespace: string): Promise<Read<boolean>> {
    const authorization = "authorization.k8s.io";
    const [resource, subresource] = path.split("/");
    const answer = await this.#ask<{ status?: { allowed?: boolean } }>({
      target: { ...REVIEWS, group: authorization, resource: "selfsubjectaccessreviews" },
      method: "POST",
      body: {
        apiVersion: `${authorization}/v1`,
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: { namespace, verb, group, resource, subresource, name } },
      },
    });
    return valueOf(answer, ({ status }) => status?.allowed === true);
  }

  /** One object. */
  get<T>(wanted: Wanted): Promise<Read<T>> {
    return this.#ask<T>({ target: { ...wanted, verb: "get" }, method: "GET" });
  }

  /** All objects of a collection that a selector finds; absent where the API has no such collection. */
  async list<T>(
    wanted: Omit<Wanted, "name">,
    query: Readonly<Record<string, string>> = {},
  ): Promise<Read<readonly T[]>> {
    const target = { ...wanted, verb: "list", name: "" } as const;
    const answer = await this.#ask<{ items?: readonly T[] | null }>({ target, method: "GET", query });
    return valueOf(answer, ({ items }) => items ?? []);
  }

  async #ask<T>(request: ApiRequest): Promise<Read<T>> {
    // Once nothing answers, each further question would only wait for its time-out.
    const { cause } = this.#client.access;
    if (cause !== undefined) return { is: "unread", why: cause };
    try {
      return { is: "found", value: await this.#client.json<T>(request, this.#signal) };
    } catch (error) {
      this.#signal.throwIfAborted();
      const { verb, resource } = request.target;
      if (isForbidden(error)) return { is: "unread", why: `no right to ${verb} ${resource}` };
      if (error instanceof ApiError && error.status === 404) return { is: "absent" };
      return { is: "unread", why: messageOf(error) };
    }
  }
}

function valueOf<T, V>(answer: Read<T>, of: (value: T) => V): Read<V> {
  return answer.is === "found" ? { is: "found", value: of(answer.value) } : answer;
}
