/**
 * What a clause of the contract is, the API server that it is asserted on, and the few things that clauses do to that:
 * requests, watches and objects that are deleted again. Plain `fetch`, none of the project's own client, so that the
 * contract stands by itself.
 *
 * @module
 */
import assert from "node:assert/strict";

/** Where a kind lives. */
export const PATHS = {
  statefulsets: "/apis/apps/v1",
  leases: "/apis/coordination.k8s.io/v1",
  endpointslices: "/apis/discovery.k8s.io/v1",
  events: "/apis/events.k8s.io/v1",
} as const;

/** One clause of the contract. */
export interface Clause {
  /** What is promised. */
  readonly title: string;
  /** What a target must bring for it. */
  readonly needs?: "expiredVersion";
  /** Asserts it. */
  run(contract: Contract): Promise<void>;
}

/** An API server that is up. */
export interface ContractTarget {
  /** Without a slash at the end. */
  readonly baseUrl: string;
  /** Its CA, for https. */
  readonly caPem?: string;
  /** A bearer token that may do everything in the namespace. */
  readonly token?: string;
  /** A namespace that exists. */
  readonly namespace: string;
  /** Whether a StatefulSet controller runs there: then the tests wait until it has seen what they made. */
  readonly hasControllers?: boolean;
  /**
   * A version that watches of StatefulSets cannot resume from. A kube-apiserver that has just been set up keeps
   * everything since version 1: restart it, and whatever came before is gone.
   */
  readonly expiredVersion?: string;
}

/** What came back. */
export interface Answer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
  readonly body: any;
}

/** A line of a watch. */
export interface WatchLine {
  readonly type: string;
  // deno-lint-ignore no-explicit-any -- as above
  readonly object: any;
}

/** Fails a hang, times nothing. */
const HANG_MS = 60_000;

/** A client of one target. */
export class Contract implements AsyncDisposable {
  readonly target: ContractTarget;
  readonly #client: Deno.HttpClient;
  readonly #made: string[] = [];
  readonly #watches: AbortController[] = [];

  constructor(target: ContractTarget) {
    this.target = target;
    this.#client = Deno.createHttpClient(target.caPem === undefined ? {} : { caCerts: [target.caPem] });
  }

  /** `<group path>/namespaces/<ns>/<plural>[/<name>[/<sub>]]`. */
  path(plural: keyof typeof PATHS, ...rest: string[]): string {
    return [`${PATHS[plural]}/namespaces/${this.target.namespace}/${plural}`, ...rest].join("/");
  }

  async request(
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
  ): Promise<Answer> {
    const response = await this.#send(method, path, body, contentType, AbortSignal.timeout(HANG_MS));
    return { status: response.status, body: await response.json() };
  }

  get(path: string): Promise<Answer> {
    return this.request("GET", path);
  }

  /** The status alone: what is said of a path that nobody serves is no JSON. */
  async status(path: string): Promise<number> {
    const response = await this.#send("GET", path, undefined, "", AbortSignal.timeout(HANG_MS));
    await response.body?.cancel();
    return response.status;
  }

  /** Asserts the status and returns the body. */
  // deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
  async expect(status: number, answer: Promise<Answer>): Promise<any> {
    const { status: found, body } = await answer;
    assert.equal(found, status, JSON.stringify(body));
    return body;
  }

  merge(path: string, body: unknown): Promise<Answer> {
    return this.request("PATCH", path, body, "application/merge-patch+json");
  }

  /** Server-side apply to `/scale`. */
  applyScale(
    name: string,
    replicas: number | undefined,
    { manager, version, force = true, dryRun = false }: {
      manager?: string;
      version?: string;
      force?: boolean;
      dryRun?: boolean;
    },
  ): Promise<Answer> {
    const query = new URLSearchParams({ force: String(force) });
    if (manager !== undefined) query.set("fieldManager", manager);
    if (dryRun) query.set("dryRun", "All");
    const metadata = version === undefined ? { name } : { name, resourceVersion: version };
    const spec = replicas === undefined ? {} : { spec: { replicas } };
    const body = { apiVersion: "autoscaling/v1", kind: "Scale", metadata, ...spec };
    const path = `${this.path("statefulsets", name, "scale")}?${query}`;
    return this.request("PATCH", path, body, "application/apply-patch+yaml");
  }

  /** Opens a watch; its lines until the server ends it. It is closed with the contract at the latest. */
  async watch(path: string, query: Record<string, string>): Promise<AsyncGenerator<WatchLine>> {
    const controller = new AbortController();
    this.#watches.push(controller);
    const url = `${path}?${new URLSearchParams({ watch: "1", ...query })}`;
    const response = await this.#send("GET", url, undefined, "", controller.signal);
    assert.equal(response.status, 200);
    return lines(response);
  }

