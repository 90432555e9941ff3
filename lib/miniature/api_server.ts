/**
 * The miniature API server: answers requests as kube-apiserver does, from memory. It needs no socket: `MemoryHttp`
 * brings requests in the process, `serveApi` over TCP. Left out: paging (`limit`), watch lists, discovery, admission,
 * finalizers, garbage collection by owner, YAML and protobuf.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { HttpRequest, HttpResponse } from "../kube/http.ts";
import { Access } from "./access.ts";
import { ConnectionDropped, Faults } from "./faults.ts";
import { isObject, type JsonObject, jsonOf, oncePerObject } from "./json.ts";
import { apiVersionOf, type KubeObject, PODS, type Resource } from "./objects.ts";
import type { Forwarding } from "./port_forward.ts";
import { type DeleteOptions, PATCH_TYPES, Registry, type WriteOptions } from "./registry.ts";
import { parseRequest, type RequestInfo, subjectOf } from "./request_info.ts";
import { patchScale, replaceScale, scaleOf } from "./scale.ts";
import { reviewOf } from "./self_reviews.ts";
import { parseFieldSelector, parseLabelSelector, type Selector } from "./selectors.ts";
import { ApiError, badRequest, expired, methodNotAllowed, tooLargeVersion } from "./status.ts";
import { Store } from "./store.ts";
import { Watches } from "./watches.ts";

/** How an {@link ApiServer} is set up. */
export interface ApiServerOptions {
  /** Dates objects and times watches. */
  readonly clock: Clock;
  /** The version before the first write. Default 1000: many digits, as in a cluster that has lived. */
  readonly firstVersion?: number;
  /** How many writes a watch can go back. Default 1000. */
  readonly historyLimit?: number;
  /** How often a watch gets a bookmark, in ms. Default 60 s. */
  readonly bookmarkIntervalMs?: number;
  /** How long a watch lasts that names no `timeoutSeconds`, in ms. Default 30 min. */
  readonly watchTimeoutMs?: number;
}

/** One request in the log. */
export interface RequestRecord {
  /** When, in ms by the monotonic clock. */
  readonly atMs: number;
  /** Verb, in the words of access rules. */
  readonly verb: string;
  /** Such as `apps/v1/statefulsets/scale`. */
  readonly subject: string;
  /** The object's name, where there is one. */
  readonly name: string | undefined;
  /** Who asked. */
  readonly user: string;
  /** The label of the way it came. */
  readonly client: string;
}

/** What is kept of the log, so that a long run does not grow. */
const LOG_LIMIT = 10_000;
const JSON_TYPE = { "content-type": "application/json" };

/** One API server and all that it keeps. */
export class ApiServer {
  /** The objects. Controllers and tests write through it, too. */
  readonly registry: Registry;
  /** The open watches, and what can go wrong with them. */
  readonly watches: Watches;
  /** What goes wrong with requests. */
  readonly faults: Faults;
  /** Who may do what. */
  readonly access: Access = new Access();
  /** The latest requests for resources, oldest first. A test may empty it. */
  readonly requests: RequestRecord[] = [];
  readonly #clock: Clock;
  readonly #watchTimeoutMs: number;

  /** Takes its set-up. */
  constructor(options: ApiServerOptions) {
    const { clock, firstVersion = 1000, historyLimit = 1000, bookmarkIntervalMs = 60_000 } = options;
    this.#clock = clock;
    this.#watchTimeoutMs = options.watchTimeoutMs ?? 30 * 60_000;
    this.registry = new Registry(new Store(firstVersion, historyLimit), clock);
    this.watches = new Watches(this.registry.store, clock, bookmarkIntervalMs);
    this.faults = new Faults(clock);
  }

  /** Forgets the history: watches and lists of older versions get 410. */
  compact(): void {
    this.registry.store.compact();
  }

