/**
 * How far a builder can be used: `missing`, `ready`, `stuck`, `starting`, `unknown` or `asleep`, the first that fits.
 * Pure: `state_runner.ts` feeds it.
 *
 * The pod that is awaited is the lowest one that takes no session although the count or a held session wants it. It is
 * stuck when it was awaited for too long, when the count cannot be written, or when a container of it waits in a state
 * that does not mend itself. This is remembered for a while after nobody awaits it any more, so that not every session
 * has to find out anew. If other pods take sessions meanwhile, the builder is ready and its growth is stuck.
 *
 * @module
 */
import type { BuilderState } from "../base/metrics.ts";
import type { Pod } from "../kube/types.ts";

/**
 * How far a builder can be used. `missing`: it does not exist, this proxy shall not use it, or this proxy has no right to
 * see it and knows no usable pod. `unknown`: it has not been read yet, and nobody wants a pod.
 */
export type State = BuilderState;

/** The present state of a builder. */
export interface BuilderFacts {
  /** It does not exist, or this proxy shall not use it. */
  readonly isMissing: boolean;
  /** This proxy has no right to see it. Its pods that are usable go on serving. */
  readonly isForbidden: boolean;
  /** Its count has been read. */
  readonly isSeen: boolean;
  /** The ordinals that take sessions now. */
  readonly usable: readonly number[];
  /** How many pods the count or held sessions want. */
  readonly wanted: number;
  /** The count has to be written for held sessions, and was not yet. */
  readonly isClaiming: boolean;
  /** A container of the awaited pod is known to wait in a state that does not mend itself. */
  readonly isBroken: boolean;
}

/** What makes a pod stuck: it is awaited for too long, the count cannot be written, or a container cannot run. */
export type Cause = "slow" | "claim" | "container";

/** What is remembered of the awaited pod. Times are monotonic ms. */
export interface Progress {
  /** The awaited pod, and since when it is. */
  readonly awaited?: { readonly ordinal: number; readonly sinceMs: number } | undefined;
  /** Since when the count has to be written. */
  readonly claimingSinceMs?: number | undefined;
  /** The pod that is stuck, why, and until when that is remembered. */
  readonly stuck?: { readonly ordinal: number; readonly cause: Cause; readonly untilMs: number } | undefined;
}

/** A claim that fails for so long makes its pod stuck, in ms. */
export const CLAIM_MS = 10_000;

/** After so long, a stuck pod may be tried again, in ms. */
export const STUCK_MS = 600_000;

/** The same for one whose claim has failed: whether the API server answers again is known sooner. */
export const CLAIM_STUCK_MS = 60_000;

/** What is remembered now, after what was remembered at the last look. `longestMs`: a pod may be awaited for so long. */
export function advance(before: Progress, facts: BuilderFacts, nowMs: number, longestMs: number): Progress {
  const ordinal = awaitedBy(facts);
  const claimingSinceMs = facts.isClaiming ? before.claimingSinceMs ?? nowMs : undefined;
  const stuck = stillStuck(before.stuck, facts, nowMs);
  // One that was stuck begins anew.
  const isSame = before.awaited?.ordinal === ordinal && (stuck !== undefined || before.stuck === undefined);
  const awaited = ordinal === undefined ? undefined : isSame ? before.awaited! : { ordinal, sinceMs: nowMs };
  if (awaited === undefined || stuck?.ordinal === awaited.ordinal) return { awaited, claimingSinceMs, stuck };
  const cause = causeOf({ awaited, claimingSinceMs }, facts, nowMs, longestMs);
  if (cause === undefined) return { awaited, claimingSinceMs, stuck };
  const untilMs = nowMs + (cause === "claim" ? CLAIM_STUCK_MS : STUCK_MS);
  return { awaited, claimingSinceMs, stuck: { ordinal: awaited.ordinal, cause, untilMs } };
}

/** The ordinal that is awaited, if one is. */
export function awaitedBy({ usable, wanted }: Pick<BuilderFacts, "usable" | "wanted">): number | undefined {
  for (let ordinal = 0; ordinal < wanted; ordinal++) if (!usable.includes(ordinal)) return ordinal;
  return undefined;
}

function stillStuck(stuck: Progress["stuck"], facts: BuilderFacts, nowMs: number): Progress["stuck"] {
  if (stuck === undefined || facts.usable.includes(stuck.ordinal) || nowMs >= stuck.untilMs) return undefined;
  const isWritten = stuck.cause === "claim" && awaitedBy(facts) === stuck.ordinal && !facts.isClaiming;
  return isWritten ? undefined : stuck;
}

function causeOf(
  { awaited, claimingSinceMs = Infinity }: Progress,
  { isBroken }: BuilderFacts,
  nowMs: number,
  longestMs: number,
): Cause | undefined {
  if (isBroken) return "container";
  // The same sums as in `nextChangeMs`: a difference can be rounded to less than what is due by a sum.
  if (nowMs >= claimingSinceMs + CLAIM_MS) return "claim";
  return nowMs >= awaited!.sinceMs + longestMs ? "slow" : undefined;
}

/** The state of the builder. */
export function stateOf(
  { isMissing, isForbidden, isSeen, usable, wanted }: BuilderFacts,
  { stuck }: Progress,
): State {
  if (isMissing) return "missing";
  if (usable.length > 0) return "ready";
  if (isForbidden) return "missing";
  if (stuck?.ordinal === 0) return "stuck";
  if (wanted > 0) return "starting";
  return isSeen ? "asleep" : "unknown";
}

/** A pod takes sessions, and the next one is stuck. */
export function isGrowthStuck({ usable }: BuilderFacts, { stuck }: Progress): boolean {
  return usable.length > 0 && stuck !== undefined;
}

/** When any of this may change without an event, monotonic ms; Infinity if it will not. */
export function nextChangeMs(
  { awaited, claimingSinceMs = Infinity, stuck }: Progress,
  longestMs: number,
): number {
  if (awaited === undefined || stuck?.ordinal === awaited.ordinal) return stuck?.untilMs ?? Infinity;
  return Math.min(stuck?.untilMs ?? Infinity, awaited.sinceMs + longestMs, claimingSinceMs + CLAIM_MS);
}

/** Reasons for which a container waits that no waiting ends. Source: `pkg/kubelet` of Kubernetes, `kuberuntime` and `images`. */
const BROKEN = new Set([
  "CrashLoopBackOff",
  "CreateContainerConfigError",
  "CreateContainerError",
  "ErrImageNeverPull",
  "ErrImagePull",
  "ImageInspectError",
  "ImagePullBackOff",
  "InvalidImageName",
  "PostStartHookError",
  "PreCreateHookError",
  "PreStartHookError",
  "RegistryUnavailable",
  "RunContainerError",
]);

/** Whether a container of the pod waits in a state that does not mend itself, such as `ImagePullBackOff`. */
export function isBroken({ metadata, status }: Pod): boolean {
  // The successor of a pod that is being deleted may be all right.
  return metadata?.deletionTimestamp === undefined &&
    [...status?.initContainerStatuses ?? [], ...status?.containerStatuses ?? []]
      .some(({ state }) => BROKEN.has(state?.waiting?.reason ?? ""));
}
