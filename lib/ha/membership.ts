/**
 * Whether this proxy may place sessions: it has to have joined the others, and to be heard of by them often enough.
 *
 * - `joining`: its record is not written yet, or was lost: it places nothing.
 * - `joined`: the others reckon with it. It lapses a margin before its record can expire for them.
 * - `cut_off`: it has lapsed and cannot join again, since the API is out of reach: by `--when-cut-off=serve` it goes on
 *   placing, by `hold` it does not. It tries to join all the while.
 * - `alone`: it has no right to Leases, and no other proxy was found: nobody has to be asked.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { sleep } from "../base/clock.ts";
import { FatalError } from "../base/errors.ts";
import { CauseLog } from "../base/log.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import { isConflict, isForbidden } from "../kube/api_error.ts";
import { retryDelayMs } from "../kube/client.ts";
import type { LeaseApi } from "../kube/leases.ts";
import type { Placement } from "../scaler/placement.ts";
import type { ReplicaCount } from "../scaler/replica_count.ts";
import { type OwnRecord, RecordGone, RecordLapsed } from "./own_record.ts";
import { removePredecessor } from "./predecessor.ts";
import type { RecordTarget } from "./record.ts";
import { isAlone, untilAllowed } from "./rights.ts";

/** See the module's comment. */
export const MEMBER_STATES = ["joining", "joined", "cut_off", "alone"] as const;
/** One of {@link MEMBER_STATES}. */
export type MemberState = typeof MEMBER_STATES[number];

/** The settings that matter. */
export interface MembershipSettings {
  /** How long the others wait for a change of the record, in ms. */
  readonly recordExpiryMs: number;
  /** What to do with new sessions while cut off for longer than that. */
  readonly whenCutOff: "serve" | "hold";
}

/** What the membership is made of. */
export interface MembershipPorts extends Pick<BasePorts, "clock" | "random" | "log"> {
  /** Looks for others and for a predecessor. */
  readonly leases: LeaseApi;
  /** Read, and claimed once joined, so that its version moves on. */
  readonly count: Pick<ReplicaCount, "read" | "claimPresent">;
  /** Opened and closed. */
  readonly placement: Placement;
  /** This proxy's record. */
  readonly record: OwnRecord;
  /** The fault under which all of its own stand: that there is no access to the API. */
  readonly access?: CauseLog;
  /** This process. */
  readonly identity: string;
  /** The pod it runs in, if it runs in one. */
  readonly podUid: string | undefined;
}

/** The record is renewed at least this many times within its expiry: every 30 s of 5 min. */
export const RENEWALS = 10;

/** No two writes of the record are closer together, in ms, unless somebody waits for an answer. */
const RATE_MS = 500;

/**
 * A renewal that failed this recently shows that the proxy is cut off, and did not just stand still; a record that was
 * lost this recently is made anew with a pause. Longer than any pause.
 */
const RECENT_MS = 15_000;

/** Whether a proxy places sessions, by where it stands. */
export function placesAs(
  state: MemberState,
  lapsed: boolean,
  whenCutOff: MembershipSettings["whenCutOff"],
): boolean {
  if (state === "cut_off") return whenCutOff === "serve";
  return state === "alone" || (state === "joined" && !lapsed);
}

/** One proxy's membership. */
export class Membership {
  readonly #settings: MembershipSettings;
  readonly #ports: MembershipPorts;
  readonly #changed = new Notifier();
  readonly #faults: CauseLog;
  readonly #joinFaults: CauseLog;
  #state: MemberState = "joining";
  #ready = false;
  readonly #joined = Promise.withResolvers<void>();
  readonly #recorded = Promise.withResolvers<void>();
  #failedMs = -Infinity;
  #urgent = false;
  #onChange = () => {};

  /** Closes the placement until it has joined. */
  constructor(settings: MembershipSettings, ports: MembershipPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#faults = new CauseLog(ports.log, "record_renewal_failed", ports.access);
    this.#joinFaults = new CauseLog(ports.log, "join_failed", ports.access);
    ports.placement.gate = () => this.#admits();
  }

