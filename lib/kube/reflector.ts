/**
 * Keeps a view of one API collection up to date: list, then watch, again and again, as client-go's reflector. After a
 * lost connection the watch resumes at its last version; an expired version or a malformed stream leads to a new list.
 * Never loops without a pause, whatever the server does. Reports changes without interpreting them.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { CauseLog } from "../base/log.ts";
import { Listeners } from "../base/listeners.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import { ApiError, type ApiTarget, isExpired } from "./api_error.ts";
import { type KubeClient, retryDelayMs } from "./client.ts";
import { SilenceError, SilenceLimit, watchEvents } from "./watch_stream.ts";

/** The fields that every API object has. */
export interface KubeObject {
  /** Names and versions. */
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
}

/** What has changed. */
export type Change<T> =
  /** A consistent list of the collection. Objects that are not in it no longer exist. */
  | { readonly type: "list"; readonly items: readonly T[] }
  | { readonly type: "set"; readonly object: T }
  | { readonly type: "gone"; readonly object: T };

/** The collection to watch. */
export interface Collection {
  /** The resource, also for messages and metrics. */
  readonly resource: "statefulsets" | "endpointslices" | "leases";
  /** The API group. */
  readonly group: string;
  /** The namespace. */
  readonly namespace: string;
  /** `fieldSelector` or `labelSelector`. */
  readonly selector: Readonly<Record<string, string>>;
}

/** What a reflector is made of. */
export interface ReflectorPorts extends Pick<BasePorts, "clock" | "random" | "log" | "metrics"> {
  /** Sends requests to the API. */
  readonly client: KubeClient;
}

/** The server ends a watch after this many seconds (`timeoutSeconds`), so that a forgotten stream ends. */
const WATCH_SECONDS = 60;
/** A watch that is silent for longer than the server allows it to run is dead. */
export const SILENCE_LIMIT_MS = (WATCH_SECONDS + 15) * 1000;
/** While a client waits, a watch that is silent for this long is restarted at its last version. */
export const URGENT_SILENCE_LIMIT_MS = 10_000;
/** While a client waits, the pause between two tries is at most this long, in ms, whatever the server asks. */
const URGENT_PAUSE_MS = 5_000;
/** A watch that ends sooner without an event counts as a failure. */
const INSTANT_MS = 1_000;

/** Lists and watches one collection. */
export class Reflector<T extends KubeObject> {
  readonly #collection: Collection;
  readonly #ports: ReflectorPorts;
  readonly #onChange: (change: Change<T>) => void;
  readonly #silence = new SilenceLimit(SILENCE_LIMIT_MS);
  readonly #faults: CauseLog;
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;
  #isForbidden = false;
  readonly #onForbidden = new Listeners();
  #urgent = false;
  readonly #hurry = new Notifier();
  #relist = new AbortController();

