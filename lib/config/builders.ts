/**
 * The builders, pools and listeners that the settings describe. Pure.
 *
 * @module
 */
import { DEFAULT_POOL, type DoorSettings } from "./builder_list.ts";
import { valueFor } from "./per_pool.ts";
import type { Settings } from "./settings.ts";
import type { WarmWindow } from "./warm_windows.ts";

export { DEFAULT_POOL, type DoorSettings } from "./builder_list.ts";

/** One StatefulSet. */
export interface BuilderSettings {
  /** The name of the StatefulSet. */
  readonly name: string;
  /** The name of its headless Service. */
  readonly service: string;
  /** Whether it takes no new sessions. */
  readonly isCordoned: boolean;
}

/** Interchangeable builders, with the values that the settings have for them. */
export interface PoolSettings {
  /** Its name; that of the default pool is empty. */
  readonly name: string;
  /** In the order in which they were declared. */
  readonly builders: readonly BuilderSettings[];
  /** See `--idle-timeout`. */
  readonly idleTimeoutMs: number;
  /** See `--ready-wait-timeout`. */
  readonly readyWaitTimeoutMs: number;
  /** See `--queue-timeout`. */
  readonly queueTimeoutMs: number;
  /** See `--min-replicas`: of all builders together; {@link sharesOf} divides it. */
  readonly minReplicas: number;
  /** See `--sessions-per-replica`; 0 means no limit. */
  readonly sessionsPerReplica: number;
  /** See `--max-sessions-per-replica`; 0 means no limit. */
  readonly maxSessionsPerReplica: number;
  /** See `--warm`: the windows of this pool. Their counts are of all builders together. */
  readonly warm: readonly WarmWindow[];
}

/** The settings that describe builders and pools. */
export type BuildersInSettings = Pick<
  Settings,
  | "builders"
  | "cordoned"
  | "headlessServiceName"
  | "idleTimeoutMs"
  | "maxSessionsPerReplica"
  | "minReplicas"
  | "queueTimeoutMs"
  | "readyWaitTimeoutMs"
  | "sessionsPerReplica"
  | "stsName"
  | "warm"
>;

/** The pools in the order in which their first builders were declared. Without `--builders`: one pool of one builder. */
export function poolsOf(settings: BuildersInSettings): readonly PoolSettings[] {
  const { stsName, headlessServiceName, cordoned } = settings;
  const entries = settings.builders ??
    [{ pool: DEFAULT_POOL, name: stsName, service: headlessServiceName }];
  const pools = Map.groupBy(entries, ({ pool }) => pool);
  return [...pools].map(([name, builders]) => ({
    name,
    builders: builders.map(({ name, service }) => ({
      name,
      service,
      isCordoned: cordoned?.includes(name) ?? false,
    })),
    idleTimeoutMs: valueFor(settings.idleTimeoutMs, name),
    readyWaitTimeoutMs: valueFor(settings.readyWaitTimeoutMs, name),
    queueTimeoutMs: valueFor(settings.queueTimeoutMs, name),
    minReplicas: valueFor(settings.minReplicas, name),
    sessionsPerReplica: valueFor(settings.sessionsPerReplica, name),
    maxSessionsPerReplica: valueFor(settings.maxSessionsPerReplica, name),
    warm: (settings.warm ?? []).filter(({ pool }) => pool === name),
  }));
}

/** The listeners of projects and pools, beside `--listen-addr` and `--tls-listen-addr`. */
export function doorsOf({ listeners }: Pick<Settings, "listeners">): readonly DoorSettings[] {
  return listeners ?? [];
}

/**
 * Divides `count` replicas of a pool between its builders: one for each in their order, then a second one for each, up
 * to `maxReplicas`. Cordoned builders get none. What does not fit is left out.
 */
export function sharesOf(
  count: number,
  builders: readonly BuilderSettings[],
  maxReplicas: number,
): ReadonlyMap<string, number> {
  const taking = builders.filter(({ isCordoned }) => !isCordoned);
  const share = (i: number) =>
    Math.min(maxReplicas, Math.floor(count / taking.length) + (i < count % taking.length ? 1 : 0));
  return new Map(
    builders.map((builder) => [builder.name, builder.isCordoned ? 0 : share(taking.indexOf(builder))]),
  );
}

/** The warm windows of one builder of a pool: those that want replicas of it, with its share of their counts. */
export function warmOf(
  { warm, builders }: Pick<PoolSettings, "warm" | "builders">,
  name: string,
  maxReplicas: number,
): readonly WarmWindow[] {
  return warm
    .map((window) => ({ ...window, count: sharesOf(window.count, builders, maxReplicas).get(name) ?? 0 }))
    .filter(({ count }) => count > 0);
}
