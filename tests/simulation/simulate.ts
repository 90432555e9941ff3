/**
 * One run from one seed: a time with clients and faults, then a time in which everything must settle.
 *
 * @module
 */
import { sleep } from "../../lib/base/clock.ts";
import { seededRandom } from "../support/seeded_random.ts";
import { API_FAULTS } from "./api_faults.ts";
import { SLOWEST_START_MS } from "./cluster_faults.ts";
import { type FaultName, FAULTS, runFault } from "./faults.ts";
import { ETERNAL_WATCHER, type Pattern } from "./clients.ts";
import { describe, type Report } from "./judge.ts";
import type { Moment } from "./moments.ts";
import { NETWORK_FAULTS } from "./network_faults.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import { builderSettings, drawBuilders, type Plan } from "./plan.ts";
import { Violation, World } from "./world.ts";

/** What a run is made of, where it is not drawn. */
export interface Options {
  readonly seed: number;
  /** These classes are switched off, whatever the seed says. */
  readonly without?: ReadonlySet<FaultName>;
  readonly proxies?: number;
  readonly clients?: number;
  readonly watchers?: number;
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

/** What the seed says. */
export function draw(options: Options): { plan: Plan; faults: FaultName[] } {
  const { seed, without, proxies, clients, durationMs, aim } = options;
  const random = seededRandom(seed);
  const count = random.pick([1, 2, 2, 2, 3, 3, 4]);
  const drawnMs = random.integer(60, 240) * SECOND;
  const drawnClients = random.integer(1, 5);
  const style = {
    aim: random.pick([0.3, 0.7, 0.95]),
    restMs: random.pick([3, 15, 40]) * SECOND,
    pauseMs: random.pick([300, 3_000, 15_000, 40_000]),
    daemonsCancel: random.chance(0.4),
  };
  const settings = {
    idleTimeoutMs: `${random.pick([1, 1, 1, 2, 2, 5, 10])}s`,
    readyWaitTimeoutMs: `${random.pick([10, 60, 120])}s`,
    recordExpiryMs: `${random.pick([12, 12, 20, 40, 90])}s`,
    shutdownDelayMs: `${random.pick([0, 1, 5])}s`,
    drainTimeoutMs: random.pick(["0s", "1h", "60s"]),
    whenCutOff: random.pick(["serve", "hold"]),
    readiness: random.pick(["auto", "auto", "pod", "grpc"]),
  };
  const drawn = drawBuilders(seededRandom(seed ^ hash("builders")));
  const { builders = drawn.builders, replicas = drawn.replicas, watchers = drawn.watchers } = options;
  const inNumbers = { builders, replicas, watchers };
  const calm = random.chance(0.05);
  // Few classes at a time find what many at a time hide, and the other way round.
  const storm = random.pick([0.3, 0.6, 1, 1.5]);
  const faults = (Object.keys(FAULTS) as FaultName[]).filter((name) => {
    const on = seededRandom(seed ^ hash(name)).chance(FAULTS[name].chance * storm);
    return on && !calm && !without?.has(name);
  });
  return {
    plan: {
      seed,
      proxies: proxies ?? count,
      durationMs: durationMs ?? drawnMs,
      clients: clients ?? drawnClients,
      ...style,
      ...(aim === undefined ? {} : { aim }),
      ...inNumbers,
      traces: options.traces ?? true,
      settings: {
        ...settings,
        ...builderSettings(inNumbers, seededRandom(seed ^ hash("builder settings"))),
        ...options.settings,
      },
    },
    faults,
  };
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
  const { time, plan, settings } = world;
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
  if (world.alive.filter(({ stopping }) => !stopping).length === 0) world.start({ rate: rate() });
  const { recordExpiryMs } = settings;
  const [readyWaitTimeoutMs, idleTimeoutMs] = [settings.readyWaitTimeoutMs.base, settings.idleTimeoutMs.base];
  await until("end of the clients", readyWaitTimeoutMs * 2 + 120 * SECOND, () => clients.size === 0);

  // Who comes now is served; not by a pod that began slowly, though.
  if (faults.includes("slowStart")) await pass(SLOWEST_START_MS);
  const probes = world.alive.filter(({ stopping }) => !stopping);
  let served = 0;
  for (const proxy of probes) {
    const plan = {
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
  const settledMs = idleTimeoutMs * 2 + recordExpiryMs * 3 + 180 * SECOND + keptMs;
  await until("rest", settledMs, () => {
    const { alive, cluster, records, leases } = world;
    const live = alive.filter(({ stopping }) => !stopping);
    const memberships = alive.flatMap((proxy) => [...proxy.memberships.values()]);
    return cluster.sets.every(({ replicas }) => replicas === 0) && cluster.pods.length === 0 &&
      alive.length === live.length && alive.every(isIdle) &&
      memberships.every(({ record }) => records.some(({ metadata }) => metadata.name === record)) &&
      records.length === memberships.length && leases.length === memberships.length + 1 &&
      // What a proxy had sent before it ended may bring its record back: then it has to expire.
      world.proxies.every(({ ended, path }) => !ended || path.underWay === 0);
  });

  // A watcher that comes to builders that sleep wakes none.
  for (const proxy of watching) {
    begin(world.connection(ETERNAL_WATCHER, proxy, endOfWatch.signal).then(() => {}));
  }
  if (watching.length > 0) await pass(2 * idleTimeoutMs + 10 * SECOND);
  if (world.cluster.pods.length > 0) world.fail(`A watcher has woken a builder: ${world.describe()}`);
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

function hash(text: string): number {
  let value = 0x9e3779b9;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x85ebca6b) >>> 0;
  return value;
}
