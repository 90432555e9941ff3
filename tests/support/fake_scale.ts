/**
 * A replica count with versions, as `/scale` has it, whose writes a test can delay, lose or refuse one by one.
 *
 * @module
 */
import { TimeoutError } from "../../lib/base/errors.ts";
import { ApiError } from "../../lib/kube/api_error.ts";
import type { Count, ScaleApi, WriteOptions } from "../../lib/kube/scale.ts";

/** What happens to a request: it is carried out and answered, or one of these. */
export type Fate = "lost" | "unanswered" | { readonly before: Promise<void> } | {
  readonly after: Promise<void>;
} | {
  /** Refused with 429, and this in its Retry-After. */
  readonly retryAfterMs: number;
};

const TARGET = {
  verb: "update",
  group: "apps",
  resource: "statefulsets/scale",
  namespace: "n",
  name: "b",
} as const;

/** The count and what was asked of it. */
export class FakeScale implements ScaleApi {
  replicas: number;
  version = 100;
  /** The StatefulSet's uid, if `/scale` tells it. */
  uid: string | undefined;
  /** Every request that came, in order. */
  readonly requests: string[] = [];
  /** Called after every change. */
  onChange: (count: Count) => void = () => {};
  readonly #fates: Fate[] = [];
  /** Who has applied the present count. */
  readonly owners = new Set<string>();
  readonly #managers = new Set<string>();

  constructor(replicas: number) {
    this.replicas = replicas;
  }

  /** What happens to the next requests, in order. */
  fates(...fates: Fate[]): void {
    this.#fates.push(...fates);
  }

  /** Somebody else writes a count. */
  set(replicas: number): void {
    if (replicas !== this.replicas) this.owners.clear();
    this.replicas = replicas;
    this.version++;
    this.onChange(this.#count());
  }

  read(): Promise<Count> {
    return this.#meet("read", () => this.#count());
  }

  update(count: Count, _signal: AbortSignal, { dryRun }: WriteOptions = {}): Promise<Count> {
    return this.#meet(`${dryRun ? "ask to " : ""}update ${count.replicas}`, () => {
      this.#check(count);
      if (!dryRun && count.replicas !== this.replicas) this.set(count.replicas);
      return this.#count();
    });
  }

  apply(count: Count, manager: string, _signal: AbortSignal, { dryRun }: WriteOptions = {}): Promise<Count> {
    return this.#meet(`${dryRun ? "ask to " : ""}apply ${count.replicas}`, () => {
      this.#check(count);
      const fresh = !this.#managers.has(manager);
      if (!dryRun) this.#managers.add(manager);
      if (!dryRun && (fresh || count.replicas !== this.replicas)) this.set(count.replicas);
      if (!dryRun) this.owners.add(manager);
      return this.#count();
    });
  }

  giveUp(count: Count, manager: string, _signal: AbortSignal, { dryRun }: WriteOptions = {}): Promise<Count> {
    return this.#meet(`${dryRun ? "ask to " : ""}give up ${manager}`, () => {
      this.#check(count);
      const isLast = this.owners.has(manager) && this.owners.size === 1;
      if (dryRun) return { ...this.#count(), ...(isLast ? { replicas: 0 } : {}) };
      if (this.owners.delete(manager)) this.set(isLast ? 0 : this.replicas);
      return this.#count();
    });
  }

  async #meet(request: string, carryOut: () => Count): Promise<Count> {
    this.requests.push(request);
    const fate = this.#fates.shift();
    if (fate === "lost") throw new TimeoutError("no answer");
    if (typeof fate === "object" && "before" in fate) await fate.before;
    if (typeof fate === "object" && "retryAfterMs" in fate) {
      throw new ApiError(TARGET, 429, { reason: "TooManyRequests" }, fate.retryAfterMs);
    }
    const count = carryOut();
    if (fate === "unanswered") throw new TimeoutError("no answer");
    if (typeof fate === "object" && "after" in fate) await fate.after;
    return count;
  }

  #count(): Count {
    const uid = this.uid === undefined ? {} : { uid: this.uid };
    return { replicas: this.replicas, version: String(this.version), ...uid };
  }

  #check({ version }: Count): void {
    if (version !== String(this.version)) {
      throw new ApiError(TARGET, 409, { reason: "Conflict", message: "the object has been modified" });
    }
  }
}
