/**
 * What a pool is made of: builders, a policy and ports. Types only.
 *
 * @module
 */
import type { BasePorts } from "../base/ports.ts";
import type { BuilderSeats, WaitLimits } from "../target/seats.ts";
import type { Builder, Route, RoutePolicy, Waiting } from "./plan.ts";

/** A builder as the router sees it. */
export interface RoutedBuilder {
  /** The StatefulSet's name. */
  readonly name: string;
  /** It takes no new sessions, so nobody may wait for it. */
  readonly isCordoned: boolean;
  /** Its seats. */
  readonly seats: BuilderSeats;
  /** What the plan must know of it, at this moment. */
  readonly facts: Builder;
  /** Since when the oldest session of another proxy has been queued for it, monotonic ms; undefined if none is. */
  readonly othersQueuedSinceMs: number | undefined;
  /** Tells the other proxies the same of this one. */
  tellQueued(sinceMs: number | undefined): void;
  /** Calls `listener` when its facts or its seats may have changed. It must be quick and must not throw. */
  subscribe(listener: () => void): void;
}

/** How a pool routes. */
export interface PoolPolicy extends WaitLimits {
  /** The pool's name; `""` is the default pool. */
  readonly name: string;
  /** Which builder ranks first. */
  readonly placement: RoutePolicy["placement"];
  /** Whether other builders than the home may take a session. */
  readonly overflow: RoutePolicy["overflow"];
  /** How long a session waits for its home while others have room, in ms; 0 is until the home is stuck. */
  readonly affinityPatienceMs: number;
  /** Sessions that may wait for one builder, or in one queue. */
  readonly maxHeld: number;
  /** Sessions that a pod takes at most; 0 is without limit. For messages. */
  readonly maxSessionsPerReplica: number;
  /** Pods of a builder at most. */
  readonly maxReplicas: number;
}

/** What a pool is made of. */
export interface PoolPorts extends Pick<BasePorts, "clock" | "log" | "metrics"> {
  /** The project that a host name stands for. */
  projectOf(host: string): string | undefined;
  /** Told of every plan, in tests. */
  onPlan?(record: PlanRecord): void;
}

/** One plan, and what it was made of. */
export interface PlanRecord {
  /** See `plan`. */
  readonly waiting: readonly Waiting[];
  /** See `plan`. */
  readonly builders: readonly Builder[];
  /** See `plan`. */
  readonly policy: RoutePolicy;
  /** What it said. */
  readonly routes: ReadonlyMap<number, Route>;
}