  /**
   * Answers one request. `client` is a label of the way it came, for faults and the log.
   *
   * @throws ConnectionDropped when a fault drops the connection, or the signal's reason
   */
  async handle(request: HttpRequest, client: string): Promise<HttpResponse> {
    const headers = new Headers(request.headers as Record<string, string>);
    try {
      if (/^\/(livez|readyz|healthz)$/.test(request.url.pathname)) return textAnswer("ok");
      if (request.url.pathname === "/version") {
        return answer(200, { major: "1", minor: "36", gitVersion: "v1.36.0" });
      }
      const user = this.access.authenticate(headers);
      const review = reviewOf(request, user, this.access);
      if (review !== undefined) return answer(201, review);
      const info = parseRequest(request.method, request.url);
      this.#log(info, user, client);
      const beforeAnswer = await this.faults.meet(info, client, request.signal);
      this.access.authorize(user, info);
      const response = this.#carryOut(info, request, headers, client);
      await beforeAnswer();
      return response;
    } catch (error) {
      if (error instanceof ConnectionDropped || request.signal.aborted) throw error;
      if (!(error instanceof ApiError)) throw error;
      const retryAfter = error.details?.retryAfterSeconds;
      return answer(
        error.code,
        error.toStatus(),
        retryAfter === undefined ? {} : { "retry-after": String(retryAfter) },
      );
    }
  }

  /**
   * Accepts a request to forward a port of a pod, and says to where; or answers it. As kube-apiserver since 1.36, it wants
   * the right to `create` beside that to `get`.
   *
   * @throws as {@link handle}
   */
  async portForward(request: HttpRequest, client: string): Promise<Forwarding | HttpResponse> {
    const headers = new Headers(request.headers as Record<string, string>);
    try {
      const user = this.access.authenticate(headers);
      const info = parseRequest(request.method, request.url);
      if (info.subresource !== "portforward") throw methodNotAllowed();
      this.#log(info, user, client);
      const beforeAnswer = await this.faults.meet(info, client, request.signal);
      this.access.authorize(user, info);
      this.#authorizeCreate(user, info);
      const { namespace = "", name = "" } = info;
      const pod = this.registry.get(PODS, namespace, name);
      const hostname: string | undefined = pod.status?.podIP;
      const port = Number(request.url.searchParams.get("ports"));
      if (hostname === undefined) {
        throw badRequest(`unable to forward port because pod is not running. Current status=Pending`);
      }
      if (!Number.isInteger(port) || port < 1 || port > 65535) {
        throw badRequest('query parameter "ports" is required');
      }
      await beforeAnswer();
      return { pod: name, hostname, port };
    } catch (error) {
      if (error instanceof ConnectionDropped || request.signal.aborted) throw error;
      if (!(error instanceof ApiError)) throw error;
      return answer(error.code, error.toStatus());
    }
  }

  /** The second right of a port-forward. kube-apiserver's message ends where the authorizer would give a reason. */
  #authorizeCreate(user: string, info: RequestInfo): void {
    try {
      this.access.authorize(user, { ...info, verb: "create" });
    } catch {
      throw new ApiError(403, "Forbidden", `pods "${info.name}" is forbidden: `);
    }
  }

  #log(info: RequestInfo, user: string, client: string): void {
    const { verb, name } = info;
    this.requests.push({ atMs: this.#clock.nowMs(), verb, subject: subjectOf(info), name, user, client });
    if (this.requests.length > LOG_LIMIT) this.requests.shift();
  }

  #carryOut(info: RequestInfo, request: HttpRequest, headers: Headers, client: string): HttpResponse {
    const { verb, resource, subresource, namespace = "", name = "" } = info;
    if (subresource === "portforward") throw badRequest("Upgrade request required");
    if (verb === "list") return this.#list(info, request.url);
    if (verb === "watch") return this.#watch(info, request, client);
    if (verb === "get") {
      const object = this.registry.get(resource, namespace, name);
      return answer(200, subresource === "scale" ? scaleOf(object) : object);
    }
    const body = parseBody(request.body);
    const options = writeOptions(request.url, headers, subresource);
    if (verb === "delete") return this.#delete(info, body);
    if (subresource === "scale") {
      if (verb === "update") return answer(200, replaceScale(this.registry, namespace, name, body, options));
      const type = mediaType(headers);
      return answer(
        200,
        patchScale(this.registry, namespace, name, type, body, forPatch(options, type, request.url)),
      );
    }
    const existed = this.registry.store.get(resource, namespace, name) !== undefined;
    if (verb === "create") return answer(201, this.registry.create(resource, namespace, body, options));
    if (verb === "update") {
      const object = this.registry.replace(resource, namespace, name, body, options);
      return answer(existed ? 200 : 201, object);
    }
    if (verb !== "patch") throw methodNotAllowed();
    const type = mediaType(headers);
    const object = this.registry.patch(
      resource,
      namespace,
      name,
      type,
      body,
      forPatch(options, type, request.url),
    );
    return answer(existed ? 200 : 201, object);
  }

  #list({ resource, namespace }: RequestInfo, url: URL): HttpResponse {
    const { store } = this.registry;
    const wanted = versionIn(url);
    if (wanted > store.version) throw tooLargeVersion(wanted, store.version);
    if (url.searchParams.get("resourceVersionMatch") === "Exact" && wanted < store.compactedAt) {
      throw expired("The resourceVersion for the provided list is too old.");
    }
    const items = store.list(resource, namespace).filter(selectorIn(url, resource));
    const kind = `${resource.kind}List`, apiVersion = apiVersionOf(resource);
    const list = jsonOf({ kind, apiVersion, metadata: { resourceVersion: String(store.version) } });
    return jsonAnswer(200, `${list.slice(0, -1)},"items":[${items.map(itemOf)}]}`);
  }

  #watch({ resource, namespace }: RequestInfo, request: HttpRequest, client: string): HttpResponse {
    const { url, signal } = request;
    const timeoutSeconds = Number(url.searchParams.get("timeoutSeconds") ?? 0);
    const body = this.watches.open({
      resource,
      namespace,
      matches: selectorIn(url, resource),
      sinceVersion: versionIn(url),
      bookmarks: ["1", "true"].includes(url.searchParams.get("allowWatchBookmarks") ?? ""),
      timeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1000 : this.#watchTimeoutMs,
      client,
      signal,
    });
    return { status: 200, headers: new Headers(JSON_TYPE), body };
  }

  #delete({ resource, namespace = "", name = "" }: RequestInfo, body: unknown): HttpResponse {
    const options = isObject(body) ? body as DeleteOptions : {};
    const live = this.registry.get(resource, namespace, name);
    const left = this.registry.delete(resource, namespace, name, options);
    if (left !== undefined || resource.gracefulDelete) return answer(200, left ?? live);
    const details = { name, group: resource.group, kind: resource.plural, uid: live.metadata.uid };
    return answer(200, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details });
  }
}

