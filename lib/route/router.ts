/**
 * The seats of all builders, for sessions: each session belongs to the pool of the door that it came through, and
 * `pool.ts` routes it there. Owns no connection, and writes nothing.
 *
 * @module
 */
import type { Abortable } from "../base/ending.ts";
import { Listeners } from "../base/listeners.ts";
import type { Conn } from "../base/network.ts";
import type {
  Arrival,
  BuilderSeats,
  Caller,
  DialError,
  Door,
  Outlook,
  Routed,
  Seat,
  Seats,
  WaitLimits,
  Waking,
} from "../target/seats.ts";
import { explainRoute } from "./explain.ts";
import { HeldLimit } from "./held_limit.ts";
import { Pool } from "./pool.ts";
import type { PoolPolicy, PoolPorts, RoutedBuilder } from "./pool_parts.ts";
import { Wakes } from "./wakes.ts";

/** A pool to be. */
export interface PoolParts {
  /** How it routes. */
  readonly policy: PoolPolicy;
  /** Its builders in their declared order, at least one. */
  readonly builders: readonly RoutedBuilder[];
}

/** Routes sessions to builders. */
export class Router implements Seats {
  /** All pools, by name. */
  readonly pools: ReadonlyMap<string, Pool>;
  /** What is asked for without a session, by pool. */
  readonly #wakes: ReadonlyMap<string, Wakes>;
  readonly #poolOf = new Map<number, Pool>();
  /** Whose a seat is, also when its session has ended. */
  readonly #owners = new WeakMap<Seat, BuilderSeats>();
  readonly #changed = new Listeners();
  readonly #projectOf: (host: string) => string | undefined;

  /** The pools in their declared order. */
  constructor(pools: readonly PoolParts[], ports: PoolPorts) {
    const gave = (seat: Seat, { seats }: RoutedBuilder) => void this.#owners.set(seat, seats);
    const changed = () => this.#changed.tell();
    const made = pools.map(({ policy, builders }) => {
      const limit = new HeldLimit(policy.maxHeld, ports.log);
      const pool = new Pool(policy, builders, ports, limit, gave);
      return { name: policy.name, pool, wakes: new Wakes(policy, builders, ports, limit, changed) };
    });
    this.pools = new Map(made.map(({ name, pool }) => [name, pool]));
    this.#wakes = new Map(made.map(({ name, wakes }) => [name, wakes]));
    this.#projectOf = ports.projectOf;
    for (const pool of this.pools.values()) pool.subscribe(changed);
    this.subscribe(() => ports.metrics.record("sessions_queued", this.#queued, {}));
  }

  /** See {@link Seats}. */
  get held(): number {
    let held = 0;
    for (const pool of this.pools.values()) held += pool.held;
    for (const wakes of this.#wakes.values()) held += wakes.held;
    return held;
  }

  get #queued(): number {
    let queued = 0;
    for (const pool of this.pools.values()) queued += pool.queued;
    return queued;
  }

  /** See {@link Seats}. */
  subscribe(listener: () => void): void {
    this.#changed.add(listener);
  }

  /** See {@link Seats}. */
  limitsOf({ pool }: Door): WaitLimits {
    return this.#pool(pool).policy;
  }

  /** See {@link Seats}. */
  open(id: number, arrival: Arrival): Seat | undefined {
    const pool = this.#pool(arrival.door.pool);
    this.#poolOf.set(id, pool);
    return pool.open(id, arrival);
  }

  /** See {@link Seats}. */
  identify(id: number, caller: Caller | undefined): boolean {
    return this.#poolOf.get(id)?.identify(id, caller) ?? false;
  }

  /** See {@link Seats}. */
  wait(id: number, signal: Abortable): Promise<Seat> {
    return this.#poolOf.get(id)!.wait(id, signal);
  }

  /** See {@link Seats}. */
  dial(seat: Seat, signal: Abortable): Promise<Conn> {
    return this.#owners.get(seat)!.dial(seat, signal);
  }

  /** See {@link Seats}. */
  failed(seat: Seat, error: DialError): void {
    this.#owners.get(seat)!.failed(seat, error);
  }

  /** See {@link Seats}. */
  connected(seat: Seat): boolean {
    return this.#poolOf.get(seat.id)?.connected(seat) ?? false;
  }

  /** See {@link Seats}. */
  holdAgain(id: number): void {
    this.#poolOf.get(id)?.holdAgain(id);
  }

  /** See {@link Seats}. */
  used(id: number): void {
    this.#seatsOf(id)?.used(id);
  }

  /** See {@link Seats}. */
  needs(id: number): boolean {
    return this.#poolOf.get(id)?.needs(id) ?? false;
  }

  /** See {@link Seats}. */
  silent(id: number, isSilent: boolean): void {
    this.#seatsOf(id)?.silent(id, isSilent);
  }

  /** See {@link Seats}. */
  endWatchers(why: string): void {
    for (const pool of this.pools.values()) pool.endWatchers(why);
    for (const wakes of this.#wakes.values()) wakes.letSleep();
  }

  /** See {@link Seats}. */
  answered(id: number): void {
    this.#seatsOf(id)?.answered(id);
  }

  /** See {@link Seats}. */
  end(id: number): void {
    this.#poolOf.get(id)?.end(id);
    this.#poolOf.delete(id);
  }

  /** See {@link Seats}. */
  routeOf(id: number): Routed {
    return this.#poolOf.get(id)?.routeOf(id) ?? {};
  }

  /** See {@link Seats}. */
  explainWait(id: number, signal: AbortSignal): Promise<string> {
    return this.#poolOf.get(id)!.explainWait(id, signal);
  }

  /** See {@link Seats}. */
  explainQueue(id: number): string {
    return this.#poolOf.get(id)!.explainQueue(id);
  }

  /** See {@link Seats}. */
  explainReset(seat: Seat, connectedForMs: number, tell: (how: string | undefined) => void): void {
    this.#owners.get(seat)!.explainReset(seat, connectedForMs, tell);
  }

  /** See {@link Seats}. */
  outlook(door: Door, host: string | undefined): Outlook {
    return this.#wakes.get(door.pool)!.outlook(this.#projectAt(door, host));
  }

  /** See {@link Seats}. */
  wake(door: Door, host: string | undefined, keepForMs: number, onChange: () => void): Waking {
    return this.#wakes.get(door.pool)!.wake(this.#projectAt(door, host), keepForMs, onChange);
  }

  /** Where sessions of a project go in each pool, and why, for people. The name is as clients write it. */
  explain(name: string | undefined): string {
    const project = name === undefined ? undefined : this.#projectOf(name);
    return [...this.pools].map(([pool, { facts }]) => {
      const { waiting, builders, policy } = facts;
      const title = pool === "" ? "" : `Pool ${pool}\n`;
      return title + explainRoute(project, builders, policy, waiting);
    }).join("\n\n");
  }

  #projectAt({ project }: Door, host: string | undefined): string | undefined {
    return project ?? (host === undefined ? undefined : this.#projectOf(host));
  }

  #pool(name: string): Pool {
    const pool = this.pools.get(name);
    if (pool === undefined) throw new Error(`There is no pool "${name}"`);
    return pool;
  }

  #seatsOf(id: number): BuilderSeats | undefined {
    return this.#poolOf.get(id)?.seatsOf(id);
  }
}
