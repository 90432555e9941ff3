/**
 * Mutants of `lib/config` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const CONFIG: readonly Allowed[] = [];
