/**
 * Faults of the proxies' processes and of their clocks.
 *
 * @module
 */
import type { SeededRandom } from "../support/seeded_random.ts";
import type { FaultClasses, Trouble } from "./fault_class.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import type { World } from "./world.ts";

const S = 1_000;

/** The classes. `drift` and `wildClocks` set the rates of the clocks from the start. */
export const PROXY_FAULTS = {
  crash: {
    chance: 0.35,
    everyMs: [5 * S, 60 * S],
    at: ["announce", "lower", "lowered", "join"],
    async once({ world, random, proxy, lasts, note }) {
      const victim = proxy();
      if (victim === undefined) return;
      note(victim.machine.name);
      world.kill(victim);
      if (random.chance(0.7)) await lasts(0, 15 * S);
      // Its container starts again, or another pod takes its place.
      const { podUid, version } = victim;
      world.start(random.chance(0.5) ? { podUid, version } : {});
    },
  },
  freeze: {
    chance: 0.35,
    everyMs: [5 * S, 60 * S],
    at: ["announce", "lower", "dial"],
    async once({ world, random, proxy, lasts, note }) {
      const victim = proxy();
      if (victim === undefined) return;
      const how = random.pick(["frozen", "suspended"] as const);
      note(`${victim.machine.name} is ${how}`);
      const mend = world.impair(victim);
      victim.machine.stop(how);
      await lasts(100, random.pick([5 * S, 40 * S, 2 * victim.settings.recordExpiryMs]));
      victim.machine.goOn();
      mend();
    },
  },
  rolling: {
    chance: 0.35,
    everyMs: [5 * S, 60 * S],
    at: ["announce", "lower", "dial"],
    async once({ world, random, proxy, lasts, note }) {
      const victim = proxy();
      if (victim === undefined || world.alive.length > 6) return;
      note(`${victim.machine.name} is replaced`);
      await replace(victim, world, random, lasts);
    },
  },
  rollout: {
    chance: 0.35,
    everyMs: [5 * S, 40 * S],
    at: ["announce", "lower", "dial"],
    async once({ world, random, lasts, note }) {
      if (!world.nextVersion()) return;
      note(`version ${world.version}`);
      for (const old of world.outdated) {
        // Some get stuck half-way.
        if (random.chance(0.1)) return;
        await replace(old, world, random, lasts);
        await lasts(0, random.pick([2 * S, 15 * S]));
      }
    },
  },
  newcomers: {
    chance: 0.25,
    everyMs: [0, 10 * S],
    at: ["announce", "lower", "lowered"],
    aim: 0.9,
    async once({ world, random, lasts }) {
      if (world.alive.length > 4) return;
      const newcomer = world.start({ version: random.integer(0, world.version) });
      await lasts(1 * S, 20 * S);
      world.stop(newcomer);
    },
  },
  wallJump: {
    chance: 0.25,
    everyMs: [1 * S, 30 * S],
    once({ random, proxy }) {
      proxy()?.machine.jump(random.pick([-1, 1]) * random.integer(1 * S, random.pick([5, 30, 7_200]) * S));
    },
  },
  drift: { chance: 0.3 },
  wildClocks: { chance: 0.03 },
} as const satisfies FaultClasses;

/** A proxy goes, and one of the present settings comes, before or after. */
async function replace(
  victim: ProxyProcess,
  world: World,
  random: SeededRandom,
  lasts: Trouble["lasts"],
): Promise<void> {
  const first = random.chance(0.6);
  if (first) world.start();
  if (first) await lasts(0, 10 * S);
  world.stop(victim);
  if (!first) await lasts(0, 10 * S);
  if (!first) world.start();
}
