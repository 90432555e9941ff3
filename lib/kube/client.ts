/**
 * The Kubernetes REST client. It authenticates, sets deadlines, turns errors into {@link ApiError}s, counts requests,
 * and logs once for all callers that the API cannot be reached. It repeats a request only after a 401, and after a
 * failed TLS handshake if the certificates have changed, once each. All other retries are the caller's decision, with
 * {@link retryDelayMs}.
 *
 * @module
 */
import { backoffMs } from "../base/backoff.ts";
import { deadline } from "../base/clock.ts";
import { invariant, messageOf, TimeoutError } from "../base/errors.ts";
import { CauseLog } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Random } from "../base/random.ts";
import { ApiError, type ApiTarget, describeTarget, type StatusLike } from "./api_error.ts";
import { type Cluster, credentialsHint, namespaceHint } from "./cluster.ts";
import type { ByteStream, HttpResponse, UpgradeAnswer } from "./http.ts";
import { HandshakeError } from "./http_errors.ts";
import { JsonText } from "./json_text.ts";

/**
 * In ms, from sending a request to the headers of its response, and again from there to the end of the body. A watch
 * has only the first limit.
 */
export const REQUEST_TIMEOUT_MS = 10_000;

/**
 * A longer body is refused. The objects that the program reads have a few kB; 64 builders with 10 proxies each have records of
 * 2 MB. Several may be read at a time.
 */
const LARGEST_BODY_BYTES = 8 * 1024 * 1024;

/** A request. */
export interface ApiRequest {
  /** What it acts on, for its path, messages and metrics. */
  readonly target: ApiTarget;
  /** Its path, if that is not the target's: `/version` is no resource. */
  readonly path?: string;
  /** The HTTP method. */
  readonly method: "GET" | "PUT" | "PATCH" | "POST" | "DELETE";
  /** Query parameters. */
  readonly query?: Readonly<Record<string, string>>;
  /** Error statuses that the metrics do not count as failures. They are thrown like others. */
  readonly expected?: readonly number[];
  /** Sent as JSON. */
  readonly body?: unknown;
  /** The media type of the body, if not `application/json`. */
  readonly contentType?: string;
  /** Its failure is no lack of access to the API, whatever it is: other requests tell that. */
  readonly isAside?: boolean;
  /** Headers that ask for another protocol: see {@link KubeClient.upgrade}. */
  readonly upgrade?: Readonly<Record<string, string>>;
}

/** What the client is made of. */
export interface ClientPorts extends Pick<BasePorts, "clock" | "log" | "metrics"> {
  /** Where the API server is. */
  readonly cluster: Cluster;
}

/** Sends requests to the Kubernetes API. */
export class KubeClient {
  /**
   * Why no request succeeds: the server cannot be reached, or does not accept the credentials. The faults that result
   * from this are logged at debug only.
   */
  readonly access: CauseLog;
  readonly #ports: ClientPorts;
  #answeredMs = -Infinity;

  /** A client for one cluster. */
  constructor(ports: ClientPorts) {
    this.#ports = ports;
    this.access = new CauseLog(ports.log, "api_access_failed");
  }

  /** The cluster, for messages. */
  get cluster(): Cluster {
    return this.#ports.cluster;
  }

  /**
   * Sends a request and reads its JSON response.
   *
   * @throws ApiError, TimeoutError (the outcome is unknown), a transport error, or the signal's reason
   */
  async json<T>(request: ApiRequest, signal: AbortSignal): Promise<T> {
    const response = await this.open(request, signal);
    const { clock } = this.#ports;
    using limit = deadline(clock, REQUEST_TIMEOUT_MS, signal, () => this.#timedOut(request.target, "body"));
    const text = await readText(response, limit.signal);
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new Error(`Cannot ${describeTarget(request.target)}: the answer is not JSON`, { cause });
    }
  }

