/**
 * What is set for one StatefulSet. Plain values: whatever may be given for several StatefulSets at once is chosen for this
 * one here. Pure.
 *
 * @module
 */
import { type BuilderSettings, type PoolSettings, sharesOf, warmOf } from "../config/builders.ts";
import type { Settings } from "../config/settings.ts";
import type { WarmWindow } from "../config/warm_windows.ts";
import type { Capacity } from "../scaler/capacity.ts";

/** The settings that are the same for every StatefulSet of a process. */
export type CommonSettings = Pick<
  Settings,
  | "stsNamespace"
  | "targetPort"
  | "upstream"
  | "clusterDomain"
  | "connectTimeoutMs"
  | "readiness"
  | "recordExpiryMs"
  | "whenCutOff"
  | "observe"
>;

/** The settings of one target. */
export interface TargetSettings extends CommonSettings {
  /** The StatefulSet's name. */
  readonly stsName: string;
  /** Its headless Service. */
  readonly headlessServiceName: string;
  /** From the end of the last use of a pod until it may go, in ms. */
  readonly idleTimeoutMs: number;
  /** Never fewer replicas than this. */
  readonly minReplicas: number;
  /** Nothing is added beyond this. */
  readonly maxReplicas: number;
  /** Sessions on one pod beyond which another pod is taken; 0 is without such a limit. */
  readonly sessionsPerReplica: number;
  /** Sessions on one pod beyond which clients queue; 0 is without such a limit. */
  readonly maxSessionsPerReplica: number;
  /** For how long clients wait for a pod, in ms. */
  readonly readyWaitTimeoutMs: number;
  /** It takes no new sessions. */
  readonly isCordoned: boolean;
  /** Sessions have no other builder to go to. */
  readonly isOnly: boolean;
  /** When it keeps how many replicas, whether they are used or not. */
  readonly warm: readonly WarmWindow[];
  /** How sessions spread over builders, and over the pods of one. */
  readonly placement: "affinity" | "packed" | "least-sessions" | "round-robin";
}

/** The settings of one builder of a pool: its share of what is set for all of them. */
export function targetSettingsOf(
  settings: CommonSettings & Pick<Settings, "maxReplicas" | "placement">,
  pool: PoolSettings,
  { name, service, isCordoned }: BuilderSettings,
): TargetSettings {
  const { maxReplicas } = settings;
  return {
    ...settings,
    ...pool,
    maxReplicas,
    minReplicas: sharesOf(pool.minReplicas, pool.builders, maxReplicas).get(name)!,
    stsName: name,
    headlessServiceName: service,
    isCordoned,
    isOnly: pool.builders.length === 1,
    warm: warmOf(pool, name, maxReplicas),
  };
}

/** How sessions spread over the pods of a builder follows from how they spread over builders. */
export function capacityOf(
  { maxReplicas, sessionsPerReplica, maxSessionsPerReplica, placement }: Pick<
    TargetSettings,
    "maxReplicas" | "sessionsPerReplica" | "maxSessionsPerReplica" | "placement"
  >,
): Capacity {
  const spread = placement === "least-sessions" ? "least" : placement === "round-robin" ? "turn" : "lowest";
  return { maxReplicas, sessionsPerReplica, maxSessionsPerReplica, spread };
}
