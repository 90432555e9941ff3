/**
 * The faults of the fault mix: each is switched on at random, lasts a while, and is lifted again. A run draws which
 * classes take part.
 *
 * @module
 */
import type { FaultKind } from "../../../lib/miniature/faults.ts";
import type { World } from "../../support/program.ts";
import type { SeededRandom } from "../../support/seeded_random.ts";
import { pause } from "./clients.ts";

/** Takes what is faulty back. */
type Lift = () => void;

interface FaultClass {
  readonly name: string;
  /** Of one lane only one fault is in force at a time. */
  readonly lane: keyof typeof LONGEST_GAP_MS;
  begin(world: World, random: SeededRandom, mix: FaultMixState): Lift;
}

/** What the faults have done that the assertions need to know. */
export interface FaultMixState {
  /** When pods or connections were killed, monotonic ms. */
  readonly killedMs: number[];
  /** Has clients come now. */
  ambush(): void;
}

/** From the end of a lane's fault to its next. */
const LONGEST_GAP_MS = { api: 2_500, watch: 1_500, pod: 2_000, hand: 12_000, scale_down: 100 } as const;
/** A scale-down is waited for. */
const LONGEST_FAULT_MS = { api: 1_000, watch: 1_000, pod: 1_000, hand: 0, scale_down: 4_000 } as const;
/** The writes come up more often: there are few of them, and what they meet matters most. */
const VERBS = ["get", "list", "watch", "patch", "update", "patch", "update"] as const;
const NOTHING: Lift = () => {};

function request(name: string, draw: (random: SeededRandom) => FaultKind): FaultClass {
  return {
    name,
    lane: "api",
    begin({ cluster: { api } }, random) {
      const fault = draw(random);
      const verb = random.chance(0.3) ? undefined : random.pick(VERBS);
      const times = random.chance(0.3) ? { times: random.integer(1, 3) } : {};
      return api.faults.add({ fault, matches: (info) => verb === undefined || info.verb === verb, ...times });
    },
  };
}

function onWatches(name: string, begin: (world: World) => Lift): FaultClass {
  return { name, lane: "watch", begin };
}

/** A pod that is there now, if one is. */
function somePod({ cluster }: World, random: SeededRandom): string | undefined {
  const names = cluster.pods.map(({ metadata }) => metadata.name);
  return names.length === 0 ? undefined : random.pick(names);
}

/** Kills what runs in a pod: the sessions in it are lost by this, and not by the program. */
function killing(how: "crash" | "evict"): FaultClass {
  return {
    name: how,
    lane: "pod",
    begin(world, random, { killedMs }) {
      const name = somePod(world, random);
      if (name === undefined) return NOTHING;
      killedMs.push(performance.now());
      world.cluster.kubelet[how](name);
      return NOTHING;
    },
  };
}

/** A scale-down whose write meets a fault, and clients that come while it is under way. */
function ambush(name: string, draw: (random: SeededRandom) => FaultKind): FaultClass {
  return {
    name: `scale_down_${name}`,
    lane: "scale_down",
    begin({ cluster: { api } }, random, state) {
      return api.faults.add({
        fault: draw(random),
        matches({ verb }) {
          if (verb === "update") state.ambush();
          return verb === "update";
        },
      });
    },
  };
}

/** All classes. Names as in toxiproxy where there is one. */
export const FAULTS: readonly FaultClass[] = [
  request("latency", (random) => ({ kind: "latency", delayMs: random.integer(1, 300) })),
  request("status_500", () => ({ kind: "status", code: 500 })),
  request("status_429", (random) => ({ kind: "status", code: 429, retryAfterSeconds: random.integer(0, 3) })),
  request("status_409", () => ({ kind: "status", code: 409 })),
  request("status_410", () => ({ kind: "status", code: 410 })),
  request("reset_peer", () => ({ kind: "reset_peer" })),
  request("lose_answer", () => ({ kind: "lose_answer" })),
  request("freeze", () => ({ kind: "freeze" })),
  request("freeze_answer", () => ({ kind: "freeze_answer" })),
  {
    name: "api_down",
    lane: "api",
    begin({ front }) {
      front.stop();
      return () => front.restart();
    },
  },
  onWatches("watch_end", ({ cluster: { api } }) => (api.watches.end(), NOTHING)),
  onWatches("watch_drop", ({ cluster: { api } }) => (api.watches.drop(), NOTHING)),
  onWatches("watch_cut", ({ cluster: { api } }) => (api.watches.cut(), NOTHING)),
  onWatches("watch_garbage", ({ cluster: { api } }) => (api.watches.inject("}{\n"), NOTHING)),
  onWatches("watch_withhold", ({ cluster: { api } }) => api.watches.withhold()),
  onWatches("watch_expire", ({ cluster: { api } }) => {
    const deliver = api.watches.withhold();
    return () => {
      api.compact();
      deliver();
      api.watches.end();
    };
  }),
  ambush("latency", (random) => ({ kind: "latency", delayMs: random.integer(150, 400) })),
  ambush("lose_answer", () => ({ kind: "lose_answer" })),
  ambush("freeze_answer", () => ({ kind: "freeze_answer" })),
  ambush("freeze", () => ({ kind: "freeze" })),
  killing("crash"),
  killing("evict"),
  {
    name: "reset_session",
    lane: "pod",
    begin({ pods }, random, { killedMs }) {
      const open = pods.sessions.filter(({ state }) => state === "open");
      if (open.length === 0) return NOTHING;
      killedMs.push(performance.now());
      random.pick(open).cut();
      return NOTHING;
    },
  },
  {
    name: "unready",
    lane: "pod",
    begin(world, random) {
      const name = somePod(world, random);
      if (name === undefined) return NOTHING;
      world.cluster.kubelet.setReady(name, false);
      return () => world.cluster.kubelet.setReady(name, true);
    },
  },
  {
    name: "port_closed",
    lane: "pod",
    begin({ pods }) {
      pods.listens = false;
      return () => pods.listen();
    },
  },
  {
    name: "scaled_by_hand",
    lane: "hand",
    begin({ cluster }, random) {
      cluster.scale(Math.max(cluster.replicas, random.integer(1, 3)));
      return NOTHING;
    },
  },
];

/** Switches faults on and off until the signal is aborted, and leaves none. Says how many of each there were. */
export async function makeTrouble(
  world: World,
  random: SeededRandom,
  state: FaultMixState,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const classes = FAULTS.filter(({ lane }) => lane === "scale_down" || random.chance(0.8));
  const lanes = new Set(classes.map(({ lane }) => lane));
  await Promise.all([...lanes].map(async (lane) => {
    const own = random.fork();
    const faults = classes.filter((each) => each.lane === lane);
    while (!signal.aborted) {
      await pause(own.integer(50, LONGEST_GAP_MS[lane]));
      if (signal.aborted) return;
      const fault = own.pick(faults);
      counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
      const lift = fault.begin(world, own, state);
      if (lift === NOTHING) continue;
      await pause(own.integer(0, LONGEST_FAULT_MS[lane]));
      lift();
    }
  }));
  return counts;
}
