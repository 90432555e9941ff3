/**
 * This proxy's own record: when it is due, how it is written, and how it is deleted. One write at a time. How long the
 * others can rely on the last write is kept by `standing.ts`, and what the record says by `statement.ts`.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import { ApiError, isConflict } from "../kube/api_error.ts";
import type { LeaseApi } from "../kube/leases.ts";
import { microTime } from "../kube/micro_time.ts";
import type { Lease } from "../kube/types.ts";
import { isNewer } from "../scaler/agreement.ts";
import type { CountReader } from "../scaler/count_reader.ts";
import type { CountWrites } from "./count_writes.ts";
import type { KnownRecords } from "./known_records.ts";
import { recordLease, type RecordTarget, RENEWALS } from "./record.ts";
import type { Renewal, Standing } from "./standing.ts";
import type { Statement } from "./statement.ts";
import type { RecordLifetime } from "./token_end.ts";

/** The record was deleted by somebody: the others may scale down without asking this proxy. It must join again. */
export class RecordGone extends Error {
  /** Always `RecordGone`. */
  override readonly name = "RecordGone";
}

/** The record was not renewed in time: the others may scale down without asking this proxy. It must join again. */
export class RecordLapsed extends Error {
  /** Always `RecordLapsed`. */
  override readonly name = "RecordLapsed";
}

/** What the record is made of. */
export interface OwnRecordPorts extends Pick<BasePorts, "clock"> {
  /** Writes it. */
  readonly leases: LeaseApi;
  /** New with every process. */
  readonly identity: string;
  /** The pod that the process runs in, where it runs in one: its uid. */
  readonly podUid: string | undefined;
  /** How long the others wait for a change before they take this proxy for dead, as a rule, in ms. */
  readonly recordExpiryMs: number;
  /** How long the record is good for that is written next. */
  readonly lifetime: Pick<RecordLifetime, "goodForMs">;
  /** What it says. */
  readonly statement: Pick<Statement, "body" | "subscribe" | "onCounts">;
  /** Paces the writes for changed numbers alone. */
  readonly countWrites: CountWrites;
  /** Told of renewals. */
  readonly standing: Standing;
  /** Tell when a Lease is gone. */
  readonly records: Pick<KnownRecords, "onGone">;
  /** Told when the record's version is older than before: the API's data was restored from a backup. */
  readonly count: Pick<CountReader, "regressed">;
}

/** No two writes of the record are closer together, in ms, unless somebody waits for an answer. */
const RATE_MS = 500;

/** How soon a record that only is kept alive is tried again, in ms. */
const RETRY_MS = 5_000;

/** Deletes that meet a conflict before it is given up: then the others wait for the expiry. */
const REMOVE_TRIES = 5;

/**
 * Why a record is to be written before its renewal: somebody waits for it, the others should hear of a change, or numbers
 * have changed that the agreement does not depend on.
 */
type Due = "urgent" | "soon" | "counts";

/** One proxy's record. */
export class OwnRecord {
  readonly #ports: OwnRecordPorts;
  #lease: Lease | undefined;
  /** Its Lease's name since the first try to create it that was not refused: an unanswered try may have created it. */
  #name: string | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** The uid of a Lease of this record that is known to be deleted. */
  #goneUid: string | undefined;
  readonly #changed = new Notifier();
  #due: Due | undefined;
  /** The next write is for changed numbers alone. */
  #isForCounts = false;
  /** When the last write was sent that was not, monotonic ms. */
  #sentMs = -Infinity;
  #target: RecordTarget | undefined;

  /** Writes nothing yet. */
  constructor(ports: OwnRecordPorts) {
    this.#ports = ports;
    ports.statement.subscribe(() => this.publish());
    ports.statement.onCounts(() => this.#publish("counts"));
    ports.records.onGone((lease) => this.#gone(lease));
  }

  /** From now on the record belongs to this scale target. */
  set target(target: RecordTarget) {
    this.#target = target;
  }

  /** The record has to be written soon; `urgent` if somebody waits for it. */
  publish(urgent = false): void {
    this.#publish(urgent ? "urgent" : "soon");
  }

  #publish(due: Due): void {
    this.#raise(due);
    this.#changed.notify();
  }

  #raise(due: Due): void {
    const isLess = this.#due === "urgent" || (this.#due === "soon" && due === "counts");
    if (!isLess) this.#due = due;
  }

