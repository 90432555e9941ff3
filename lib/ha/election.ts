/**
 * Leader election with a Lease, one for a process and all its StatefulSets, as client-go does it: the holder renews, the others wait until they have seen no renewal
 * for its whole duration by their own clocks. It only keeps proxies out of each other's way: the agreement would be safe
 * with any number of leaders.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import { CauseLog } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import { orAborted } from "../base/or_aborted.ts";
import { ApiError } from "../kube/api_error.ts";
import type { LeaseApi } from "../kube/leases.ts";
import { microTime } from "../kube/micro_time.ts";
import type { Lease } from "../kube/types.ts";
import { ElectionLease, type ElectionTargets } from "./election_lease.ts";

/** The usual timings, in ms. */
export interface ElectionTimes {
  /** A holder that was not seen to renew for this long may be replaced. */
  readonly leaseDurationMs: number;
  /** A holder that could not renew for this long stops to lead. */
  readonly renewDeadlineMs: number;
  /** Between two tries. */
  readonly retryPeriodMs: number;
}

/** What the election is made of. */
export interface ElectionPorts extends Pick<BasePorts, "clock" | "random" | "log" | "metrics"> {
  /** Holds the Lease. */
  readonly leases: LeaseApi;
  /** The fault under which all of its own stand: that there is no access to the API. */
  readonly access?: CauseLog;
  /** This process. */
  readonly identity: string;
}

/** This process in front of one StatefulSet. */
export interface LeadingPart {
  /** Whether it may lower the count there. */
  readonly leads: boolean;
  /** Calls `listener` when that has changed. */
  subscribe(listener: () => void): void;
}

/** The Lease as last seen, and when it was first seen like that. */
interface Seen {
  readonly lease: Lease;
  readonly nowMs: number;
}

/** One process in the election. */
export class Election {
  readonly #ports: ElectionPorts;
  readonly #times: ElectionTimes;
  readonly #changed = new Listeners();
  readonly #faults: CauseLog;
  readonly #lease: ElectionLease;
  readonly #parts = new Set<LeadingPart>();
  readonly #entered = Promise.withResolvers<void>();
  #seen: Seen | undefined;
  #leadsUntil: { readonly nowMs: number; readonly bootMs: number } | undefined;
  #holder = "";
  /** False once the lead was released for good. */
  #isCandidate = true;
  #try: Promise<void> = Promise.resolve();

  /** Starts nothing: `run` does. */
  constructor(targets: ElectionTargets, times: ElectionTimes, ports: ElectionPorts) {
    this.#lease = new ElectionLease(targets);
    this.#ports = ports;
    this.#times = times;
    this.#faults = new CauseLog(ports.log, "election_failed", ports.access);
  }

  /** Calls `listener` when the holder of the Lease has changed. */
  subscribe(listener: () => void): void {
    this.#changed.add(listener);
  }

