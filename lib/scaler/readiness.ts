/**
 * When a pod may take sessions: what its readiness condition and the daemon's own health answers mean together. Pure.
 *
 * @module
 */
import type { Backend } from "./backends.ts";

/** What makes a pod ready: its condition, the daemon's health service, or whichever says so first. */
export type ReadinessMode = "pod" | "grpc" | "auto";

/** Missed checks in a row that take a pod out. */
export const MISSED_LIMIT = 3;

/** What health checks have shown of one pod. */
export interface PodHealth {
  /** It has answered SERVING since the last failed dial, and since the pod was last not ready. */
  readonly served: boolean;
  /** Checks in a row that were missed since it did. */
  readonly missed: number;
  /** A dial has failed although the pod was ready. Its condition lags, so only an answer SERVING ends this. */
  readonly unhealthy: boolean;
  /** The daemon has no health service, or speaks only TLS: its condition decides. */
  readonly unsupported: boolean;
}

/** Before the first check. */
export const UNCHECKED: PodHealth = { served: false, missed: 0, unhealthy: false, unsupported: false };

/** How one check ended. */
export type HealthAnswer =
  /** The daemon is there and serves. */
  | "serving"
  /** It is there and says that it does not serve. */
  | "not_serving"
  /** It is there and has no health service, or speaks something else. */
  | "unsupported"
  /** No answer. */
  | "missed";

/** The health after one more check. */
export function checked(health: PodHealth, answer: HealthAnswer): PodHealth {
  switch (answer) {
    case "serving":
      return { ...health, served: true, missed: 0, unhealthy: false };
    case "unsupported":
      // Once a daemon has served, an odd answer is only a missed check.
      return health.served ? missed(health) : { ...health, unsupported: true };
    case "not_serving":
    case "missed":
      return missed(health);
  }
}

function missed(health: PodHealth): PodHealth {
  return health.served ? { ...health, missed: Math.min(health.missed + 1, MISSED_LIMIT) } : health;
}

/** The health after a dial that has failed. */
export function dialFailed(health: PodHealth): PodHealth {
  return { ...health, served: false, unhealthy: true };
}

/** The health after the pod has become not ready: its container may have been restarted, and listens before it serves. */
export function unready(health: PodHealth): PodHealth {
  return { ...health, served: false };
}

/** May the pod take new sessions? Never when it is being deleted. */
export function isReady(mode: ReadinessMode, backend: Backend, health: PodHealth): boolean {
  if (backend.terminating) return false;
  const answers = health.served && health.missed < MISSED_LIMIT;
  switch (mode) {
    case "pod":
      return backend.ready;
    case "grpc":
      return answers;
    case "auto":
      if (health.unsupported) return backend.ready;
      return health.served ? answers : backend.ready && !health.unhealthy;
  }
}
