/**
 * The way to the miniature API server without sockets: an {@link Http} in the process, for one client, with the faults
 * of a network path of its own. Waits by the clock port only.
 *
 * @module
 */
import { type Clock, sleep } from "../base/clock.ts";
import type { Http, HttpRequest, HttpResponse } from "../kube/http.ts";
import type { ApiServer } from "./api_server.ts";

/** How a way behaves now. */
export type PathState =
  /** Everything passes. */
  | "open"
  /** Nothing answers: requests hang until their signal ends them, streams fall silent. */
  | "silent"
  /** Connections are refused. */
  | "refused";

/** One client's way to one API server. */
export class MemoryHttp implements Http {
  readonly #api: ApiServer;
  readonly #clock: Clock;
  readonly #client: string;
  readonly #latencyMs: () => number;
  #state: PathState = "open";
  #changed = Promise.withResolvers<void>();

  /** `client` labels its requests in the server's log; `latencyMs` is drawn for the way there and for the way back. */
  constructor(api: ApiServer, clock: Clock, client: string, latencyMs: () => number = () => 0) {
    this.#api = api;
    this.#clock = clock;
    this.#client = client;
    this.#latencyMs = latencyMs;
  }

  /** How the way behaves. */
  get state(): PathState {
    return this.#state;
  }

  /** Changes how it behaves. What a silent way has kept back arrives when it opens; `refused` drops open streams. */
  set(state: PathState): void {
    this.#state = state;
    if (state === "refused") this.#api.watches.drop(this.#client);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** As {@link Http.send}. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    request.signal.throwIfAborted();
    await this.#travel(request.signal);
    const response = await this.#api.handle(request, this.#client);
    try {
      await this.#travel(request.signal);
    } catch (error) {
      await response.body.cancel(error);
      throw error;
    }
    return { ...response, body: this.#delayed(response.body, request.signal) };
  }

  /** Nothing is pooled. */
  reset(): void {}

  /** Nothing is kept. */
  close(): void {}

  async #travel(signal: AbortSignal): Promise<void> {
    const delayMs = this.#latencyMs();
    if (delayMs > 0) await sleep(this.#clock, delayMs, signal);
    await this.#passable(signal);
    if (this.#state === "refused") throw new Error("Cannot connect to the API server: connection refused");
  }

  async #passable(signal: AbortSignal): Promise<void> {
    while (this.#state === "silent") {
      const { promise, reject } = Promise.withResolvers<void>();
      const onAbort = () => reject(signal.reason);
      if (signal.aborted) onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await Promise.race([this.#changed.promise, promise]);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    }
  }

  #delayed(body: ReadableStream<Uint8Array>, signal: AbortSignal): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          const delayMs = this.#latencyMs();
          if (delayMs > 0) await sleep(this.#clock, delayMs, signal);
          await this.#passable(signal);
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          await reader.cancel(error).catch(() => {});
          throw error;
        }
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }
}
