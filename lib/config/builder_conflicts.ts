/**
 * Settings of builders, pools, limits and warm windows that do not fit together. Pure.
 *
 * @module
 */
import { type BuilderEntry, DEFAULT_POOL, doorName, type DoorSettings } from "./builder_list.ts";
import { nearest } from "./nearest.ts";
import { type PerPool, valueFor } from "./per_pool.ts";
import { label } from "./value_types.ts";
import type { WarmWindow } from "./warm_windows.ts";

/** Those settings. A value that could not be parsed is `undefined`. */
export interface ManyBuildersSettings {
  /** The builders. */
  readonly builders?: readonly BuilderEntry[] | undefined;
  /** The one builder, or the first. */
  readonly stsName?: string | undefined;
  /** Its headless Service. */
  readonly headlessServiceName?: string | undefined;
  /** Listeners of projects and pools. */
  readonly listeners?: readonly DoorSettings[] | undefined;
  /** Builders that take no new sessions. */
  readonly cordoned?: readonly string[] | undefined;
  /** The most replicas of a builder. */
  readonly maxReplicas?: number | undefined;
  /** See `--warm`. */
  readonly warm?: readonly WarmWindow[] | undefined;
  /** See `--idle-timeout`. */
  readonly idleTimeoutMs?: PerPool<number> | undefined;
  /** See `--ready-wait-timeout`. */
  readonly readyWaitTimeoutMs?: PerPool<number> | undefined;
  /** See `--queue-timeout`. */
  readonly queueTimeoutMs?: PerPool<number> | undefined;
  /** See `--min-replicas`. */
  readonly minReplicas?: PerPool<number> | undefined;
  /** See `--sessions-per-replica`. */
  readonly sessionsPerReplica?: PerPool<number> | undefined;
  /** See `--max-sessions-per-replica`. */
  readonly maxSessionsPerReplica?: PerPool<number> | undefined;
}

/** The most builders of one program. */
export const MOST_BUILDERS = 64;

/** Kubernetes appends a hash of up to 11 characters to the name, in a label of up to 63. */
const LONGEST_NAME = 52;

/** All problems; `given` tells whether a flag or its variable was given, right or wrong. */
export function builderConflicts(
  settings: ManyBuildersSettings,
  given: (key: keyof ManyBuildersSettings) => boolean,
): string[] {
  const { builders, stsName } = settings;
  const one = given("builders") || stsName === undefined
    ? undefined
    : [{ pool: DEFAULT_POOL, name: stsName }];
  const entries = builders ?? one;
  if (entries === undefined) return limitConflicts(settings, [DEFAULT_POOL], given("sessionsPerReplica"));
  const pools = [...new Set(entries.map(({ pool }) => pool))];
  return [
    ...builders === undefined
      ? []
      : [...listConflicts(builders), ...firstConflicts(settings, builders, given)],
    ...unknownPools(settings, pools),
    ...doorsTwice(settings.listeners ?? []),
    ...cordonedConflicts(settings, entries.map(({ name }) => name)),
    ...sizeConflicts(settings, entries),
    ...limitConflicts(settings, pools, given("sessionsPerReplica")),
  ];
}

/** Builders that cannot be, or not together. */
function listConflicts(builders: readonly BuilderEntry[]): string[] {
  const problems = [];
  if (builders.length > MOST_BUILDERS) {
    problems.push(
      `Cannot use "--builders": found ${builders.length} builders, want at most ${MOST_BUILDERS}`,
    );
  }
  if (builders.every(({ pool }) => pool !== DEFAULT_POOL)) {
    problems.push(
      'Cannot use "--builders": found a pool before each builder, want at least one builder without a pool, which ' +
        'serves "--listen-addr"',
    );
  }
  for (const name of repeated(builders.map(({ name }) => name))) {
    problems.push(`Cannot use "--builders": found "${name}" twice, want each StatefulSet once`);
  }
  const services = new Map(builders.map(({ name, service }) => [name, service])).values();
  for (const service of repeated([...services])) {
    problems.push(
      `Cannot use "--builders": found the Service ${
        quote(service)
      } twice, want a headless Service for each builder ` +
        "(name@service)",
    );
  }
  return [...problems, ...builders.flatMap(nameConflicts)];
}

function nameConflicts({ name, service }: BuilderEntry): string[] {
  if (name.length > LONGEST_NAME) {
    return [
      `Cannot use "--builders": found ${
        quote(name)
      } of ${name.length} characters, want at most ${LONGEST_NAME}, since ` +
      "the labels of a StatefulSet's pods have 11 more",
    ];
  }
  if (label.parse(service) !== undefined) return [];
  return [
    `Cannot use "--builders": found the Service ${quote(service)} of ${quote(name)}, want a name of ` +
    `${label.want(service)} (name@service)`,
  ];
}

