/**
 * Mutants of `lib/ha` that may survive, each with the reason why.
 *
 * @module
 */
import type { Allowed } from "./entry.ts";

/** All of them. */
export const HA: readonly Allowed[] = [];
