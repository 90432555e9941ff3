/**
 * Makes a failing run as small as it gets: with fewer classes of faults, clients and proxies, and no longer than to the
 * failure. What is switched off changes no other draw, so the rest stays as alike as it can. Another failure than the
 * one that was found does not count.
 *
 * @module
 */
import type { FaultName } from "./faults.ts";
import { draw, type Options, type Outcome, simulate } from "./simulate.ts";

/** Runs at most this many times. */
const TRIES = 100;

/** What a run can have fewer of. */
export const SIZES = ["backlog", "clients", "watchers", "builders", "replicas", "proxies"] as const;

/** Without them a run is none. */
const AT_LEAST_ONE: ReadonlySet<string> = new Set(["builders", "replicas", "proxies"]);

/** The smallest run found that still fails, and how it went. */
export async function shrink(failed: Outcome, run = simulate): Promise<Outcome> {
  let best = failed;
  let tries = 0;
  /** Whether that fails, too; then it is the best so far. */
  const attempt = async (options: Options): Promise<boolean> => {
    if (tries++ >= TRIES) return false;
    const outcome = await run(options);
    if (kindOf(outcome) !== kindOf(failed)) return false;
    best = outcome;
    return true;
  };
  const without = (names: readonly FaultName[]) =>
    attempt({ ...best.options, without: new Set([...best.options.without ?? [], ...names]) });
  // The later half, a quarter …, in the end each by itself.
  for (let part = best.faults.length; part >= 1; part = Math.floor(part / 2)) {
    for (let at = 0; at < best.faults.length;) {
      if (!await without(best.faults.slice(at, at + part))) at += part;
    }
  }
  for (const key of SIZES) {
    const least = AT_LEAST_ONE.has(key) ? 1 : 0;
    const fewer = () => key === "backlog" ? Math.floor(best.plan[key] / 2) : best.plan[key] - 1;
    while (best.plan[key] > least && await attempt({ ...best.options, [key]: fewer() }));
  }
  const toFailureMs = Math.ceil(best.simulatedMs);
  if (toFailureMs < best.plan.durationMs) await attempt({ ...best.options, durationMs: toFailureMs });
  return best;
}

/** What did not hold, without the names and numbers that differ from run to run; undefined if all did. */
export function kindOf({ violation }: Outcome): string | undefined {
  return violation?.replace(/[:;].*/, "").replace(/\d+/g, "N");
}

/** The arguments of `run.ts` that repeat a run. */
export function replayArguments({ options, plan }: Outcome): string {
  const { plan: drawn } = draw({ seed: options.seed });
  const parts = [`--seed ${options.seed}`];
  if (options.without !== undefined && options.without.size > 0) {
    parts.push(`--without ${[...options.without].join(",")}`);
  }
  for (const key of SIZES) if (plan[key] !== drawn[key]) parts.push(`--${key} ${plan[key]}`);
  if (plan.durationMs !== drawn.durationMs) parts.push(`--duration ${plan.durationMs}`);
  return parts.join(" ");
}
