/**
 * Mutants of `lib/ha` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const HA: readonly Allowed[] = [
  {
    path: "lib/ha/membership.ts",
    line: "let losses = 0;",
    reason: "The first loss sets the number before it is read: no loss came before.",
  },
  {
    path: "lib/ha/record.ts",
    line: 'isCount(use?.ordinal) && isTime(use.idleMs) && typeof use.busy === "boolean"',
    from: "?.",
    reason: "A use that is null throws then, and that makes the record unreadable as well.",
  },
  {
    path: "lib/ha/record.ts",
    line:
      "return Number.isSafeInteger(value?.generation) && Number.isSafeInteger(value.below) && value.below >= 0 &&",
    from: "?.",
    reason: "A missing announcement throws then, and that makes the record unreadable as well.",
  },
  {
    path: "lib/ha/statement.ts",
    line: "const replicas = agreement.seen?.replicas ?? 0;",
    from: "0",
    reason:
      "Before the count was seen, nothing has been placed and no record of another proxy was read, so there is nothing to say of any pod.",
  },
];
