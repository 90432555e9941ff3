/**
 * This proxy among all proxies of one scale target: makes the parts, runs them, and shows the scaler what they know. Each
 * part knows only parts that the constructor of {@link Proxies} makes before it; the others hear of it by events.
 *
 * @module
 */
import { Listeners } from "../base/listeners.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { BuilderPorts } from "../base/ports.ts";
import { TaskGroup } from "../base/task_group.ts";
import { type LeaseApi, leaseApi } from "../kube/leases.ts";
import type { KubeClient } from "../kube/client.ts";
import type { SharedWatch } from "../kube/shared_watch.ts";
import type { Lease } from "../kube/types.ts";
import type { ScalePromise } from "../scaler/agreement.ts";
import type { Peers, PeerUse } from "../scaler/peers.ts";
import type { Placement } from "../scaler/placement.ts";
import type { CountReader } from "../scaler/count_reader.ts";
import type { ReplicaCount } from "../scaler/replica_count.ts";
import { Consent } from "./consent.ts";
import type { CountWrites } from "./count_writes.ts";
import { deleteDeadRecords } from "./dead_records.ts";
import type { Election } from "./election.ts";
import { KnownRecords } from "./known_records.ts";
import { Membership } from "./membership.ts";
import { OwnRecord } from "./own_record.ts";
import type { RecordTarget } from "./record.ts";
import type { RecordLists } from "./record_lists.ts";
import type { SeenRecord } from "./record_expiry.ts";
import { leadsAs, MEMBER_STATES, type Standing, type StandingSettings } from "./standing.ts";
import { standIn } from "./stand_in.ts";
import { Statement } from "./statement.ts";
import { RecordLifetime } from "./token_end.ts";

/** What it is made of. */
export interface ProxiesPorts extends Omit<BuilderPorts, "network"> {
  /** Talks to the API. */
  readonly client: KubeClient;
  /** Watches the records of all proxies: see {@link watchRecords}. */
  readonly watch: SharedWatch<Lease>;
  /** The election of this process. */
  readonly election: Pick<Election, "add" | "enter" | "holdsLease" | "holder" | "subscribe">;
  /** Sessions and promises. */
  readonly placement: Placement;
  /** Where this proxy stands: the placement's gate. */
  readonly standing: Standing;
  /** Reads the count, and notices when the resourceVersions regress. */
  readonly count: CountReader;
  /** The same if it may claim the count; undefined if this proxy only observes. */
  readonly writer: ReplicaCount | undefined;
  /** Lists the records of all proxies, for those who need no list of their moment. */
  readonly lists: Pick<RecordLists, "get">;
  /** Paces the writes for changed numbers alone, of this process. */
  readonly countWrites: CountWrites;
  /** New with every process. */
  readonly identity: string;
}

/** This proxy among all. The scaler sees of it only what {@link Peers} has. */
export class Proxies implements Peers {
  /** New with every process. */
  readonly identity: string;
  readonly #ports: ProxiesPorts;
  readonly #settings: StandingSettings;
  readonly #leases: LeaseApi;
  readonly #lifetime: RecordLifetime;
  readonly #records: KnownRecords;
  readonly #record: OwnRecord;
  readonly #statement: Statement;
  readonly #membership: Membership;
  readonly #consent: Consent;
  #uid: string | undefined;
  /** It leads in place of the leader of the election: see {@link standIn}. */
  #standsIn = false;
  /** It ends, and leads nothing any more. */
  #drains = false;
  readonly #changed = new Listeners();

