/**
 * How this proxy joins the others and remains a member: it writes its record, promises to place nothing until the
 * version of the count has moved on, claims the count (or waits, if it only observes: `outwait.ts`), renews the record,
 * and joins again when the record was lost. `standing.ts` says what the proxy may do in which state.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { sleep } from "../base/clock.ts";
import { FatalError } from "../base/errors.ts";
import { Listeners } from "../base/listeners.ts";
import { CauseLog } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import { isConflict, isForbidden } from "../kube/api_error.ts";
import { retryDelayMs } from "../kube/client.ts";
import type { LeaseApi } from "../kube/leases.ts";
import type { Placement } from "../scaler/placement.ts";
import type { CountReader } from "../scaler/count_reader.ts";
import type { ReplicaCount } from "../scaler/replica_count.ts";
import { removePredecessor } from "./dead_records.ts";
import type { KnownRecords } from "./known_records.ts";
import { outwait } from "./outwait.ts";
import { type OwnRecord, RecordGone, RecordLapsed } from "./own_record.ts";
import { type RecordTarget, RENEWALS } from "./record.ts";
import { isAlone, untilAllowed } from "./alone.ts";
import type { MemberState, Standing, StandingSettings } from "./standing.ts";

/** What the membership is made of. */
export interface MembershipPorts extends Pick<BasePorts, "clock" | "random" | "log"> {
  /** Looks for others and for a predecessor. */
  readonly leases: LeaseApi;
  /** Read. */
  readonly count: Pick<CountReader, "read" | "onRegressed">;
  /** Claims the count once joined, so that its version moves on; undefined if this proxy only observes. */
  readonly writer: Pick<ReplicaCount, "claimPresent"> | undefined;
  /** Lists the records. */
  readonly records: Pick<KnownRecords, "list">;
  /** Gets the promise of a proxy that joins. */
  readonly placement: Placement;
  /** This proxy's record. */
  readonly record: OwnRecord;
  /** Where this proxy stands: changed here. */
  readonly standing: Standing;
  /** The fault under which all of its own stand: that there is no access to the API. */
  readonly access?: CauseLog;
  /** This process. */
  readonly identity: string;
  /** The pod it runs in, if it runs in one. */
  readonly podUid: string | undefined;
}

/**
 * If a renewal failed this recently, a lapse means that the proxy is cut off; otherwise the process stood still, in ms.
 * Longer than the pauses between retries.
 */
const RECENT_FAILURE_MS = 15_000;

/**
 * A record that is lost this soon after an earlier one is made anew only after a pause, in ms. Longer than that pause.
 */
const RECENT_LOSS_MS = 15_000;

/** One proxy's membership. */
export class Membership {
  readonly #settings: StandingSettings;
  readonly #ports: MembershipPorts;
  readonly #faults: CauseLog;
  readonly #joinFaults: CauseLog;
  #ready = false;
  readonly #whenReady = Promise.withResolvers<void>();
  readonly #whenRecorded = Promise.withResolvers<void>();
  readonly #unclaimed = new Listeners();
  #failedMs = -Infinity;
  /** The version that the promise made when joining is on. */
  #joinedAt = "";
  /** It only observes, and waits after it has joined: see `outwait.ts`. */
  #outwaits = false;

