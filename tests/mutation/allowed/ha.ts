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
    path: "lib/ha/proxies.ts",
    line: "const replicas = agreement.seen?.replicas ?? 0;",
    from: "0",
    reason:
      "Before the count was seen, nothing has been placed and no record of another proxy was read, so there is nothing to say of any pod.",
  },
];
