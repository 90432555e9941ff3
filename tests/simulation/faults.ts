/**
 * The classes of faults, each of which a seed switches on or off, and the features of runs, which are switched alike. A
 * class runs until its signal is aborted, and then puts right what it has done.
 *
 * @module
 */
import { sleep } from "../../lib/base/clock.ts";
import type { SeededRandom } from "../support/seeded_random.ts";
import { API_FAULTS } from "./api_faults.ts";
import { BUILDER_FAULTS } from "./builder_faults.ts";
import { HAND_FAULTS, POD_FAULTS } from "./cluster_faults.ts";
import type { FaultClass, FaultClasses, Trouble } from "./fault_class.ts";
import { FEATURES } from "./features.ts";
import { MOMENTS } from "./moments.ts";
import { NETWORK_FAULTS } from "./network_faults.ts";
import { PROXY_FAULTS } from "./proxy_faults.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import type { World } from "./world.ts";

const S = 1_000;

/** All of them. They start in this order. */
export const FAULTS = {
  ...NETWORK_FAULTS,
  ...API_FAULTS,
  ...POD_FAULTS,
  ...PROXY_FAULTS,
  ...HAND_FAULTS,
  ...BUILDER_FAULTS,
  ...FEATURES,
} as const satisfies FaultClasses;

/** Their names. */
export type FaultName = keyof typeof FAULTS;

/** Runs a class until the signal is aborted. Resolves when all is put right. */
export async function runFault(
  name: FaultName,
  world: World,
  random: SeededRandom,
  signal: AbortSignal,
): Promise<void> {
  const { everyMs = [0, 0], at = MOMENTS, aim = 0.4, once }: FaultClass = FAULTS[name];
  if (once === undefined) return;
  let concerned: ProxyProcess | undefined;
  const trouble: Trouble = {
    world,
    random,
    signal,
    proxy: () => concerned?.ended === false && random.chance(0.5) ? concerned : world.pick(random),
    lasts: (leastMs, mostMs) => sleep(world.time, random.integer(leastMs, mostMs), signal).catch(() => {}),
    note: (what) => world.fault(name, what),
  };
  for (;;) {
    await trouble.lasts(...everyMs);
    concerned = undefined;
    // Some wait for the worst moment.
    if (random.chance(aim)) {
      concerned = await world.moments.next(random.pick(at), world.time, 20 * S, signal);
      await sleep(world.time, random.next() * random.pick([2, 20, 200]), signal).catch(() => {});
    }
    if (signal.aborted) return;
    await once(trouble);
  }
}
