/**
 * What the rest of the program sees of whoever decides about the count of one StatefulSet: the scaler, which has it
 * written, or the shadow, which only says what would be written. Types only.
 *
 * @module
 */
import type { Decision } from "./decide.ts";

/** Decides about a count. */
export interface Scaling {
  /** The last decision; undefined before the first. */
  readonly decision: Decision | undefined;
  /** Why the pods stay or go, for people. */
  readonly because: string;
  /** The replicas that stay without clients: the minimum, or what an open warm window wants. */
  readonly floor: number;
  /** Why the count cannot be what it should be; undefined if it can. */
  readonly fault: string | undefined;
  /** Runs until the signal is aborted, and then until no write is under way. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when no write of the count is under way. */
  idle(): Promise<void>;
  /** From now on this proxy never lowers the count: it ends, and another proxy can. */
  stopLowering(): void;
}