  /** Resolves when the record is to be written next: in time for its renewal, or after {@link publish}; a retry soon. */
  async whenDue(isRetry: boolean, signal: AbortSignal): Promise<void> {
    const { clock, recordExpiryMs, standing, countWrites } = this.#ports;
    if (isRetry) this.#raise("soon");
    const renewMs = standing.renewedMs + recordExpiryMs / RENEWALS;
    signal.throwIfAborted();
    for (let untilMs; clock.nowMs() < (untilMs = Math.min(renewMs, this.#dueMs()));) {
      await this.#changed.wait(clock, untilMs, signal);
    }
    this.#isForCounts = this.#due === "counts";
    if (this.#isForCounts) countWrites.written(clock.nowMs());
    this.#due = undefined;
  }

  /** When the record is to be written for what was published, monotonic ms; Infinity if that is nothing. */
  #dueMs(): number {
    const { standing: { renewedMs }, countWrites } = this.#ports;
    switch (this.#due) {
      case "urgent":
        return -Infinity;
      case "soon":
        return Math.min(renewedMs, this.#sentMs) + RATE_MS;
      case "counts":
        return Math.max(renewedMs + RATE_MS, countWrites.nextMs);
      case undefined:
        return Infinity;
    }
  }

  /**
   * Writes the record of a proxy that joins, and creates it if it is not there. The caller reads the count after this:
   * what the others agreed before this write binds this proxy, too.
   *
   * @throws RecordGone when it was there and is not any more; else what the API says
   */
  join(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      this.#ports.standing.renewal = await this.#write(signal);
    });
  }

  /**
   * Writes the record as it is now. A write that succeeds after the record has lapsed does not count as a renewal.
   *
   * @throws RecordGone when it is not there any more, RecordLapsed when the one before was too long ago; else what the
   * API says
   */
  write(signal: AbortSignal): Promise<void> {
    const { standing } = this.#ports;
    return this.#inTurn(async () => {
      if (standing.renewal === undefined) throw new RecordGone("This proxy has no record");
      const renewal = await this.#write(signal).catch((error) => {
        // The numbers have perhaps not been told.
        this.#publish("counts");
        throw error;
      });
      if (standing.lapsed) throw new RecordLapsed("The record of this proxy was not renewed in time");
      standing.renewal = renewal;
    });
  }

  /**
   * Only keeps it alive, until the signal is aborted: for running sessions of a program of which a part has failed.
   * This proxy consents to nothing more, so nobody scales those sessions away.
   */
  async keepAlive(signal: AbortSignal): Promise<void> {
    if (this.#target === undefined) return;
    const { clock, recordExpiryMs } = this.#ports;
    while (!signal.aborted) {
      const pauseMs = await this.join(signal).then(() => recordExpiryMs / RENEWALS, () => RETRY_MS);
      await sleep(clock, pauseMs, signal).catch(() => {});
    }
  }

  /** Deletes it, if it is there. */
  remove(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#name === undefined) return;
      const { leases } = this.#ports;
      for (let conflicts = 0;;) {
        try {
          // Read first: somebody else may have changed its version.
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

  async #write(signal: AbortSignal): Promise<Renewal> {
    const { clock, identity, podUid, lifetime, statement } = this.#ports;
    const target = this.#target;
    if (target === undefined) throw new Error("The StatefulSet was not seen yet");
    const goodForMs = await lifetime.goodForMs();
    const sent = { nowMs: clock.nowMs(), bootMs: clock.bootMs(), goodForMs };
    const isForCounts = this.#takePurpose();
    const renewed = microTime(clock.wallMs());
    const wanted = recordLease(target, {
      identity,
      podUid,
      expiryMs: goodForMs,
      renewed,
      body: statement.body,
    });
    const before = this.#name;
    this.#name = wanted.metadata!.name!;
    const written = this.#lease === undefined
      ? await this.#create(wanted, signal).catch((error) => {
        // A refused try has created nothing.
        if (error instanceof ApiError && error.status === 403) this.#name = before;
        throw error;
      })
      : await this.#update(wanted, this.#lease, signal);
    // The watch may show the deletion before the answer to an earlier write arrives.
    const { uid } = written.metadata ?? {};
    if (uid !== undefined && uid === this.#goneUid) {
      throw new RecordGone("The record of this proxy was deleted");
    }
    this.#lease = written;
    if (!isForCounts) this.#sentMs = sent.nowMs;
    return sent;
  }

  /** Whether the write that is sent now is for changed numbers alone. Every write has the present numbers. */
  #takePurpose(): boolean {
    const isForCounts = this.#isForCounts;
    this.#isForCounts = false;
    if (this.#due === "counts") this.#due = undefined;
    return isForCounts;
  }

  async #create(wanted: Lease, signal: AbortSignal): Promise<Lease> {
    const { leases } = this.#ports;
    try {
      return await leases.create(wanted, signal);
    } catch (error) {
      if (!isConflict(error)) throw error;
      // The name is this process's own, so an earlier try did land.
      const found = await leases.get(wanted.metadata!.name!, signal);
      // A Lease that was deleted and is there again was restored from a backup.
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
      // If it was edited by hand, or written by a try that timed out, it is updated. It may also be deleted.
      const found = await leases.get(wanted.metadata!.name!, signal).catch((failure) => {
        if (!gone(failure)) throw failure;
        return undefined;
      });
      // An older version than before comes from a backup: what was seen since then is void.
      const isOlder = isNewer(versionOf(known), versionOf(found));
      if (isOlder) this.#ports.count.regressed(versionOf(known), versionOf(found));
      if (found !== undefined && found.metadata?.uid === known.metadata?.uid && !isOlder) {
        return await leases.update(withVersionOf(wanted, found), signal);
      }
      this.#forget();
      throw new RecordGone("The record of this proxy was deleted", { cause: error });
    }
  }

  /** A Lease is gone. If that was this record, this proxy must join again at once. */
  #gone({ metadata }: Lease): void {
    const uid = metadata?.uid;
    if (uid === undefined || uid !== this.#lease?.metadata?.uid) return;
    this.#goneUid = uid;
    this.#forget();
    this.publish(true);
  }

  #forget(): void {
    this.#lease = undefined;
    this.#ports.standing.renewal = undefined;
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
