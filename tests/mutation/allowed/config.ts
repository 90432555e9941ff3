/**
 * Mutants of `lib/config` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const CONFIG: readonly Allowed[] = [
  {
    path: "lib/config/command_line.ts",
    line: ".helpOption(false)",
    to: "true",
    reason: "the table's own --help comes first, and commander then shows none of its own",
  },
];
