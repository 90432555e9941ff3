/**
 * Makes a failing run as small as it gets: without one class of faults after the other, with fewer clients and proxies,
 * in less time. What is switched off changes no other draw, so the rest stays as alike as it can.
 *
 * @module
 */
import { draw, type Options, type Outcome, simulate } from "./simulate.ts";

/** Runs at most this many times. */
const TRIES = 80;

/** The smallest run found that still fails, and how it went. */
export async function shrink(failed: Outcome): Promise<Outcome> {
  let best = failed;
  let tries = 0;
  /** Whether that fails, too; then it is the best so far. */
  const attempt = async (options: Options): Promise<boolean> => {
    if (++tries > TRIES) return false;
    const outcome = await simulate(options);
    if (outcome.violation === undefined) return false;
    best = outcome;
    return true;
  };
  for (const name of failed.faults) {
    await attempt({ ...best.options, without: new Set([...best.options.without ?? [], name]) });
  }
  for (const key of ["clients", "proxies"] as const) {
    while (best.plan[key] > 1 && await attempt({ ...best.options, [key]: best.plan[key] - 1 }));
  }
  while (await attempt({ ...best.options, durationMs: Math.floor(best.plan.durationMs * 0.7) }));
  return best;
}

/** The arguments of `run.ts` that repeat a run. */
export function replayArguments({ options, plan }: Outcome): string {
  const { plan: drawn } = draw({ seed: options.seed });
  const parts = [`--seed ${options.seed}`];
  if (options.without !== undefined && options.without.size > 0) {
    parts.push(`--without ${[...options.without].join(",")}`);
  }
  if (plan.proxies !== drawn.proxies) parts.push(`--proxies ${plan.proxies}`);
  if (plan.clients !== drawn.clients) parts.push(`--clients ${plan.clients}`);
  if (plan.durationMs !== drawn.durationMs) parts.push(`--duration ${plan.durationMs}`);
  return parts.join(" ");
}
