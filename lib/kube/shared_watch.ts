/**
 * One watch of a collection for several parts, each of which sees only the objects of one key. A part that subscribes late
 * gets the present state first, as a list. Reports changes without interpreting them.
 *
 * @module
 */
import { orAborted } from "../base/or_aborted.ts";
import {
  type Change,
  type Collection,
  type KubeObject,
  Reflector,
  type ReflectorPorts,
} from "./reflector.ts";

/** One part's share of a watch. */
export interface Subscription {
  /** Whether a client waits for what this part sees; see {@link Reflector.urgent}. */
  urgent: boolean;
  /** This part is told nothing more. */
  end(): void;
}

interface Subscriber<T> {
  readonly key: string;
  readonly onChange: (change: Change<T>) => void;
  isUrgent: boolean;
}

/** See the module. */
export class SharedWatch<T extends KubeObject> {
  readonly #keyOf: (object: T) => string | undefined;
  readonly #reflector: Reflector<T>;
  readonly #subscribers = new Set<Subscriber<T>>();
  readonly #wanted = Promise.withResolvers<void>();
  /** The objects by name; undefined before the first list, and from a relist to the next. */
  #objects: Map<string, T> | undefined;

  /**
   * Starts nothing: `run` does. `keyOf` says which part an object is for; an object without a key is for none. `keptOf` gives
   * what is kept of an object, and passed on; all of it by default.
   */
  constructor(
    collection: Collection,
    keyOf: (object: T) => string | undefined,
    ports: ReflectorPorts,
    keptOf: (object: T) => T = (object) => object,
  ) {
    this.#keyOf = keyOf;
    this.#reflector = new Reflector<T>(collection, ports, (change) =>
      this.#take(
        change.type === "list"
          ? { type: "list", items: change.items.map(keptOf) }
          : { type: change.type, object: keptOf(change.object) },
      ));
  }

  /** See {@link Reflector.synced}. */
  get synced(): boolean {
    return this.#reflector.synced;
  }

  /** See {@link Reflector.whenSynced}. */
  get whenSynced(): Promise<void> {
    return this.#reflector.whenSynced;
  }

  /** See {@link Reflector.fault}. */
  get fault(): string | undefined {
    return this.#reflector.fault;
  }

  /** See {@link Reflector.relist}: for all parts, and a part that subscribes until then waits for the new list. */
  relist(): void {
    this.#objects = undefined;
    this.#reflector.relist();
  }

  /**
   * From now on tells `onChange` what happens to the objects of `key`: at once with the present state as a list, if a list
   * was read. It must not throw.
   */
  subscribe(key: string, onChange: (change: Change<T>) => void): Subscription {
    const subscriber: Subscriber<T> = { key, onChange, isUrgent: false };
    this.#subscribers.add(subscriber);
    this.#wanted.resolve();
    if (this.#objects !== undefined) {
      this.#tell(subscriber, { type: "list", items: [...this.#objects.values()] });
    }
    const hurry = (isUrgent: boolean) => {
      subscriber.isUrgent = isUrgent;
      this.#hurry();
    };
    return {
      get urgent() {
        return subscriber.isUrgent;
      },
      set urgent(urgent: boolean) {
        hurry(urgent);
      },
      end: () => {
        this.#subscribers.delete(subscriber);
        this.#hurry();
      },
    };
  }

  /** Watches, from the first subscription on, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await orAborted(this.#wanted.promise, signal);
    await this.#reflector.run(signal);
  }

  #hurry(): void {
    this.#reflector.urgent = [...this.#subscribers].some(({ isUrgent }) => isUrgent);
  }

  #take(change: Change<T>): void {
    if (change.type === "list") {
      this.#objects = new Map(change.items.map((object) => [nameOf(object), object]));
      return this.#tellAll(change);
    }
    const { object, type } = change;
    const name = nameOf(object);
    const before = this.#objects?.get(name);
    if (type === "gone") this.#objects?.delete(name);
    else this.#objects?.set(name, object);
    // An object that changes hands is gone for whom it was.
    if (before !== undefined && this.#keyOf(before) !== this.#keyOf(object)) {
      this.#tellAll({ type: "gone", object: before });
    }
    this.#tellAll(change);
  }

  #tellAll(change: Change<T>): void {
    for (const subscriber of [...this.#subscribers]) {
      if (this.#subscribers.has(subscriber)) this.#tell(subscriber, change);
    }
  }

  #tell({ key, onChange }: Subscriber<T>, change: Change<T>): void {
    if (change.type === "list") {
      onChange({ type: "list", items: change.items.filter((object) => this.#keyOf(object) === key) });
    } else if (this.#keyOf(change.object) === key) {
      onChange(change);
    }
  }
}

function nameOf({ metadata }: KubeObject): string {
  return metadata?.name ?? "";
}

/** A label selector that matches one of the values: with `=` where there is one only. */
export function selectorOf(label: string, values: readonly string[]): string {
  const distinct = [...new Set(values)];
  return distinct.length === 1 ? `${label}=${distinct[0]}` : `${label} in (${distinct.join(",")})`;
}