  /** A new StatefulSet without replicas, at rest. Deleted with the contract. */
  // deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
  async statefulSet(labels: Record<string, string> = {}): Promise<any> {
    const name = uniqueName("sts");
    const pod = { "contract": name };
    const body = {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name, labels },
      spec: {
        replicas: 0,
        serviceName: name,
        selector: { matchLabels: pod },
        template: { metadata: { labels: pod }, spec: { containers: [{ name: "main", image: "none" }] } },
      },
    };
    const path = this.path("statefulsets");
    await this.expect(201, this.request("POST", path, body));
    this.#made.push(`${path}/${name}`);
    return await this.atRest(name);
  }

  /** The StatefulSet once its controller, if there is one, has nothing left to write. */
  // deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
  async atRest(name: string): Promise<any> {
    const path = this.path("statefulsets", name);
    const now = await this.expect(200, this.get(path));
    if (!this.target.hasControllers || isAtRest(now)) return now;
    const query = {
      fieldSelector: `metadata.name=${name}`,
      resourceVersion: now.metadata.resourceVersion,
      timeoutSeconds: "30",
    };
    for await (const { object } of await this.watch(this.path("statefulsets"), query)) {
      if (isAtRest(object)) return object;
    }
    throw new Error(`No controller has taken note of StatefulSet "${name}" within 30 s`);
  }

  /** A new Lease. Deleted with the contract. */
  // deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
  async lease(labels: Record<string, string> = {}): Promise<any> {
    const name = uniqueName("lease");
    const path = this.path("leases");
    const spec = { holderIdentity: "a", leaseDurationSeconds: 15 };
    const metadata = { name, labels };
    const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec };
    const made = await this.expect(201, this.request("POST", path, body));
    this.#made.push(`${path}/${name}`);
    return made;
  }

  /** A new EndpointSlice without endpoints, of a Service that is not there. Deleted with the contract. */
  // deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
  async endpointSlice(service: string, labels: Record<string, string> = {}): Promise<any> {
    const name = uniqueName("slice");
    const path = this.path("endpointslices");
    const metadata = { name, labels: { ...labels, "kubernetes.io/service-name": service } };
    const body = {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata,
      addressType: "IPv4",
      endpoints: [],
      ports: [],
    };
    const made = await this.expect(201, this.request("POST", path, body));
    this.#made.push(`${path}/${name}`);
    return made;
  }

  /** A new Event. Deleted with the contract. */
  // deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
  async event(body: { readonly metadata: { readonly name: string } }): Promise<any> {
    const path = this.path("events");
    const made = await this.expect(201, this.request("POST", path, body));
    this.#made.push(`${path}/${body.metadata.name}`);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const controller of this.#watches) controller.abort();
    for (const path of this.#made) await this.request("DELETE", path);
    this.#client.close();
  }

  #send(
    method: string,
    path: string,
    body: unknown,
    contentType: string,
    signal: AbortSignal,
  ): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json", "user-agent": "contract/1" };
    if (this.target.token !== undefined) headers["authorization"] = `Bearer ${this.target.token}`;
    if (body !== undefined) headers["content-type"] = contentType;
    return fetch(`${this.target.baseUrl}${path}`, {
      method,
      headers,
      client: this.#client,
      signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}

/** The next line, which must be there. */
export async function next(watch: AsyncGenerator<WatchLine>): Promise<WatchLine> {
  const { done, value } = await watch.next();
  assert.equal(done, false, "The watch has ended");
  return value;
}

/**
 * Asserts that something can be done without effect: what a controller does in between may spoil a try, so it has some.
 */
export async function unchangedInOneTry(attempt: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 5; tries++) if (await attempt()) return;
  assert.fail("The version has changed at every try");
}

/** A name that nothing had before. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${crypto.randomUUID().slice(0, 8)}`;
}

/** Asserts a `Status` object of this kind. */
// deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
export function assertStatus(body: any, code: number, reason: string): void {
  const { kind, apiVersion, status, code: found, reason: foundReason } = body;
  assert.deepEqual(
    { kind, apiVersion, status, code: found, reason: foundReason },
    { kind: "Status", apiVersion: "v1", status: "Failure", code, reason },
    JSON.stringify(body),
  );
  assert.equal(typeof body.message, "string");
}

// deno-lint-ignore no-explicit-any -- tests look at whatever a server sends
function isAtRest({ metadata, spec, status }: any): boolean {
  return status?.observedGeneration === metadata.generation && status?.currentRevision !== undefined &&
    status?.replicas === spec.replicas;
}

async function* lines(response: Response): AsyncGenerator<WatchLine> {
  let tail = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (tail + text).split("\n");
    tail = parts.pop()!;
    for (const part of parts) yield JSON.parse(part);
  }
  assert.equal(tail, "", "The watch ended in the middle of a line");
}
