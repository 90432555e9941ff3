/**
 * Health as named checks, and their rendering for probes and people. Pure; the admin server serves it.
 *
 * A check of liveness fails only for what a restart would mend: an API server that is down, or a drain, is none of
 * that. Readiness says whether new connections should come here.
 *
 * @module
 */
import { publicMessageOf } from "../base/errors.ts";

/** What asks: liveness or readiness. */
export type Probe = "live" | "ready";

/** What a check has found. */
export type CheckResult =
  | { readonly ok: true; readonly detail?: string }
  | { readonly ok: false; readonly reason: string };

/** One thing that is looked at. */
export interface HealthCheck {
  /** Short, lower case, with dashes. */
  readonly name: string;
  /** The probes that it counts for. */
  readonly probes: readonly Probe[];
  /** Looks at what is known; never waits. What it throws counts as the reason of a failure. */
  check(): CheckResult;
}

/** A probe's answer. */
export interface HealthReport {
  /** Whether every check has passed. */
  readonly ok: boolean;
  /** `ok`, or the reasons, one a line. */
  readonly brief: string;
  /** Every check in one line, in the form that Kubernetes' own components use. */
  readonly verbose: string;
}

/** The checks of one program. */
export class Health {
  readonly #checks: HealthCheck[] = [];

  /** Adds a check. It stays for good. */
  add(check: HealthCheck): void {
    this.#checks.push(check);
  }

  /** Runs the checks of a probe now. */
  report(probe: Probe): HealthReport {
    const results = this.#checks.filter(({ probes }) => probes.includes(probe))
      .map((check) => ({ name: check.name, result: run(check) }));
    const reasons = results.flatMap(({ name, result }) => result.ok ? [] : [`${name}: ${result.reason}`]);
    const ok = reasons.length === 0;
    const lines = results.map(({ name, result }) => {
      if (!result.ok) return `[-]${name} failed: ${result.reason}`;
      return result.detail === undefined ? `[+]${name} ok` : `[+]${name} ok: ${result.detail}`;
    });
    const summary = `${probe === "live" ? "livez" : "readyz"} check ${ok ? "passed" : "failed"}`;
    return { ok, brief: ok ? "ok" : reasons.join("\n"), verbose: [...lines, summary].join("\n") };
  }
}

function run(check: HealthCheck): CheckResult {
  try {
    return check.check();
  } catch (error) {
    return { ok: false, reason: publicMessageOf(error) };
  }
}