  /**
   * Sends a request, and resolves when the headers of a 2xx response have arrived. The caller must read or cancel the
   * body.
   *
   * @throws as {@link json}
   */
  async open(request: ApiRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { cluster, metrics, clock } = this.#ports;
    const { verb } = request.target;
    metrics.record("api_requests_total", 1, { verb });
    const sentMs = clock.nowMs();
    try {
      let response = await this.#send(request, signal).catch(async (error) => {
        // The server has not read the request: the handshake comes first.
        if (!(error instanceof HandshakeError) || !await cluster.renew()) throw error;
        return await this.#send(request, signal);
      });
      if (response.status === 401) {
        await response.body.cancel();
        await cluster.refresh();
        response = await this.#send(request, signal);
      }
      if (response.status !== 401 && response.status < 500) this.#answered();
      if (response.status === 101 || (response.status >= 200 && response.status < 300)) return response;
      const refusal = await this.#apiError(request.target, response, signal);
      // The response may come from a load balancer whose API server is down. Only the API server gives a reason.
      if (response.status >= 500 && refusal.reason !== "") this.#answered();
      throw refusal;
    } catch (error) {
      // What keeps WebSockets from passing is no lack of access: other requests tell that.
      const isAside = request.isAside === true || request.upgrade !== undefined;
      if (!signal.aborted && !isAside) this.#failed(error, sentMs);
      const expected = error instanceof ApiError && request.expected?.includes(error.status);
      if (!signal.aborted && !expected) {
        const code = error instanceof ApiError ? String(error.status) : "none";
        metrics.record("api_errors_total", 1, { verb, code });
      }
      throw error;
    }
  }

  /**
   * Sends a request for another protocol, and returns the connection once the server speaks that.
   *
   * @throws as {@link json}, but for the time-out of a body
   */
  async upgrade(
    request: ApiRequest & Required<Pick<ApiRequest, "upgrade">>,
    signal: AbortSignal,
  ): Promise<UpgradeAnswer & { readonly stream: ByteStream }> {
    const answer: HttpResponse & Partial<UpgradeAnswer> = await this.open(request, signal);
    const { stream } = answer;
    if (stream !== undefined) return { ...answer, stream };
    await answer.body.cancel();
    throw new Error(
      `Cannot ${describeTarget(request.target)}: the answer is HTTP ${answer.status}, want 101, ` +
        "check that nothing between here and the API server keeps WebSockets from passing",
    );
  }

  #answered(): void {
    this.#answeredMs = this.#ports.clock.nowMs();
    this.access.succeeded();
  }

  /** A request that fails while others succeed does not mean that the API cannot be reached. */
  #failed(error: unknown, sentMs: number): void {
    if (this.#answeredMs > sentMs) return;
    const { origin } = this.#ports.cluster.server;
    if (!(error instanceof ApiError)) {
      this.access.failed(
        error instanceof TimeoutError
          ? `Cannot reach the API server "${origin}": no answer within ${REQUEST_TIMEOUT_MS / 1000}s`
          : error,
      );
    } else if (error.status === 401) {
      this.access.failed(`Cannot use the API server "${origin}": ${error.detail}`);
    }
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { target, method, query, body, contentType, upgrade, path = pathOf(target) } = request;
    const { cluster, clock } = this.#ports;
    const headers: Record<string, string> = {
      accept: "application/json",
      // Otherwise the runtime asks for gzip and decompresses it: 1 MB could become 1 GB before a bound is noticed.
      "accept-encoding": "identity",
      "user-agent": "buildkitd-autoscaler",
      ...upgrade,
      ...await cluster.authenticate(signal),
    };
    using limit = deadline(clock, REQUEST_TIMEOUT_MS, signal, () => this.#timedOut(target, "headers"));
    // An aborted signal fires no event, so nothing would end the request.
    limit.signal.throwIfAborted();
    if (body !== undefined) headers["content-type"] = contentType ?? "application/json";
    // The deadline for the headers must not end the body, so the request has its own signal.
    const whole = new AbortController();
    const onLimit = () => whole.abort(limit.signal.reason);
    limit.signal.addEventListener("abort", onLimit, { once: true });
    const { http } = cluster;
    const send = upgrade === undefined ? http.send.bind(http) : http.upgrade?.bind(http);
    invariant(send !== undefined, "a way to the API server that is asked for streams knows them");
    const response = await send({
      method,
      url: urlOf(cluster.server, path, query),
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: whole.signal,
    });
    limit.signal.removeEventListener("abort", onLimit);
    if (limit.signal.aborted) {
      (response as Partial<UpgradeAnswer>).stream?.close();
      await response.body.cancel(limit.signal.reason).catch(() => {});
      throw limit.signal.reason;
    }
    return response;
  }

  async #apiError(target: ApiTarget, response: HttpResponse, signal: AbortSignal): Promise<ApiError> {
    using limit = deadline(
      this.#ports.clock,
      REQUEST_TIMEOUT_MS,
      signal,
      () => this.#timedOut(target, "body"),
    );
    const text = await readText(response, limit.signal).catch(() => "");
    const seconds = Number(response.headers.get("retry-after") ?? NaN);
    const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
    const { cluster } = this.#ports;
    const hint = response.status === 403
      ? namespaceHint(cluster, target.namespace)
      : response.status === 401
      ? credentialsHint(cluster)
      : "";
    return new ApiError(target, response.status, parseStatus(text), retryAfterMs, hint);
  }

  #timedOut(target: ApiTarget, part: "headers" | "body"): TimeoutError {
    this.#ports.cluster.http.reset();
    return new TimeoutError(
      `Cannot ${
        describeTarget(target)
      }: no ${part} of an answer from ${this.#ports.cluster.server.host} within ` +
        `${REQUEST_TIMEOUT_MS / 1000}s`,
    );
  }
}

