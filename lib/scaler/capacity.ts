/**
 * How many sessions the pods of one builder take: what it has room for now and with all its pods, and which pod takes the
 * next session. Pure.
 *
 * Each pod has two limits. Beyond the soft target, another pod is taken where there is one. Beyond the hard limit, a pod
 * takes no session.
 *
 * @module
 */

/** The settings that matter. */
export interface Capacity {
  /** No more pods than this. */
  readonly maxReplicas: number;
  /** The soft target of a pod, in sessions; 0: none. The hard limit is never below it. */
  readonly sessionsPerReplica: number;
  /** The hard limit of a pod, in sessions; 0: none. */
  readonly maxSessionsPerReplica: number;
  /**
   * Which of the pods with room below the target takes a session: the lowest ordinal, which lets the others go soonest;
   * that of least load; or each in its turn.
   */
  readonly spread: "lowest" | "least" | "turn";
}

/** Sessions that count, by ordinal. */
export type Load = ReadonlyMap<number, number>;

/** How far beyond the limits of a pod a session may be seated: not at all, beyond the target, or beyond the hard limit, too. */
export type Beyond = "nothing" | "target" | "limit";

/** What is known of the pods. */
export interface PodLoads {
  /** The ordinals that take sessions now, lowest first. */
  readonly usable: readonly number[];
  /** The sessions on all ordinals, those of other proxies included. */
  readonly load: Load;
  /** A pod takes sessions, but the next one does not come: only those that are there count. */
  readonly isGrowthStuck: boolean;
}

/** What a builder can take. Held sessions are in none of these numbers. */
export interface Room {
  /** Its sessions. */
  readonly load: number;
  /** Seats below the target on the pods that are usable now. */
  readonly room: number;
  /** Seats below the target if it had all its pods. */
  readonly reach: number;
  /** Seats below the hard limit if it had all its pods. Infinity without a limit. */
  readonly limit: number;
  /** Seats below the hard limit on the pods that are usable now. */
  readonly open: number;
}

/** The soft target of a pod; Infinity without one. */
export function targetOf(capacity: Capacity): number {
  return Math.min(capacity.sessionsPerReplica || Infinity, limitOf(capacity));
}

/** The hard limit of a pod; Infinity without one. */
export function limitOf({ maxSessionsPerReplica }: Capacity): number {
  return maxSessionsPerReplica || Infinity;
}

/** What a builder can take. */
export function roomOf({ usable, load, isGrowthStuck }: PodLoads, capacity: Capacity): Room {
  const all = isGrowthStuck ? usable : Array.from({ length: capacity.maxReplicas }, (_, ordinal) => ordinal);
  const target = targetOf(capacity);
  return {
    load: sum(load.values()),
    room: seats(usable, load, target),
    reach: seats(all, load, target),
    limit: seats(all, load, limitOf(capacity)),
    open: seats(usable, load, limitOf(capacity)),
  };
}

/**
 * How many pods the held sessions need: the fewest among which each of them finds a seat below the target, all there may
 * be if they do not suffice. A session that gets a seat takes one off both sides, so this never raises the need.
 */
export function neededBy(needing: number, load: Load, capacity: Capacity): number {
  const target = targetOf(capacity);
  let pods = 0;
  for (let found = 0; found < needing && pods < capacity.maxReplicas; pods++) {
    found += seats([pods], load, target);
  }
  return pods;
}

/** The usable ordinal that takes the next session; undefined if none may. `last` is the one that took the last session. */
export function choose(
  { usable, load }: Pick<PodLoads, "usable" | "load">,
  capacity: Capacity,
  beyond: Beyond,
  last = -1,
): number | undefined {
  const below = (most: number) => usable.filter((ordinal) => on(load, ordinal) < most);
  const free = below(targetOf(capacity));
  if (free.length > 0) return spread(free, load, capacity, last);
  const shared = beyond === "nothing" ? [] : below(limitOf(capacity));
  return leastOf(shared, load) ?? (beyond === "limit" ? leastOf(usable, load) : undefined);
}

function spread(free: readonly number[], load: Load, { spread }: Capacity, last: number): number | undefined {
  switch (spread) {
    case "lowest":
      return free[0];
    case "least":
      return leastOf(free, load);
    case "turn":
      return free.find((ordinal) => ordinal > last) ?? free[0];
  }
}

/** The ordinal of least load, the lowest of several. */
function leastOf(ordinals: readonly number[], load: Load): number | undefined {
  return ordinals.toSorted((a, b) => on(load, a) - on(load, b))[0];
}

function seats(ordinals: readonly number[], load: Load, most: number): number {
  return sum(ordinals.map((ordinal) => Math.max(0, most - on(load, ordinal))));
}

function on(load: Load, ordinal: number): number {
  return load.get(ordinal) ?? 0;
}

/** The sum of some numbers. */
export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
