/**
 * Routes the sessions of one pool: keeps those that wait, asks `plan.ts` where each of them goes whenever something has
 * changed, and takes seats for them in the same step. A seated session is never moved. Writes nothing, and knows neither
 * replicas nor promises.
 *
 * @module
 */
import type { CancelTimer } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Arrival, Beyond, BuilderSeats, Caller, Routed, Seat, WaitsFor } from "../target/seats.ts";
import { type Builder, plan, type Route, type RoutePolicy, type Waiting } from "./plan.ts";
import type { PoolPolicy, PoolPorts, RoutedBuilder } from "./pool_parts.ts";
import { newSession, type Session } from "./pool_session.ts";
import { FairQueue } from "./queue.ts";
import { rankBy } from "./rank.ts";
import { Siblings } from "./siblings.ts";

/** A proxy whose oldest session is younger than another's leaves freed room alone for this long, in ms. */
const YIELD_MS = 2_000;

/** Decisions that are remembered for people. */
const DECISIONS = 5;

/** One pool. */
export class Pool {
  /** How it routes. */
  readonly policy: PoolPolicy;
  readonly #builders: readonly RoutedBuilder[];
  readonly #ports: PoolPorts;
  readonly #gave: (seat: Seat, builder: RoutedBuilder) => void;
  readonly #queue = new FairQueue();
  readonly #siblings: Siblings;
  readonly #sessions = new Map<number, Session>();
  /** Those that are not seated, in the order of their arrival. */
  readonly #unseated = new Set<Session>();
  readonly #heldChanged = new Listeners();
  /** Every session goes to the same place, so nothing has to be known of it, and nothing planned. */
  readonly #isTrivial: boolean;
  /** A look is due, or under way. */
  #looks = false;
  /** Since when a queued session could have had room that is left to another proxy. */
  #yieldsSinceMs: number | undefined;
  #cancelTimer: CancelTimer = () => {};
  #timerMs = Infinity;
  /** The last decisions, the newest last, for people. */
  readonly #decisions: string[] = [];
  /** The round-robin's next place. */
  #turn = 0;

