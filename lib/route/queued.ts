/**
 * The sessions of a pool that are queued behind the hard limit: since when, and whether the room that they see belongs to
 * another proxy, where a session has been queued for longer. Whose turn it is in this proxy is known by `queue.ts`.
 *
 * @module
 */
import type { Route } from "./plan.ts";
import type { PoolPorts, RoutedBuilder } from "./pool_parts.ts";
import type { Session } from "./pool_session.ts";
import { SlowQueue } from "./slow_queue.ts";

/** A proxy whose oldest session is younger than another's leaves freed room alone for this long, in ms. */
const YIELD_MS = 2_000;

/** Keeps them. */
export class Queued {
  readonly #builders: readonly RoutedBuilder[];
  readonly #ports: PoolPorts;
  /** Where a session can go at all; undefined if that is any builder. */
  readonly #homeOf: ((session: Session) => RoutedBuilder) | undefined;
  /** The oldest first. */
  readonly #all = new Set<Session>();
  /** Those of them that wait for one builder, likewise; empty where each waits for any. */
  readonly #lines = new Map<RoutedBuilder, Set<Session>>();
  /** The line that a session stands in. */
  readonly #lineOf = new Map<Session, Set<Session>>();
  readonly #slow: SlowQueue;
  /** Since when room is left to another proxy, without a break. */
  #yieldsSinceMs: number | undefined;
  /** The present look has found such room. */
  #sawOlder = false;

  /** None at first. `homeOf`: the only builder that a session may use, where it may use no other. */
  constructor(
    builders: readonly RoutedBuilder[],
    ports: PoolPorts,
    homeOf?: (session: Session) => RoutedBuilder,
  ) {
    this.#builders = builders;
    this.#ports = ports;
    this.#homeOf = homeOf;
    this.#slow = new SlowQueue(builders, ports);
  }

  /** How many there are. */
  get size(): number {
    return this.#all.size;
  }

  /** For how long the oldest has been queued, in ms; undefined if there is none. */
  get oldestMs(): number | undefined {
    const sinceMs = this.#oldest?.queuedSinceMs;
    return sinceMs === undefined ? undefined : this.#ports.clock.nowMs() - sinceMs;
  }

  /** How many wait for the same room as a queued session, itself included. */
  beside(session: Session): number {
    return (this.#lineOf.get(session) ?? this.#all).size;
  }

  /** Whether the session is queued. */
  has(session: Session): boolean {
    return this.#all.has(session);
  }

  /** The session is queued from now on. */
  add(session: Session): void {
    const { clock, log, metrics } = this.#ports;
    session.queuedSinceMs = clock.nowMs();
    session.why = "queued";
    this.#all.add(session);
    this.#enterLine(session);
    const { id, project } = session;
    log.info("session_queued", { session: id, project, queued: this.size });
    if (session.queuedMs === undefined) metrics.record("routed_total", 1, { builder: "", why: "queued" });
    this.#tell();
  }

  /** The session is not queued any more. False if it was not. */
  remove(session: Session): boolean {
    if (!this.#all.delete(session)) return false;
    this.#lineOf.get(session)?.delete(session);
    this.#lineOf.delete(session);
    session.queuedMs = (session.queuedMs ?? 0) + this.#ports.clock.nowMs() - session.queuedSinceMs!;
    session.queuedSinceMs = undefined;
    this.#tell();
    return true;
  }

  /** A look at all sessions begins. */
  lookBegins(): void {
    this.#sawOlder = false;
  }

  /** It has ended. */
  lookEnds(): void {
    if (!this.#sawOlder) this.#yieldsSinceMs = undefined;
  }

  /** No session of the pool waits any more. */
  nobodyWaits(): void {
    this.#yieldsSinceMs = undefined;
  }

  /**
   * Until when a session leaves the room of a builder to another proxy, monotonic ms; undefined if it does not. One that
   * has just come is the youngest; one that waits for a pod already keeps its place.
   */
  yieldsUntilMs(
    { queuedSinceMs, builder }: Session,
    { othersQueuedSinceMs = Infinity }: RoutedBuilder,
    why: Route["why"],
  ): number | undefined {
    const nowMs = this.#ports.clock.nowMs();
    const sinceMs = queuedSinceMs ?? (builder === undefined ? nowMs : -Infinity);
    if (othersQueuedSinceMs >= sinceMs || why === "sibling" || why === "unusable") return undefined;
    this.#sawOlder = true;
    this.#yieldsSinceMs ??= nowMs;
    const untilMs = this.#yieldsSinceMs + YIELD_MS;
    return nowMs < untilMs ? untilMs : undefined;
  }

  get #oldest(): Session | undefined {
    return firstOf(this.#all);
  }

  #enterLine(session: Session): void {
    const home = this.#homeOf?.(session);
    if (home === undefined) return;
    const line = this.#lines.get(home) ?? new Set();
    this.#lines.set(home, line.add(session));
    this.#lineOf.set(session, line);
  }

  /** Other proxies leave a builder's room to those who wait for it, and to nobody who waits for another. */
  #tell(): void {
    for (const builder of this.#builders) {
      const line = this.#homeOf === undefined ? this.#all : this.#lines.get(builder);
      builder.tellQueued(line && firstOf(line)?.queuedSinceMs);
    }
    this.#slow.look(this.#oldest, this.size);
  }
}

function firstOf<T>(all: ReadonlySet<T>): T | undefined {
  return all.values().next().value;
}
