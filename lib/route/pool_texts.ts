/**
 * What a pool says to people: why a client got no room, who waits, and where the last sessions went. Pure.
 *
 * @module
 */
import { formatDurationMs } from "../config/duration.ts";
import { isUsable } from "./plan.ts";
import type { PoolPolicy, RoutedBuilder } from "./pool_parts.ts";
import type { Session } from "./pool_session.ts";

/** Projects that are named to people. */
const PROJECTS = 10;

/** Why there was no room for a queued session of a project, for its client. */
export function fullText(
  { queueTimeoutMs, maxSessionsPerReplica, maxReplicas, name, overflow }: PoolPolicy,
  builders: readonly RoutedBuilder[],
  project = "no project",
): string {
  const isHomeOnly = overflow === "never" && builders.length > 1;
  const usable = isHomeOnly ? 1 : builders.filter(({ facts }) => isUsable(facts)).length;
  const of = name === "" ? "" : ` of the pool "${name}"`;
  const [are, none] = usable === 1
    ? [`The builder${isHomeOnly ? ` of ${project}` : ""}${of} is`, "it had no room"]
    : [`All ${usable} builders${of} are`, "none had room"];
  const each = usable === 1 && maxReplicas === 1 ? "" : maxReplicas === 1 ? " each" : " for each pod";
  const plural = maxSessionsPerReplica === 1 ? "" : "s";
  return `${are} full (${maxSessionsPerReplica} session${plural}${each}); ${none} in ` +
    `${formatDurationMs(queueTimeoutMs)} (--queue-timeout)`;
}

/** Why nobody may wait for a builder that is there, for clients. */
export function cordonedText(name: string): string {
  return `the builder "${name}" takes no new sessions (--cordoned)`;
}

/** Why a session cannot build at all: its home is cordoned, where it may use no other builder, or all builders are. */
export function refusedText({ name }: Pick<PoolPolicy, "name">, home: string | undefined): string {
  if (home !== undefined) {
    return `Cannot build: ${cordonedText(home)}, and this build may use no other (--overflow never)`;
  }
  return `Cannot build: no builder${
    name === "" ? "" : ` of the pool "${name}"`
  } takes new sessions (--cordoned)`;
}

/** Who waits for a seat, and how long the oldest of those that are queued has been. */
export function waitingText(
  waiting: readonly Pick<Session, "project">[],
  queued: number,
  oldestQueuedMs: number | undefined,
): string {
  const projects = Map.groupBy(waiting, ({ project }) => project ?? "no project");
  const most = [...projects].sort(([, a], [, b]) => b.length - a.length);
  const of = most.slice(0, PROJECTS).map(([project, { length }]) => `${length} of ${project}`);
  if (most.length > PROJECTS) of.push(`and ${most.length - PROJECTS} more projects`);
  const text = `${waiting.length} waiting${of.length === 0 ? "" : ` (${of.join(", ")})`}`;
  if (oldestQueuedMs === undefined) return text;
  return `${text}; ${queued} queued, the oldest for ${
    formatDurationMs(Math.round(oldestQueuedMs / 1000) * 1000)
  }`;
}
