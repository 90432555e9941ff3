/**
 * The classes of faults, each of which a seed switches on or off. A class runs until its signal is aborted, and then
 * puts right what it has done.
 *
 * @module
 */
import { sleep } from "../../lib/base/clock.ts";
import { STATEFULSETS } from "../../lib/miniature/objects.ts";
import type { SeededRandom } from "../support/seeded_random.ts";
import type { Fate } from "./api_path.ts";
import { type Moment, MOMENTS } from "./moments.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import type { World } from "./world.ts";

/** What a class works with. */
interface Trouble {
  readonly world: World;
  readonly random: SeededRandom;
  readonly signal: AbortSignal;
  /** A proxy that lives, if there is one: often the one whose moment it is. */
  proxy(): ProxyProcess | undefined;
  /** Waits; until the end of the faults at most. */
  lasts(leastMs: number, mostMs: number): Promise<void>;
  /** Takes note of what happens. */
  note(what: string): void;
}

/** One class. */
export interface FaultClass {
  /** How likely a seed switches it on. */
  readonly chance: number;
  /** Time between two times, in ms. */
  readonly everyMs?: readonly [number, number];
  /** The moments at which it is at its worst; any, if none. */
  readonly at?: readonly Moment[];
  /** How often it waits for one of them: 0.4. */
  readonly aim?: number;
  /** Happens once; puts right what it does before it resolves, soon after the signal is aborted. */
  readonly once?: (trouble: Trouble) => Promise<void> | void;
}

const S = 1_000;

/** No pod starts later than this, in ms. */
export const SLOWEST_START_MS = 95 * S;

/** A fault of a part of all requests for a while; `hides` if the others may not hear of a proxy because of it. */
function requests(
  parts: readonly number[],
  hides: boolean,
  draw: (random: SeededRandom, proxy: ProxyProcess, method: string, path: string) => Fate | undefined,
) {
  return async ({ world, random, lasts, note }: Trouble) => {
    const part = random.pick(parts);
    const victim = random.chance(0.3) ? world.pick(random) : undefined;
    const method = random.chance(0.3) ? random.pick(["PUT", "PATCH", "GET", "POST"]) : undefined;
    const resource = random.chance(0.3) ? random.pick(["/leases", "/scale", ...WATCHED]) : "";
    const victims = victim === undefined ? world.alive : [victim];
    const mend = hides ? victims.map((proxy) => world.impair(proxy)) : [];
    note(`${part} of requests ${method ?? ""} ${resource} ${victim?.machine.name ?? ""}`);
    const fate = (proxy: ProxyProcess, verb: string, path: string) => {
      const hit = (victim === undefined || victim === proxy) && (method === undefined || method === verb) &&
        path.includes(resource) && random.chance(part);
      return hit ? draw(random, proxy, verb, path) : undefined;
    };
    world.weather.fates.add(fate);
    await lasts(1 * S, 25 * S);
    world.weather.fates.delete(fate);
    for (const end of mend) end();
  };
}

