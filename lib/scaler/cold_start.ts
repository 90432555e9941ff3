/**
 * Measures the phases of a cold start, from the first held session on, and says in the log how long it took. Decides nothing.
 *
 * @module
 */
import type { Labels } from "../base/metrics.ts";
import type { BuilderPorts } from "../base/ports.ts";
import type { Pods } from "./pods.ts";

/** A phase of a cold start. */
export type Phase = Labels<"cold_start_seconds">["phase"];

/** Watches one cold start at a time. */
export class ColdStart {
  readonly #ports: Pick<BuilderPorts, "clock" | "log" | "metrics">;
  readonly #done = new Set<Phase>();
  #sinceMs: number | undefined;
  /** When this proxy has raised the count for it. */
  #raisedMs: number | undefined;

  /** A session waits for it, too. */
  #isForSession = false;

  /** None is under way. */
  constructor(ports: Pick<BuilderPorts, "clock" | "log" | "metrics">) {
    this.#ports = ports;
  }

  /**
   * Somebody is held and calls for a pod: a cold start begins, unless one is under way. Where none of those is a session,
   * nobody waits for a byte, so it ends with the ready pod.
   */
  begin(isSession = true): void {
    if (this.#sinceMs === undefined || this.#done.has("ready")) {
      this.#sinceMs = this.#ports.clock.nowMs();
      this.#raisedMs = undefined;
      this.#done.clear();
      this.#isForSession = false;
    }
    this.#isForSession ||= isSession;
  }

  /** Nobody calls for a pod any more. The first byte may still come. */
  settle(): void {
    if (!this.#done.has("ready")) this.#sinceMs = undefined;
  }

  /** This proxy has raised the count. */
  raised(): void {
    this.#raisedMs ??= this.#ports.clock.nowMs();
  }

  /** A phase has ended; each counts once a cold start. */
  reached(phase: Phase): void {
    const { clock, log, metrics } = this.#ports;
    const sinceMs = this.#sinceMs;
    if (sinceMs === undefined || this.#done.has(phase)) return;
    this.#done.add(phase);
    const tookMs = clock.nowMs() - sinceMs;
    metrics.record("cold_start_seconds", tookMs / 1000, { phase });
    // Where another proxy has raised the count, that one says it.
    if (phase === "ready" && this.#raisedMs !== undefined) {
      const raisedMs = Math.round(this.#raisedMs - sinceMs);
      log.info("cold_start_ended", { raisedMs, readyMs: Math.round(tookMs) });
    }
    // A write that comes later, for running sessions, belongs to no cold start.
    if (phase === "first_byte" || (phase === "ready" && !this.#isForSession)) this.#sinceMs = undefined;
  }

  /** The pods, or what is known of them, may have changed. */
  look(pods: Pick<Pods, "all" | "isReady">): void {
    const alive = pods.all.filter(({ terminating }) => !terminating);
    if (alive.some(({ addresses }) => addresses.length > 0)) this.reached("pod_address");
    if (alive.some((backend) => pods.isReady(backend))) this.reached("ready");
  }
}