  /** Counts `part` among those by which this process leads. */
  add(part: LeadingPart): void {
    const { metrics } = this.#ports;
    this.#parts.add(part);
    part.subscribe(() => {
      metrics.record("leader", [...this.#parts].some(({ leads }) => leads) ? 1 : 0, {});
    });
  }

  /** See {@link ElectionLease.see}. */
  see(name: string, uid: string | undefined): void {
    this.#lease.see(name, uid);
  }

  /** From now on this process is a candidate: it has joined the others in front of a StatefulSet. */
  enter(): void {
    this.#entered.resolve();
  }

  /** Whether this process holds the Lease, right now. */
  get holdsLease(): boolean {
    const { clock } = this.#ports;
    const until = this.#leadsUntil;
    return until !== undefined && clock.nowMs() < until.nowMs && clock.bootMs() < until.bootMs;
  }

  /** The leader's identity as last seen; empty if there is none. */
  get holder(): string {
    return this.#holder;
  }

  /** Runs from {@link enter} on, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#ports;
    await orAborted(this.#entered.promise, signal);
    for (;;) {
      try {
        if (this.#isCandidate) await (this.#try = this.#tryOnce(signal));
        this.#faults.succeeded();
      } catch (error) {
        signal.throwIfAborted();
        // A conflict only says that somebody else was quicker.
        if (!(error instanceof ApiError && error.status === 409)) this.#faults.failed(error);
      }
      this.#noticeEnd();
      await sleep(clock, this.#times.retryPeriodMs * (1 + 0.2 * random()), signal);
    }
  }

  /** Gives the lead up, if this proxy has it, and never tries to get it again. */
  async release(signal: AbortSignal): Promise<void> {
    this.#isCandidate = false;
    const { leases, clock, identity } = this.#ports;
    this.#leadsUntil = undefined;
    this.#noticeEnd();
    // A try that is under way may bring the Lease, or a newer version of it.
    await this.#try.catch(() => {});
    const lease = this.#seen?.lease;
    if (lease?.spec?.holderIdentity !== identity) return;
    const free = { holderIdentity: "", leaseDurationSeconds: 1, renewTime: microTime(clock.wallMs()) };
    await leases.update({ ...lease, spec: { ...lease.spec, ...free } }, signal);
  }

  async #tryOnce(signal: AbortSignal): Promise<void> {
    const { leases, clock, identity } = this.#ports;
    if (await this.#renewed(signal)) return;
    const sent = { nowMs: clock.nowMs(), bootMs: clock.bootMs() };
    const found = await leases.get(this.#lease.name, signal).catch((error) => {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      return undefined;
    });
    if (found !== undefined) {
      const seen = this.#observe(found);
      const holder = found.spec?.holderIdentity ?? "";
      if (holder !== "" && holder !== identity && !this.#isOver(seen)) {
        this.#leadsUntil = undefined;
        return this.#setHolder(holder);
      }
    }
    await this.#write(found, sent, signal);
  }

  /** The holder renews what it wrote last, without reading first. False if it is not the holder any more. */
  async #renewed(signal: AbortSignal): Promise<boolean> {
    const { clock, identity } = this.#ports;
    const own = this.#seen?.lease;
    if (!this.holdsLease || own?.spec?.holderIdentity !== identity) return false;
    const sent = { nowMs: clock.nowMs(), bootMs: clock.bootMs() };
    try {
      await this.#write(own, sent, signal);
      return true;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return false;
      throw error;
    }
  }

  /** Takes or renews the Lease, as it was `found`. */
  async #write(
    found: Lease | undefined,
    sent: { readonly nowMs: number; readonly bootMs: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { leases, clock, identity } = this.#ports;
    const { leaseDurationMs } = this.#times;
    const before = found?.spec;
    const isOwn = before?.holderIdentity === identity;
    const now = microTime(clock.wallMs());
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      renewTime: now,
      acquireTime: isOwn ? before.acquireTime ?? now : now,
      leaseTransitions: (before?.leaseTransitions ?? 0) + (isOwn ? 0 : 1),
    };
    const { metadata } = this.#lease;
    const { uid, resourceVersion } = found?.metadata ?? {};
    const lease = found === undefined ? await leases.create({ metadata, spec }, signal) : await leases.update(
      { metadata: { ...metadata, uid: uid!, resourceVersion: resourceVersion! }, spec },
      signal,
    );
    this.#observe(lease);
    if (!this.#isCandidate) return;
    const deadlineMs = this.#times.renewDeadlineMs;
    // The boot clock is only good to the second.
    this.#leadsUntil = { nowMs: sent.nowMs + deadlineMs, bootMs: sent.bootMs + deadlineMs + 1_000 };
    this.#setHolder(identity);
  }

  /** Takes note of the Lease, and since when it has been like that. */
  #observe(lease: Lease): Seen {
    const seen = this.#seen;
    if (seen !== undefined && seen.lease.metadata?.resourceVersion === lease.metadata?.resourceVersion) {
      return seen;
    }
    return this.#seen = { lease, nowMs: this.#ports.clock.nowMs() };
  }

  /** The holder was not seen to renew for its whole duration. Its clock does not matter, only this proxy's. */
  #isOver({ lease, nowMs }: Seen): boolean {
    const durationMs = (lease.spec?.leaseDurationSeconds ?? this.#times.leaseDurationMs / 1000) * 1000;
    return this.#ports.clock.nowMs() - nowMs >= durationMs;
  }

  /** Reports that the lead has ended, also if its deadline has passed between two tries. */
  #noticeEnd(): void {
    if (this.#holder === this.#ports.identity && !this.holdsLease) this.#setHolder("");
  }

  #setHolder(holder: string): void {
    if (holder === this.#holder) return;
    const { log, identity } = this.#ports;
    this.#holder = holder;
    if (holder === "") log.info("leader_missing", {});
    else log.info("leader_changed", { leader: holder, self: holder === identity });
    this.#changed.tell();
  }
}
