/**
 * An API server that lists and watches just what a test tells it, event by event: also what no real one would say twice.
 *
 * @module
 */
import type { Http, HttpRequest, HttpResponse } from "../../lib/kube/http.ts";

/** One collection as it is served. */
export class Collection<T> {
  /** What a list says. */
  items: T[] = [];
  /** The version of the next list. */
  version = 1;
  /** The status of every answer; with 200 it is what was asked for. */
  status = 200;
  /** The status of watches, likewise. */
  watchStatus = 200;
  /** Answers come when this has happened. */
  until: Promise<void> = Promise.resolve();
  /** The queries of all requests, in order. */
  readonly queries: string[] = [];
  readonly #watches = new Set<ReadableStreamDefaultController<Uint8Array>>();

  /** Lists that were asked for. */
  get lists(): number {
    return this.queries.filter((query) => !query.includes("watch=1")).length;
  }

  /** Watches that were asked for. */
  get watches(): number {
    return this.queries.length - this.lists;
  }

  /** Sends an event to all who watch. */
  send(type: "ADDED" | "MODIFIED" | "DELETED", object: T): void {
    const line = new TextEncoder().encode(`${JSON.stringify({ type, object })}\n`);
    for (const watch of this.#watches) watch.enqueue(line);
  }

  /** Answers a request. */
  async answer({ url }: HttpRequest): Promise<HttpResponse> {
    this.queries.push(decodeURIComponent(url.search.slice(1)));
    await this.until;
    const isWatch = url.searchParams.has("watch");
    const status = isWatch && this.status === 200 ? this.watchStatus : this.status;
    const said = status === 200
      ? { metadata: { resourceVersion: String(this.version) }, items: this.items }
      : { kind: "Status", code: status, reason: "Scripted" };
    const body = isWatch && status === 200 ? this.#stream() : new Response(JSON.stringify(said)).body!;
    return { status, headers: new Headers(), body };
  }

  #stream(): ReadableStream<Uint8Array> {
    let watch: ReadableStreamDefaultController<Uint8Array>;
    return new ReadableStream({
      start: (controller) => void this.#watches.add(watch = controller),
      cancel: () => void this.#watches.delete(watch),
    });
  }
}

/** Serves collections by the names of their resources. */
export function scriptedHttp(
  collections: Readonly<Record<string, Pick<Collection<unknown>, "answer">>>,
): Http {
  return {
    async send(request) {
      request.signal.throwIfAborted();
      return await collections[request.url.pathname.split("/").at(-1)!]!.answer(request);
    },
    reset: () => {},
    close: () => {},
  };
}
