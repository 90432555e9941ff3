/**
 * Mutants of `lib/app.ts` and `lib/app` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const APP: readonly Allowed[] = [
  {
    path: "lib/app/shutdown.ts",
    line: "if (delayMs === Infinity) return await aborted(...signals);",
    to: "false",
    reason: "makes no difference: a timer of the clock port waits without end, too",
  },
];
