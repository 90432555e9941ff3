/**
 * One run from one seed: a time with clients and faults, then a time in which everything must settle.
 *
 * @module
 */
import { sleep } from "../../lib/base/clock.ts";
import { type SeededRandom, seededRandom } from "../support/seeded_random.ts";
import { API_FAULTS } from "./api_faults.ts";
import { SLOWEST_START_MS } from "./cluster_faults.ts";
import { type FaultName, FAULTS, runFault } from "./faults.ts";
import { FEATURES } from "./features.ts";
import { ETERNAL_WATCHER, type Pattern } from "./clients.ts";
import { describe, type Report } from "./judge.ts";
import type { Moment } from "./moments.ts";
import { NETWORK_FAULTS } from "./network_faults.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import { sharesOf } from "../../lib/config/builders.ts";
import { doorsOf, drawBuilders, drawSettings, MAIN_DOOR, type Plan, WARM_UNTIL_MS } from "./plan.ts";
import { Violation, World } from "./world.ts";

/** What a run is made of, where it is not drawn. */
export interface Options {
  readonly seed: number;
  /** These classes are switched off, whatever the seed says. */
  readonly without?: ReadonlySet<FaultName>;
  readonly proxies?: number;
  readonly clients?: number;
  readonly watchers?: number;
  readonly backlog?: number;
  readonly builders?: number;
  readonly replicas?: number;
  readonly durationMs?: number;
  /** How likely a client comes at a moment in which a scale-down is about to happen. */
  readonly aim?: number;
  /** Settings that are not drawn. */
  readonly settings?: Plan["settings"];
  /** False: no connections belong to one run of a client. */
  readonly traces?: boolean;
  /** Is given each line of the trace. */
  readonly print?: (line: string) => void;
}

/** How a run went. */
export interface Outcome {
  readonly options: Options;
  readonly plan: Plan;
  /** The classes that were switched on. */
  readonly faults: readonly FaultName[];
  readonly hash: string;
  readonly simulatedMs: number;
  readonly events: number;
  readonly report: Report;
  /** What did not hold; undefined if all did. */
  readonly violation: string | undefined;
  /** The end of the trace, if something did not hold. */
  readonly trace: readonly string[];
}

const SECOND = 1_000;

/** The moments at which clients come. */
const ARRIVALS: readonly Moment[] = ["announce", "announce", "lower", "lower", "lowered", "join", "join"];

/** Classes that keep a proxy from what it has to know, or from the pods. */
export const BLINDING: ReadonlySet<string> = new Set([
  ...Object.keys(NETWORK_FAULTS),
  ...Object.keys(API_FAULTS),
  "slowController",
  "freeze",
]);

/** Classes that end proxies and start others. */
const REPLACING: ReadonlySet<string> = new Set(["crash", "rolling", "rollout", "newcomers"]);

/** Versions of the settings, with the first one, where they are rolled out. */
const VERSIONS = 4;

/** What the seed says. */
export function draw(options: Options): { plan: Plan; faults: FaultName[] } {
  const { seed } = options;
  const random = seededRandom(seed);
  // Most runs are small, and some are large: so many of them fit into the time that there is.
  const proxies = random.pick([1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 4]);
  const durationMs = random.pick([20, 20, 30, 40, 40, 60, 60, 90, 120, 240]) * SECOND;
  const clients = random.pick([1, 2, 3, 4, 5, 5]);
  const style = {
    aim: options.aim ?? random.pick([0.3, 0.7, 0.95]),
    restMs: random.pick([3, 15, 40]) * SECOND,
    pauseMs: random.pick([300, 3_000, 15_000, 40_000]),
    daemonsCancel: random.chance(0.4),
    traces: options.traces ?? true,
  };
  const faults = drawFaults(options, random);
  const has = (name: FaultName) => faults.includes(name);
  const drawn = drawBuilders(seededRandom(seed ^ hash("builders")));
  const { builders = drawn.builders, replicas = drawn.replicas, watchers = drawn.watchers } = options;
  const backlog = has("backlog") ? seededRandom(seed ^ hash("backlog size")).pick([6, 12, 24, 48]) : 0;
  const inNumbers = { builders, replicas, watchers, has };
  const last = has("rollout") ? VERSIONS - 1 : 0;
  const [settings, ...rollouts] = Array.from({ length: last + 1 }, (_, version) => ({
    ...drawSettings({
      ...inNumbers,
      version,
      isLast: version === last,
      random: (purpose) => seededRandom(seed ^ hash(`${purpose} ${sourceOf(seed, purpose, version)}`)),
    }),
    ...options.settings,
  }));
  return {
    plan: {
      seed,
      proxies: options.proxies ?? (isAlone(seed) ? 1 : proxies),
      durationMs: options.durationMs ?? durationMs,
      clients: options.clients ?? clients,
      backlog: Math.min(backlog, options.backlog ?? Infinity),
      builders,
      replicas,
      watchers,
      ...style,
      tls: has("tls"),
      doors: doorsOf(inNumbers),
      settings: settings!,
      rollouts,
    },
    faults,
  };
}

