/**
 * One proxy's way to the simulated API server. A request that has left arrives, however late, whatever its sender does
 * meanwhile; what comes back waits while the sender stands still. Faults are drawn for each request.
 *
 * @module
 */
import type { ApiServer } from "../../lib/miniature/api_server.ts";
import type { Http, HttpRequest, HttpResponse } from "../../lib/kube/http.ts";
import type { Machine, WorldTime } from "./time.ts";

/** What happens to one request. */
export type Fate =
  | { readonly kind: "status"; readonly code: number; readonly retryAfterSeconds?: number }
  /** It never arrives, and nobody is told. */
  | { readonly kind: "lost" }
  /** It arrives this much later. */
  | { readonly kind: "late"; readonly byMs: number }
  /** The connection breaks before it is carried out. */
  | { readonly kind: "dropped" }
  /** It is carried out, and the answer is lost: with a reset, or in silence. */
  | { readonly kind: "unanswered"; readonly silent: boolean };

/** Chance and faults on the way. */
export interface PathWeather {
  /** One way, one message. */
  latencyMs(): number;
  /** Told of each request as it leaves. */
  onRequest(request: HttpRequest): void;
  /** Told of each request as it arrives, and of when it had left, true ms. What it returns is called when it is answered. */
  onArrival(request: HttpRequest, sentMs: number): () => void;
  /** What happens to a request, other than that it is answered. */
  fate(request: HttpRequest): Fate | undefined;
  /** Whether a request that could not pass, and that its sender has given up, arrives all the same. */
  arrivesAnyway(): boolean;
}

/** How the way behaves now. */
export type PathState = "open" | "silent" | "refused";

/** One way. */
export class ApiPath implements Http {
  readonly #api: ApiServer;
  readonly #world: WorldTime;
  readonly #machine: Machine;
  readonly #weather: PathWeather;
  readonly #streams = new Set<AbortController>();
  #state: PathState = "open";
  #stale: ReadonlySet<string> = new Set();
  #changed = Promise.withResolvers<void>();
  #underWay = 0;

  /** Open at first. */
  constructor(api: ApiServer, world: WorldTime, machine: Machine, weather: PathWeather) {
    this.#api = api;
    this.#world = world;
    this.#machine = machine;
    this.#weather = weather;
  }

  /** How it behaves. */
  get state(): PathState {
    return this.#state;
  }

  /** Requests that have left and may still arrive, also when their sender has ended. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Changes how it behaves. */
  set(state: PathState): void {
    this.#state = state;
    if (state === "refused") this.#api.watches.drop(this.#machine.name);
    this.#notify();
  }

  /** From now on watches of these resources bring nothing, though requests are answered; the others do again. */
  set staleWatches(resources: readonly string[]) {
    this.#stale = new Set(resources);
    this.#notify();
  }

  /** The process is gone. */
  kill(): void {
    for (const stream of this.#streams) stream.abort(new Error("The client is gone"));
  }

  /** As {@link Http.send}. */
  send(request: HttpRequest): Promise<HttpResponse> {
    const { signal } = request;
    if (signal.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    const call = { over: false };
    const onAbort = () => {
      call.over = true;
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const end = (what: () => void) =>
      this.#machine.deliver(() => {
        signal.removeEventListener("abort", onAbort);
        what();
      });
    this.#carry(request, call).then(
      ({ response, cancel }) => end(() => call.over ? cancel() : resolve(response)),
      (error) => end(() => reject(error)),
    );
    return promise;
  }

  /** Nothing is pooled. */
  reset(): void {}

  /** Nothing is kept. */
  close(): void {}

  async #carry(
    request: HttpRequest,
    call: { readonly over: boolean },
  ): Promise<{ response: HttpResponse; cancel: () => void }> {
    this.#weather.onRequest(request);
    const sentMs = this.#world.nowMs();
    const watches = request.url.searchParams.has("watch");
    const fate = this.#weather.fate(request);
    if (!await this.#goThere(call, fate)) return await never();
    if (fate?.kind === "dropped") throw await this.#back(new Error("connection reset by peer"));
    if (fate?.kind === "status") {
      const status = { kind: "Status", status: "Failure", code: fate.code, message: "injected fault" };
      const headers = new Headers({ "content-type": "application/json" });
      if (fate.retryAfterSeconds !== undefined) headers.set("retry-after", String(fate.retryAfterSeconds));
      await this.#travel();
      return answer({ status: fate.code, headers, body: whole(JSON.stringify(status)) });
    }
    const answered = this.#weather.onArrival(request, sentMs);
    const server = new AbortController();
    const response = await this.#api.handle({ ...request, signal: server.signal }, this.#machine.name)
      .finally(answered);
    if (watches && response.status === 200) {
      return await this.#stream(response, request.url.pathname.split("/").at(-1)!, server);
    }
    await this.#travel();
    if (fate?.kind === "unanswered") {
      if (fate.silent) return await never();
      throw new Error("connection reset by peer");
    }
    return answer(response);
  }

  /** The way there. False if it never arrives. */
  async #goThere(call: { readonly over: boolean }, fate: Fate | undefined): Promise<boolean> {
    this.#underWay++;
    try {
      await this.#travel();
      if (fate?.kind === "late") await this.#pause(fate.byMs);
      return fate?.kind !== "lost" && (!call.over || this.#weather.arrivesAnyway());
    } finally {
      this.#underWay--;
    }
  }

  /** A watch: lines arrive one after the other. */
  async #stream(
    response: HttpResponse,
    resource: string,
    server: AbortController,
  ): Promise<{ response: HttpResponse; cancel: () => void }> {
    const reader = response.body.getReader();
    this.#streams.add(server);
    let open = true;
    const cancel = () => {
      open = false;
      this.#streams.delete(server);
      server.abort(new Error("The client has ended the watch"));
    };
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void this.#pump(reader, controller, resource, () => open),
      cancel,
    }, { highWaterMark: Infinity });
    await this.#travel();
    return { response: { ...response, body }, cancel };
  }

  async #pump(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    controller: ReadableStreamDefaultController<Uint8Array>,
    resource: string,
    isOpen: () => boolean,
  ): Promise<void> {
    const deliver = (what: () => void) => this.#machine.deliver(() => isOpen() && what());
    try {
      for (;;) {
        const { done, value } = await reader.read();
        await this.#travel(resource);
        if (done) return deliver(() => controller.close());
        deliver(() => controller.enqueue(value));
      }
    } catch (error) {
      await this.#travel(resource).catch(() => {});
      deliver(() => controller.error(error));
    }
  }

  async #travel(watched?: string): Promise<void> {
    await this.#pause(this.#weather.latencyMs());
    while (this.#state === "silent" || (watched !== undefined && this.#stale.has(watched))) {
      await this.#changed.promise;
    }
    if (this.#state === "refused") throw new Error("Cannot connect to the API server: connection refused");
  }

  async #back(error: Error): Promise<Error> {
    await this.#travel();
    return error;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.setTimer(ms, resolve));
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}

function answer(response: HttpResponse): { response: HttpResponse; cancel: () => void } {
  return { response, cancel: () => {} };
}

function whole(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}
