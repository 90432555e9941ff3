/**
 * Mutants of `lib/config` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const CONFIG: readonly Allowed[] = [
  {
    path: "lib/config/nearest.ts",
    line: "for (let i = 1; i <= a.length; i++) {",
    from: "1",
    to: "0",
    reason: "the distances from no letters are computed again, and are the same",
  },
  {
    path: "lib/config/command_line.ts",
    line: ".helpOption(false)",
    to: "true",
    reason: "the table's own --help comes first, and commander then shows none of its own",
  },
  {
    path: "lib/config/duration.ts",
    line: 'const sign = durationNs < 0n ? "-" : "";',
    from: "<",
    to: "<=",
    reason: "Zero is written without a sign.",
  },
];
