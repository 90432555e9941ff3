/**
 * An entry of the list of mutants that may survive.
 *
 * @module
 */

/** One entry, for all mutants of a line that fit. */
export interface Allowed {
  /** The file, relative to the root. */
  readonly path: string;
  /** The line in which the changed text begins, without white space around it. */
  readonly line: string;
  /** Only changes of exactly this text, if given. */
  readonly from?: string;
  /** Only changes to exactly this text, if given. */
  readonly to?: string;
  /** Why nobody would notice, or mind. */
  readonly reason: string;
}