/** All of them. */
export const FAULTS = {
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
    once({ world, random, note }) {
      const pairs = [...world.network.pairs].filter(({ ends }) => ends[0].client !== undefined);
      if (pairs.length === 0) return;
      const pair = random.pick(pairs);
      note(`of client ${pair.ends[0].client}`);
      world.judge.excusePair(pair.ends[0]);
      pair.reset();
    },
  },
  silence: {
    chance: 0.2,
    everyMs: [5 * S, 60 * S],
    once({ world, random, note }) {
      const pairs = [...world.network.pairs].filter(({ ends }) => ends[0].client !== undefined);
      if (pairs.length === 0) return;
      const pair = random.pick(pairs);
      note(`of client ${pair.ends[0].client}`);
      world.judge.excusePair(pair.ends[0]);
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
      await lasts(1 * S, world.settings.recordExpiryMs * random.pick([0.3, 1, 2]));
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
  apiErrors: {
    chance: 0.3,
    everyMs: [0, 40 * S],
    once: requests([0.02, 0.1, 0.5], true, (random, proxy, method, path) => {
      const code = random.pick([500, 429, 403, 503, 409]);
      // Without the right to Leases from the start a proxy works alone: that has tests of its own.
      if (code === 403 && path.includes("/leases") && !(method === "PUT" && proxy.ready)) return undefined;
      if (code === 409 && (method === "GET" || method === "DELETE")) return undefined;
      return { kind: "status", code, ...(code === 429 ? { retryAfterSeconds: random.integer(0, 5) } : {}) };
    }),
  },
  lostAnswers: {
    chance: 0.35,
    everyMs: [0, 40 * S],
    once: requests([0.02, 0.1, 0.5], true, (random) => {
      const kind = random.pick(["lost", "late", "dropped", "unanswered"] as const);
      if (kind === "late") return { kind, byMs: random.integer(0, random.pick([500, 9 * S, 30 * S])) };
      return kind === "unanswered" ? { kind, silent: random.chance(0.5) } : { kind };
    }),
  },
  slowScaling: {
    chance: 0.35,
    everyMs: [0, 20 * S],
    once: requests([0.3, 1], false, (random, _proxy, method, path) => {
      if (method === "GET" || !path.endsWith("/scale")) return undefined;
      return { kind: "late", byMs: random.integer(0, random.pick([100, 1 * S, 5 * S, 30 * S])) };
    }),
  },
  conflicts: {
    chance: 0.25,
    everyMs: [1 * S, 40 * S],
    async once({ world, random, lasts, signal, note }) {
      const most = random.pick([100, 1_000, 5_000]);
      note(`every ${most} ms at most`);
      let over = false;
      const end = lasts(2 * S, 20 * S).then(() => over = true);
      for (let n = 0; !over && !signal.aborted; n++) {
        const patch = { metadata: { annotations: { touched: String(world.time.nowMs()) } } };
        const { registry } = world.cluster.api;
        world.byHand(() =>
          registry.patch(STATEFULSETS, world.cluster.namespace, world.cluster.name, MERGE, patch, {
            manager: "kubectl",
          })
        );
        registry.store.touch();
        await sleep(world.time, random.integer(5, most), signal).catch(() => {});
      }
      await end;
    },
  },
  compaction: {
    chance: 0.25,
    everyMs: [2 * S, 40 * S],
    once({ world, random }) {
      if (random.chance(0.7)) world.cluster.api.watches.drop();
      world.cluster.api.compact();
    },
  },
  watches: {
    chance: 0.3,
    everyMs: [1 * S, 30 * S],
    async once({ world, random, proxy, lasts, note }) {
      const { watches } = world.cluster.api;
      const how = random.pick(["end", "drop", "cut", "withhold", "bookmark"] as const);
      note(how);
      if (how === "bookmark") return watches.bookmark();
      if (how !== "withhold") return watches[how](random.chance(0.5) ? proxy()?.machine.name : undefined);
      const go = watches.withhold();
      await lasts(1 * S, random.pick([3 * S, 90 * S]));
      go();
    },
  },
  staleWatches: {
    chance: 0.4,
    everyMs: [1 * S, 15 * S],
    at: ["announce", "lowered", "join", "dial"],
    async once({ random, proxy, lasts, note }) {
      const victim = proxy();
      if (victim === undefined) return;
      const resources = random.chance(0.3) ? WATCHED : [random.pick(WATCHED)];
      note(`${resources} at ${victim.machine.name}`);
      victim.path.staleWatches = resources;
      await lasts(20, random.pick([300, 1 * S, 3 * S, 20 * S, 70 * S]));
      victim.path.staleWatches = [];
    },
  },
  podCrash: {
    chance: 0.25,
    everyMs: [5 * S, 60 * S],
    once({ world, random, note }) {
      if (world.cluster.pods.length === 0) return;
      const { name, uid } = random.pick(world.cluster.pods).metadata;
      note(name);
      world.judge.doomed.add(uid);
      world.cluster.kubelet.crash(name);
    },
  },
  eviction: {
    chance: 0.15,
    everyMs: [10 * S, 90 * S],
    once({ world, random, note }) {
      if (world.cluster.pods.length === 0) return;
      const { name, uid } = random.pick(world.cluster.pods).metadata;
      note(name);
      world.judge.doomed.add(uid);
      world.cluster.kubelet.evict(name);
    },
  },
  unready: {
    chance: 0.2,
    everyMs: [5 * S, 60 * S],
    async once({ world, random, lasts, note }) {
      if (world.cluster.pods.length === 0) return;
      const { name } = random.pick(world.cluster.pods).metadata;
      note(name);
      world.cluster.kubelet.setReady(name, false);
      await lasts(1 * S, 20 * S);
      if (world.daemons.serves(name)) world.cluster.kubelet.setReady(name, true);
    },
  },
  slowStart: {
    chance: 0.2,
    everyMs: [0, 30 * S],
    async once({ world, random, lasts, note }) {
      world.podDelayMs = random.pick([10 * S, 40 * S, 90 * S]);
      note(`${world.podDelayMs} ms`);
      await lasts(10 * S, 60 * S);
      world.podDelayMs = 0;
    },
  },
  slowController: {
    chance: 0.2,
    everyMs: [2 * S, 40 * S],
    async once({ world, lasts }) {
      const go = world.cluster.controllers.pause();
      await lasts(100, 15 * S);
      go();
    },
  },
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
      world.start(random.chance(0.5) ? { podUid: victim.podUid } : {});
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
      await lasts(100, random.pick([5 * S, 40 * S, 2 * world.settings.recordExpiryMs]));
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
      const first = random.chance(0.6);
      if (first) world.start();
      if (first) await lasts(0, 10 * S);
      world.stop(victim);
      if (!first) await lasts(0, 10 * S);
      if (!first) world.start();
    },
  },
  newcomers: {
    chance: 0.25,
    everyMs: [0, 10 * S],
    at: ["announce", "lower", "lowered"],
    aim: 0.9,
    async once({ world, lasts }) {
      if (world.alive.length > 4) return;
      const newcomer = world.start();
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
  byHand: {
    chance: 0.3,
    everyMs: [2 * S, 40 * S],
    at: ["announce", "lower", "lowered", "dial"],
    once({ world, random, note }) {
      const replicas = random.integer(0, 2);
      note(`scales to ${replicas}`);
      world.byHand(() => world.cluster.scale(replicas));
    },
  },
  gitOps: {
    chance: 0.1,
    everyMs: [15 * S, 60 * S],
    once({ world }) {
      if (world.cluster.replicas > 0) world.byHand(() => world.cluster.scale(0));
    },
  },
  leasesDeleted: {
    chance: 0.15,
    everyMs: [10 * S, 90 * S],
    once({ world, random, note }) {
      if (world.leases.length === 0) return;
      const lease = random.pick(world.leases);
      note(lease.metadata.name);
      world.byHand(() => world.removeLease(lease.metadata.name));
    },
  },
} as const satisfies Record<string, FaultClass>;

const MERGE = "application/merge-patch+json";

/** What proxies watch. */
const WATCHED = ["statefulsets", "leases", "endpointslices"];

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
