/**
 * Measures the phases of a cold start, from the first held session on. Counts only; decides nothing.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { BuilderMetrics, Labels } from "../base/metrics.ts";
import type { Pods } from "./pods.ts";

/** A phase of a cold start. */
export type Phase = Labels<"cold_start_seconds">["phase"];

/** Watches one cold start at a time. */
export class ColdStart {
  readonly #clock: Clock;
  readonly #metrics: BuilderMetrics;
  readonly #done = new Set<Phase>();
  #sinceMs: number | undefined;

  /** Reports to `metrics`. */
  constructor(clock: Clock, metrics: BuilderMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** A session is held and calls for a pod: a cold start begins, unless one is under way. */
  begin(): void {
    if (this.#sinceMs !== undefined && !this.#done.has("ready")) return;
    this.#sinceMs = this.#clock.nowMs();
    this.#done.clear();
  }

  /** Nobody calls for a pod any more. The first byte may still come. */
  settle(): void {
    if (!this.#done.has("ready")) this.#sinceMs = undefined;
  }

  /** A phase has ended; each counts once a cold start. */
  reached(phase: Phase): void {
    if (this.#sinceMs === undefined || this.#done.has(phase)) return;
    this.#done.add(phase);
    this.#metrics.record("cold_start_seconds", (this.#clock.nowMs() - this.#sinceMs) / 1000, { phase });
    // A write that comes later, for running sessions, belongs to no cold start.
    if (phase === "first_byte") this.#sinceMs = undefined;
  }

  /** The pods, or what is known of them, may have changed. */
  look(pods: Pick<Pods, "all" | "isReady">): void {
    const alive = pods.all.filter(({ terminating }) => !terminating);
    if (alive.some(({ addresses }) => addresses.length > 0)) this.reached("pod_address");
    if (alive.some((backend) => pods.isReady(backend))) this.reached("ready");
  }
}