  /** Starts nothing: `run` does. */
  constructor(settings: StandingSettings, ports: MembershipPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#faults = new CauseLog(ports.log, "own_record_renewal_failed", ports.access);
    this.#joinFaults = new CauseLog(ports.log, "join_failed", ports.access);
    ports.standing.onLapse(() => this.#noticeLapse());
    ports.count.onRegressed(() => this.#rejoin());
  }

  /** Where this proxy stands. */
  get state(): MemberState {
    return this.#ports.standing.state;
  }

  /** True once it has joined for the first time and the version of the count has moved on since. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Resolves when {@link ready} becomes true. */
  get whenReady(): Promise<void> {
    return this.#whenReady.promise;
  }

  /** Resolves when it has joined with a record for the first time: the others can see it. Never while it is alone. */
  get whenRecorded(): Promise<void> {
    return this.#whenRecorded.promise;
  }

  /**
   * Calls `listener` when it has joined and will not claim the count: no new version of the StatefulSet will come of it, from
   * which could be seen whether the present count is settled.
   */
  onUnclaimed(listener: () => void): void {
    this.#unclaimed.add(listener);
  }

  /** Why the others cannot see this proxy; undefined if they can. */
  get fault(): string | undefined {
    return this.#joinFaults.cause ?? this.#faults.cause;
  }

  /** Why this proxy places no session even if a pod is ready; undefined if it would. */
  get obstacle(): string | undefined {
    return this.#joinFaults.cause ?? (this.#ports.standing.places ? undefined : this.#faults.cause);
  }

  /**
   * Why new sessions are held by a proxy that was ready before: with `--when-cut-off=hold`, or since one that only observes has
   * joined again beside one that scales. Undefined otherwise.
   */
  get holding(): string | undefined {
    if (!this.#ready) return undefined;
    if (this.#outwaits) {
      return "New sessions are held: another proxy scales, and may know nothing of this one yet";
    }
    if (this.#ports.standing.places || this.#settings.whenCutOff === "serve") return undefined;
    return `New sessions are held (--when-cut-off=hold): ${this.fault ?? "this proxy has to join again"}`;
  }

  /**
   * The API's data was restored from a backup, so all promises are void: joins again before anything more is placed.
   */
  #rejoin(): void {
    const { standing, record } = this.#ports;
    if (standing.state !== "joined") return;
    standing.state = "joining";
    record.publish(true);
  }

  /** Runs until the signal is aborted. @throws FatalError when it may not write a record and another proxy is there */
  async run(target: RecordTarget, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#ports;
    let losses = 0;
    let lostMs = -Infinity;
    for (let failures = 0;;) {
      let faults = this.#joinFaults;
      try {
        await this.#join(target, signal);
        failures = 0;
        faults = this.#faults;
        await this.#claimAndStay(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof FatalError) throw error;
        if (error instanceof RecordGone || error instanceof RecordLapsed) {
          // The others may scale down without the consent of a proxy that has no valid record.
          const { log } = this.#ports;
          const then = "it joins again";
          if (error instanceof RecordGone) log.warn("own_record_deleted", { then });
          else log.warn("own_record_expired", { then });
          this.#ports.standing.state = "joining";
          // At once, but with pauses if somebody deletes the record each time.
          losses = clock.nowMs() - lostMs < RECENT_LOSS_MS ? losses + 1 : 0;
          lostMs = clock.nowMs();
          if (losses > 0) await sleep(clock, retryDelayMs(error, losses - 1, random), signal);
          continue;
        }
        this.#failed(error, faults);
        // Its record may be there, and protects running sessions, so the pause is short enough to renew it in time.
        const mostMs = this.#settings.recordExpiryMs / RENEWALS;
        await sleep(clock, Math.min(mostMs, retryDelayMs(error, failures++, random)), signal);
      }
    }
  }

  /**
   * One try to join. The order matters:
   *
   * 1. Write the record. A leader that lists the records from now on asks this proxy for its consent.
   * 2. Read the count, and place nothing until a newer version is seen. A leader that listed the records before read
   *    the count before that, too, so its scale-down is conditioned on this version or an older one.
   * 3. Only then the state is `joined`, in which sessions are placed.
   */
  async #join(target: RecordTarget, signal: AbortSignal): Promise<void> {
    const { record, count, placement, standing } = this.#ports;
    try {
      await record.join(signal);
      if (standing.state === "alone") standing.state = "joining";
    } catch (error) {
      // A proxy that has joined before and loses its rights is cut off, not alone.
      if (!isForbidden(error) || (this.#ready && standing.state !== "alone")) throw error;
      if (standing.state !== "alone") {
        this.#failed(error, this.#joinFaults);
        if (await isAlone(target, error, this.#ports, signal)) standing.state = "alone";
      }
    }
    if (standing.state !== "alone") standing.state = "joining";
    if (!this.#ready && standing.state !== "alone") await removePredecessor(target, this.#ports, signal);
    const { version, uid } = await count.read(signal);
    // Its record belongs to another StatefulSet than the one that it would place sessions on.
    if (uid !== undefined && uid !== target.uid) {
      throw new Error("The StatefulSet was made anew, and that was not seen yet");
    }
    placement.bind(version);
    this.#joinedAt = version;
    // The count may have fallen and risen unseen while this proxy was no member, so the pods that it knows may
    // be going.
    placement.pods.countsMissed();
    if (standing.state !== "alone") {
      standing.state = "joined";
      this.#faults.succeeded();
      this.#whenRecorded.resolve();
    }
  }

  /** Claims the present count, and renews the record meanwhile, however long that takes. Ends as {@link #stay} does. */
  async #claimAndStay(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    using part = anySignal(signal, over.signal);
    const claiming = this.#claimPresent(part.signal).catch((error) => {
      if (!part.signal.aborted) throw error;
    });
    try {
      await this.#stay(signal);
    } finally {
      over.abort(new Error("The proxy joins again"));
      await claiming;
    }
  }

  /** Ends the promise made when joining, and this proxy is ready. */
  async #claimPresent(signal: AbortSignal): Promise<void> {
    const { clock, random, log, identity } = this.#ports;
    for (let failures = 0;;) {
      try {
        await this.#endPromise(signal);
        break;
      } catch (error) {
        signal.throwIfAborted();
        this.#joinFaults.failed(error);
        await sleep(clock, retryDelayMs(error, failures++, random), signal);
      }
    }
    this.#joinFaults.succeeded();
    if (!this.#ready) log.info("proxy_joined", { identity, state: this.state });
    this.#ready = true;
    this.#whenReady.resolve();
  }

  /** By moving the version of the count on; if this proxy only observes, by waiting. */
  async #endPromise(signal: AbortSignal): Promise<void> {
    const { count, writer, standing } = this.#ports;
    if (writer !== undefined) {
      return await writer.claimPresent(signal).catch(async (error) => {
        if (!isConflict(error)) throw error;
        await count.read(signal);
      });
    }
    this.#unclaimed.tell();
    // One that is alone has found nobody, and may not list the records.
    const records = standing.state === "alone" ? { list: () => Promise.resolve([]) } : this.#ports.records;
    this.#outwaits = true;
    try {
      await outwait(this.#joinedAt, { ...this.#ports, records }, signal);
    } finally {
      this.#outwaits = false;
    }
  }

  /**
   * Renews the record, on time and when it changes. Returns when this proxy has to join again, also when it was alone
   * and has been given the right to write.
   */
  async #stay(signal: AbortSignal): Promise<void> {
    const { clock, random, record, standing } = this.#ports;
    if (standing.state === "alone") return await untilAllowed(this.#ports, signal);
    for (let failures = 0;;) {
      await record.whenDue(failures > 0, signal);
      // Checked after the wait, since `#rejoin` may have changed the state meanwhile.
      if (standing.state === "joining") return;
      try {
        await record.write(signal);
        failures = 0;
        this.#faults.succeeded();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof RecordGone || error instanceof RecordLapsed) throw error;
        this.#failed(error, this.#faults);
        if (standing.lapsed) throw error;
        await sleep(clock, Math.min(5_000, retryDelayMs(error, failures++, random)), signal);
      }
    }
  }

  #failed(error: unknown, faults: CauseLog): void {
    const { clock, standing } = this.#ports;
    this.#failedMs = clock.nowMs();
    faults.failed(error);
    if (
      standing.recordLapsed && (standing.state === "joined" || (standing.state === "joining" && this.#ready))
    ) {
      this.#cutOff();
    }
  }

  /** A session is to be placed, and the record has lapsed: this proxy is cut off, or the process stood still. */
  #noticeLapse(): void {
    if (this.#ports.clock.nowMs() - this.#failedMs <= RECENT_FAILURE_MS) this.#cutOff();
    // The session should not wait until the next renewal is due.
    else this.#ports.record.publish();
  }

  #cutOff(): void {
    const { log, placement, standing } = this.#ports;
    if (standing.state === "cut_off") return;
    const { whenCutOff } = this.#settings;
    log.warn("proxy_cut_off", {
      cause: this.fault,
      then: whenCutOff === "serve" ? "sessions to ready pods are still served" : "new sessions are held",
    });
    standing.state = "cut_off";
    // The others do not wait for this proxy any more, so its promises protect nobody.
    if (whenCutOff === "serve") placement.unbind();
  }
}
