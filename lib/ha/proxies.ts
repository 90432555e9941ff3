/**
 * All proxies of one scale target, as this one takes part in them: its record, the others' records, the election and the
 * agreement, put together. It is the real `Peers` of the scaler.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { orAborted } from "../base/or_aborted.ts";
import { TaskGroup } from "../base/task_group.ts";
import { leaseApi } from "../kube/leases.ts";
import type { ReflectorPorts } from "../kube/reflector.ts";
import type { ScalePromise } from "../scaler/agreement.ts";
import { neededBy } from "../scaler/decide.ts";
import type { Peers, PeerUse } from "../scaler/peers.ts";
import type { Placement } from "../scaler/placement.ts";
import type { ReplicaCount } from "../scaler/replica_count.ts";
import { Consent } from "./consent.ts";
import { Election, type ElectionTimes } from "./election.ts";
import { MEMBER_STATES, Membership, type MembershipSettings, RENEWALS } from "./membership.ts";
import { KnownRecords } from "./known_records.ts";
import { OwnRecord } from "./own_record.ts";
import { describeUse } from "./own_use.ts";
import type { RecordBody, RecordTarget } from "./record.ts";
import type { SeenRecord } from "./records.ts";
import { RecordLifetime } from "./token_end.ts";

/** The settings that matter. */
export interface ProxiesSettings extends MembershipSettings, ElectionTimes {}

/** What it is made of. */
export interface ProxiesPorts extends ReflectorPorts {
  /** Sessions and promises. */
  readonly placement: Placement;
  /** Reads the count, claims it, and notices when the resourceVersions regress. */
  readonly count: ReplicaCount;
  /** New with every process. */
  readonly identity: string;
}

/** How soon a proxy that only keeps its record alive tries again, in ms. */
const RETRY_MS = 5_000;

/** This proxy among all. */
export class Proxies implements Peers {
  /** New with every process. */
  readonly identity: string;
  readonly #settings: ProxiesSettings;
  readonly #ports: ProxiesPorts;
  readonly #records: KnownRecords;
  readonly #record: OwnRecord;
  readonly #membership: Membership;
  readonly #election: Election;
  readonly #consent: Consent;
  readonly #lifetime: RecordLifetime;
  readonly #listeners = new Set<() => void>();
  #target: RecordTarget | undefined;
  #asksFromMs = -Infinity;
  #published: string | undefined;