/** An object as JSON in a list, where its kind is the list's affair. */
const itemOf = oncePerObject(({ kind: _kind, apiVersion: _apiVersion, ...item }: KubeObject) =>
  JSON.stringify(item)
);

function selectorIn(url: URL, resource: Resource): Selector {
  const fields = parseFieldSelector(url.searchParams.get("fieldSelector") ?? "", resource).matches;
  const labels = parseLabelSelector(url.searchParams.get("labelSelector") ?? "");
  return (object: KubeObject) => fields(object) && labels(object);
}

function versionIn(url: URL): number {
  const text = url.searchParams.get("resourceVersion") ?? "";
  if (!/^\d*$/.test(text)) {
    throw badRequest(
      `invalid resource version: resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  }
  return Number(text);
}

function writeOptions(url: URL, headers: Headers, subresource: string | undefined): WriteOptions {
  const agent = (headers.get("user-agent") ?? "unknown").split("/")[0]!;
  return {
    manager: url.searchParams.get("fieldManager") ?? agent,
    subresource,
    force: url.searchParams.get("force") === "true",
    dryRun: url.searchParams.get("dryRun") === "All",
  };
}

/** An apply must name its manager; another patch need not. */
function forPatch(options: WriteOptions, type: string, url: URL): WriteOptions {
  if (type !== PATCH_TYPES.apply) return options;
  return { ...options, manager: url.searchParams.get("fieldManager") ?? "" };
}

function mediaType(headers: Headers): string {
  return (headers.get("content-type") ?? "").split(";")[0]!.trim();
}

function parseBody(body: string | undefined): unknown {
  if (body === undefined || body === "") return undefined;
  try {
    return JSON.parse(body);
  } catch {
    throw badRequest("the object provided is unrecognized: found no JSON");
  }
}

function answer(
  status: number,
  body: JsonObject | KubeObject,
  headers: Record<string, string> = {},
): HttpResponse {
  return jsonAnswer(status, jsonOf(body), headers);
}

function jsonAnswer(status: number, json: string, headers: Record<string, string> = {}): HttpResponse {
  return textAnswer(`${json}\n`, status, { ...JSON_TYPE, ...headers });
}

function textAnswer(
  text: string,
  status = 200,
  headers: Record<string, string> = { "content-type": "text/plain" },
): HttpResponse {
  const bytes = new TextEncoder().encode(text);
  return {
    status,
    headers: new Headers(headers),
    body: new ReadableStream({
      start(controller) {
        controller.enqueue(bytes);
        controller.close();
      },
    }),
  };
}
