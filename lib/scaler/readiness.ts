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

/** A pod that refuses so many connections in a row, for so long from the first to the last, in ms, is out. */
const REFUSED_LIMIT = 3;
const REFUSING_MS = 10_000;

/** What health checks and dials have shown of one pod. */
export interface PodHealth {
  /** It has answered SERVING since the last failed dial, and since the pod was last not ready. */
  readonly served: boolean;
  /** Checks in a row that were missed since it did. */
  readonly missed: number;
  /** A dial has failed although the pod was ready. Its condition lags, so only an answer SERVING ends this. */
  readonly unhealthy: boolean;
  /** The daemon has no health service, or speaks only TLS: its condition decides. */
  readonly unsupported: boolean;
  /** Dials that have failed in a row, and when the first of them did, monotonic ms. */
  readonly refused: { readonly dials: number; readonly sinceMs: number };
  /** So many have failed that the condition is not trusted. Only a connection ends this. */
  readonly refuses: boolean;
}

const NOT_REFUSED = { refused: { dials: 0, sinceMs: 0 }, refuses: false };

/** Before the first check. */
export const UNCHECKED: PodHealth = {
  served: false,
  missed: 0,
  unhealthy: false,
  unsupported: false,
  ...NOT_REFUSED,
};

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

/** The health after a dial that has failed, at this monotonic time in ms. */
export function dialFailed(health: PodHealth, nowMs: number): PodHealth {
  const dials = health.refused.dials + 1;
  const sinceMs = dials === 1 ? nowMs : health.refused.sinceMs;
  const refuses = health.refuses || (dials >= REFUSED_LIMIT && nowMs >= sinceMs + REFUSING_MS);
  return { ...health, served: false, unhealthy: true, refused: { dials, sinceMs }, refuses };
}

/** The health after a dial that has succeeded. */
export function dialled(health: PodHealth): PodHealth {
  return health.refused.dials === 0 ? health : { ...health, ...NOT_REFUSED };
}

/** The health after the pod has become not ready: its container may have been restarted, and listens before it serves. */
export function unready(health: PodHealth): PodHealth {
  return { ...health, served: false, ...NOT_REFUSED };
}

/** Whether the daemon's health service has no say. */
export function conditionDecides(mode: ReadinessMode, { unsupported }: PodHealth): boolean {
  return mode === "pod" || (mode === "auto" && unsupported);
}

/** May the pod take new sessions? Never when it is being deleted. */
export function isReady(mode: ReadinessMode, backend: Backend, health: PodHealth): boolean {
  if (backend.terminating) return false;
  if (conditionDecides(mode, health)) return backend.ready && !health.refuses;
  const answers = health.served && health.missed < MISSED_LIMIT;
  return mode === "grpc" || health.served ? answers : backend.ready && !health.unhealthy;
}
