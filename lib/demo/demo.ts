/**
 * The `demo` command. Not there yet.
 *
 * @module
 */
import { FatalError } from "../base/errors.ts";

/** What the demo uses of the outside world. */
export interface DemoPorts {
  /** Aborted when the user wants to end it. */
  readonly stop: AbortSignal;
}

/**
 * Runs the demo.
 *
 * @throws UsageError for arguments that it does not know, FatalError when a client was not served
 */
export function runDemo(_args: readonly string[], _ports: DemoPorts): Promise<void> {
  return Promise.reject(new FatalError("Cannot run the demo: it is not built yet"));
}
