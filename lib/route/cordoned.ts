/**
 * Whose builds can go nowhere because of `--cordoned`. Pure.
 *
 * @module
 */
import { isHomeOnly, type RoutePolicy } from "./plan.ts";

/** The builders of a pool that are homes of projects, take no new sessions, and whose projects may use no other that does. */
export function cordonedHomes<T extends { readonly isCordoned: boolean }>(
  policy: Pick<RoutePolicy, "overflow" | "placement">,
  builders: readonly T[],
): readonly T[] {
  const cordoned = builders.filter(({ isCordoned }) => isCordoned);
  if (cordoned.length === builders.length) return cordoned;
  if (!isHomeOnly(policy)) return [];
  return policy.placement === "packed" ? cordoned.filter((builder) => builder === builders[0]) : cordoned;
}
