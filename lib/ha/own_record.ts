/**
 * This proxy's own record: writes it, keeps it alive and deletes it. One write at a time. It knows for how long the
 * others can rely on the last write.
 *
 * @module
 */
import type { BasePorts } from "../base/ports.ts";
import { ApiError, isConflict } from "../kube/api_error.ts";
import type { LeaseApi } from "../kube/leases.ts";
import type { Lease } from "../kube/types.ts";
import { isNewer } from "../scaler/agreement.ts";
import type { ReplicaCount } from "../scaler/replica_count.ts";
import { type RecordBody, recordLease, type RecordTarget } from "./record.ts";

/** The record is not there any more: somebody has deleted it. The proxy must join again. */
export class RecordGone extends Error {
  /** Always `RecordGone`. */
  override readonly name = "RecordGone";
}

/** The record was not renewed in time: the others may not reckon with this proxy any more. It must join again. */
export class RecordLapsed extends Error {
  /** Always `RecordLapsed`. */
  override readonly name = "RecordLapsed";
}

/** A proxy lapses this part of the expiry before its record can expire for the others: for the drift of clocks. */
const MARGIN_PART = 1 / 10;

/** What the record is made of. */
export interface OwnRecordPorts extends Pick<BasePorts, "clock"> {
  /** Writes it. */
  readonly leases: LeaseApi;
  /** New with every process. */
  readonly identity: string;
  /** The pod that the process runs in, where it runs in one: its uid. */
  readonly podUid: string | undefined;
  /** How long the others wait for a change before they take this proxy for dead, as a rule, in ms. */
  readonly expiryMs: number;
  /** The same for the record that is written next: at least {@link expiryMs}. */
  goodForMs(): Promise<number>;
  /** What it says, at the moment of the write. */
  content(): RecordBody;
  /** Told when the record has an older version than it had: the API's data was restored from a backup. */
  readonly count: Pick<ReplicaCount, "regressed">;
}

/** Deletes that meet a conflict before it is given up: then the others wait for the expiry. */
const REMOVE_TRIES = 5;

/** One proxy's record. */
export class OwnRecord {
  readonly #ports: OwnRecordPorts;
  #lease: Lease | undefined;
  /** Its Lease's name, from the first try to make it on that was not refused: it may be there although no answer said so. */
  #name: string | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** The uid of a Lease of this record that is known to be deleted. */
  #goneUid: string | undefined;
  #renewed: { readonly nowMs: number; readonly bootMs: number; readonly goodForMs: number } | undefined;

  /** Writes nothing yet. */
  constructor(ports: OwnRecordPorts) {
    this.#ports = ports;
  }