  /** Starts nothing: `run` does. */
  constructor(
    { namespace }: Pick<RecordTarget, "namespace">,
    settings: StandingSettings,
    given: ProxiesPorts,
  ) {
    const { client, election, standing, metrics } = given;
    const { access, cluster } = client;
    const leases = this.#leases = leaseApi(client, namespace);
    const ports = { ...given, access, cluster, leases, podUid: cluster.podUid };
    this.identity = ports.identity;
    this.#ports = given;
    this.#settings = settings;
    const { recordExpiryMs } = settings;
    const lifetime = this.#lifetime = new RecordLifetime(recordExpiryMs, ports);
    const records = this.#records = new KnownRecords(ports);
    const statement = this.#statement = new Statement({ ...ports, records });
    const record = this.#record = new OwnRecord({ ...ports, recordExpiryMs, lifetime, records, statement });
    this.#membership = new Membership(settings, { ...ports, records, record });
    this.#consent = new Consent(recordExpiryMs, { ...ports, records, record, statement });
    for (const part of [standing, election, records]) part.subscribe(() => this.#tell());
    // The process leads where it does by the election.
    election.add({
      get leads() {
        return leadsAs(standing, election.holdsLease);
      },
      subscribe: (listener) => this.subscribe(listener),
    });
    metrics.record("proxies_alive", 1, {});
    this.#tell();
  }

  /** See {@link Peers.uid}. */
  get uid(): string | undefined {
    return this.#uid;
  }

  /** Whether this proxy may write a lower count now. */
  get leads(): boolean {
    const { election, standing } = this.#ports;
    return leadsAs(standing, election.holdsLease || this.#standsIn);
  }

  /**
   * Of what all proxies see, one speaks: the first of those whose clients wait for a pod; if none does, the one that leads.
   * While records are on their way, two may, or none.
   */
  get speaks(): boolean {
    const waiting = this.others.filter(({ body }) => (body?.needing ?? 0) > 0).map(({ identity }) =>
      identity
    );
    if (this.#ports.placement.usage.needing > 0) waiting.push(this.identity);
    return waiting.length === 0 ? this.leads : waiting.sort()[0] === this.identity;
  }

  /** The leader as last seen; empty if there is none. */
  get leader(): string {
    return this.#standsIn ? this.identity : this.#ports.election.holder;
  }

  /** This proxy's membership, for health and explanations. */
  get membership(): Pick<
    Membership,
    "state" | "ready" | "whenReady" | "onUnclaimed" | "fault" | "holding"
  > {
    return this.#membership;
  }

  /** See {@link Peers.obstacle}. */
  get obstacle(): string | undefined {
    return this.#membership.obstacle;
  }

  /** The other proxies that are alive, as far as is known. */
  get others(): readonly SeenRecord[] {
    return this.#records.others;
  }

  /** See {@link KnownRecords.queuedSinceMs}. */
  get othersQueuedSinceMs(): number | undefined {
    return this.#records.queuedSinceMs;
  }

  /** See {@link Statement.queuedSinceMs}. */
  set queuedSinceMs(sinceMs: number | undefined) {
    this.#statement.queuedSinceMs = sinceMs;
  }

  /** See {@link Peers.use}. */
  use(): PeerUse {
    return this.#records.use;
  }

  /** See {@link Peers.consent}. */
  consent(wanted: ScalePromise, signal: AbortSignal): Promise<boolean> {
    return this.#consent.obtain(wanted, signal);
  }

  /** See {@link Peers.subscribe}. */
  subscribe(listener: () => void): void {
    this.#changed.add(listener);
  }

  /** Joins the others until the signal is aborted. `target` is the StatefulSet as it was found. */
  async run(target: RecordTarget, signal: AbortSignal): Promise<void> {
    this.#uid = target.uid;
    this.#record.target = target;
    this.#records.target = target;
    const tasks = new TaskGroup();
    const stop = () => tasks.stop();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    tasks.run("membership", (own) => this.#membership.run(target, own));
    // A proxy without the right to Leases does not do the rest.
    tasks.run("records", async (own) => {
      await orAborted(this.#membership.whenRecorded, own);
      this.#ports.election.enter();
      await this.#records.watch(own);
    });
    const { recordExpiryMs } = this.#settings;
    const parts = { ...this.#ports, leases: this.#leases, records: this.#records, lead: this };
    if (!this.#ports.standing.observes) {
      tasks.run("stand-in", (own) => standIn((stands) => this.#stand(stands), parts, own));
    }
    tasks.run("dead records", (own) => deleteDeadRecords(recordExpiryMs, parts, own));
    try {
      await tasks.join();
    } finally {
      signal.removeEventListener("abort", stop);
    }
    signal.throwIfAborted();
  }

  /** Only keeps this proxy's record alive, until the signal is aborted; see {@link OwnRecord.keepAlive}. */
  async outlast(signal: AbortSignal): Promise<void> {
    if (this.#ports.standing.state !== "alone") await this.#record.keepAlive(signal);
  }

  /** This proxy drains, for that long at most (Infinity without limit); see {@link RecordLifetime}. */
  drain(longestMs: number): void {
    this.#drains = true;
    this.#stand(false);
    this.#lifetime.drain(longestMs);
    if (this.#ports.client.cluster.tokenTimes !== undefined) this.#record.publish(true);
  }

  /** The last session has ended: deletes the record, so that the others need not ask this proxy any more. */
  async leave(signal: AbortSignal): Promise<void> {
    await this.#record.remove(signal);
  }

  #stand(stands: boolean): void {
    this.#standsIn = stands && !this.#drains;
    this.#tell();
  }

  #tell(): void {
    const { metrics, standing } = this.#ports;
    for (const state of MEMBER_STATES) {
      metrics.record("member_state", state === standing.state ? 1 : 0, { state });
    }
    this.#changed.tell();
  }
}
