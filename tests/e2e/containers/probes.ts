/**
 * The probes of one container: called in their period, counted by their thresholds, as the kubelet does it.
 *
 * While a startup probe has not succeeded, the others wait. A terminating container is still asked whether it is ready,
 * but no longer whether it lives. May not act on an outcome: it is told to whoever asked for it.
 *
 * @module
 */

import { anySignal } from "../../../lib/base/any_signal.ts";
import { delay } from "../waiting.ts";
import type { ContainerSpec, ProbeSpec } from "./pod_spec.ts";

export interface ProbesOptions {
  readonly spec: ContainerSpec;
  /** Carries out a probe once. */
  readonly probe: (probe: ProbeSpec, timeoutMs: number) => Promise<boolean>;
  /** Called when the container has become ready, or is no longer. */
  readonly onReadiness: (ready: boolean) => void;
  /** Called once, when a startup or liveness probe has failed so often that the container has to be restarted. */
  readonly onUnhealthy: (which: "startup" | "liveness") => void;
}

export class Probes {
  readonly #options: ProbesOptions;
  readonly #ended = new AbortController();
  readonly #terminating = new AbortController();

  constructor(options: ProbesOptions) {
    this.#options = options;
    this.#run();
  }

  /** From now on the container is only asked whether it is ready. */
  terminating(): void {
    this.#terminating.abort();
  }

  stop(): void {
    this.#terminating.abort();
    this.#ended.abort();
  }

  async #run(): Promise<void> {
    const { spec, onReadiness, onUnhealthy } = this.#options;
    const { startupProbe, livenessProbe, readinessProbe } = spec;
    const aliveOnly = this.#terminating.signal;
    if (startupProbe !== undefined) {
      const started = new AbortController();
      using either = anySignal(aliveOnly, started.signal);
      await this.#watch(startupProbe, either.signal, (success) => {
        started.abort();
        if (!success) onUnhealthy("startup");
      });
      if (!started.signal.aborted) return;
    }
    if (livenessProbe !== undefined) {
      this.#watch(livenessProbe, aliveOnly, (success) => {
        if (!success) onUnhealthy("liveness");
      });
    }
    if (readinessProbe === undefined) return onReadiness(true);
    await this.#watch(readinessProbe, this.#ended.signal, onReadiness);
  }

  /** Calls one probe until `signal`, and tells each change of its outcome as counted by the thresholds. */
  async #watch(
    probe: ProbeSpec,
    signal: AbortSignal,
    onOutcome: (success: boolean) => void,
  ): Promise<void> {
    const { initialDelaySeconds = 0, periodSeconds = 10, timeoutSeconds = 1 } = probe;
    const { successThreshold = 1, failureThreshold = 3 } = probe;
    const ended = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve());
    });
    let told: boolean | undefined;
    let last: boolean | undefined;
    let inARow = 0;
    await Promise.race([ended, delay(initialDelaySeconds * 1000)]);
    while (!signal.aborted) {
      const success = await this.#options.probe(probe, timeoutSeconds * 1000);
      if (signal.aborted) return;
      inARow = success === last ? inARow + 1 : 1;
      last = success;
      if (success !== told && inARow >= (success ? successThreshold : failureThreshold)) {
        told = success;
        onOutcome(success);
      }
      await Promise.race([ended, delay(periodSeconds * 1000)]);
    }
  }
}