  /** Time since the last successful write was sent, in ms, a suspend included; Infinity before the first. */
  get ageMs(): number {
    if (this.#renewed === undefined) return Infinity;
    const { clock } = this.#ports;
    // The boot clock is only good to the second.
    const suspendedMs = clock.bootMs() - this.#renewed.bootMs - 1_000;
    return Math.max(clock.nowMs() - this.#renewed.nowMs, suspendedMs);
  }

  /** True when the others do not reckon with this proxy any more, or soon will not. */
  get lapsed(): boolean {
    const { expiryMs } = this.#ports;
    return this.ageMs >= (this.#renewed?.goodForMs ?? expiryMs) - expiryMs * MARGIN_PART;
  }

  /**
   * Writes the record of a proxy that joins, and makes it if it is not there. What the others had agreed while it was
   * not heard of binds it, so it has to read the count after that.
   *
   * @throws RecordGone when it was there and is not any more; else what the API says
   */
  join(target: RecordTarget, signal: AbortSignal): Promise<void> {
    return this.#inTurn(() => this.#write(target, signal));
  }

  /**
   * Writes the record as it now is. A write that succeeds too late does not make up for that.
   *
   * @throws RecordGone when it is not there any more, RecordLapsed when the one before was too long ago; else what the
   * API says
   */
  write(target: RecordTarget, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#renewed;
      if (before === undefined) throw new RecordGone("This proxy has no record");
      await this.#write(target, signal);
      const after = this.#renewed;
      this.#renewed = before;
      if (this.lapsed) throw new RecordLapsed("The record of this proxy was not renewed in time");
      this.#renewed = after;
    });
  }

  /** A watch says that a Lease is gone. True if that was this record: then this proxy must join again. */
  deleted({ metadata }: Lease): boolean {
    const uid = metadata?.uid;
    if (uid === undefined || uid !== this.#lease?.metadata?.uid) return false;
    this.#goneUid = uid;
    this.#forget();
    return true;
  }

  /** Deletes it, if it is there. */
  remove(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#name === undefined) return;
      const { leases } = this.#ports;
      for (let conflicts = 0;;) {
        try {
          // Somebody may have touched it; it is ours all the same.
          await leases.remove(await leases.get(this.#name, signal), signal);
          break;
        } catch (error) {
          if (error instanceof ApiError && error.status === 404) break;
          // A write of our own that was given up may land in between.
          if (!isConflict(error) || ++conflicts === REMOVE_TRIES) throw error;
        }
      }
      this.#forget();
    });
  }

  async #write(target: RecordTarget, signal: AbortSignal): Promise<void> {
    const { clock, identity, podUid } = this.#ports;
    const goodForMs = await this.#ports.goodForMs();
    const sent = { nowMs: clock.nowMs(), bootMs: clock.bootMs(), goodForMs };
    const renewed = new Date(clock.wallMs()).toISOString().replace("Z", "000Z");
    const wanted = recordLease(target, {
      identity,
      podUid,
      expiryMs: goodForMs,
      renewed,
      body: this.#ports.content(),
    });
    const before = this.#name;
    this.#name = wanted.metadata!.name!;
    const written = this.#lease === undefined
      ? await this.#create(wanted, signal).catch((error) => {
        // Refused, it has not been made by this try.
        if (error instanceof ApiError && error.status === 403) this.#name = before;
        throw error;
      })
      : await this.#update(wanted, this.#lease, signal);
    // The news of its end may be quicker than the answer to a write before.
    const { uid } = written.metadata ?? {};
    if (uid !== undefined && uid === this.#goneUid) {
      throw new RecordGone("The record of this proxy was deleted");
    }
    this.#lease = written;
    this.#renewed = sent;
  }

  async #create(wanted: Lease, signal: AbortSignal): Promise<Lease> {
    const { leases } = this.#ports;
    try {
      return await leases.create(wanted, signal);
    } catch (error) {
      if (!isConflict(error)) throw error;
      // The name is this process's own, so an earlier try did land.
      const found = await leases.get(wanted.metadata!.name!, signal);
      // One that was deleted and lives has come back with a backup.
      if (found.metadata?.uid === this.#goneUid) this.#goneUid = undefined;
      return await leases.update(withVersionOf(wanted, found), signal);
    }
  }

  async #update(wanted: Lease, known: Lease, signal: AbortSignal): Promise<Lease> {
    const { leases } = this.#ports;
    const gone = (error: unknown) => error instanceof ApiError && error.status === 404;
    try {
      return await leases.update(withVersionOf(wanted, known), signal);
    } catch (error) {
      if (!isConflict(error) && !gone(error)) throw error;
      // Edited by hand, or written by a try that timed out: then it goes on. Or deleted, and perhaps made anew.
      const found = await leases.get(wanted.metadata!.name!, signal).catch((failure) => {
        if (!gone(failure)) throw failure;
        return undefined;
      });
      // One that is older than it was comes from a backup, and nothing that was seen since then means anything.
      const isOlder = isNewer(versionOf(known), versionOf(found));
      if (isOlder) this.#ports.count.regressed(versionOf(known), versionOf(found));
      if (found !== undefined && found.metadata?.uid === known.metadata?.uid && !isOlder) {
        return await leases.update(withVersionOf(wanted, found), signal);
      }
      this.#forget();
      throw new RecordGone("The record of this proxy was deleted", { cause: error });
    }
  }

  #forget(): void {
    this.#lease = undefined;
    this.#renewed = undefined;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

function versionOf(lease: Lease | undefined): string {
  return lease?.metadata?.resourceVersion ?? "";
}

function withVersionOf(wanted: Lease, { metadata }: Lease): Lease {
  const { uid, resourceVersion } = metadata ?? {};
  return {
    ...wanted,
    metadata: {
      ...wanted.metadata,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}
