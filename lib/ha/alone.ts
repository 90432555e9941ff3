/**
 * A proxy that has no right to write its record: it retries for a while, then runs alone if no other proxy is alive,
 * and retries from time to time. It must not run beside others, because they would not know of its sessions.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { FatalError } from "../base/errors.ts";
import type { BasePorts } from "../base/ports.ts";
import { type ApiError, isForbidden } from "../kube/api_error.ts";
import type { LeaseApi } from "../kube/leases.ts";
import type { Lease } from "../kube/types.ts";
import type { CountReader } from "../scaler/count_reader.ts";
import type { OwnRecord } from "./own_record.ts";
import { parseRecord, recordSelector, type RecordTarget } from "./record.ts";

/** What this needs. */
export interface RightsPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Looks for others. */
  readonly leases: LeaseApi;
  /** The record that this proxy would write. */
  readonly record: Pick<OwnRecord, "join">;
}

/**
 * For how long a proxy must be refused before it concludes that it has no right to Leases, in ms: in a fresh install
 * the binding may come after the program, and the API server's authorizer hears of it a moment later still.
 */
export const RIGHTS_PATIENCE_MS = 15_000;

/** How often it asks meanwhile, in ms. */
const ASK_SOON_MS = 1_000;

/** How often it asks after that, while it waits to see whether others are alive, in ms. */
const ASK_MS = 10_000;

/** How often a proxy that is alone asks again, in ms. */
const ASK_AGAIN_MS = 60_000;

/**
 * Waits until it is known whether a proxy that was `refused` its record is alone: false when its record could be
 * written after all, true when it could not and no other proxy is alive, as far as that can be seen.
 *
 * @throws FatalError when another is
 */
export async function isAlone(
  target: RecordTarget,
  refused: ApiError,
  { clock, log, leases, record }: RightsPorts,
  signal: AbortSignal,
): Promise<boolean> {
  const patientUntilMs = clock.nowMs() + RIGHTS_PATIENCE_MS;
  const others = new OtherRecords(target);
  for (let untilMs = patientUntilMs, cause = refused;;) {
    const isPatient = clock.nowMs() < patientUntilMs;
    await sleep(clock, Math.min(isPatient ? ASK_SOON_MS : ASK_MS, untilMs - clock.nowMs()), signal);
    try {
      await record.join(signal);
      return false;
    } catch (error) {
      if (!isForbidden(error)) throw error;
      cause = error;
    }
    const found = await leases.list(recordSelector(target), signal).catch((error) => {
      if (!isForbidden(error)) throw error;
      return [];
    });
    untilMs = Math.max(untilMs, others.look(found, clock.nowMs()));
    if (clock.nowMs() < patientUntilMs) continue;
    if (others.alive !== undefined) {
      throw new FatalError(
        `Cannot run beside proxy "${others.alive}" without access to Leases: ${cause.message}`,
      );
    }
    if (clock.nowMs() < untilMs) continue;
    log.error("leases_forbidden", {
      cause: cause.message,
      then: "this proxy must stay the only one: other proxies would not see its sessions",
    });
    return true;
  }
}

/**
 * Resolves when a proxy that was alone has been given the right to write its record, and has written it. It has no
 * record whose version would show that the API's data was restored from a backup, and watches are silent then: so it
 * reads the count as often as it asks.
 */
export async function untilAllowed(
  { clock, record, count }: Pick<RightsPorts, "clock" | "record"> & {
    readonly count: Pick<CountReader, "read">;
  },
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await sleep(clock, ASK_AGAIN_MS, signal);
    try {
      return await record.join(signal);
    } catch {
      signal.throwIfAborted();
    }
    await count.read(signal).catch(() => signal.throwIfAborted());
  }
}

/** The records of others, as a proxy sees them that has none: the first that changes belongs to one that is alive. */
class OtherRecords {
  readonly #target: RecordTarget;
  readonly #versions = new Map<string, string>();
  #alive: string | undefined;
  #untilMs = -Infinity;

  constructor(target: RecordTarget) {
    this.#target = target;
  }

  /** The identity of one that is alive, as far as is known. */
  get alive(): string | undefined {
    return this.#alive;
  }

  /** Takes a list. Says when all that were ever on one will have expired, if they do not change, monotonic ms. */
  look(leases: readonly Lease[], nowMs: number): number {
    for (const lease of leases) {
      const record = parseRecord(lease, this.#target);
      if (record === undefined) continue;
      const version = lease.metadata?.resourceVersion ?? "";
      const known = this.#versions.get(record.identity);
      this.#versions.set(record.identity, version);
      if (known === undefined) this.#untilMs = Math.max(this.#untilMs, nowMs + record.expiryMs);
      else if (known !== version) this.#alive = record.identity;
    }
    return this.#untilMs;
  }
}
