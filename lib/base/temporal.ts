/**
 * Calendars and time zones: ECMAScript's Temporal. Where the runtime does not have it, a library has to be loaded
 * before; it costs memory, so only programs that need it do that.
 *
 * @see https://tc39.es/proposal-temporal/docs/
 * @module
 */
import { invariant } from "./errors.ts";

/** The part of Temporal that is used here. */
export type ZonedTimes = Pick<typeof Temporal, "Instant">;

let loaded: ZonedTimes | undefined = globalThis.Temporal;

/** Makes sure that {@link zonedTimes} has something to return. */
export async function loadZonedTimes(): Promise<void> {
  loaded ??= (await import("temporal-polyfill/implementation")).Temporal;
}

/** Temporal of the runtime, or what {@link loadZonedTimes} has loaded. */
export function zonedTimes(): ZonedTimes {
  invariant(loaded !== undefined, "time zones are used before they are loaded");
  return loaded;
}
