/**
 * Which builder each waiting session goes to, and why: one pure function of the whole present state. It is made again at
 * every change until a session has its seat, and never after. No clock, no I/O, no memory.
 *
 * Sessions are taken in the order of their tags, and each takes its seat off the builder that it is given, so that the
 * next one sees what is left. For each session:
 *
 * 1. its sibling's builder, if that is ready: whatever its limits while the sibling runs, since a client could wait for
 *    itself otherwise, and below the hard limit when it has ended;
 * 2. the first builder in its order that has a pod with a seat below the target now, otherwise the first that would have
 *    one with all its replicas. A patient session does not look for the former: it waits for its home. A late one does
 *    not look for the latter if a pod runs that is below the hard limit: its time may be up before another one has started;
 * 3. the ready builder of least load that is below the hard limit, otherwise the first one below it;
 * 4. the queue.
 *
 * Stuck and missing builders are left out. If no other is left, the session waits for the first one that is stuck, which
 * may still start, and is told its fault. If all are missing, it stays with its home.
 *
 * @module
 */
import type { BuilderState, ROUTE_REASONS } from "../base/metrics.ts";
import type { Room } from "../scaler/capacity.ts";
import { rankBy } from "./rank.ts";

/** A session without a seat. */
export interface Waiting {
  /** Its number: higher ones came later. */
  readonly id: number;
  /** Its project, if known. */
  readonly project?: string | undefined;
  /** The builder on which another connection of the same client runs, or ran until a moment ago. */
  readonly sibling?: string | undefined;
  /** Whether that other connection still runs. */
  readonly siblingRuns?: boolean | undefined;
  /** Its turn among all that wait, by `FairQueue`: lower ones first, then lower ids. */
  readonly tag: number;
  /** Whether it waits for its home to start instead of going to where there is room now. */
  readonly patient: boolean;
  /** Whether it has waited for so long that it takes any pod that runs, above the target, too: it is not patient then. */
  readonly late?: boolean | undefined;
}

/**
 * What a builder is, the first that fits. `missing`: absent, forbidden or cordoned. `ready`: a pod takes sessions.
 * `stuck`: its start makes no progress. `starting`. `unknown`: its count has not been read. `asleep`.
 */
export type State = BuilderState;

/** A builder without the waiting sessions: they are in none of its numbers. Its limit counts where it is less than the others. */
export interface Builder extends Room {
  /** The StatefulSet's name, distinct within the pool. */
  readonly name: string;
  /** See {@link State}. */
  readonly state: State;
}

/**
 * Why a session goes where it goes. `home`: the first in its order. `sibling`: where its sibling is. `overflow`: its home
 * is full up to the target. `shared`: every usable builder is, or the session is late, so it goes above the target.
 * `moved`: its home is stuck or missing, or has no pod with room yet and the session does not wait for one. `queued`: every
 * usable builder is at its hard limit. `unusable`: every builder that it may use is stuck or missing.
 */
export type Why = typeof ROUTE_REASONS[number];

/** Where a session goes. */
export interface Route {
  /** The builder's name; none while queued, and without any builder. */
  readonly builder?: string;
  /** See {@link Why}. */
  readonly why: Why;
}

/** The settings that matter. */
export interface RoutePolicy {
  /**
   * The order of builders. `affinity`: by the project's rank, without a project as declared. `packed`: as declared.
   * `least-sessions`: the usable ones by load, those of equal load by affinity. `round-robin`: the usable ones from
   * `turn` on, as declared. In the latter two no builder is anybody's home for long.
   */
  readonly placement: "affinity" | "packed" | "least-sessions" | "round-robin";
  /** `never`: only the home is usable. Without meaning where builders are no homes: `least-sessions`, `round-robin`. */
  readonly overflow: "full" | "never";
  /** For `round-robin`: how many seats were given so far. */
  readonly turn: number;
}

/** See the module's comment. `builders` are in declared order. */
export function plan(
  waiting: readonly Waiting[],
  builders: readonly Builder[],
  policy: RoutePolicy,
): ReadonlyMap<number, Route> {
  const seating = new Seating(builders, policy);
  const inTurn = waiting.toSorted((a, b) => a.tag - b.tag || a.id - b.id);
  return new Map(inTurn.map((session) => [session.id, seating.seat(session)]));
}

/** A builder with what is left of it. */
interface Slot {
  readonly name: string;
  readonly isReady: boolean;
  readonly isUsable: boolean;
  readonly isMissing: boolean;
  load: number;
  room: number;
  reach: number;
  limit: number;
  open: number;
}

interface Choice {
  readonly slot?: Slot | undefined;
  readonly why: Why;
}

