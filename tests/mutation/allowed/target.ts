/**
 * Mutants of `lib/target` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const TARGET: readonly Allowed[] = [
  {
    path: "lib/target/joining.ts",
    line: "await next;",
    reason: "makes no difference: what is waited for was ended by the line before",
  },
  {
    path: "lib/target/pod_health.ts",
    line: "this.#underWay.delete(task);",
    reason: "costs memory: what stays is a settled promise for each check, for which nobody waits",
  },
  {
    path: "lib/target/pod_health.ts",
    line: "runningDueMs: known?.runningDueMs ?? -Infinity,",
    from: "-Infinity",
    reason:
      "makes no difference: a pod that was never checked is asked for clients that wait, by the other time",
  },
];
