/**
 * Named health checks, and the responses to probes. Pure.
 *
 * Liveness fails only if a restart would help, so not while the API server is down or the proxy drains. Readiness says
 * whether new connections should be sent here.
 *
 * @module
 */
import { publicMessageOf } from "../base/errors.ts";

/** The two kinds of probes. */
export type Probe = "live" | "ready";

/** The result of a check. */
export type CheckResult =
  | { readonly ok: true; readonly detail?: string }
  | { readonly ok: false; readonly reason: string };

/** One check. */
export interface HealthCheck {
  /** A short name in lower case with dashes. */
  readonly name: string;
  /** The probes that it belongs to. */
  readonly probes: readonly Probe[];
  /** Runs the check on present state, without waiting. If it throws, it has failed with that error as the reason. */
  check(): CheckResult;
}

/** A probe's response. */
export interface HealthReport {
  /** Whether every check has passed. */
  readonly ok: boolean;
  /** `ok`, or the reasons, one line each. */
  readonly brief: string;
  /** One line for each check, in the format of Kubernetes' own components. */
  readonly verbose: string;
}

/** All checks of a program. */
export class Health {
  readonly #checks: HealthCheck[] = [];

  /** Adds a check. */
  add(check: HealthCheck): void {
    this.#checks.push(check);
  }

  /** Runs the checks of a probe, without those that are excluded by name. */
  report(probe: Probe, excluded: readonly string[] = []): HealthReport {
    const results = this.#checks.filter(({ probes }) => probes.includes(probe)).map((check) =>
      excluded.includes(check.name)
        ? { name: `${check.name} excluded:`, result: { ok: true } as CheckResult }
        : { name: check.name, result: run(check) }
    );
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