  /** Starts nothing: `run` does. From now on nothing is placed before this proxy has joined. */
  constructor(
    { namespace }: Pick<RecordTarget, "namespace">,
    settings: ProxiesSettings,
    ports: ProxiesPorts,
  ) {
    const { clock, random, log, placement, count, client, identity } = ports;
    this.identity = identity;
    this.#settings = settings;
    this.#ports = ports;
    const leases = leaseApi(client, namespace);
    this.#records = new KnownRecords({
      ...ports,
      leases,
      identity,
      recordExpiryMs: settings.recordExpiryMs,
      onChange: () => this.#recordsChanged(),
      // Until it is there again, nobody need ask this proxy: not a moment is to be lost.
      onGone: (lease) => this.#record.deleted(lease) && this.#membership.publish(true),
    });
    const { access, cluster: { podUid } } = client;
    this.#lifetime = new RecordLifetime(settings.recordExpiryMs, { clock, log, cluster: client.cluster });
    this.#record = new OwnRecord({
      leases,
      clock,
      identity,
      podUid,
      expiryMs: settings.recordExpiryMs,
      goodForMs: () => this.#lifetime.goodForMs(),
      content: () => this.#content(),
      count,
    });
    this.#membership = new Membership(settings, {
      clock,
      random,
      log,
      access,
      leases,
      count,
      placement,
      record: this.#record,
      identity,
      podUid,
    });
    this.#election = new Election(
      { leases, clock, random, log, access, identity },
      settings,
      () => this.#changed(),
    );
    this.#consent = new Consent({
      clock,
      log,
      placement,
      identity,
      seen: () => this.#records.all,
      list: (signal) => this.#records.list(this.#targetOrThrow(), signal),
      write: (signal) => this.#record.write(this.#targetOrThrow(), signal),
      publish: () => this.#membership.publish(true),
      answers: () => this.#membership.state === "joined" && !this.#membership.lapsed,
    });
    placement.subscribe(() => this.#publishIfChanged());
    this.#membership.subscribe(() => this.#changed());
    count.onRegressed(() => this.#regressed());
    ports.metrics.record("proxies_alive", 1, {});
  }

  /** Whether this proxy may write a lower count now. */
  get leads(): boolean {
    if (this.#membership.state === "alone") return true;
    return this.#membership.state === "joined" && this.#membership.places && this.#election.leads;
  }

  /** The leader as last seen; empty if there is none. */
  get leader(): string {
    return this.#election.holder;
  }

  /** This proxy's membership, for health and explanations. */
  get membership(): Pick<Membership, "state" | "ready" | "joined" | "fault" | "holding" | "obstacle"> {
    return this.#membership;
  }

  /** The other proxies that are alive, as far as is known. */
  get others(): readonly SeenRecord[] {
    return this.#records.others;
  }

  /** See {@link Peers.use}. */
  use(): PeerUse {
    return this.#records.use;
  }

  /** See {@link Peers.consent}. */
  consent(wanted: ScalePromise, signal: AbortSignal): Promise<boolean> {
    if (this.#membership.state === "alone") return Promise.resolve(this.#ports.placement.promise(wanted));
    if (this.#ports.clock.nowMs() < this.#asksFromMs) return Promise.resolve(false);
    return this.#consent.obtain(wanted, signal);
  }

  /** See {@link Peers.subscribe}. */
  subscribe(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Takes part until the signal is aborted. `target` is the StatefulSet as it was found. */
  async run(target: RecordTarget, signal: AbortSignal): Promise<void> {
    this.#target = target;
    this.#records.target = target;
    const tasks = new TaskGroup();
    const stop = () => tasks.stop();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    tasks.run("membership", (own) => this.#membership.run(target, own));
    // A proxy without the right to Leases takes no part in the rest.
    const recorded = (own: AbortSignal) => orAborted(this.#membership.recorded, own);
    tasks.run("records", async (own) => {
      await recorded(own);
      await this.#records.watch(target, own);
    });
    tasks.run("election", async (own) => {
      await recorded(own);
      await this.#election.run(target, own);
    });
    tasks.run("collector", (own) => this.#records.collect(target, () => this.leads, own));
    try {
      await tasks.join();
    } finally {
      signal.removeEventListener("abort", stop);
    }
    signal.throwIfAborted();
  }

  /**
   * Only keeps this proxy's record alive, until the signal is aborted: for running sessions of a program that has failed
   * otherwise. It consents to nothing more, so that nobody scales those sessions away.
   */
  async outlast(signal: AbortSignal): Promise<void> {
    const target = this.#target;
    if (target === undefined || this.#membership.state === "alone") return;
    const { clock } = this.#ports;
    while (!signal.aborted) {
      const pauseMs = await this.#record.join(target, signal).then(
        () => this.#settings.recordExpiryMs / RENEWALS,
        () => RETRY_MS,
      );
      await sleep(clock, pauseMs, signal).catch(() => {});
    }
  }

  /** The resourceVersions have regressed: forgets what was seen of the others, and joins them anew. */
  #regressed(): void {
    // A live proxy that the backup does not know is on nobody's list until it has renewed its record.
    this.#asksFromMs = this.#ports.clock.nowMs() + this.#settings.recordExpiryMs;
    this.#records.startAnew();
    this.#membership.rejoin();
  }

  /** Leads no more, so that another proxy can at once. */
  async release(signal: AbortSignal): Promise<void> {
    await this.#election.release(signal);
    this.#changed();
  }

  /** This proxy drains, for that long at most (Infinity without limit); see {@link RecordLifetime}. */
  drain(longestMs: number): void {
    this.#lifetime.drain(longestMs);
    if (this.#ports.client.cluster.tokenTimes !== undefined) this.#membership.publish(true);
  }

  /** The last session has ended: nobody need ask this proxy any more. */
  async leave(signal: AbortSignal): Promise<void> {
    await this.#record.remove(signal);
  }

  #recordsChanged(): void {
    this.#consent.look();
    this.#publishIfChanged();
    this.#changed();
  }

  #changed(): void {
    const { metrics } = this.#ports;
    metrics.record("leader", this.leads ? 1 : 0, {});
    for (const state of MEMBER_STATES) {
      metrics.record("member_state", state === this.#membership.state ? 1 : 0, { state });
    }
    for (const listener of this.#listeners) listener();
  }

  /** Nobody reads the record of a proxy that is alone, so it is only written when somebody else is there. */
  #publishIfChanged(): void {
    if (this.others.length === 0) return;
    const { usage } = this.#ports.placement;
    const now = JSON.stringify([usage.busyOrdinals, neededBy(usage.needing), this.#consent.answers]);
    if (now === this.#published) return;
    this.#published = now;
    this.#membership.publish();
  }

  #content(): RecordBody {
    const { clock, placement: { usage, agreement } } = this.#ports;
    const { inherited, use: { knownSinceMs } } = this.#records;
    const replicas = agreement.seen?.replicas ?? 0;
    return {
      ...describeUse({ usage, replicas, inherited, knownSinceMs }, clock.nowMs()),
      // Of what it promised before it lapsed nothing need bind it any more.
      answers: this.#membership.state === "joined" ? this.#consent.answers : {},
      announcement: this.#consent.announcement,
    };
  }

  #targetOrThrow(): RecordTarget {
    if (this.#target === undefined) throw new Error("The StatefulSet was not seen yet");
    return this.#target;
  }
}
