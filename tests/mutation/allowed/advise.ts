/**
 * Mutants of `lib/advise` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const ADVISE: readonly Allowed[] = [
  {
    path: "lib/advise/virtual_time.ts",
    line: "if (delayMs === Infinity) return () => {};",
    to: "false",
    reason: "only saves the memory of a timer that is never due",
  },
];
