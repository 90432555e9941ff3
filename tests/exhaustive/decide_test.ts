/**
 * Every sequence of events to a fixed depth, against `Placement` and `decide` together: what is in use is never given
 * up, what is not in use does not stay, and the decision names the right moment to look again.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Clock } from "../../lib/base/clock.ts";
import type { Beyond, Capacity } from "../../lib/scaler/capacity.ts";
import { decide, type Decision, type Policy } from "../../lib/scaler/decide.ts";
import { Placement, type Seat } from "../../lib/scaler/placement.ts";
import { ONE_POD } from "../support/capacity.ts";
import { arrive } from "../support/seating.ts";

const DEPTH = 6;
const IDLE_MS = 100;

/** One session a pod, two at most, and two pods. */
const TWO_PODS: Capacity = {
  maxReplicas: 2,
  sessionsPerReplica: 1,
  maxSessionsPerReplica: 2,
  spread: "lowest",
};

/** One world: the placement as it ships, and what a plain model knows of it. */
interface World {
  nowMs: number;
  readonly placement: Placement;
  readonly capacity: Capacity;
  version: number;
  replicas: number;
  readonly seats: Map<number, Seat>;
  readonly held: Set<number>;
  /** When each ordinal was last in use, by the model's own book-keeping. */
  readonly usedMs: number[];
  lastId: number;
  /** Sessions of another proxy on the first pod, as its record has them. */
  others: number;
}

type Event = (world: World) => void;

const EVENTS: Readonly<Record<string, Event>> = {
  "a client comes": (world) => {
    const id = ++world.lastId;
    const seat = arrive(world.placement, id, true, beyondOf(world));
    if (seat === undefined) world.held.add(id);
    else world.seats.set(id, seat);
  },
  "the oldest held client leaves": (world) => {
    const [id] = world.held;
    if (id === undefined) return;
    markBusy(world);
    world.held.delete(id);
    world.placement.end(id);
  },
  "the oldest session ends": (world) => {
    const [id, seat] = [...world.seats][0] ?? [];
    if (id === undefined || seat === undefined) return;
    touch(world, seat.backend.ordinal);
    world.seats.delete(id);
    world.placement.end(id);
    world.placement.end(id);
  },
  "the count rises and the pod is ready": (world) => {
    if (world.replicas === 2) return;
    touch(world, world.replicas);
    setReplicas(world, world.replicas + 1);
    seatHeld(world);
  },
  "the count is lowered by hand": (world) => {
    if (world.replicas === 0) return;
    setReplicas(world, world.replicas - 1);
  },
  "half an idle timeout passes": (world) => {
    markBusy(world);
    world.nowMs += IDLE_MS / 2;
    markBusy(world);
  },
  "an idle timeout passes": (world) => {
    markBusy(world);
    world.nowMs += IDLE_MS;
    markBusy(world);
  },
};

/** The same for a builder that may have several pods. */
const MORE_EVENTS: Readonly<Record<string, Event>> = {
  ...EVENTS,
  "the count rises to two, and no new pod is ready": (world) => {
    markBusy(world);
    for (let ordinal = world.replicas; ordinal < 2; ordinal++) touch(world, ordinal);
    setReplicas(world, 2, false);
  },
  "the held clients share pods": (world) => seatHeld(world, "target"),
  "a session of another proxy comes or ends": (world) => {
    markBusy(world);
    world.others = 1 - world.others;
    world.placement.others = new Map([[0, world.others]]);
  },
};

function newWorld(capacity: Capacity): World {
  const world = {
    capacity,
    others: 0,
    nowMs: 10_000,
    version: 1,
    replicas: 0,
    seats: new Map<number, Seat>(),
    held: new Set<number>(),
    usedMs: [] as number[],
    lastId: 0,
  };
  const clock: Clock = {
    nowMs: () => world.nowMs,
    bootMs: () => 0,
    wallMs: () => 0,
    setTimer: () => () => {},
    nextTurn: () => {},
  };
  const placement = new Placement(clock, capacity, "pod");
  placement.see({ version: "1", replicas: 0 });
  return Object.assign(world, { placement });
}

function setReplicas(world: World, replicas: number, ready = true): void {
  world.replicas = replicas;
  world.placement.see({ version: String(++world.version), replicas });
  const backends = Array.from({ length: replicas }, (_, ordinal) => ({
    ordinal,
    pod: `b-${ordinal}`,
    // A new pod a count, as if the last one had gone: its uid is new.
    uid: `${ordinal}-${world.version}`,
    addresses: ["192.0.2.1"],
    ready,
    terminating: false,
  }));
  world.placement.pods.set(backends);
}

/** One pod takes any number of sessions; of several, each takes so many as it should. */
function beyondOf({ capacity }: World): Beyond {
  return capacity.maxReplicas === 1 ? "limit" : "nothing";
}

