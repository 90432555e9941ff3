/**
 * The suite's own view of the API server: the few REST calls that fixtures and assertions need.
 *
 * It shares no code with the program but the joining of signals, so that a mistake there cannot hide itself here. A
 * refused call throws `ApiError`; there is no retry, since callers wait with a deadline of their own.
 *
 * @module
 */

import { anySignal } from "../../lib/base/any_signal.ts";
import { within } from "./waiting.ts";

/** How to reach an API server as one user. */
export interface ApiAccess {
  /** Without a trailing slash. */
  readonly baseUrl: string;
  readonly caPem: string;
  readonly token: string;
}

/** The part of an object that every kind has. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: T;
}

export class ApiError extends Error {
  constructor(readonly status: number, readonly reason: string, message: string) {
    super(message);
    this.name = "ApiError";
  }
}

/** A call that gets no answer in this time counts as failed: the server is stopped, or gone. */
const CALL_MS = 10_000;

export class KubeApi {
  readonly #client: Deno.HttpClient;
  readonly access: ApiAccess;
  #follows = new AbortController();
  /** What the server has warned of so far, in its answers' `Warning` headers. */
  readonly warnings: string[] = [];

  constructor(access: ApiAccess) {
    this.access = access;
    // HTTP/1.1 only: a connection pool that multiplexes over one line would keep a dead one after a SIGKILL.
    this.#client = Deno.createHttpClient({ caCerts: [access.caPem], http2: false });
  }

  close(): void {
    this.#client.close();
  }