/** One making of the plan. */
class Seating {
  readonly #policy: RoutePolicy;
  readonly #slots: readonly Slot[];
  readonly #byName: ReadonlyMap<string, Slot>;
  /** Those of the pool that a policy without homes chooses from. */
  readonly #candidates: readonly Slot[];
  readonly #ranks = new Map<string | undefined, readonly Slot[]>();
  #turn: number;

  constructor(builders: readonly Builder[], policy: RoutePolicy) {
    this.#policy = policy;
    this.#slots = builders.map(slotOf);
    this.#byName = new Map(this.#slots.map((slot) => [slot.name, slot]));
    const usable = this.#slots.filter(({ isUsable }) => isUsable);
    this.#candidates = usable.length > 0 ? usable : this.#slots;
    this.#turn = policy.turn;
  }

  seat(session: Waiting): Route {
    const { slot, why } = this.#choose(session);
    if (slot === undefined) return { why };
    take(slot);
    this.#turn++;
    return { builder: slot.name, why };
  }

  #choose(session: Waiting): Choice {
    const sibling = session.sibling === undefined ? undefined : this.#byName.get(session.sibling);
    if (sibling?.isReady && (session.siblingRuns || sibling.limit > 0)) {
      return { slot: sibling, why: "sibling" };
    }

    const order = this.#order(session.project);
    const home = order[0];
    const allowed = isHomeOnly(this.#policy) ? order.slice(0, 1) : order;
    const usable = allowed.filter(({ isUsable }) => isUsable);
    if (home === undefined || usable.length === 0) {
      return { slot: allowed.find(({ isMissing }) => !isMissing) ?? home, why: "unusable" };
    }

    const now = session.patient && !session.late ? undefined : usable.find(({ room }) => room > 0);
    if (now !== undefined) return besideHome(home, now);
    const below = usable.filter(({ limit }) => limit > 0);
    const open = session.late ? leastLoaded(below.filter(({ open }) => open > 0)) : undefined;
    const later = open === undefined ? usable.find(({ reach }) => reach > 0) : undefined;
    if (later !== undefined) return besideHome(home, later);
    const shared = open ?? leastLoaded(below) ?? below[0];
    return shared === undefined ? { why: "queued" } : { slot: shared, why: "shared" };
  }

  /** The builders as the session prefers them. Policies without homes leave unusable ones out, if there are others. */
  #order(project: string | undefined): readonly Slot[] {
    const candidates = this.#candidates;
    switch (this.#policy.placement) {
      case "affinity":
        return this.#ranked(this.#slots, project);
      case "packed":
        return this.#slots;
      case "least-sessions":
        return this.#ranked(candidates, project).toSorted((a, b) => a.load - b.load);
      case "round-robin":
        return candidates.map((_, at) => candidates[(this.#turn + at) % candidates.length]!);
    }
  }

  /** By affinity. Always called with the same slots: one order for each project is kept. */
  #ranked(slots: readonly Slot[], project: string | undefined): readonly Slot[] {
    let ranked = this.#ranks.get(project);
    if (ranked === undefined) {
      ranked = rankBy(slots, project, ({ name }) => name);
      this.#ranks.set(project, ranked);
    }
    return ranked;
  }
}

/** Whether a session may go nowhere but to its home. */
export function isHomeOnly({ overflow, placement }: Pick<RoutePolicy, "overflow" | "placement">): boolean {
  return overflow === "never" && (placement === "affinity" || placement === "packed");
}

/** Whether sessions may go there, as far as its state says. */
export function isUsable({ state }: Pick<Builder, "state">): boolean {
  return state !== "stuck" && state !== "missing";
}

function slotOf({ name, state, load, room, reach, limit, open }: Builder): Slot {
  return {
    name,
    isReady: state === "ready",
    isUsable: isUsable({ state }),
    isMissing: state === "missing",
    load,
    room: Math.min(room, reach, limit),
    reach: Math.min(reach, limit),
    limit,
    open: Math.min(open, limit),
  };
}

/** A seat may be taken where there is none: beside a sibling that runs. */
function take(slot: Slot): void {
  slot.load++;
  slot.room--;
  slot.reach--;
  slot.limit--;
  slot.open--;
}

function besideHome(home: Slot, slot: Slot): Choice {
  if (slot === home) return { slot, why: "home" };
  return { slot, why: home.isUsable && home.reach <= 0 ? "overflow" : "moved" };
}

/** The ready one of least load; of equal ones the first. */
function leastLoaded(slots: readonly Slot[]): Slot | undefined {
  return slots.reduce<Slot | undefined>(
    (least, slot) => slot.isReady && (least === undefined || slot.load < least.load) ? slot : least,
    undefined,
  );
}
