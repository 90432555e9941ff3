/**
 * What a run is made of: all that is drawn from its seed before it begins, but for the faults.
 *
 * @module
 */
import type { SettingKey } from "../../lib/config/settings.ts";
import type { SeededRandom } from "../support/seeded_random.ts";

/** What the program can do by now: what it cannot do is not drawn. */
export const SUPPORTED = {
  /** Several StatefulSets, and several pods of each. */
  builders: true,
  /** Watchers of the build history, which need no pod. */
  watchers: true,
};

/** How a run is set up: all of it drawn from the seed but for what is switched off. */
export interface Plan {
  readonly seed: number;
  readonly proxies: number;
  readonly durationMs: number;
  readonly clients: number;
  /** Clients that watch the build history, at a time. */
  readonly watchers: number;
  /** StatefulSets. */
  readonly builders: number;
  /** Pods that each of them may have. */
  readonly replicas: number;
  /** How likely a client comes at a moment in which a scale-down is about to happen. */
  readonly aim: number;
  /** How long it stays away otherwise, at most, in ms. */
  readonly restMs: number;
  /** How long it pauses between two calls, at most, in ms. */
  readonly pauseMs: number;
  /** Daemons that are told to stop cancel their sessions. */
  readonly daemonsCancel: boolean;
  /** Connections say which of them belong to one run of a client. */
  readonly traces: boolean;
  readonly settings: Readonly<Partial<Record<SettingKey, string>>>;
}

/** The names of so many StatefulSets. */
export function builderNames(count: number): readonly [string, ...string[]] {
  const others = Array.from({ length: count - 1 }, (_, i) => `buildkitd-b${i + 2}`);
  return ["buildkitd", ...others];
}

/** What of a plan is about builders. */
export type BuilderPlan = Pick<Plan, "builders" | "replicas" | "watchers">;

/** How many of each a seed says: in two seeds of five there is one builder of one pod. */
export function drawBuilders(random: SeededRandom): BuilderPlan {
  const builders = random.chance(0.5) ? 1 : random.integer(2, 4);
  const replicas = random.chance(builders === 1 ? 0.2 : 0.4) ? 2 : 1;
  const watchers = random.pick([0, 0, 1, 3]);
  return {
    builders: SUPPORTED.builders ? builders : 1,
    replicas: SUPPORTED.builders ? replicas : 1,
    watchers: SUPPORTED.watchers ? watchers : 0,
  };
}

/** Draws the settings of these builders. One builder of one pod keeps its defaults. */
export function builderSettings(
  { builders, replicas }: BuilderPlan,
  random: SeededRandom,
): Partial<Record<SettingKey, string>> {
  if (builders === 1 && replicas === 1) return {};
  const target = random.pick([0, 1, 1, 2, 4]);
  const limit = random.pick([0, 0, Math.max(1, target), target + 1]);
  return {
    builders: builderNames(builders).join(","),
    maxReplicas: String(replicas),
    sessionsPerReplica: String(target),
    maxSessionsPerReplica: String(limit),
    queueTimeoutMs: `${random.pick([10, 60, 600])}s`,
    placement: random.pick(["affinity", "affinity", "packed", "least-sessions", "round-robin"]),
    overflow: random.chance(0.2) ? "never" : "full",
    affinityPatienceMs: `${random.pick([0, 0, 3])}s`,
  };
}