/** The flags of the one builder, if they name another one than the first. */
function firstConflicts(
  { stsName, headlessServiceName }: ManyBuildersSettings,
  [first]: readonly BuilderEntry[],
  given: (key: keyof ManyBuildersSettings) => boolean,
): string[] {
  const pairs = [
    ["stsName", "--sts-name", stsName, first!.name],
    ["headlessServiceName", "--headless-service-name", headlessServiceName, first!.service],
  ] as const;
  return pairs
    .filter(([key, , own, ofFirst]) => given(key) && own !== undefined && own !== ofFirst)
    .map(([, flag, own, ofFirst]) =>
      `Cannot use "${flag}" and "--builders" together: found ${quote(own!)} and, for the first builder, ` +
      `${quote(ofFirst)}, want the same; or leave "${flag}" out`
    );
}

/** The settings that pools may differ in. */
const PER_POOL = [
  ["idleTimeoutMs", "--idle-timeout"],
  ["readyWaitTimeoutMs", "--ready-wait-timeout"],
  ["queueTimeoutMs", "--queue-timeout"],
  ["minReplicas", "--min-replicas"],
  ["sessionsPerReplica", "--sessions-per-replica"],
  ["maxSessionsPerReplica", "--max-sessions-per-replica"],
] as const;

function unknownPools(settings: ManyBuildersSettings, pools: readonly string[]): string[] {
  const named: readonly (readonly [flag: string, pools: Iterable<string>])[] = [
    ["--listeners", (settings.listeners ?? []).map(({ pool = DEFAULT_POOL }) => pool)],
    ...PER_POOL.map(([key, flag]) => [flag, settings[key]?.pools.keys() ?? []] as const),
    ["--warm", (settings.warm ?? []).map(({ pool }) => pool)],
  ];
  return named.flatMap(([flag, of]) =>
    [...new Set(of)].filter((pool) => pool !== DEFAULT_POOL && !pools.includes(pool)).map((pool) => {
      const near = nearest(pool, pools);
      return `Cannot use "${flag}": found the pool "${pool}", want a pool of "--builders"` +
        (near === undefined ? `, such as "${pool}/buildkitd-${pool}" there` : `: the nearest is "${near}"`);
    })
  );
}

function doorsTwice(doors: readonly DoorSettings[]): string[] {
  return repeated(doors.map(doorName))
    .map((name) => `Cannot use "--listeners": found "${name}" twice, want one listener for it`);
}

function cordonedConflicts({ cordoned = [] }: ManyBuildersSettings, names: readonly string[]): string[] {
  const twice = repeated(cordoned).map((name) =>
    `Cannot use "--cordoned": found ${quote(name)} twice, want it once`
  );
  const unknown = [...new Set(cordoned)].filter((name) => !names.includes(name)).map((name) => {
    const near = nearest(name, names);
    return `Cannot use "--cordoned": found ${quote(name)}, want the name of a builder` +
      (near === undefined ? "" : `: the nearest is ${quote(near)}`);
  });
  return [...twice, ...unknown];
}

/** Replicas to keep that the builders of a pool cannot have. Those that are cordoned keep none. */
function sizeConflicts(
  { minReplicas, warm = [], maxReplicas = Infinity, cordoned = [] }: ManyBuildersSettings,
  builders: readonly Pick<BuilderEntry, "pool" | "name">[],
): string[] {
  return [...Map.groupBy(builders, ({ pool }) => pool)].flatMap(([pool, all]) => {
    const taking = all.filter(({ name }) => !cordoned.includes(name)).length;
    const most = taking === 0 ? 0 : taking * maxReplicas;
    const wanted: [flag: string, count: number][] = warm.filter((window) => window.pool === pool)
      .map(({ count }) => ["--warm", count]);
    if (minReplicas !== undefined) wanted.unshift(["--min-replicas", valueFor(minReplicas, pool)]);
    const of = taking === 1 ? "one builder" : `each of ${taking} builders`;
    const why = taking === 0
      ? 'all builders are in "--cordoned"'
      : `"--max-replicas" ${maxReplicas} for ${of}${taking === all.length ? "" : ' outside "--cordoned"'}`;
    return wanted.filter(([, count]) => count > most).map(([flag, count]) =>
      `Cannot use "${flag}"${forPool(pool)}: found ${count} replicas, want at most ${most}: ${why}`
    );
  });
}

function limitConflicts(
  { sessionsPerReplica, maxSessionsPerReplica }: ManyBuildersSettings,
  pools: readonly string[],
  isTargetGiven: boolean,
): string[] {
  // Without a target of the user's own, the hard limit is the target where it is lower.
  if (!isTargetGiven || sessionsPerReplica === undefined || maxSessionsPerReplica === undefined) return [];
  return pools.flatMap((pool) => {
    const [target, limit] = [valueFor(sessionsPerReplica, pool), valueFor(maxSessionsPerReplica, pool)];
    if (limit === 0 || limit >= target) return [];
    return [
      `Cannot use "--max-sessions-per-replica" and "--sessions-per-replica" together${
        forPool(pool)
      }: found ` +
      `${limit} and ${target}, want the first at least as high as the second`,
    ];
  });
}

/** Values that are there more than once, each once. */
function repeated(values: readonly string[]): readonly string[] {
  return [...new Set(values.filter((value, i) => values.indexOf(value) < i))];
}

function forPool(pool: string): string {
  return pool === DEFAULT_POOL ? "" : ` for the pool "${pool}"`;
}

/** A name, of which at most 80 characters are shown. */
function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}
