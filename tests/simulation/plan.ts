/**
 * What a run is made of: all that is drawn from its seed before it begins, but for the faults.
 *
 * @module
 */
import type { SettingKey } from "../../lib/config/settings.ts";

/** How a run is set up: all of it drawn from the seed but for what is switched off. */
export interface Plan {
  readonly seed: number;
  readonly proxies: number;
  readonly durationMs: number;
  readonly clients: number;
  /** How likely a client comes at a moment in which a scale-down is about to happen. */
  readonly aim: number;
  /** How long it stays away otherwise, at most, in ms. */
  readonly restMs: number;
  /** How long it pauses between two calls, at most, in ms. */
  readonly pauseMs: number;
  /** Daemons that are told to stop cancel their sessions. */
  readonly daemonsCancel: boolean;
  readonly settings: Readonly<Partial<Record<SettingKey, string>>>;
}