/** Held sessions are seated as the router would do it, synchronously. */
function seatHeld(world: World, beyond = beyondOf(world)): void {
  markBusy(world);
  for (const id of world.held) {
    const { needed } = world.placement;
    const seat = world.placement.seat(id, true, beyond);
    if (seat === undefined) continue;
    assert.ok(world.placement.needed <= needed, "a session that is seated does not raise the need");
    world.held.delete(id);
    world.seats.set(id, seat);
  }
}

function touch(world: World, ordinal: number): void {
  world.usedMs[ordinal] = world.nowMs;
}

/** By the model: the fewest pods with a place for each held session, all if they do not suffice. */
function neededBy({ held, seats, others, capacity }: World): number {
  if (held.size === 0) return 0;
  if (capacity.maxReplicas === 1) return 1;
  let places = 0;
  for (let ordinal = 0; ordinal < capacity.maxReplicas; ordinal++) {
    const load = [...seats.values()].filter(({ backend }) => backend.ordinal === ordinal).length;
    const all = load + (ordinal === 0 ? others : 0);
    places += Math.max(0, capacity.sessionsPerReplica - all);
    if (places >= held.size) return ordinal + 1;
  }
  return capacity.maxReplicas;
}

function markBusy(world: World): void {
  for (let ordinal = 0; ordinal < neededBy(world); ordinal++) touch(world, ordinal);
  for (const { backend } of world.seats.values()) touch(world, backend.ordinal);
}

function decideAt(world: World, nowMs: number, policy: Policy): Decision {
  const { placement } = world;
  return decide(
    {
      replicas: placement.agreement.seen?.replicas,
      startedMs: -1e9,
      highestBusy: placement.usage.highest,
      needing: placement.usage.needing,
      load: placement.load,
      lastNeededMs: placement.usage.lastNeededMs,
      lastUsedMs: placement.usage.lastUsedMs,
      roseMs: placement.roseMs,
    },
    nowMs,
    policy,
  );
}

function check(world: World, policy: Policy): void {
  const { nowMs, seats, held, replicas } = world;
  const { desired, wakeAtMs } = decideAt(world, nowMs, policy);
  const highest = Math.max(-1, ...[...seats.values()].map(({ backend }) => backend.ordinal));
  assert.ok(desired > highest, "an ordinal with a session is never given up");
  if (held.size > 0) assert.ok(desired >= 1, "a held session gets a replica");
  assert.equal(world.placement.needed, neededBy(world));
  assert.ok(desired >= policy.minReplicas);
  assert.ok(wakeAtMs > nowMs, "the time to look again is not now");

  // By the model: the highest ordinal that is in use or was less than an idle timeout ago.
  let wanted = Math.max(policy.minReplicas, highest + 1, neededBy(world));
  for (let ordinal = 0; ordinal < replicas; ordinal++) {
    if (nowMs - (world.usedMs[ordinal] ?? -Infinity) < policy.idleTimeoutMs) {
      wanted = Math.max(wanted, ordinal + 1);
    }
  }
  assert.equal(desired, wanted, "what is not in use does not stay, and nothing else goes");

  if (wakeAtMs !== Infinity) {
    assert.equal(
      decideAt(world, wakeAtMs - 0.001, policy).desired,
      desired,
      "not before the time to look again",
    );
    assert.ok(decideAt(world, wakeAtMs, policy).desired < desired, "but then");
  } else {
    assert.equal(decideAt(world, nowMs + 1e9, policy).desired, desired, "nothing falls unannounced");
  }
}

function run(names: readonly string[], policy: Policy, events: Readonly<Record<string, Event>>): void {
  const world = newWorld(policy.capacity);
  check(world, policy);
  for (const name of names) {
    events[name]!(world);
    markBusy(world);
    check(world, policy);
  }
}

/** Runs every sequence of so many events. */
function enumerate(events: Readonly<Record<string, Event>>, depth: number, policy: Policy): void {
  const names = Object.keys(events);
  let runs = 0;
  const from = (prefix: readonly string[]) => {
    if (prefix.length < depth) return names.forEach((name) => from([...prefix, name]));
    try {
      run(prefix, policy, events);
    } catch (error) {
      throw new Error(`After: ${prefix.join(", ")}`, { cause: error });
    }
    runs++;
  };
  from([]);
  assert.equal(runs, names.length ** depth);
}

for (const minReplicas of [0, 1]) {
  Deno.test(`decide() is right after every sequence of ${DEPTH} events, at least ${minReplicas} replicas`, () => {
    enumerate(EVENTS, DEPTH, { minReplicas, capacity: ONE_POD, idleTimeoutMs: IDLE_MS });
  });
}

Deno.test(`decide() is right after every sequence of ${DEPTH - 1} events, with two pods of one session each`, () => {
  enumerate(MORE_EVENTS, DEPTH - 1, { minReplicas: 0, capacity: TWO_PODS, idleTimeoutMs: IDLE_MS });
});
