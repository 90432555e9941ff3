/**
 * What other idle timeouts and other numbers of builders would have cost and saved: replays a history with each of them.
 *
 * @module
 */
import { UsageError } from "../base/errors.ts";
import { MOST_BUILDERS } from "../config/builder_conflicts.ts";
import { DEFAULT_POOL, poolsOf } from "../config/builders.ts";
import { OF_ADVISE } from "../config/commands.ts";
import type { Settings } from "../config/settings.ts";
import { CANDIDATES_MS } from "../ops/savings.ts";
import type { History } from "./history.ts";
import { type Replayed, replaySessions } from "./replay.ts";
import { someNames } from "./some_names.ts";

/** Without any cold start in the history, a pod takes so long to start, in ms. */
export const DEFAULT_START_MS = 30_000;

/** What to replay with. */
export interface AdviceOptions {
  /** What is in force, or would be. They describe one pool. */
  readonly settings: Settings;
  /** Idle timeouts to try, in ms; without it, those that the status page shows, and the one that is set. */
  readonly idleTimeoutsMs?: readonly number[] | undefined;
  /** Numbers of builders to try; without it, 1, 2, 4 and so on up to as many as there are. */
  readonly builderCounts?: readonly number[] | undefined;
  /** How long a pod takes to start, in ms; without it, the median of the history. */
  readonly startMs?: number | undefined;
}

/** One row: what these settings would have done. */
export interface Trial extends Omit<Replayed, "untilMs"> {
  /** How many builders there are. */
  readonly builders: number;
  /** The idle timeout, in ms. */
  readonly idleTimeoutMs: number;
  /** These are the settings in force. */
  readonly isSet: boolean;
  /** What as many pods as ran at once would have cost until the common end, in ms. */
  readonly alwaysOnMs: number;
}

/** All rows, and what they rest on. */
export interface Advice {
  /** From the first connection, in ms since the epoch. */
  readonly fromMs: number;
  /**
   * To the end of the last session with the start of a pod and the longest idle timeout after it, or as long as a row takes
   * whose sessions queue, in ms since the epoch. All rows count their pods until then.
   */
  readonly untilMs: number;
  /** How long a pod takes to start, in ms. */
  readonly startMs: number;
  /** Where that is from. */
  readonly startFrom: "flag" | "history" | "default";
  /** By the number of builders, then by idle timeout. */
  readonly trials: readonly Trial[];
}

/**
 * Replays the history with every pair of the settings to try. `turn` as in `replaySessions`.
 *
 * @throws UsageError if the history has more builders than can be replayed
 */
export async function advise(
  history: History,
  options: AdviceOptions,
  turn: () => Promise<void>,
): Promise<Advice> {
  const { settings } = options;
  const { sessions } = history;
  const [pool] = poolsOf(settings);
  const setMs = pool!.idleTimeoutMs;
  const timeoutsMs = ascending(options.idleTimeoutsMs ?? [...CANDIDATES_MS, setMs]);
  const names = namesOf(settings, history);
  if (options.builderCounts === undefined && names.length > MOST_BUILDERS) throw tooManyBuilders(names);
  const counts = ascending(options.builderCounts ?? upTo(names.length));
  const fromMs = sessions[0]!.startMs;
  const lastMs = sessions.reduce((last, each) => Math.max(last, each.startMs + each.durationMs), fromMs);
  const { startMs, startFrom } = startOf(history, options.startMs);
  const replayed = (builders: number, idleTimeoutMs: number, untilMs: number) =>
    replaySessions({
      sessions,
      settings: settingsWith(settings, namesFor(names, builders), idleTimeoutMs),
      startMs: () => startMs,
      untilMs,
      turn,
    });
  // A session may end later than it did: by the start of a pod, and if it queues by more, which only a replay shows.
  let untilMs = lastMs + startMs + timeoutsMs.at(-1)!;
  const rows: (Pick<Trial, "builders" | "idleTimeoutMs"> & Replayed)[] = [];
  for (const builders of counts) {
    for (const idleTimeoutMs of timeoutsMs) {
      const row = await replayed(builders, idleTimeoutMs, untilMs);
      rows.push({ builders, idleTimeoutMs, ...row });
      untilMs = Math.max(untilMs, row.untilMs);
    }
  }
  const trials: Trial[] = [];
  for (const { builders, idleTimeoutMs, ...row } of rows) {
    // After its own end a row has only the pods that stay without clients.
    const isShort = row.untilMs < untilMs && (pool!.minReplicas > 0 || pool!.warm.length > 0);
    const { untilMs: _end, ...whole } = isShort ? await replayed(builders, idleTimeoutMs, untilMs) : row;
    const isSet = idleTimeoutMs === setMs && builders === names.length;
    const alwaysOnMs = whole.peakPods * (untilMs - fromMs);
    trials.push({ builders, idleTimeoutMs, isSet, ...whole, alwaysOnMs });
  }
  return { fromMs, untilMs, startMs, startFrom, trials };
}

/** The same settings with these builders, none of them cordoned, and this idle timeout. */
export function settingsWith(settings: Settings, names: readonly string[], idleTimeoutMs: number): Settings {
  const pool = poolsOf(settings)[0]?.name ?? DEFAULT_POOL;
  return {
    ...settings,
    builders: names.map((name) => ({ pool, name, service: name })),
    cordoned: undefined,
    idleTimeoutMs: { base: idleTimeoutMs, pools: new Map() },
  };
}

/** The builders that there are: as declared, else as the history has them. */
function namesOf(settings: Settings, { builders }: History): readonly string[] {
  if (settings.builders !== undefined) return settings.builders.map(({ name }) => name);
  return builders.length > 0 ? builders : [settings.stsName];
}

function tooManyBuilders(names: readonly string[]): UsageError {
  return new UsageError([
    `Cannot replay: found sessions of ${names.length} builders in the file (${
      someNames(names)
    }), want at most ` +
    `${MOST_BUILDERS}: the column or field "builder" is the name of a builder, not of a pod; or try numbers of ` +
    `builders with "--builder-counts"`,
  ], OF_ADVISE);
}

/** 1, 2, 4 and so on, and the number itself. */
function upTo(count: number): readonly number[] {
  return Array.from({ length: 1 + Math.ceil(Math.log2(count)) }, (_, i) => Math.min(2 ** i, count));
}

/** So many names of builders: those that there are, then others as the chart would make them. */
export function namesFor(names: readonly string[], count: number): readonly string[] {
  const more = Array.from({ length: count }, (_, i) => `${names[0]}-b${i + 2}`)
    .filter((name) => !names.includes(name));
  return [...names, ...more].slice(0, count);
}

function startOf(
  { coldStartsMs }: History,
  givenMs: number | undefined,
): Pick<Advice, "startMs" | "startFrom"> {
  if (givenMs !== undefined) return { startMs: givenMs, startFrom: "flag" };
  const sorted = coldStartsMs.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  return median === undefined
    ? { startMs: DEFAULT_START_MS, startFrom: "default" }
    : { startMs: median, startFrom: "history" };
}

function ascending(values: readonly number[]): readonly number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
