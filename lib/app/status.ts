/**
 * Connects the status page with the parts of the program. Contains no other logic.
 *
 * @module
 */
import type { Settings } from "../config/settings.ts";
import type { Router } from "../route/router.ts";
import { Status, type Watched } from "../ops/status.ts";
import type { PooledTarget } from "./builders.ts";

/** What the page is drawn from. */
export interface StatusParts extends Omit<Watched, "builders" | "price"> {
  /** The builders in their declared order. */
  readonly targets: readonly PooledTarget[];
  /** The sessions that wait. */
  readonly router: Pick<Router, "pools">;
}

/** Starts to watch the builders. */
export function statusOf(
  { pricePerHour }: Pick<Settings, "pricePerHour">,
  { targets, router, ...parts }: StatusParts,
): Status {
  const builders = targets.map(({ name, pool, settings, target }) => ({
    name,
    pool: router.pools.get(pool)!,
    settings,
    target,
  }));
  return new Status({ ...parts, price: pricePerHour, builders });
}