/**
 * How long to wait before retry `attempt` (0 is the first): back-off with jitter from 100 ms to 10 s, or longer if the
 * server asks for it, up to `longestAskedMs` (a minute by default, less while a client waits).
 */
export function retryDelayMs(
  error: unknown,
  attempt: number,
  random: Random,
  longestAskedMs = 60_000,
): number {
  const ownMs = backoffMs(attempt, { baseMs: 200, capMs: 10_000 }, random);
  const askedMs = error instanceof ApiError ? error.retryAfterMs ?? 0 : 0;
  return Math.max(ownMs, Math.min(askedMs, longestAskedMs));
}

/** Paths: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris */
function pathOf({ group, version = "v1", namespace, resource: path, name }: ApiTarget): string {
  const [resource, subresource] = path.split("/");
  const where = namespace === "" ? [] : ["namespaces", namespace];
  const parts = [group === "" ? "api" : "apis", group, version, ...where, resource, name, subresource];
  return `/${
    parts.filter((part) => part !== undefined && part !== "").map((part) => encodeURIComponent(part!))
      .join("/")
  }`;
}

function urlOf(server: URL, path: string, query: Readonly<Record<string, string>> = {}): URL {
  const search = new URLSearchParams(query).toString();
  const base = server.pathname.replace(/\/$/, "");
  return new URL(`${base}${path}${search === "" ? "" : `?${search}`}`, server);
}

async function readText({ body }: HttpResponse, signal: AbortSignal): Promise<string> {
  const reader = body.getReader();
  const onAbort = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", onAbort, { once: true });
  const text = new JsonText(LARGEST_BODY_BYTES);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return text.take();
      try {
        text.add(value);
      } catch (cause) {
        await reader.cancel();
        throw new Error(`Cannot read the API server's answer: ${messageOf(cause)}`);
      }
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function parseStatus(text: string): StatusLike {
  try {
    const status = JSON.parse(text);
    if (status?.kind === "Status") return status;
  } catch {
    // A load balancer in between may respond in HTML or text.
  }
  return { message: text.slice(0, 200).trim() };
}