  /** Reports to `onChange`, which must not throw. */
  constructor(collection: Collection, ports: ReflectorPorts, onChange: (change: Change<T>) => void) {
    this.#collection = collection;
    this.#ports = ports;
    this.#onChange = onChange;
    this.#faults = new CauseLog(ports.log, "watch_failed", ports.client.access, {
      resource: collection.resource,
    });
  }

  /** True once a list was read and the server has accepted a watch from there. */
  get synced(): boolean {
    return this.#isSynced;
  }

  /** Resolves when {@link synced} becomes true. */
  get whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Why the view is out of date; undefined while the watch works. */
  get fault(): string | undefined {
    return this.#faults.cause;
  }

  /** The server has answered last that the right to list or watch is missing. */
  get isForbidden(): boolean {
    return this.#isForbidden;
  }

  /** Calls `listener` when {@link isForbidden} has changed. It must be quick and must not throw. */
  onForbidden(listener: () => void): void {
    this.#onForbidden.add(listener);
  }

  /** Whether a client waits. If so, a silent watch is restarted sooner. */
  set urgent(urgent: boolean) {
    if (urgent && !this.#urgent) this.#hurry.notify();
    this.#urgent = urgent;
    this.#silence.limitMs = urgent ? URGENT_SILENCE_LIMIT_MS : SILENCE_LIMIT_MS;
  }

  /** Starts with a new list now: the known resourceVersions are not valid any more. */
  relist(): void {
    this.#relist.abort(new Error("All objects are listed again"));
  }

  /** Runs until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#ports;
    let version: string | undefined;
    for (let failures = 0;;) {
      if (this.#relist.signal.aborted) {
        this.#relist = new AbortController();
        version = undefined;
        this.#restarted("expired");
      }
      using part = anySignal(signal, this.#relist.signal);
      try {
        version ??= await this.#list(part.signal);
        const from = version;
        const startedMs = clock.nowMs();
        version = await this.#watch(from, part.signal, () => failures = 0);
        if (version === from && clock.nowMs() - startedMs < INSTANT_MS) {
          throw new Error("The API server ended the watch at once");
        }
        this.#restarted("ended");
        failures = 0;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (this.#relist.signal.aborted) continue;
        version = error instanceof WatchFailure ? error.version : version;
        const cause = error instanceof WatchFailure ? error.cause : error;
        this.#answered(cause instanceof ApiError && cause.status === 403);
        if (cause instanceof SilenceError) {
          // Not a fault yet: a collection without changes is silent, too. The next try shows whether the server
          // answers.
          this.#ports.client.cluster.http.reset();
          this.#restarted("silent");
          continue;
        }
        if (isExpired(cause)) {
          version = undefined;
          this.#restarted("expired");
          if (failures++ === 0) continue;
        } else {
          // One broken stream is not a fault yet: if the server is down, the next request fails.
          const broke = error instanceof WatchFailure && error.opened && !(cause instanceof ApiError);
          if (!broke || failures > 0) this.#faults.failed(cause);
          this.#restarted("failed");
          failures++;
        }
        await this.#pause(retryDelayMs(cause, failures - 1, random), part.signal)
          .catch(() => signal.throwIfAborted());
      }
    }
  }

  /** Waits, but not for long while a client waits, even if it comes during the pause. */
  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const startedMs = clock.nowMs();
    for (;;) {
      const untilMs = startedMs + (this.#urgent ? Math.min(delayMs, URGENT_PAUSE_MS) : delayMs);
      if (clock.nowMs() >= untilMs) return;
      await this.#hurry.wait(clock, untilMs, signal);
    }
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { client } = this.#ports;
    const list = await client.json<{ metadata?: { resourceVersion?: string }; items?: T[] | null }>(
      { target: this.#target("list"), method: "GET", query: this.#collection.selector },
      signal,
    );
    const version = list.metadata?.resourceVersion;
    if (!version) {
      throw new Error(`Cannot list ${this.#collection.resource}: the answer has no resourceVersion`);
    }
    this.#onChange({ type: "list", items: list.items ?? [] });
    return version;
  }

  /** Watches from a version until the stream ends. Returns the version to resume from. */
  async #watch(from: string, signal: AbortSignal, onHealthy: () => void): Promise<string> {
    const { client, clock } = this.#ports;
    const target = this.#target("watch");
    let version = from;
    let opened = false;
    try {
      const { body } = await client.open({
        target,
        method: "GET",
        query: {
          ...this.#collection.selector,
          watch: "1",
          resourceVersion: from,
          allowWatchBookmarks: "true",
          timeoutSeconds: String(WATCH_SECONDS),
        },
      }, signal);
      opened = true;
      this.#answered(false);
      this.#faults.succeeded();
      this.#isSynced = true;
      this.#synced.resolve();
      for await (const { type, object } of watchEvents<T>(body, target, clock, this.#silence, signal)) {
        onHealthy();
        version = object.metadata?.resourceVersion ?? version;
        if (type === "BOOKMARK") continue;
        this.#onChange({ type: type === "DELETED" ? "gone" : "set", object });
      }
      return version;
    } catch (cause) {
      throw new WatchFailure(version, opened, cause);
    }
  }

  #answered(isForbidden: boolean): void {
    if (isForbidden === this.#isForbidden) return;
    this.#isForbidden = isForbidden;
    this.#onForbidden.tell();
  }

  #restarted(cause: "ended" | "expired" | "silent" | "failed"): void {
    const { resource } = this.#collection;
    this.#ports.metrics.record("watch_restarts_total", 1, { resource, cause });
    this.#ports.log.debug("watch_restarted", { resource, cause });
  }

  #target(verb: "list" | "watch"): ApiTarget {
    const { group, resource, namespace } = this.#collection;
    return { verb, group, resource, namespace, name: "" };
  }
}

/** A watch has failed after it had reached `version`. */
class WatchFailure extends Error {
  readonly version: string;
  /** False if the request itself failed. */
  readonly opened: boolean;

  constructor(version: string, opened: boolean, cause: unknown) {
    super("The watch failed", { cause });
    this.version = version;
    this.opened = opened;
  }
}
