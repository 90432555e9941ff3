/**
 * Mutants of `lib/base` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const BASE: readonly Allowed[] = [
  {
    path: "lib/base/http1_connection.ts",
    line: "if (end >= 0) {",
    from: "0",
    to: "1",
    reason: "no head ends before its first byte: empty lines before it are passed over",
  },
];
