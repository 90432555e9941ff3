/**
 * Leases in memory, with versions and uids as the API server gives them, whose requests a test can delay, lose or refuse
 * one by one.
 *
 * @module
 */
import { TimeoutError } from "../../lib/base/errors.ts";
import type { ApiVerb } from "../../lib/base/metrics.ts";
import { ApiError } from "../../lib/kube/api_error.ts";
import type { LeaseApi } from "../../lib/kube/leases.ts";
import type { Change } from "../../lib/kube/reflector.ts";
import type { Lease } from "../../lib/kube/types.ts";

/** What happens to a request: it is carried out and answered, or one of these. */
export type LeaseFate =
  /** Carried out and answered. */
  | "ok"
  /** Not carried out, no answer. */
  | "lost"
  /** Carried out, no answer. */
  | "unanswered"
  /** Refused with this status; 403 for want of the right. */
  | number
  /** Refused with 403 by admission. */
  | "denied"
  /** Carried out after this. */
  | { readonly before: Promise<void> }
  /** Answered after this. */
  | { readonly after: Promise<void> };

type Verb = Extract<ApiVerb, "list" | "get" | "create" | "update" | "delete">;

/** All Leases of one namespace. */
export class FakeLeases implements LeaseApi {
  /** Every request that came, in order: verb and name. */
  readonly requests: string[] = [];
  /** What all requests of a verb meet, while it is set. */
  readonly always = new Map<Verb, LeaseFate>();
  /** Told of every change, as a watch would be. */
  onChange: (change: Change<Lease>) => void = () => {};
  readonly #leases = new Map<string, Lease>();
  readonly #fates = new Map<Verb, LeaseFate[]>();
  #version = 1_000;
  #uids = 0;

  /** What happens to the next requests of a verb, in order. */
  fates(verb: Verb, ...fates: LeaseFate[]): void {
    this.#fates.set(verb, [...this.#fates.get(verb) ?? [], ...fates]);
  }

  /** Nothing answers, or everything does again. */
  set reachable(reachable: boolean) {
    for (const verb of ["list", "get", "create", "update", "delete"] as const) {
      if (reachable) this.always.delete(verb);
      else this.always.set(verb, "lost");
    }
  }

  /** All Leases as they are. */
  get all(): readonly Lease[] {
    return [...this.#leases.values()];
  }

  /** One of them. */
  named(name: string): Lease | undefined {
    return this.#leases.get(name);
  }

  /** Somebody else writes one, whatever is there. */
  put(lease: Lease): Lease {
    const name = lease.metadata?.name ?? "";
    const uid = this.#leases.get(name)?.metadata?.uid ?? `uid-${++this.#uids}`;
    const stored = {
      ...lease,
      metadata: { ...lease.metadata, uid, resourceVersion: String(++this.#version) },
    };
    this.#leases.set(name, stored);
    this.onChange({ type: "set", object: stored });
    return stored;
  }

  /** Somebody else deletes one. */
  drop(name: string): void {
    const lease = this.#leases.get(name);
    if (lease === undefined) return;
    this.#leases.delete(name);
    const metadata = { ...lease.metadata, resourceVersion: String(++this.#version) };
    this.onChange({ type: "gone", object: { ...lease, metadata } });
  }

  /** The data is as in a backup, and versions go on from there. */
  restore(backup: readonly Lease[]): void {
    this.#leases.clear();
    this.#version = 0;
    for (const lease of backup) {
      this.#leases.set(lease.metadata?.name ?? "", lease);
      this.#version = Math.max(this.#version, Number(lease.metadata?.resourceVersion));
    }
  }

  list(labelSelector: string, _signal: AbortSignal): Promise<readonly Lease[]> {
    const wanted = labelSelector.split(",").filter(Boolean).map((pair) => pair.split("="));
    return this.#meet(
      "list",
      "",
      () =>
        this.all.filter(({ metadata }) => wanted.every(([key, value]) => metadata?.labels?.[key!] === value)),
    );
  }

  get(name: string, _signal: AbortSignal): Promise<Lease> {
    return this.#meet("get", name, () => this.#find("get", name));
  }

  create(lease: Lease, _signal: AbortSignal): Promise<Lease> {
    const name = lease.metadata?.name ?? "";
    return this.#meet("create", name, () => {
      if (this.#leases.has(name)) throw failure("create", name, 409);
      return this.put(lease);
    });
  }

  update(lease: Lease, _signal: AbortSignal): Promise<Lease> {
    const name = lease.metadata?.name ?? "";
    return this.#meet("update", name, () => {
      this.#check("update", lease);
      return this.put(lease);
    });
  }

  async remove(lease: Lease, _signal: AbortSignal): Promise<void> {
    const name = lease.metadata?.name ?? "";
    await this.#meet("delete", name, () => {
      this.#check("delete", lease);
      this.drop(name);
    });
  }

  async #meet<T>(verb: Verb, name: string, carryOut: () => T): Promise<T> {
    this.requests.push(`${verb} ${name}`.trim());
    const fate = this.#fates.get(verb)?.shift() ?? this.always.get(verb) ?? "ok";
    await Promise.resolve();
    if (fate === "lost") throw new TimeoutError("no answer");
    if (fate === "denied") throw failure(verb, name, 403, "exceeded quota");
    if (typeof fate === "number") throw failure(verb, name, fate);
    if (typeof fate === "object" && "before" in fate) await fate.before;
    const result = carryOut();
    if (fate === "unanswered") throw new TimeoutError("no answer");
    if (typeof fate === "object" && "after" in fate) await fate.after;
    return result;
  }

  #find(verb: Verb, name: string): Lease {
    const lease = this.#leases.get(name);
    if (lease === undefined) throw failure(verb, name, 404);
    return lease;
  }

  #check(verb: Verb, { metadata }: Lease): void {
    const found = this.#find(verb, metadata?.name ?? "").metadata;
    if (metadata?.uid !== found?.uid || metadata?.resourceVersion !== found?.resourceVersion) {
      throw failure(verb, metadata?.name ?? "", 409);
    }
  }
}

function failure(verb: Verb, name: string, status: number, message?: string): ApiError {
  const target = { verb, group: "coordination.k8s.io", resource: "leases", namespace: "n", name };
  const said = status === 403 ? `User "proxy" cannot ${verb} resource "leases"` : `status ${status}`;
  return new ApiError(target, status, { message: message ?? said });
}
