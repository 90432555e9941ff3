/**
 * What a process has once, however many StatefulSets it is in front of: its identity and its place in the election. Makes
 * these parts and starts them; the targets use them. Decides nothing itself.
 *
 * @module
 */
import type { BasePorts } from "../base/ports.ts";
import { randomName } from "../base/random.ts";
import type { TaskGroup } from "../base/task_group.ts";
import type { ElectionTimes } from "../ha/election.ts";
import type { KubeClient } from "../kube/client.ts";
import type { TargetSettings } from "./target_settings.ts";

/** What the shared parts need. */
export interface SharedPorts extends BasePorts {
  /** Talks to the API. */
  readonly client: KubeClient;
}

/** The settings of one target that the shared parts need. */
export type SharedTarget = Pick<TargetSettings, "stsName" | "stsNamespace" | "headlessServiceName">;

/** The parts that all targets of a process use. */
export class SharedParts {
  /** New with every process: names its records, its field managers and its place in the election. */
  readonly identity: string;
  /** The timings of the election. */
  readonly times: ElectionTimes;

  /** Starts nothing: `start` does. `targets` are all of the process, in their order. */
  constructor(_targets: readonly SharedTarget[], times: ElectionTimes, { random }: SharedPorts) {
    this.identity = randomName(random, 12);
    this.times = times;
  }

  /** Starts its parts. */
  start(_tasks: TaskGroup): void {
  }
}