/** Which version a setting was last changed in: a roll-out leaves most of them as they are. */
function sourceOf(seed: number, purpose: string, version: number): number {
  let source = 0;
  for (let at = 1; at <= version; at++) {
    if (seededRandom(seed ^ hash(`${purpose} changes ${at}`)).chance(0.35)) source = at;
  }
  return source;
}

/** The faults and the features that are on. */
function drawFaults({ seed, without }: Options, random: SeededRandom): FaultName[] {
  const calm = random.chance(0.05);
  // Few classes at a time find what many at a time hide, and the other way round.
  const storm = calm ? 0 : random.pick([0.3, 0.6, 1, 1.5]);
  const on = (name: FaultName) => {
    const chance = FAULTS[name].chance * (name in FEATURES ? 1 : storm);
    return !without?.has(name) && seededRandom(seed ^ hash(name)).chance(chance);
  };
  // In some runs a proxy sees all that it has to know, and in some there is one from the beginning to the end: then more
  // can be judged.
  const clear = seededRandom(seed ^ hash("clear sight")).chance(0.35);
  return (Object.keys(FAULTS) as FaultName[]).filter((name) =>
    on(name) && !(clear && BLINDING.has(name)) && !(isAlone(seed) && REPLACING.has(name))
  );
}

function isAlone(seed: number): boolean {
  return seededRandom(seed ^ hash("alone")).chance(0.2);
}

/** Runs it. Never throws for what it finds. */
export async function simulate(options: Options): Promise<Outcome> {
  const { plan, faults } = draw(options);
  const world = new World(plan, options.print);
  const startedMs = world.time.nowMs();
  let failure: string | undefined;
  try {
    await run(world, faults);
  } catch (error) {
    // Anything else is a fault of the program that nobody has caught, or one of the simulation: it has a seed, too.
    failure = error instanceof Violation ? error.message : `The run broke: ${describe(error)}`;
  }
  return {
    options,
    plan,
    faults,
    hash: world.traced.hash,
    simulatedMs: world.time.nowMs() - startedMs,
    events: world.time.events,
    report: world.judge.report,
    violation: failure,
    trace: failure === undefined ? [] : world.traced.lines,
  };
}

