/**
 * Connects the Events to the parts that they are about, or leaves them out. Contains no other logic.
 *
 * @module
 */
import type { Log } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import type { TaskGroup } from "../base/task_group.ts";
import type { Settings } from "../config/settings.ts";
import type { KubeClient } from "../kube/client.ts";
import { eventApi } from "../kube/event_api.ts";
import { KubeEvents } from "../ops/kube_events.ts";
import type { Target } from "../target/target.ts";

/** The Events of the program, or none. */
export interface AppEvents {
  /** For the parts that Events are made from. */
  readonly log: Log;
  /** Says what they are about. */
  about(targets: readonly { readonly name: string; readonly target: Target }[], identity: string): void;
  /** Starts to write them. */
  start(tasks: TaskGroup): void;
  /** Writes what is left, for a short time. Never throws. */
  flush(signal: AbortSignal): Promise<void>;
}

/** Makes them, if they are wanted. */
export function makeEvents(
  { events: areWanted, stsNamespace: namespace }: Pick<Settings, "events" | "stsNamespace">,
  ports: Pick<BasePorts, "clock" | "random" | "log"> & { readonly client: KubeClient },
): AppEvents {
  const { client, log } = ports;
  if (!areWanted) return { log, about: () => {}, start: () => {}, flush: () => Promise.resolve() };
  const events = new KubeEvents({ ...ports, access: client.access, api: eventApi(client, namespace) });
  return {
    log: events.tap(log),
    about: (targets, identity) => events.about({ namespace, identity, builders: targets.map(builderOf) }),
    start: (tasks) => tasks.run("events", (signal) => events.run(signal)),
    flush: (signal) => events.flush(signal),
  };
}

function builderOf(
  { name, target: { observer, proxies } }: { readonly name: string; readonly target: Target },
) {
  return {
    name,
    get uid() {
      return observer.uid;
    },
    get speaks() {
      return proxies.speaks;
    },
    onPresence: (listener: () => void) => observer.onPresence(listener),
  };
}
