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
  /** The oldest first. */
  readonly #all = new Set<Session>();
  readonly #slow: SlowQueue;
  /** Since when room is left to another proxy, without a break. */
  #yieldsSinceMs: number | undefined;
  /** The present look has found such room. */
  #sawOlder = false;

  /** None at first. */
  constructor(builders: readonly RoutedBuilder[], ports: PoolPorts) {
    this.#builders = builders;
    this.#ports = ports;
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
    const { id, project } = session;
    log.info("session_queued", { session: id, project, queued: this.size });
    metrics.record("routed_total", 1, { builder: "", why: "queued" });
    this.#tell();
  }

  /** The session is not queued any more. False if it was not. */
  remove(session: Session): boolean {
    if (!this.#all.delete(session)) return false;
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
    return this.#all.values().next().value;
  }

  #tell(): void {
    const oldest = this.#oldest;
    for (const builder of this.#builders) builder.tellQueued(oldest?.queuedSinceMs);
    this.#slow.look(oldest, this.size);
  }
}