async function run(world: World, faults: readonly FaultName[]): Promise<void> {
  const { time, plan } = world;
  const pass = async (ms: number, over: () => boolean = () => false) => {
    await time.run(time.nowMs() + ms, () => {
      world.judge.step();
      return world.violation !== undefined || over();
    });
    if (world.violation !== undefined) throw world.violation;
  };
  /** Passes time until `holds`, but no longer than `ms`. */
  const until = async (what: string, ms: number, holds: () => boolean) => {
    const endMs = time.nowMs() + ms;
    while (!holds()) {
      if (time.nowMs() >= endMs) {
        world.fail(`It does not settle within ${ms / SECOND}s: no ${what}; ${world.describe()}`);
      }
      await pass(250);
    }
  };
  const over = new AbortController();
  const rates = world.random("rates");
  const drifts = faults.includes("drift") ? 0.015 : 0;
  const lots = faults.includes("wildClocks");
  world.judge.lenient = lots;
  world.judge.seesClearly = !faults.some((name) => BLINDING.has(name));
  const rate = () => 1 + (lots ? 0.3 : drifts) * (2 * rates.next() - 1);
  world.rate = rate;
  for (let i = 0; i < plan.proxies; i++) world.start({ rate: rate() });

  // Clients and faults.
  const clients = new Set<Promise<void>>();
  const begin = (work: Promise<void>) => {
    clients.add(work);
    void work.finally(() => clients.delete(work));
  };
  for (let i = 0; i < plan.clients; i++) {
    const random = world.random(`client ${i}`);
    begin((async () => {
      while (!over.signal.aborted) {
        // Some come in the middle of a scale-down, or to a proxy that joins; the others whenever they like.
        let to: ProxyProcess | undefined;
        if (random.chance(plan.aim)) {
          const kind = random.pick(ARRIVALS);
          const concerned = await world.moments.next(kind, time, 15 * SECOND, over.signal);
          if (kind === "join" && random.chance(0.8)) to = concerned;
          await sleep(time, random.next() * random.pick([2, 20, 300]), over.signal).catch(() => {});
        } else {
          await sleep(time, random.integer(0, plan.restMs), over.signal).catch(() => {});
        }
        if (over.signal.aborted) return;
        await world.client(
          random.pick<Pattern>(["buildctl", "buildctl", "buildx", "earth"]),
          random,
          over.signal,
          to,
        );
      }
    })());
  }
  for (let i = 0; i < plan.watchers; i++) {
    const random = world.random(`watcher ${i}`);
    begin((async () => {
      while (!over.signal.aborted) {
        await sleep(time, random.integer(0, 20 * SECOND), over.signal).catch(() => {});
        await world.watcher(random, random.integer(1 * SECOND, 100 * SECOND), over.signal);
      }
    })());
  }
  beginOthers(world, faults, begin, over.signal);
  const calmDown = new AbortController();
  const troubles = faults.map((name) => {
    const random = world.random(`fault ${name}`);
    return runFault(name, world, random, calmDown.signal);
  });
  await pass(plan.durationMs);

  // The faults stop.
  world.trace("simulation", "no more faults, no more clients");
  calmDown.abort(new Error("The faults are over"));
  over.abort(new Error("The clients are done"));
  let calm = false;
  void Promise.all(troubles).then(() => calm = true);
  await until("end of the faults", 10 * SECOND, () => calm);
  for (const pair of [...world.network.pairs]) if (pair.silent) pair.reset();
  for (const { machine } of world.alive) machine.setRight();
  // So does what is rolled out.
  while (world.nextVersion());
  for (const old of world.outdated) {
    world.start();
    world.stop(old);
  }
  if (world.alive.filter(({ stopping }) => !stopping).length === 0) world.start({ rate: rate() });
  const settings = world.versions.at(-1)!;
  const recordExpiryMs = world.longestExpiryMs;
  const readyWaitTimeoutMs = longest(world, "readyWaitTimeoutMs");
  const idleTimeoutMs = longest(world, "idleTimeoutMs");
  await until("end of the clients", readyWaitTimeoutMs * 2 + 120 * SECOND, () => clients.size === 0);

  // Who comes now is served; not by a pod that began slowly, though.
  if (faults.includes("slowStart")) await pass(SLOWEST_START_MS);
  const probes = world.alive.filter(({ stopping }) => !stopping);
  let served = 0;
  for (const proxy of probes) {
    const plan = {
      door: MAIN_DOOR,
      http2: true,
      headers: {},
      waitsForGreeting: true,
      pausesMs: [],
      bytes: 10,
      patienceMs: 3_600_000,
    };
    void (async () => {
      // With a short patience it may be told that the pod is not ready yet.
      const { signal } = new AbortController();
      for (;;) {
        const ending = await world.connection(plan, proxy, signal);
        if (ending === "served") break;
        if (ending !== "not_served") world.fail(`Without faults a client is ${ending}`);
        await sleep(time, 1 * SECOND, signal);
      }
      served++;
    })();
  }
  // With a hard limit, the records of proxies that were killed say that pods are full until they are deleted.
  const fullMs = settings.maxSessionsPerReplica.base > 0 ? 2 * recordExpiryMs : 0;
  const servedMs = readyWaitTimeoutMs + 60 * SECOND + fullMs;
  await until("service for everybody", servedMs, () => served === probes.length);
  const isReplaced = () => world.alive.every(({ stopping }) => !stopping);
  await until("end of the old proxies", 60 * SECOND, isReplaced);
  // Nobody knows of them any more: whoever has taken them off the list has them.
  const known = new Set(probes.flatMap(({ memberships }) => [...memberships.keys()]));
  for (const set of world.cluster.sets) if (!known.has(set.name)) world.byHand(() => set.scale(0));

  // Watchers come, and stay: nobody has to be there for them.
  const endOfWatch = new AbortController();
  const watching = plan.watchers > 0 ? world.alive.filter(({ stopping }) => !stopping) : [];
  for (const proxy of watching) {
    begin(world.connection(ETERNAL_WATCHER, proxy, endOfWatch.signal).then(() => {}));
  }

  // Nothing is left.
  const isIdle = (proxy: ProxyProcess) =>
    Math.max(proxy.held, proxy.open) <= (watching.includes(proxy) ? 1 : 0);
  // What somebody else has raised again and again is kept for as long again.
  const keptMs = faults.includes("byHand") || faults.includes("autoscaler") ? plan.durationMs : 0;
  const warmMs = settings.warm === undefined ? 0 : Math.max(0, WARM_UNTIL_MS - time.wallMs());
  // Records of builders that nobody names any more are looked at every five minutes.
  const unnamedMs = known.size < plan.builders ? 330 * SECOND : 0;
  const settledMs = idleTimeoutMs * 2 + recordExpiryMs * 3 + 180 * SECOND + keptMs + warmMs + unnamedMs;
  const least = leastReplicas(world);
  const isAtRest = () =>
    (settings.warm === undefined || time.wallMs() >= WARM_UNTIL_MS) &&
    world.cluster.sets.every(({ name, replicas }) => replicas === (least.get(name) ?? 0)) &&
    world.cluster.pods.length === [...least.values()].reduce((sum, count) => sum + count, 0);
  await until("rest", settledMs, () => {
    const { alive, records, leases } = world;
    const live = alive.filter(({ stopping }) => !stopping);
    const memberships = alive.flatMap((proxy) => [...proxy.memberships.values()]);
    return isAtRest() && alive.length === live.length && alive.every(isIdle) &&
      memberships.every(({ record }) => records.some(({ metadata }) => metadata.name === record)) &&
      records.length === memberships.length && leases.length === memberships.length + 1 &&
      // What a proxy had sent long ago may bring its record back when that is gone: then it has to expire.
      world.proxies.every(({ path }) => path.underWay === 0);
  });

  // A watcher that comes to builders that sleep wakes none, and neither does who says nothing where data is waited for.
  for (const proxy of watching) {
    begin(world.connection(ETERNAL_WATCHER, proxy, endOfWatch.signal).then(() => {}));
  }
  const probed = faults.includes("probes") && settings.wakeOn === "data";
  if (probed) {
    for (const proxy of world.alive) begin(world.probe(MAIN_DOOR, proxy, 5 * SECOND, endOfWatch.signal));
  }
  if (watching.length > 0 || probed) await pass(2 * Math.min(idleTimeoutMs, 10 * SECOND) + 10 * SECOND);
  if (!isAtRest()) world.fail(`A watcher or a TCP check has woken a builder: ${world.describe()}`);
  endOfWatch.abort(new Error("The watchers leave"));
  await until("end of the watchers", 60 * SECOND, () => clients.size === 0);

  // They leave.
  for (const proxy of world.alive) world.stop(proxy);
  await until("end of the proxies", settings.shutdownDelayMs + 60 * SECOND, () => world.alive.length === 0);
  if (world.records.length > 0) world.fail(`Records are left: ${world.describe()}`);
  if (world.leases.length !== 1) world.fail(`There is more than the election's Lease: ${world.describe()}`);
  await world.cluster[Symbol.asyncDispose]();
  if (world.violation !== undefined) throw world.violation;
}