  /** Its builders in their declared order, at least one. `gave` is told of each seat that is given, and whose it is. */
  constructor(
    policy: PoolPolicy,
    builders: readonly RoutedBuilder[],
    ports: PoolPorts,
    gave: (seat: Seat, builder: RoutedBuilder) => void,
  ) {
    this.policy = policy;
    this.#gave = gave;
    this.#builders = builders;
    this.#ports = ports;
    this.#siblings = new Siblings(ports.clock);
    const { maxReplicas, maxSessionsPerReplica } = policy;
    this.#isTrivial = builders.length === 1 && maxReplicas === 1 && maxSessionsPerReplica === 0;
    for (const builder of builders) {
      builder.subscribe(() => this.#changed());
      builder.seats.subscribe(() => this.#changed());
    }
  }

  /** Sessions that wait for a seat. */
  get held(): number {
    return this.#unseated.size;
  }

  /** Those of them that are queued. */
  get queued(): number {
    let queued = 0;
    for (const { waitsFor } of this.#unseated) if (waitsFor === "room") queued++;
    return queued;
  }

  /** For how long the oldest of those has been queued, in ms; undefined if there is none. */
  get oldestQueuedMs(): number | undefined {
    const sinceMs = this.#queuedSinceMs;
    return sinceMs === undefined ? undefined : this.#ports.clock.nowMs() - sinceMs;
  }

  /** Calls `listener` when `held` has changed. */
  subscribe(listener: () => void): void {
    this.#heldChanged.add(listener);
  }

  /** As `Seats.open`. */
  open(id: number, arrival: Arrival): Seat | undefined {
    const session = newSession(id, arrival, this.#ports.clock.nowMs());
    this.#sessions.set(id, session);
    const [builder] = this.#builders;
    // Those that wait come first.
    if (this.#isTrivial && builder !== undefined && this.#unseated.size === 0) {
      const seat = builder.seats.seat(id, arrival.counts, "limit");
      if (seat !== undefined) {
        session.isWarm = true;
        this.#seated(session, builder, "home", seat);
        return seat;
      }
    }
    this.#hold(session);
    return undefined;
  }

  /** As `Seats.identify`. */
  identify(id: number, caller: Caller | undefined): boolean {
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    const before = session.caller;
    session.caller = caller;
    const watches = isIdle(caller);
    if (session.stage === "seated") {
      const { seats } = session.builder!;
      if (watches) seats.watch(id);
      else if (isIdle(before)) return seats.watchNoMore(id);
      return true;
    }
    if (session.stage === "waiting") {
      if (!watches) return true;
      // Its bytes came late: it was taken for one that needs a pod.
      this.#queue.remove(id);
      session.builder?.seats.end(id);
      session.builder = undefined;
      if (session.queuedSinceMs !== undefined) this.#unqueue(session);
    }
    session.project ??= caller?.host === undefined ? undefined : this.#ports.projectOf(caller.host);
    session.stage = watches ? "watching" : "waiting";
    if (!watches) {
      if (isIdle(before)) this.#waitFor(session, "pod");
      if (!this.#isTrivial) this.#queue.add(id, session.project);
    }
    this.#changed();
    return true;
  }

  /** As `Seats.wait`. */
  async wait(id: number, signal: AbortSignal): Promise<Seat> {
    signal.throwIfAborted();
    const session = this.#sessions.get(id);
    let onAbort = () => {};
    try {
      return await new Promise<Seat>((resolve, reject) => {
        onAbort = () => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        if (session === undefined) return;
        session.take = resolve;
        this.#changed();
      });
    } finally {
      if (session !== undefined) session.take = undefined;
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** As `Seats.holdAgain`. */
  holdAgain(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined || session.stage !== "seated") return;
    const { seats } = session.builder!;
    this.#siblings.ended(session.trace);
    this.#hold(session);
    if (isIdle(session.caller)) {
      session.stage = "watching";
      session.builder = undefined;
      seats.end(id);
    } else if (seats.needs(id)) {
      session.stage = "waiting";
      if (!this.#isTrivial) this.#queue.add(id, session.project);
      seats.hold(id, true);
    } else {
      session.stage = "unknown";
      session.builder = undefined;
      seats.end(id);
    }
    this.#changed();
  }

  /** As `Seats.needs`. */
  needs(id: number): boolean {
    const session = this.#sessions.get(id);
    if (session?.stage === "seated") return session.builder!.seats.needs(id);
    return session?.stage === "waiting";
  }

  /** The seats that a session is held or seated at. */
  seatsOf(id: number): BuilderSeats | undefined {
    return this.#sessions.get(id)?.builder?.seats;
  }

  /** As `Seats.end`. */
  end(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    this.#queue.remove(id);
    this.#release(session);
    if (session.stage === "seated") this.#siblings.ended(session.trace);
    if (session.queuedSinceMs !== undefined) this.#unqueue(session);
    session.builder?.seats.end(id);
    this.#changed();
  }

  /** As `Seats.routeOf`. */
  routeOf(id: number): Routed {
    const session = this.#sessions.get(id);
    if (session === undefined) return {};
    const { builder, project, why, queuedSinceMs, queuedMs, isWarm } = session;
    if (this.#isTrivial) return { isWarm };
    const nowMs = this.#ports.clock.nowMs();
    const queued = queuedSinceMs === undefined ? queuedMs : (queuedMs ?? 0) + nowMs - queuedSinceMs;
    return { builder: builder?.name, project, why, isWarm, queuedMs: queued && Math.round(queued) };
  }

  /** As `Seats.explainWait`. */
  async explainWait(id: number, signal: AbortSignal): Promise<string> {
    const builder = this.#sessions.get(id)?.builder ?? this.#builders[0]!;
    return await builder.seats.explainWait(signal);
  }

  /** Why there is no room for a queued session, for its client. */
  explainQueue(): string {
    const { queueTimeoutMs, maxSessionsPerReplica, maxReplicas, name } = this.policy;
    const n = this.#builders.length;
    const all = n === 1 ? "The builder is" : `All ${n} builders are`;
    const of = name === "" ? "" : ` of the pool "${name}"`;
    const each = n === 1 && maxReplicas === 1 ? "" : maxReplicas === 1 ? " each" : " for each pod";
    return `${all}${of} full (${maxSessionsPerReplica} sessions${each}); none had room in ` +
      `${formatDurationMs(queueTimeoutMs)} (--queue-timeout)`;
  }

  /** Who waits here, and where the last sessions went, for people. */
  get description(): string {
    const waiting = [...this.#unseated].filter(({ stage }) => stage === "waiting");
    const projects = Map.groupBy(waiting, ({ project }) => project ?? "no project");
    const of = [...projects].map(([project, { length }]) => `${length} of ${project}`);
    const parts = [`${waiting.length} waiting${of.length === 0 ? "" : ` (${of.join(", ")})`}`];
    const oldestMs = this.oldestQueuedMs;
    if (oldestMs !== undefined) {
      parts.push(
        `${this.queued} queued, the oldest for ${formatDurationMs(Math.round(oldestMs / 1000) * 1000)}`,
      );
    }
    return [...parts, ...this.#decisions].join("; ");
  }

  /** What a plan is made of now, for people who ask where a project goes. */
  get facts(): { readonly builders: readonly Builder[]; readonly policy: RoutePolicy } {
    const { placement, overflow } = this.policy;
    const builders = this.#builders.map(({ name, facts }) => ({ name, ...facts }));
    return { builders, policy: { placement, overflow, turn: this.#turn } };
  }

  /** Something has changed: looks. Where a plan is made, that is done once for all changes of this moment. */
  #changed(): void {
    if (this.#looks || this.#unseated.size === 0) return;
    this.#looks = true;
    const look = () => {
      try {
        this.#look();
      } finally {
        this.#looks = false;
      }
    };
    if (this.#isTrivial) look();
    else void Promise.resolve().then(look);
  }

  #look(): void {
    const full = new Set<RoutedBuilder>();
    for (const { session, route } of this.#routes()) {
      session.isWarm = session.builder === undefined && session.queuedMs === undefined;
      const builder = this.#assign(session, route);
      if (builder === undefined || session.take === undefined || full.has(builder)) continue;
      const beyond = this.#beyond(route);
      const seat = builder.seats.seat(session.id, true, beyond);
      if (seat !== undefined) this.#give(session, builder, route.why, seat);
      // Then no other session finds a place there.
      else if (beyond === "limit") full.add(builder);
    }
    if (this.#isTrivial) this.#seatUnknown();
    this.#seatWatchers();
    this.#setTimer();
  }

  /** Where all go to the same place, nobody has to say anything first. */
  #seatUnknown(): void {
    const builder = this.#builders[0]!;
    for (const session of this.#unseated) {
      if (session.stage !== "unknown" || session.take === undefined) continue;
      const seat = builder.seats.seat(session.id, session.arrival.counts, "limit");
      if (seat === undefined) return;
      this.#give(session, builder, "home", seat);
    }
  }

  /** Where each waiting session goes, in their order. */
  #routes(): readonly { readonly session: Session; readonly route: Route }[] {
    const sessions = [...this.#unseated].filter(({ stage }) => stage === "waiting");
    if (sessions.length === 0) return [];
    if (this.#isTrivial) {
      const route: Route = { builder: this.#builders[0]!.name, why: "home" };
      return sessions.map((session) => ({ session, route }));
    }
    const waiting = sessions.map((session) => this.#asWaiting(session));
    const { builders, policy } = this.facts;
    const routes = plan(waiting, builders, policy);
    this.#ports.onPlan?.({ waiting, builders, policy, routes });
    // The plan has taken them in their turn.
    return [...routes].map(([id, route]) => ({ session: this.#sessions.get(id)!, route }));
  }

  #asWaiting({ id, project, caller, arrivedMs }: Session): Waiting {
    const { placement, affinityPatienceMs } = this.policy;
    const isOver = affinityPatienceMs > 0 && this.#ports.clock.nowMs() >= arrivedMs + affinityPatienceMs;
    const sibling = this.#siblings.builderOf(caller?.traceId);
    return {
      id,
      tag: this.#queue.tag(id) ?? 0,
      ...(project === undefined ? {} : { project }),
      ...(sibling === undefined ? {} : { sibling }),
      patient: placement === "affinity" && project !== undefined && caller?.isPatient === true && !isOver,
      queueable: true,
    };
  }

  /** A client must not wait for itself, and one builder without a hard limit takes all. */
  #beyond({ why }: Route): Beyond {
    if (this.#isTrivial || why === "sibling") return "limit";
    return why === "shared" || why === "unusable" ? "target" : "nothing";
  }

  /** The session waits where its route says. Returns where that is; undefined if it is queued. */
  #assign(session: Session, { builder: name, why }: Route): RoutedBuilder | undefined {
    const builder = this.#builders.find((each) => each.name === name);
    if (builder === undefined || this.#yields(session, builder)) {
      this.#enqueue(session);
      return undefined;
    }
    session.why = why;
    if (session.queuedSinceMs !== undefined) {
      this.#unqueue(session);
      this.#waitFor(session, "pod");
    }
    if (session.builder === builder) return builder;
    session.builder?.seats.end(session.id);
    session.builder = builder;
    builder.seats.hold(session.id, true);
    return builder;
  }

  /** Whether a queued session leaves room to another proxy, whose oldest session has been queued for longer. */
  #yields({ queuedSinceMs }: Session, { othersQueuedSinceMs = Infinity }: RoutedBuilder): boolean {
    if (queuedSinceMs === undefined || othersQueuedSinceMs >= queuedSinceMs) return false;
    const nowMs = this.#ports.clock.nowMs();
    this.#yieldsSinceMs ??= nowMs;
    const untilMs = this.#yieldsSinceMs + YIELD_MS;
    if (nowMs >= untilMs) return false;
    this.#wakeAt(untilMs);
    return true;
  }

  #enqueue(session: Session): void {
    session.builder?.seats.end(session.id);
    session.builder = undefined;
    if (session.queuedSinceMs !== undefined) return;
    const { clock, log, metrics } = this.#ports;
    session.queuedSinceMs = clock.nowMs();
    session.why = "queued";
    this.#waitFor(session, "room");
    const { id, project } = session;
    log.info("session_queued", { session: id, project, queued: this.queued });
    metrics.record("routed_total", 1, { builder: "", why: "queued" });
    this.#tellQueued();
  }

  #unqueue(session: Session): void {
    const { clock, metrics } = this.#ports;
    const ms = clock.nowMs() - session.queuedSinceMs!;
    session.queuedMs = (session.queuedMs ?? 0) + ms;
    session.queuedSinceMs = undefined;
    this.#yieldsSinceMs = undefined;
    metrics.record("queue_seconds", ms / 1000, {});
    this.#tellQueued();
  }

  /** Since when the oldest has been queued of those that are. */
  get #queuedSinceMs(): number | undefined {
    let oldestMs = Infinity;
    for (const { queuedSinceMs = Infinity } of this.#unseated) oldestMs = Math.min(oldestMs, queuedSinceMs);
    return oldestMs === Infinity ? undefined : oldestMs;
  }

  #tellQueued(): void {
    const sinceMs = this.#queuedSinceMs;
    for (const builder of this.#builders) builder.tellQueued(sinceMs);
    this.#heldChanged.tell();
  }

  #waitFor(session: Session, waitsFor: WaitsFor): void {
    session.waitsFor = waitsFor;
    session.arrival.onWait(waitsFor);
  }

  #give(session: Session, builder: RoutedBuilder, why: Route["why"], seat: Seat): void {
    const take = session.take!;
    session.take = undefined;
    this.#queue.seated(session.id);
    this.#seated(session, builder, why, seat);
    take(seat);
  }

  #seated(session: Session, builder: RoutedBuilder, why: Route["why"], seat: Seat): void {
    this.#gave(seat, builder);
    session.stage = "seated";
    session.builder = builder;
    session.why = why;
    this.#release(session);
    this.#turn++;
    session.trace = session.caller?.traceId;
    this.#siblings.began(session.trace, builder.name);
    this.#ports.metrics.record("routed_total", 1, { builder: builder.name, why });
    if (this.#isTrivial) return;
    this.#decisions.push(
      `session ${session.id} of ${session.project ?? "no project"}: ${builder.name}, ${why}`,
    );
    if (this.#decisions.length > DECISIONS) this.#decisions.shift();
  }

  #hold(session: Session): void {
    this.#unseated.add(session);
    this.#heldChanged.tell();
  }

  #release(session: Session): void {
    if (this.#unseated.delete(session)) this.#heldChanged.tell();
  }

  /** Sessions that only watch go to their home if it is ready, else to the first builder that is. */
  #seatWatchers(): void {
    for (const session of this.#unseated) {
      if (session.stage !== "watching" || session.take === undefined) continue;
      if (!this.#seatWatcher(session) && session.waitsFor !== "nothing") this.#waitFor(session, "nothing");
    }
  }

  #seatWatcher(session: Session): boolean {
    for (const builder of rankBy(this.#builders, session.project, ({ name }) => name)) {
      const seat = builder.facts.state === "ready" ? builder.seats.seatWatcher(session.id) : undefined;
      if (seat === undefined) continue;
      this.#give(session, builder, "home", seat);
      return true;
    }
    return false;
  }

  /** The patience of a session may end without any event. */
  #setTimer(): void {
    const { affinityPatienceMs } = this.policy;
    const nowMs = this.#ports.clock.nowMs();
    if (affinityPatienceMs === 0) return;
    for (const { arrivedMs } of this.#unseated) {
      if (arrivedMs + affinityPatienceMs > nowMs) return this.#wakeAt(arrivedMs + affinityPatienceMs);
    }
  }

  #wakeAt(ms: number): void {
    if (ms >= this.#timerMs) return;
    this.#cancelTimer();
    this.#timerMs = ms;
    this.#cancelTimer = this.#ports.clock.setTimer(ms - this.#ports.clock.nowMs(), () => {
      this.#timerMs = Infinity;
      this.#changed();
    });
  }
}

/** Sessions that need no builder of their own: they only watch, or hand over traces. */
function isIdle(caller: Caller | undefined): boolean {
  return caller?.purpose === "watch" || caller?.purpose === "export";
}