  /** Where this proxy stands. */
  get state(): MemberState {
    return this.#state;
  }

  /** True once it has joined for the first time and its version has moved on. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Resolves when it is ready for the first time. */
  get joined(): Promise<void> {
    return this.#joined.promise;
  }

  /** Resolves when it has joined with a record: the others can see it. */
  get recorded(): Promise<void> {
    return this.#recorded.promise;
  }

  /** Why it cannot be heard of by the others; undefined if it can. */
  get fault(): string | undefined {
    return this.#joinFaults.cause ?? this.#faults.cause;
  }

  /** Why this proxy places nothing, where that is not for want of a pod. */
  get obstacle(): string | undefined {
    return this.#joinFaults.cause ?? (this.places ? undefined : this.#faults.cause);
  }

  /** True when the others do not reckon with this proxy any more, or soon will not. */
  get lapsed(): boolean {
    return this.#ports.record.lapsed;
  }

  /** Whether this proxy places sessions, as it stands. Looks at the clocks anew each time. */
  get places(): boolean {
    return placesAs(this.#state, this.lapsed, this.#settings.whenCutOff);
  }

  /** Why new sessions are held although it was ready, where they are for longer than it takes to join again. */
  get holding(): string | undefined {
    if (!this.#ready || this.places || this.#settings.whenCutOff === "serve") return undefined;
    return `New sessions are held (--when-cut-off=hold): ${this.fault ?? "this proxy has to join again"}`;
  }

  /** Calls `listener`, the only one, when the state has changed. */
  subscribe(listener: () => void): void {
    this.#onChange = listener;
    listener();
  }

  /** The record says something else than before; `urgent` if somebody waits for it. */
  publish(urgent = false): void {
    this.#urgent ||= urgent;
    this.#changed.notify();
  }

  /** What bound it means nothing any more: joins again before anything more is placed. */
  rejoin(): void {
    if (this.#state !== "joined") return;
    this.#set("joining");
    this.publish(true);
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
        await this.#takePart(target, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof FatalError) throw error;
        if (error instanceof RecordGone || error instanceof RecordLapsed) {
          // Deleted by somebody, or not renewed for too long: the others do not reckon with this proxy.
          const { log } = this.#ports;
          const then = "it joins again";
          if (error instanceof RecordGone) log.warn("own_record_deleted", { then });
          else log.warn("own_record_expired", { then });
          this.#set("joining");
          // Not a moment is to be lost, but whoever takes the record away each time must not make it loop either.
          losses = clock.nowMs() - lostMs < RECENT_MS ? losses + 1 : 0;
          lostMs = clock.nowMs();
          if (losses > 0) await sleep(clock, retryDelayMs(error, losses - 1, random), signal);
          continue;
        }
        this.#failed(error, faults);
        // Its record may be there already, and others may reckon with sessions that it still has.
        const mostMs = this.#settings.recordExpiryMs / RENEWALS;
        await sleep(clock, Math.min(mostMs, retryDelayMs(error, failures++, random)), signal);
      }
    }
  }

  async #join(target: RecordTarget, signal: AbortSignal): Promise<void> {
    const { record, count, placement } = this.#ports;
    try {
      await record.join(target, signal);
      if (this.#state === "alone") this.#set("joining");
    } catch (error) {
      // A proxy that has joined before and loses its rights is cut off, not alone.
      if (!isForbidden(error) || (this.#ready && this.#state !== "alone")) throw error;
      if (this.#state !== "alone") {
        this.#failed(error, this.#joinFaults);
        if (await isAlone(target, error, this.#ports, signal)) this.#set("alone");
      }
    }
    // From here on the others reckon with this proxy, so it must be bound by what it has not heard.
    if (this.#state !== "alone") this.#set("joining");
    if (!this.#ready && this.#state !== "alone") await removePredecessor(target, this.#ports, signal);
    const { version } = await count.read(signal);
    placement.bind(version);
    // What it has not heard may also have been a fall of the count and its rise: the pods that it knows may be going.
    placement.pods.countsMissed();
    if (this.#state !== "alone") {
      this.#set("joined");
      this.#faults.succeeded();
      this.#recorded.resolve();
    }
  }

  /** Claims, and stays heard of meanwhile, however long that takes. Ends as {@link #stay} does. */
  async #takePart(target: RecordTarget, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    using part = anySignal(signal, over.signal);
    const claiming = this.#claimPresent(part.signal).catch((error) => {
      if (!part.signal.aborted) throw error;
    });
    try {
      await this.#stay(target, signal);
    } finally {
      over.abort(new Error("The proxy joins again"));
      await claiming;
    }
  }

  /** Moves the version on, so that nothing binds any more what this proxy has not heard. Then it is ready. */
  async #claimPresent(signal: AbortSignal): Promise<void> {
    const { clock, random, log, count, identity } = this.#ports;
    for (let failures = 0;;) {
      try {
        await count.claimPresent(signal).catch(async (error) => {
          if (!isConflict(error)) throw error;
          await count.read(signal);
        });
        break;
      } catch (error) {
        signal.throwIfAborted();
        this.#joinFaults.failed(error);
        await sleep(clock, retryDelayMs(error, failures++, random), signal);
      }
    }
    this.#joinFaults.succeeded();
    if (!this.#ready) log.info("joined", { identity, state: this.#state });
    this.#ready = true;
    this.#joined.resolve();
  }

  /**
   * Renews the record, on time and when it changes. Returns when this proxy has to join
   * again, also when it was alone and has been given the right to write.
   */
  async #stay(target: RecordTarget, signal: AbortSignal): Promise<void> {
    const { clock, random, record } = this.#ports;
    if (this.#state === "alone") return await untilAllowed(target, this.#ports, signal);
    for (let failures = 0;;) {
      const leftMs = this.#settings.recordExpiryMs / RENEWALS - record.ageMs;
      if (failures === 0) await this.#changed.wait(clock, clock.nowMs() + leftMs, signal);
      await this.#pause(RATE_MS - record.ageMs, signal);
      this.#urgent = false;
      // Not before the pause, in which that may have come about.
      if (this.#state === "joining") return;
      try {
        await record.write(target, signal);
        failures = 0;
        this.#faults.succeeded();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof RecordGone || error instanceof RecordLapsed) throw error;
        this.#failed(error, this.#faults);
        if (this.lapsed) throw error;
        await sleep(clock, Math.min(5_000, retryDelayMs(error, failures++, random)), signal);
      }
    }
  }

  /** Waits, unless something urgent comes. */
  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const untilMs = clock.nowMs() + delayMs;
    while (!this.#urgent && clock.nowMs() < untilMs) await this.#changed.wait(clock, untilMs, signal);
  }

  #failed(error: unknown, faults: CauseLog): void {
    this.#failedMs = this.#ports.clock.nowMs();
    faults.failed(error);
    if (this.#fellSilent && (this.#state === "joined" || (this.#state === "joining" && this.#ready))) {
      this.#cutOff();
    }
  }

  /** Asked before each placing: notices that it stood still, which nothing else may have told it yet. */
  #admits(): boolean {
    if (this.#state === "joined" && this.#fellSilent) {
      if (this.#ports.clock.nowMs() - this.#failedMs <= RECENT_MS) this.#cutOff();
      // Whoever wants a place now need not wait for the next renewal to be due.
      else this.#changed.notify();
    }
    return this.places;
  }

  /** True when it has lapsed with a record. Without one, since it was deleted, it has to join again first. */
  get #fellSilent(): boolean {
    return this.lapsed && this.#ports.record.ageMs !== Infinity;
  }

  #cutOff(): void {
    if (this.#state === "cut_off") return;
    const { log, placement } = this.#ports;
    const { whenCutOff } = this.#settings;
    log.warn("proxy_cut_off", {
      cause: this.fault,
      then: whenCutOff === "serve" ? "sessions to ready pods are still served" : "new sessions are held",
    });
    this.#set("cut_off");
    // The others do not wait for this proxy any more, and nothing that it has promised them helps anybody.
    if (whenCutOff === "serve") placement.unbind();
  }

  #set(state: MemberState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#onChange();
    this.#ports.placement.gateChanged();
  }
}
