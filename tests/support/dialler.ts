/**
 * A dialler on the network of a test.
 *
 * @module
 */
import type { Clock } from "../../lib/base/clock.ts";
import type { Network } from "../../lib/base/network.ts";
import { dial, type Dialler, type DialSettings } from "../../lib/target/dial.ts";

/** Dials by address or by name, as the settings say. */
export function directDialler(settings: DialSettings, network: Network, clock: Clock): Dialler {
  return { isForwarding: false, dial: (backend, signal) => dial(network, clock, backend, settings, signal) };
}