  /** One call; gives the parsed body. */
  async call<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
  ): Promise<T> {
    const { response, text } = await this.#answer(method, path, {
      headers: {
        authorization: `Bearer ${this.access.token}`,
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": contentType }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const warning = response.headers.get("warning");
    if (warning !== null) this.warnings.push(`${method} ${path}: ${warning}`);
    if (!response.ok) {
      let reason = "", message = text;
      try {
        ({ reason = "", message = text } = JSON.parse(text));
      } catch {
        // Not every refusal is a Status object: what was said is shown as it is.
      }
      throw new ApiError(
        response.status,
        reason,
        `${method} ${path}: ${response.status} ${reason}: ${message}`,
      );
    }
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  async #answer(method: string, path: string, init: RequestInit) {
    const signal = AbortSignal.timeout(CALL_MS);
    try {
      const url = `${this.access.baseUrl}${path}`;
      const response = await fetch(url, { ...init, method, client: this.#client, signal });
      return { response, text: await response.text() };
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new Error(`Waited ${CALL_MS} ms in vain: an answer to ${method} ${path}`, { cause: error });
    }
  }

  get<T = KubeObject>(path: string): Promise<T> {
    return this.call<T>("GET", path);
  }

  create<T = KubeObject>(path: string, object: unknown): Promise<T> {
    return this.call<T>("POST", path, object);
  }

  /** A JSON merge patch. */
  patch<T = KubeObject>(path: string, change: unknown): Promise<T> {
    return this.call<T>("PATCH", path, change, "application/merge-patch+json");
  }

  /** A server-side apply that takes fields over from others. */
  apply<T = KubeObject>(path: string, object: unknown, fieldManager: string): Promise<T> {
    const query = new URLSearchParams({ fieldManager, force: "true" });
    return this.call<T>("PATCH", `${path}?${query}`, object, "application/apply-patch+yaml");
  }

  /** Deletes an object; one that is gone already is no error. */
  async delete(path: string, options: Record<string, unknown> = {}): Promise<void> {
    try {
      await this.call("DELETE", path, { apiVersion: "v1", kind: "DeleteOptions", ...options });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  /** The versions that are followed mean nothing any more: every collection is listed again. */
  followAnew(): void {
    this.#follows.abort();
    this.#follows = new AbortController();
  }

  /**
   * Follows a collection for as long as `signal` allows: first what is there (as `ADDED`), then each change, through
   * cut lines, stopped and restarted servers. After a line was cut it goes on from the last version seen, so that no
   * change is left out; only if the server has forgotten that version, the collection is listed again.
   */
  async follow<T extends KubeObject>(
    path: string,
    query: Readonly<Record<string, string>>,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let version: string | undefined;
    while (!signal.aborted) {
      const current = this.#follows.signal;
      try {
        if (version === undefined) {
          const list = await this.get<{ items: T[]; metadata: { resourceVersion: string } }>(
            `${path}?${new URLSearchParams(query)}`,
          );
          list.items.forEach((object) => onEvent({ type: "ADDED", object }));
          version = list.metadata.resourceVersion;
        }
        using either = anySignal(signal, current);
        const search = new URLSearchParams({ ...query, watch: "1", resourceVersion: version });
        const response: Response = await fetch(`${this.access.baseUrl}${path}?${search}`, {
          client: this.#client,
          headers: { authorization: `Bearer ${this.access.token}`, accept: "application/json" },
          signal: either.signal,
        });
        if (!response.ok || response.body === null) {
          await response.body?.cancel();
          if (response.status === 410) version = undefined;
          throw new Error(`Cannot watch ${path}: ${response.status}`);
        }
        let rest = "";
        for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
          const lines: string[] = (rest + text).split("\n");
          rest = lines.pop() ?? "";
          for (const line of lines) {
            const event = JSON.parse(line) as WatchEvent<T>;
            if (event.type === "ERROR") {
              version = undefined;
              break;
            }
            version = event.object.metadata.resourceVersion ?? version;
            if (event.type !== "BOOKMARK") onEvent(event);
          }
        }
      } catch {
        if (signal.aborted) return;
        if (current.aborted) version = undefined;
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      }
    }
  }

  /**
   * A token for a service account, as the projected volume of a pod would hold. One that is bound to a Secret loses
   * its validity with it.
   */
  async serviceAccountToken(namespace: string, name: string, boundSecret?: string): Promise<string> {
    const answer = await this.create<{ status: { token: string } }>(
      `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: {
          expirationSeconds: 3600,
          ...(boundSecret && { boundObjectRef: { apiVersion: "v1", kind: "Secret", name: boundSecret } }),
        },
      },
    );
    return answer.status.token;
  }

  async replicas(namespace: string, statefulSet: string): Promise<number> {
    const scale = await this.get<{ spec: { replicas?: number } }>(scalePath(namespace, statefulSet));
    return scale.spec.replicas ?? 0;
  }

  /** Sets the count as a person with kubectl would. */
  async scale(namespace: string, statefulSet: string, replicas: number): Promise<void> {
    await this.patch(scalePath(namespace, statefulSet), { spec: { replicas } });
  }

  async isReady(): Promise<boolean> {
    const response = await within(
      "an answer of /readyz",
      fetch(`${this.access.baseUrl}/readyz`, {
        client: this.#client,
        headers: { authorization: `Bearer ${this.access.token}` },
        signal: AbortSignal.timeout(CALL_MS),
      }),
    );
    await response.body?.cancel();
    return response.ok;
  }
}

const RECONNECT_MS = 100;

export function statefulSetPath(namespace: string, name = ""): string {
  return `/apis/apps/v1/namespaces/${namespace}/statefulsets${name && `/${name}`}`;
}

export function scalePath(namespace: string, statefulSet: string): string {
  return `${statefulSetPath(namespace, statefulSet)}/scale`;
}

/** A kubeconfig of one context, in JSON, which is YAML too. */
export function kubeconfig(access: ApiAccess, namespace?: string): string {
  return JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "e2e",
      contexts: [{
        name: "e2e",
        context: { cluster: "e2e", user: "e2e", ...(namespace === undefined ? {} : { namespace }) },
      }],
      clusters: [{
        name: "e2e",
        cluster: {
          server: access.baseUrl,
          "certificate-authority-data": new TextEncoder().encode(access.caPem).toBase64(),
        },
      }],
      users: [{ name: "e2e", user: { token: access.token } }],
    },
    null,
    2,
  );
}
