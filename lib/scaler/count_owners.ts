/**
 * Keeps the list of those who own the count short. A claim of an unchanged count makes its field manager one more owner
 * in `metadata.managedFields`, and nothing takes it out again as long as the count stays: with hundreds of owners the API
 * server takes seconds for each claim. So the leader has the surplus give up its share, one at a time, while nothing else
 * is to be done. This never changes the count: a dry run checks that before each write.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import { retryDelayMs } from "../kube/client.ts";
import { MANAGER, type ScaleApi } from "../kube/scale.ts";
import type { StatefulSet } from "../kube/types.ts";
import type { Peers } from "./peers.ts";
import type { Placement } from "./placement.ts";
import type { Scaler } from "./scaler.ts";

/**
 * So many claimers may own the count at a time: few for the API server, and enough to show who raised the count lately.
 */
export const KEPT_OWNERS = 10;

/** Between two removals, in ms: they are never urgent. */
const PAUSE_MS = 200;

/** What it is done with. */
export interface CountOwnersPorts extends Pick<BasePorts, "clock" | "random" | "log"> {
  /** The count. */
  readonly scale: ScaleApi;
  /** Told of the versions that this makes. */
  readonly placement: Placement;
  /** Only the leader does it, so that several do not get in each other's way. */
  readonly peers: Pick<Peers, "leads" | "subscribe">;
  /** Goes first: it writes the count for a better reason. */
  readonly scaler: Pick<Scaler, "busy">;
}

/** Who owns which fields of the StatefulSet, as its metadata says. */
export type ManagedFields = NonNullable<StatefulSet["metadata"]>["managedFields"];

/** The field managers of our claims that own the count. */
export function claimersOf(managedFields: ManagedFields): readonly string[] {
  return ownersOf(managedFields).flatMap(({ manager, operation, subresource }) =>
    operation === "Apply" && subresource === "scale" && manager?.startsWith(`${MANAGER}-`) ? [manager] : []
  );
}

/**
 * True when only proxies own the count: then one of them has set it, since a change takes the ownership from all
 * others.
 */
export function isSetByProxy(managedFields: ManagedFields): boolean {
  const owners = ownersOf(managedFields);
  return owners.length > 0 &&
    owners.every(({ manager }) => manager === MANAGER || manager?.startsWith(`${MANAGER}-`));
}

function ownersOf(managedFields: ManagedFields): NonNullable<ManagedFields> {
  return (managedFields ?? []).filter(({ fieldsV1 }) =>
    (fieldsV1 as Fields | undefined)?.["f:spec"]?.["f:replicas"] !== undefined
  );
}

interface Fields {
  readonly "f:spec"?: { readonly "f:replicas"?: unknown };
}

/** Watches and shortens the list. */
export class CountOwners {
  readonly #ports: CountOwnersPorts;
  readonly #changed = new Notifier();
  #seen: { readonly version: string; readonly claimers: readonly string[] } | undefined;

  /** Starts nothing: `run` does. */
  constructor(ports: CountOwnersPorts) {
    this.#ports = ports;
    ports.placement.subscribeBeyondLoad(() => this.#changed.notify());
    ports.peers.subscribe(() => this.#changed.notify());
  }

  /** Takes note of a state of the StatefulSet. */
  see(version: string, managedFields: ManagedFields): void {
    this.#seen = { version, claimers: claimersOf(managedFields) };
    this.#changed.notify();
  }

  /** Runs until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log, scaler } = this.#ports;
    for (let failures = 0;;) {
      const surplus = this.#surplus();
      if (surplus === undefined) {
        await this.#changed.wait(clock, Infinity, signal);
        continue;
      }
      // The scaler does not report when that is over.
      if (scaler.busy) {
        await sleep(clock, PAUSE_MS, signal);
        continue;
      }
      try {
        await this.#giveUp(surplus, signal);
        failures = 0;
        await sleep(clock, PAUSE_MS, signal);
      } catch (error) {
        signal.throwIfAborted();
        log.debug("field_manager_removal_failed", { cause: messageOf(error) });
        await sleep(clock, retryDelayMs(error, failures++, random), signal);
      }
    }
  }

  /** A claimer that need not own the count, if there is one and this is the time. */
  #surplus(): string | undefined {
    const { placement, peers } = this.#ports;
    if (!peers.leads || this.#seen?.version !== placement.agreement.seen?.version) return undefined;
    const claimers = this.#seen?.claimers ?? [];
    return claimers.length > KEPT_OWNERS ? claimers[0] : undefined;
  }

  /**
   * On condition of the version in which other managers own the count, too: without any owner, the count would be
   * removed.
   */
  async #giveUp(manager: string, signal: AbortSignal): Promise<void> {
    const { log, scale, placement, peers, scaler } = this.#ports;
    const { seen } = placement.agreement;
    if (seen === undefined) return;
    const { replicas } = await scale.giveUp(seen, manager, signal, { dryRun: true });
    if (replicas !== seen.replicas) {
      throw new Error(`The API server would change the count from ${seen.replicas} to ${replicas}`);
    }
    if (!peers.leads || scaler.busy) return;
    const after = await scale.giveUp(seen, manager, signal);
    if (after.version === seen.version) {
      throw new Error(`The API server did not remove the field manager "${manager}"`);
    }
    placement.see(after, seen.version);
    log.debug("field_manager_removed", { manager });
  }
}
