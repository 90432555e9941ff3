/**
 * Mutants of `lib/ops` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const OPS: readonly Allowed[] = [
  {
    path: "lib/ops/log_queue.ts",
    line: '#cause = "";',
    to: '"mutated"',
    reason: "only read after records were lost, and set whenever some are",
  },
  {
    path: "lib/ops/log_queue.ts",
    line: "return 0; // there is no reader to report the rest to",
    to: "1",
    reason: "nothing is written any more, so nobody is told how much was lost",
  },
];
