/**
 * The name and the owner of the election's Lease, of which a process has one for all its StatefulSets. It is named after
 * the first StatefulSet, and belongs to the first one that is there, so that it goes when that goes. Pure but for its
 * memory; `election.ts` reads and writes the Lease.
 *
 * @module
 */
import type { Lease } from "../kube/types.ts";
import { leaseMetadata, leaseName, type RecordTarget } from "./record.ts";

/** The StatefulSets of a process. */
export interface ElectionTargets {
  /** Their namespace. */
  readonly namespace: string;
  /** Their names, in their order. */
  readonly names: readonly [string, ...string[]];
}

/** The Lease, without what is in it. */
export class ElectionLease {
  /** The Lease's name. */
  readonly name: string;
  readonly #targets: ElectionTargets;
  readonly #present = new Map<string, string>();
  /** Kept while no StatefulSet is there: then the Lease goes, too. */
  #owner: Partial<Pick<RecordTarget, "uid">> & Pick<RecordTarget, "name">;

  /** No StatefulSet was seen yet. */
  constructor(targets: ElectionTargets) {
    this.#targets = targets;
    const [first] = targets.names;
    this.#owner = { name: first };
    this.name = leaseName(first, "autoscaler-leader");
  }

  /** The StatefulSet `name` has this uid; undefined: it is not there. */
  see(name: string, uid: string | undefined): void {
    if (uid === undefined) this.#present.delete(name);
    else this.#present.set(name, uid);
    const owner = this.#targets.names.find((each) => this.#present.has(each));
    if (owner !== undefined) this.#owner = { name: owner, uid: this.#present.get(owner)! };
  }

  /** What the Lease's metadata should be now, without version and uid. */
  get metadata(): NonNullable<Lease["metadata"]> {
    return leaseMetadata({ ...this.#owner, namespace: this.#targets.namespace }, this.name, "election");
  }
}
