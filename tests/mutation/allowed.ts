/**
 * Mutants that may survive, each with the reason why it makes no difference or why the difference does not matter. They are
 * named by the text of their line, so that an entry stays valid when other lines change. An entry that fits no mutant is an
 * error. The entries of each folder are in a file of their own.
 *
 * @module
 */
import { APP } from "./allowed/app.ts";
import { CONFIG } from "./allowed/config.ts";
import type { Allowed } from "./allowed/entry.ts";
import { HA } from "./allowed/ha.ts";
import { KUBE } from "./allowed/kube.ts";
import { OPS } from "./allowed/ops.ts";
import { PROXY } from "./allowed/proxy.ts";
import { SCALER } from "./allowed/scaler.ts";
import { TARGET } from "./allowed/target.ts";
import { lineOf, type Mutant } from "./operators.ts";

/** All of them. */
export const ALLOWED: readonly Allowed[] = [
  ...PROXY,
  ...TARGET,
  ...SCALER,
  ...HA,
  ...KUBE,
  ...CONFIG,
  ...OPS,
  ...APP,
];

/** The mutants without those that are allowed, those, and the entries that fit none. */
export function sortOut(
  mutants: readonly Mutant[],
  texts: ReadonlyMap<string, string>,
  allowed: readonly Allowed[] = ALLOWED,
): {
  readonly wanted: readonly Mutant[];
  readonly harmless: readonly Mutant[];
  readonly stale: readonly Allowed[];
} {
  const used = new Set<Allowed>();
  const isHarmless = (mutant: Mutant) => {
    const line = lineOf(texts.get(mutant.path)!, mutant.start);
    const fitting = allowed.filter((entry) =>
      entry.path === mutant.path && entry.line === line && (entry.from ?? mutant.from) === mutant.from &&
      (entry.to ?? mutant.to) === mutant.to
    );
    for (const entry of fitting) used.add(entry);
    return fitting.length > 0;
  };
  const harmless = new Set(mutants.filter(isHarmless));
  return {
    wanted: mutants.filter((mutant) => !harmless.has(mutant)),
    harmless: [...harmless],
    stale: allowed.filter((entry) => !used.has(entry)),
  };
}
