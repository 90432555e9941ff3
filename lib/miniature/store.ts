/**
 * The miniature's etcd: objects under one growing version, and the history that watches resume from. Synchronous, no
 * clock, no validation. Iterates in the order of keys, so that a run can be replayed.
 *
 * @module
 */
import type { KubeObject, Resource } from "./objects.ts";

/** One write. */
export interface StoreEvent {
  /** The version it made. */
  readonly version: number;
  /** What was written. */
  readonly resource: Resource;
  /** The object before, if there was one. */
  readonly before: KubeObject | undefined;
  /** The object now; for a delete, none. */
  readonly after: KubeObject | undefined;
  /** For a delete: its last state under the version of the delete. */
  readonly last: KubeObject | undefined;
}

/** Objects by resource, namespace and name. */
export class Store {
  #version: number;
  #compactedAt: number;
  readonly #objects = new Map<Resource, Map<string, KubeObject>>();
  #history: StoreEvent[] = [];
  readonly #historyLimit: number;
  readonly #listeners = new Set<(event: StoreEvent) => void>();

  /** Takes the version to begin at, and how many writes it remembers for watches before it forgets the oldest. */
  constructor(firstVersion: number, historyLimit: number) {
    this.#version = firstVersion;
    this.#compactedAt = firstVersion;
    this.#historyLimit = historyLimit;
  }

  /** The version of the last write. */
  get version(): number {
    return this.#version;
  }

  /** A watch can resume from this version or a later one. */
  get compactedAt(): number {
    return this.#compactedAt;
  }

  /** One object. */
  get(resource: Resource, namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(resource)?.get(`${namespace}/${name}`);
  }

  /** All objects of a resource, in one namespace or in all, by namespace and name. */
  list(resource: Resource, namespace?: string): KubeObject[] {
    const found = [...this.#objects.get(resource)?.entries() ?? []]
      .filter(([, object]) => namespace === undefined || object.metadata.namespace === namespace);
    return found.sort(([a], [b]) => a < b ? -1 : 1).map(([, object]) => object);
  }

  /** Writes an object under the next version and returns it with that. */
  put(resource: Resource, object: KubeObject): KubeObject {
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const before = this.#objects.get(resource)?.get(key);
    const after = withVersion(object, ++this.#version);
    if (!this.#objects.has(resource)) this.#objects.set(resource, new Map());
    this.#objects.get(resource)!.set(key, after);
    this.#record({ version: this.#version, resource, before, after, last: undefined });
    return after;
  }

  /** Takes an object away; the delete has a version of its own. */
  remove(resource: Resource, namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const before = this.#objects.get(resource)?.get(key);
    if (before === undefined) return;
    this.#objects.get(resource)!.delete(key);
    const last = withVersion(before, ++this.#version);
    this.#record({ version: this.#version, resource, before, after: undefined, last });
  }

  /** Makes a version that no object has, as writes elsewhere in a cluster do. */
  touch(): void {
    this.#version++;
  }

  /** The writes after `version`, oldest first. */
  since(version: number): readonly StoreEvent[] {
    const last = this.#history.findLastIndex((event) => event.version <= version);
    return this.#history.slice(last + 1);
  }

  /** Forgets the history: watches can only resume from the present version. */
  compact(): void {
    this.#history = [];
    this.#compactedAt = this.#version;
  }

  /** Tells of every write, synchronously, until the returned function is called. */
  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #record(event: StoreEvent): void {
    this.#history.push(event);
    if (this.#history.length > this.#historyLimit) this.#compactedAt = this.#history.shift()!.version;
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function withVersion(object: KubeObject, version: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
}