/** Clients that come beside those that build: they wake builders, check the port, or come all at once. */
function beginOthers(
  world: World,
  faults: readonly FaultName[],
  begin: (work: Promise<void>) => void,
  signal: AbortSignal,
): void {
  const { time, plan } = world;
  const again = async (name: string, mostMs: number, once: (random: SeededRandom) => Promise<void>) => {
    const random = world.random(name);
    for (;;) {
      await sleep(time, random.integer(0, mostMs), signal).catch(() => {});
      if (signal.aborted) return;
      await once(random);
    }
  };
  if (plan.backlog > 0) {
    begin(again("backlog", 40 * SECOND, (random) => {
      return world.burst(random.integer(Math.ceil(plan.backlog / 2), plan.backlog), random, signal);
    }));
  }
  if (faults.includes("wakes")) begin(again("wakes", 30 * SECOND, (random) => world.wake(random, signal)));
  if (faults.includes("probes")) {
    begin(again("probes", 10 * SECOND, async (random) => {
      const proxy = world.pick(random);
      const lastsMs = random.pick([1, 100, 1_000, 20_000]);
      if (proxy !== undefined) await world.probe(random.pick(plan.doors), proxy, lastsMs, signal);
    }));
  }
}

/** The longest of a time in all versions of the settings and all pools, in ms. */
function longest({ versions }: World, key: "readyWaitTimeoutMs" | "idleTimeoutMs"): number {
  return Math.max(...versions.flatMap((settings) => [settings[key].base, ...settings[key].pools.values()]));
}

/** What is kept of each builder while no client is there, by the settings of the last proxies. */
function leastReplicas({ alive }: World): ReadonlyMap<string, number> {
  const { pools, settings: { maxReplicas } } = alive.find(({ stopping }) => !stopping)!;
  return new Map(
    pools.flatMap(({ minReplicas, builders }) => [...sharesOf(minReplicas, builders, maxReplicas)]),
  );
}

function hash(text: string): number {
  let value = 0x9e3779b9;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x85ebca6b) >>> 0;
  return value;
}
