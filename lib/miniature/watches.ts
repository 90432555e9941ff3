/**
 * The open watches of the miniature API server: who gets which event in which line, bookmarks, time-outs, and what can
 * go wrong with a stream that has begun. Durations in ms by the clock port.
 * Source: kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes".
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { jsonOf, oncePerObject } from "./json.ts";
import { apiVersionOf, type KubeObject, type Resource } from "./objects.ts";
import type { Selector } from "./selectors.ts";
import { expired } from "./status.ts";
import type { Store, StoreEvent } from "./store.ts";
import { ConnectionDropped } from "./faults.ts";

/** What one watch asks for. */
export interface WatchRequest {
  /** Of what. */
  readonly resource: Resource;
  /** In which namespace; in all, if none. */
  readonly namespace: string | undefined;
  /** Which objects. */
  readonly matches: Selector;
  /** Events after this version; 0 begins with all objects as they are. */
  readonly sinceVersion: number;
  /** Whether bookmarks are wanted. */
  readonly bookmarks: boolean;
  /** When the server ends it. */
  readonly timeoutMs: number;
  /** The label of the way it came. */
  readonly client: string;
  /** Ends it from the client's side. */
  readonly signal: AbortSignal;
}

interface Open {
  readonly request: WatchRequest;
  sentVersion: number;
  write(line: Uint8Array): void;
  close(): void;
  drop(): void;
}

/** All open watches. */
export class Watches {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #bookmarkIntervalMs: number;
  readonly #open = new Set<Open>();
  #withheld = false;

  /** Takes the store it reports on, and how often bookmarks go out. */
  constructor(store: Store, clock: Clock, bookmarkIntervalMs: number) {
    this.#store = store;
    this.#clock = clock;
    this.#bookmarkIntervalMs = bookmarkIntervalMs;
    store.subscribe(() => this.#deliver());
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Begins a watch; its lines come on the returned stream. */
  open(request: WatchRequest): ReadableStream<Uint8Array> {
    let end = () => {};
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        const cancels: (() => void)[] = [];
        const finish = (how: () => void) => {
          if (!this.#open.delete(open)) return;
          for (const cancel of cancels) cancel();
          request.signal.removeEventListener("abort", onAbort);
          how();
        };
        const open: Open = {
          request,
          sentVersion: request.sinceVersion,
          write: (line) => controller.enqueue(line),
          close: () => finish(() => controller.close()),
          drop: () => finish(() => controller.error(new ConnectionDropped())),
        };
        const onAbort = () => finish(() => controller.error(request.signal.reason));
        end = () => finish(() => {});
        this.#open.add(open);
        request.signal.addEventListener("abort", onAbort, { once: true });
        cancels.push(this.#clock.setTimer(request.timeoutMs, () => {
          this.#bookmark(open);
          open.close();
        }));
        cancels.push(() => cancelBookmark());
        let cancelBookmark = () => {};
        const arm = () => {
          cancelBookmark = this.#clock.setTimer(this.#bookmarkIntervalMs, () => {
            this.#bookmark(open);
            arm();
          });
        };
        if (request.bookmarks) arm();
        if (request.signal.aborted) return onAbort();
        this.#begin(open);
      },
      cancel: () => end(),
    });
  }

  /** Ends all watches (of one client) as a server does that has had enough: cleanly. */
  end(client?: string): void {
    for (const open of this.#of(client)) open.close();
  }

  /** Drops the connection of all watches (of one client). */
  drop(client?: string): void {
    for (const open of this.#of(client)) open.drop();
  }

  /** Ends all watches (of one client) in the middle of an event's line. */
  cut(client?: string): void {
    for (const open of this.#of(client)) {
      const [object] = this.#store.list(open.request.resource, open.request.namespace);
      const line = JSON.stringify({ type: "MODIFIED", object: object ?? {} });
      open.write(bytesOf(line.slice(0, Math.ceil(line.length / 2))));
      open.close();
    }
  }

  /** Sends a bookmark to all watches that take one. */
  bookmark(): void {
    for (const open of [...this.#open]) this.#bookmark(open);
  }

  /** Sends these bytes as they are to all watches: for what no server should send. */
  inject(text: string): void {
    for (const open of [...this.#open]) open.write(bytesOf(text));
  }

  /** Delivers nothing, bookmarks neither, until the returned function is called; then everything, in order. */
  withhold(): () => void {
    this.#withheld = true;
    return () => {
      this.#withheld = false;
      this.#deliver();
    };
  }

  #of(client: string | undefined): Open[] {
    return [...this.#open].filter((open) => client === undefined || open.request.client === client);
  }

  #begin(open: Open): void {
    const { resource, namespace, matches, sinceVersion } = open.request;
    if (sinceVersion > 0) {
      if (!this.#expire(open)) this.#deliverTo(open);
      return;
    }
    open.sentVersion = this.#store.version;
    for (const object of this.#store.list(resource, namespace).filter(matches)) {
      open.write(LINE_OF.ADDED(object));
    }
  }

  #deliver(): void {
    if (this.#withheld) return;
    for (const open of [...this.#open]) this.#deliverTo(open);
  }

  #deliverTo(open: Open): void {
    if (this.#withheld || this.#expire(open)) return;
    for (const event of this.#store.since(open.sentVersion)) {
      open.sentVersion = event.version;
      const line = lineFor(event, open.request);
      if (line !== undefined) open.write(line);
    }
    open.sentVersion = Math.max(open.sentVersion, this.#store.version);
  }

  /** Ends a watch whose next event is no longer kept. */
  #expire(open: Open): boolean {
    if (open.sentVersion >= this.#store.compactedAt) return false;
    const message = `too old resource version: ${open.sentVersion} (${this.#store.compactedAt})`;
    open.write(lineOf("ERROR", expired(message).toStatus()));
    open.close();
    return true;
  }

  #bookmark(open: Open): void {
    const { resource, bookmarks, sinceVersion } = open.request;
    const version = Math.max(open.sentVersion, this.#store.version);
    // As the watch cache does: no bookmark tells a client what it began with.
    if (!bookmarks || this.#withheld || version <= sinceVersion) return;
    const metadata = { resourceVersion: String(version), creationTimestamp: null };
    const object = { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
    open.write(lineOf("BOOKMARK", object));
  }
}

/** Every watch of an object gets the same bytes. */
const LINE_OF = {
  ADDED: oncePerObject((object: KubeObject) => lineOf("ADDED", object)),
  MODIFIED: oncePerObject((object: KubeObject) => lineOf("MODIFIED", object)),
};

function lineOf(type: string, object: object): Uint8Array {
  return bytesOf(`{"type":"${type}","object":${jsonOf(object)}}\n`);
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** An event as this watch sees it: a change of what the selector matches is an arrival or a departure. */
function lineFor(event: StoreEvent, { resource, namespace, matches }: WatchRequest): Uint8Array | undefined {
  if (event.resource !== resource) return undefined;
  const seen = (object: KubeObject | undefined) =>
    object !== undefined && (namespace === undefined || object.metadata.namespace === namespace) &&
    matches(object);
  const was = seen(event.before), is = seen(event.after);
  if (is) return LINE_OF[was ? "MODIFIED" : "ADDED"](event.after!);
  if (!was) return undefined;
  const metadata = { ...event.before!.metadata, resourceVersion: String(event.version) };
  return lineOf("DELETED", event.last ?? { ...event.before!, metadata });
}
