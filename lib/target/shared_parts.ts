/**
 * What a process has once, however many StatefulSets it is in front of: its identity, its place in the election, and the
 * watches of pods and of records. Makes these parts and starts them; the targets use them. Decides nothing itself.
 *
 * @module
 */
import type { BasePorts } from "../base/ports.ts";
import { randomName } from "../base/random.ts";
import type { TaskGroup } from "../base/task_group.ts";
import { CountWrites } from "../ha/count_writes.ts";
import { deleteAbandonedRecords } from "../ha/dead_records.ts";
import { Election, type ElectionTimes } from "../ha/election.ts";
import { watchRecords } from "../ha/known_records.ts";
import { RecordLists } from "../ha/record_lists.ts";
import type { ProxiesPorts } from "../ha/proxies.ts";
import type { KubeClient } from "../kube/client.ts";
import { leaseApi } from "../kube/leases.ts";
import type { SharedWatch } from "../kube/shared_watch.ts";
import type { EndpointSlice, Lease } from "../kube/types.ts";
import { watchSlices } from "../scaler/observer.ts";
import { JoinPlaces } from "./join_places.ts";
import type { TargetSettings } from "./target_settings.ts";

/** What the shared parts need. */
export interface SharedPorts extends BasePorts {
  /** Talks to the API. */
  readonly client: KubeClient;
}

/** What the shared parts need to know of one target. */
export type SharedTarget = Pick<TargetSettings, "stsName" | "headlessServiceName">;

/** The settings of a process. */
export interface SharedSettings extends ElectionTimes, Pick<TargetSettings, "stsNamespace"> {}

/** The parts that all targets of a process use. */
export class SharedParts {
  /** New with every process: names its records, its field managers and its place in the election. */
  readonly identity: string;
  /** Which process lowers counts. */
  readonly election: Election;
  /** Watches the pods of all targets. */
  readonly slices: SharedWatch<EndpointSlice>;
  /** What each target's {@link Proxies} are made with. */
  readonly ofProxies: Pick<ProxiesPorts, "identity" | "election" | "watch" | "lists" | "countWrites">;
  /** Targets join a few at a time. */
  readonly places: JoinPlaces;
  readonly #records: SharedWatch<Lease>;
  readonly #deleteAbandoned: (signal: AbortSignal) => Promise<void>;

  /** Starts nothing: `start` does. `targets` are all of the process, in their order. */
  constructor(
    targets: readonly [SharedTarget, ...SharedTarget[]],
    settings: SharedSettings,
    ports: SharedPorts,
  ) {
    const { client } = ports;
    const { stsNamespace: namespace } = settings;
    const [{ stsName: first }, ...others] = targets;
    const names = [first, ...others.map(({ stsName }) => stsName)] as const;
    const services = targets.map(({ headlessServiceName }) => headlessServiceName);
    const identity = this.identity = randomName(ports.random, 12);
    const leases = leaseApi(client, namespace);
    this.slices = watchSlices(namespace, services, ports);
    const watch = this.#records = watchRecords(namespace, names, ports);
    const lists = new RecordLists(names, { ...ports, leases });
    const election = this.election = new Election({ namespace, names }, settings, {
      ...ports,
      access: client.access,
      leases,
      identity,
    });
    this.#deleteAbandoned = (signal) => deleteAbandonedRecords(names, { ...ports, leases, election }, signal);
    this.ofProxies = { identity, election, watch, lists, countWrites: new CountWrites() };
    this.places = new JoinPlaces(ports.clock);
  }

  /** Starts its parts. */
  start(tasks: TaskGroup): void {
    tasks.run("pods", (signal) => this.slices.run(signal));
    tasks.run("records", (signal) => this.#records.run(signal));
    tasks.run("election", (signal) => this.election.run(signal));
    tasks.run("abandoned records", (signal) => this.#deleteAbandoned(signal));
  }
}
