/**
 * Faults of the ways: latency, broken connections, and proxies that cannot reach the API server or the pods.
 *
 * @module
 */
import type { FaultClasses, Trouble } from "./fault_class.ts";
import type { Pair } from "./connection.ts";

const S = 1_000;

/** The classes. */
export const NETWORK_FAULTS = {
  latency: {
    chance: 0.4,
    everyMs: [0, 20 * S],
    async once({ world: { weather }, random, lasts, note }) {
      const before = { ...weather };
      const most = random.pick([20, 100, 400]);
      note(`up to ${most} ms`);
      const draw = () => random.next() * most * (random.chance(0.02) ? 10 : 1);
      weather.latencyMs = draw;
      weather.apiLatencyMs = draw;
      await lasts(5 * S, 60 * S);
      weather.latencyMs = before.latencyMs;
      weather.apiLatencyMs = before.apiLatencyMs;
    },
  },
  slicing: {
    chance: 0.3,
    everyMs: [0, 20 * S],
    async once({ world: { weather }, random, lasts }) {
      const before = weather.slice;
      weather.slice = (bytes) => random.chance(0.75) ? bytes : random.integer(1, bytes);
      await lasts(5 * S, 30 * S);
      weather.slice = before;
    },
  },
  resets: {
    chance: 0.3,
    everyMs: [1 * S, 30 * S],
    once(trouble) {
      excusedPair(trouble)?.reset();
    },
  },
  silence: {
    chance: 0.2,
    everyMs: [5 * S, 60 * S],
    once(trouble) {
      const { world, random } = trouble;
      const pair = excusedPair(trouble);
      if (pair === undefined) return;
      pair.silence();
      // Kernels ask a silent peer in the end.
      world.time.setTimer(random.integer(30 * S, 120 * S), () => pair.reset());
    },
  },
  cutOff: {
    chance: 0.35,
    everyMs: [5 * S, 60 * S],
    at: ["dial", "announce", "lower"],
    async once({ world, random, proxy, lasts, note }) {
      const victim = proxy();
      if (victim === undefined || victim.path.state !== "open") return;
      const how = random.pick(["silent", "refused"] as const);
      note(`${victim.machine.name} from the API, ${how}`);
      const mend = world.impair(victim);
      victim.path.set(how);
      await lasts(1 * S, victim.settings.recordExpiryMs * random.pick([0.3, 1, 2]));
      victim.path.set(world.outage);
      mend();
    },
  },
  outage: {
    chance: 0.2,
    everyMs: [5 * S, 60 * S],
    async once({ world, random, lasts, note }) {
      const how = random.pick(["silent", "refused"] as const);
      note(how);
      const away = world.alive.filter(({ path }) => path.state === "open");
      world.outage = how;
      for (const { path } of away) path.set(how);
      const mostMs = world.settings.recordExpiryMs * random.pick([0.5, 1.5, 2]);
      await lasts(mostMs * random.pick([0.1, 0.7]), mostMs);
      world.outage = "open";
      for (const { path } of world.proxies) path.set("open");
    },
  },
  podsCutOff: {
    chance: 0.15,
    everyMs: [10 * S, 90 * S],
    async once({ world, proxy, lasts, note }) {
      const victim = proxy();
      if (victim === undefined) return;
      note(`${victim.machine.name} from the pods`);
      const mend = world.network.partition(victim.machine, "pods");
      victim.podsCutOffMs = Infinity;
      await lasts(1 * S, 40 * S);
      mend();
      victim.podsCutOffMs = world.time.nowMs();
    },
  },
} as const satisfies FaultClasses;

/** One of the connections between a client and a proxy, if there is one. The judge expects no more of it. */
function excusedPair({ world, random, note }: Trouble): Pair | undefined {
  const pairs = [...world.network.pairs].filter(({ ends }) => ends[0].client !== undefined);
  if (pairs.length === 0) return undefined;
  const pair = random.pick(pairs);
  note(`of client ${pair.ends[0].client}`);
  world.judge.excusePair(pair.ends[0]);
  return pair;
}
