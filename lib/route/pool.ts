/**
 * Routes the sessions of one pool: keeps those that wait, asks `plan.ts` where each of them goes whenever something has
 * changed, and takes seats for them in the same step. A seated session is never moved. Writes nothing, and knows neither
 * replicas nor promises.
 *
 * @module
 */
import type { CancelTimer } from "../base/clock.ts";
import { type Abortable, follow, leave } from "../base/ending.ts";
import { Listeners } from "../base/listeners.ts";
import type { Arrival, Beyond, BuilderSeats, Caller, Routed, Seat, WaitsFor } from "../target/seats.ts";
import { cordonedHomes } from "./cordoned.ts";
import type { HeldLimit } from "./held_limit.ts";
import { isHomeOnly, isUsable, plan, type Route, type Waiting } from "./plan.ts";
import type { PlanRecord, PoolPolicy, PoolPorts, RoutedBuilder } from "./pool_parts.ts";
import { newSession, type Session } from "./pool_session.ts";
import { cordonedText, fullText, refusedText, waitingText } from "./pool_texts.ts";
import { FairQueue } from "./queue.ts";
import { Queued } from "./queued.ts";
import { rankBy } from "./rank.ts";
import { Siblings } from "./siblings.ts";
import { Watchers } from "./watchers.ts";

/** From so many sessions on that wait, a plan takes long enough to let further changes come first, for so many ms. */
const MANY = 100;
const PAUSE_MS = 10;

/**
 * So many connections of one trace may be beyond the hard limit for each other's sake. Builds that share a trace, as those
 * of a whole pipeline may, are no reason to overload a pod.
 */
const SIBLINGS_BEYOND = 4;

/** Decisions that are remembered for people. */
const DECISIONS = 5;

/** What a plan is made of. */
export type Facts = Omit<PlanRecord, "routes">;

/** Where a session goes. */
interface Routing {
  readonly session: Session;
  readonly route: Route;
}

/** One pool. */
export class Pool {
  /** How it routes. */
  readonly policy: PoolPolicy;
  readonly #builders: readonly RoutedBuilder[];
  readonly #byName: ReadonlyMap<string, RoutedBuilder>;
  readonly #ports: PoolPorts;
  readonly #gave: (seat: Seat, builder: RoutedBuilder) => void;
  readonly #queue = new FairQueue();
  readonly #siblings: Siblings;
  readonly #sessions = new Map<number, Session>();
  /** Those that are not seated. */
  readonly #unseated = new Set<Session>();
  /** Those of them that take a seat now: not those that pause after a failed dial. In the order in which they asked. */
  readonly #taking = new Set<Session>();
  /** Those that are queued. */
  readonly #queued: Queued;
  readonly #watchers = new Watchers();
  readonly #heldChanged = new Listeners();
  readonly #limit: HeldLimit;
  /** Those whose projects cannot build. */
  readonly #cordonedHomes: ReadonlySet<RoutedBuilder>;
  /** No session goes anywhere but to its home. */
  readonly #isHomeOnly: boolean;
  /** Every session goes to the same place, so nothing has to be known of it, and nothing planned. */
  readonly #isTrivial: boolean;
  /** A look is due, or under way. */
  #looks = false;
  #cancelTimer: CancelTimer = () => {};
  #timerMs = Infinity;
  /** The last decisions, the newest last, for people. */
  readonly #decisions: string[] = [];
  /** The round-robin's next place. */
  #turn = 0;

  /**
   * Its builders in their declared order, at least one. `limit` bounds who waits; `gave` is told of each seat that is given,
   * and whose it is.
   */
  constructor(
    policy: PoolPolicy,
    builders: readonly RoutedBuilder[],
    ports: PoolPorts,
    limit: HeldLimit,
    gave: (seat: Seat, builder: RoutedBuilder) => void,
  ) {
    this.policy = policy;
    this.#gave = gave;
    this.#builders = builders;
    this.#ports = ports;
    this.#siblings = new Siblings(ports.clock);
    this.#limit = limit;
    this.#isHomeOnly = isHomeOnly(policy);
    this.#cordonedHomes = new Set(cordonedHomes(policy, builders));
    const homeOf = ({ project }: Session) => this.#homeOf(project);
    this.#queued = new Queued(builders, ports, this.#isHomeOnly ? homeOf : undefined);
    this.#byName = new Map(builders.map((builder) => [builder.name, builder]));
    const { maxReplicas, maxSessionsPerReplica } = policy;
    const isCordoned = builders.some((builder) => builder.isCordoned);
    this.#isTrivial = builders.length === 1 && !isCordoned && maxReplicas === 1 &&
      maxSessionsPerReplica === 0;
    for (const builder of builders) {
      builder.subscribe(() => {
        this.#watchers.endLost();
        this.#changed();
      });
    }
  }

  /** Sessions that wait for a seat, but for those that only watch. */
  get held(): number {
    return this.#unseated.size - this.#watchers.held;
  }

  /** Those of them that are queued. */
  get queued(): number {
    return this.#queued.size;
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
    if (this.#isTrivial && builder !== undefined && this.#taking.size === 0) {
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
    this.#learn(session, caller);
    const watches = isIdle(caller);
    if (session.stage === "seated") return this.#mayGoOn(session, watches);
    const isNewcomer = isNew(session);
    if (watches) this.#startWatching(session);
    else this.#startWaiting(session);
    this.#changed();
    this.#tellWatcher(session);
    if (this.#isTrivial && isNewcomer) this.#refuseBeyondLimit(session);
    return true;
  }

  /** Ends a session that has come to where too many wait already. Those that wait there or have waited stay. */
  #refuseBeyondLimit(session: Session): void {
    const { stage, builder, project } = session;
    if (stage !== "waiting") return;
    const where = builder ?? (this.#isHomeOnly ? this.#homeOf(project) : undefined);
    const refusal = this.#limit.refusal(builder?.seats.calling ?? this.#queued.beside(session), where?.name);
    if (refusal !== undefined) this.#refuse(session, "limited", refusal);
  }

  /** Ends a session that shall not wait. From now on it calls for nothing. */
  #refuse(session: Session, ...why: Parameters<Arrival["onRefuse"]>): void {
    session.stage = "unknown";
    this.#queue.remove(session.id);
    this.#unqueue(session);
    this.#leaveBuilder(session);
    session.arrival.onRefuse(...why);
  }

  /** Where nothing is planned, it is known at once whether a watcher has to wait. */
  #tellWatcher(session: Session): void {
    const { stage, take } = session;
    if (this.#isTrivial && stage === "watching" && take !== undefined) this.#waitFor(session, "nothing");
  }

  #learn(session: Session, caller: Caller | undefined): void {
    session.isKnown = true;
    session.caller = caller;
    if (session.project !== undefined || caller?.host === undefined) return;
    session.project = this.#ports.projectOf(caller.host);
    // If it waits already, it changes lines.
    this.#queue.remove(session.id);
  }

  /** Whether a seated session may carry what it is now known to say. */
  #mayGoOn(session: Session, watches: boolean): boolean {
    const { seats } = session.builder!;
    if (watches) {
      seats.watch(session.id);
      this.#watchers.add(session);
    } else if (session.isWatcher) {
      if (!seats.watchNoMore(session.id)) return false;
      this.#watchers.remove(session);
    }
    return true;
  }

  /** An unseated session calls for no pod, or not any more: it was taken for one that does. */
  #startWatching(session: Session): void {
    const { id, builder } = session;
    session.stage = "watching";
    session.builder = undefined;
    this.#watchers.add(session);
    this.#queue.remove(id);
    this.#unqueue(session);
    builder?.seats.end(id);
    this.#heldChanged.tell();
  }

  /** An unseated session calls for a pod, if it does not do so already. */
  #startWaiting(session: Session): void {
    this.#watchers.remove(session);
    session.stage = "waiting";
    if (!this.#queued.has(session)) this.#waitFor(session, "pod");
    if (this.#isTrivial) return this.#holdAt(session, this.#builders[0]!);
    this.#queue.add(session.id, session.project);
    const home = this.#homeOf(session.project);
    if (!this.#cordonedHomes.has(home)) return;
    this.#refuse(session, "cordoned", refusedText(this.policy, this.#isHomeOnly ? home.name : undefined));
  }

  /** As `Seats.wait`. */
  wait(id: number, signal: Abortable): Promise<Seat> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const session = this.#sessions.get(id);
      const onAbort = () => {
        // In this step: a look must not give a seat to a session that leaves.
        if (session !== undefined) this.#takeNoMore(session);
        reject(signal.reason);
      };
      follow(signal, onAbort);
      if (session === undefined) return;
      session.take = (seat) => {
        leave(signal, onAbort);
        resolve(seat);
      };
      this.#taking.add(session);
      this.#changed();
      this.#tellWatcher(session);
    });
  }

  /** As `Seats.connected`. */
  connected(seat: Seat): boolean {
    const session = this.#sessions.get(seat.id);
    if (session?.stage !== "seated" || !session.builder!.seats.connected(seat)) return false;
    session.isConnected = true;
    const { builder, why } = session;
    this.#ports.metrics.record("routed_total", 1, { builder: builder!.name, why: why! });
    this.#queue.connected(seat.id);
    if (session.queuedMs !== undefined) {
      this.#ports.metrics.record("queue_seconds", session.queuedMs / 1000, {});
    }
    return true;
  }

  /** As `Seats.holdAgain`. */
  holdAgain(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined || session.stage !== "seated") return;
    const { seats } = session.builder!;
    this.#siblings.gaveUp(session.trace);
    const needs = session.isKnown ? !isIdle(session.caller) : seats.needs(id);
    session.stage = "unknown";
    this.#watchers.heldAgain(session);
    this.#hold(session);
    if (needs) {
      seats.hold(id, true);
      this.#startWaiting(session);
    } else {
      session.stage = session.isKnown ? "watching" : "unknown";
      session.builder = undefined;
      this.#queue.remove(id);
      if (session.isKnown) this.#waitFor(session, "nothing");
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
    this.#watchers.remove(session);
    this.#release(session);
    if (session.stage === "seated") this.#siblings.ended(session.trace);
    this.#unqueue(session);
    session.builder?.seats.end(id);
    this.#changed();
  }

  /** As `Seats.routeOf`. */
  routeOf(id: number): Routed {
    const session = this.#sessions.get(id);
    if (session === undefined) return {};
    const { builder, project, why, queuedSinceMs, queuedMs, isWarm, isWatcher } = session;
    if (this.#isTrivial) return { isWarm, isWatcher };
    const nowMs = this.#ports.clock.nowMs();
    const queued = queuedSinceMs === undefined ? queuedMs : (queuedMs ?? 0) + nowMs - queuedSinceMs;
    return {
      builder: builder?.name,
      project,
      why,
      isWarm,
      isWatcher,
      queuedMs: queued && Math.round(queued),
    };
  }

  /** As `Seats.explainWait`. */
  async explainWait(id: number, signal: AbortSignal): Promise<string> {
    const { builder, project } = this.#sessions.get(id) ?? {};
    const home = builder ?? this.#homeOf(project);
    if (home.isCordoned) return cordonedText(home.name);
    return await home.seats.explainWait(signal);
  }

  /** Why there is no room for a queued session, for its client. */
  explainQueue(id: number): string {
    return fullText(this.policy, this.#builders, this.#sessions.get(id)?.project);
  }

  /** The first builder in a project's order, where that does not change. */
  #homeOf(project: string | undefined): RoutedBuilder {
    const isRanked = this.policy.placement === "affinity";
    return rankBy(this.#builders, isRanked ? project : undefined, ({ name }) => name)[0]!;
  }

  /** Who waits here, and where the last sessions went, for people. */
  get description(): string {
    return [waitingText(this.#waiting, this.queued, this.#queued.oldestMs), ...this.#decisions].join("; ");
  }

  /** The sessions without a seat, the first to wait first, for people. */
  get unseated(): Iterable<Readonly<Session>> {
    return this.#unseated;
  }

  /** Ends the sessions that only watch, present and future ones. */
  endWatchers(why: string): void {
    this.#watchers.endAll(why);
  }

  /** What a plan is made of now. */
  get facts(): Facts {
    const { placement, overflow } = this.policy;
    const builders = this.#builders.map(({ facts }) => facts);
    const left = new Map(builders.filter(isUsable).map(({ name, room }) => [name, room]));
    const order = this.#queue.inTurn((id) => this.#onlyWaits(this.#sessions.get(id)!, left));
    const tags = new Map(order.map((id, at) => [id, at + 1]));
    return {
      waiting: this.#waiting.map((session) => this.#asWaiting(session, tags.get(session.id) ?? 0)),
      builders,
      policy: { placement, overflow, turn: this.#turn },
    };
  }

  /**
   * Whether a session takes no seat now, wherever there is one: it waits for its home or for its sibling's builder, and of
   * the seats `left` on the usable builders, by name, none is there. Else it would cost its project the turns for as long as
   * a pod takes to start.
   */
  #onlyWaits(session: Session, left: Map<string, number>): boolean {
    const { name = "" } = session.builder ?? {};
    const room = left.get(name);
    if (room === undefined) return false;
    const { patient, late, sibling } = this.#asWaiting(session, 0);
    if (late || !(patient || sibling === name)) return false;
    left.set(name, room - 1);
    return room <= 0;
  }

  /** Those that call for a pod. */
  get #waiting(): readonly Session[] {
    return [...this.#unseated].filter(({ stage }) => stage === "waiting");
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
    else if (this.#unseated.size < MANY) void Promise.resolve().then(look);
    else this.#ports.clock.setTimer(PAUSE_MS, look);
  }

  #look(): void {
    if (this.#isTrivial) return this.#seatInTurn(this.#builders[0]!);
    const full = new Set<RoutedBuilder>();
    const newcomers: Session[] = [];
    let isOutdated = false;
    this.#queued.lookBegins();
    for (const { session, route } of this.#routes()) {
      session.isWarm = isNew(session);
      if (this.#seatAtOnce(session, route)) continue;
      if (session.isWarm) newcomers.push(session);
      const builder = this.#assign(session, route);
      if (builder === undefined || session.take === undefined || full.has(builder)) continue;
      // All that it may use is broken: it is told so, or that mends itself.
      if (route.why === "unusable") continue;
      const sibling = this.#siblingOf(session);
      if (sibling?.runs && sibling.builder !== builder.name && route.why !== "sibling") {
        // It was seated a moment ago, or is on a builder that is not ready.
        isOutdated ||= this.#byName.get(sibling.builder)?.facts.state === "ready";
        if (isOutdated) continue;
      }
      const beyond = this.#beyond(session, route);
      const seat = builder.seats.seat(session.id, true, beyond);
      if (seat !== undefined) this.#give(session, builder, route.why, seat);
      // Then no other session finds a place there.
      else if (beyond === "limit") full.add(builder);
    }
    this.#queued.lookEnds();
    this.#seatWatchers();
    this.#setTimer();
    // Now that all who find room have it. The last to come are the first to be refused.
    for (const session of newcomers.sort((a, b) => b.id - a.id)) this.#refuseBeyondLimit(session);
    if (isOutdated) this.#look();
  }

  /**
   * Seats a session that has not waited yet, if its home has room. It is not held before: nothing has to start for it, and
   * whoever listens to the builder has less to look at.
   */
  #seatAtOnce(session: Session, route: Route): boolean {
    const builder = route.why === "home" ? this.#byName.get(route.builder!) : undefined;
    if (builder === undefined || !session.isWarm || session.take === undefined) return false;
    if (this.#siblingOf(session)?.runs || this.#yields(session, builder, route.why)) return false;
    const seat = builder.seats.seat(session.id, true, "nothing");
    if (seat !== undefined) this.#give(session, builder, route.why, seat);
    return seat !== undefined;
  }

  /** Where all go to the same place, nobody has to say anything first, and there is nothing to plan. */
  #seatInTurn({ seats }: RoutedBuilder): void {
    for (const session of this.#taking) {
      const { id, stage, arrival } = session;
      const seat = stage === "watching"
        ? seats.seatWatcher(id)
        : seats.seat(id, stage === "waiting" || arrival.counts, "limit");
      // Then nobody else finds a place either.
      if (seat === undefined) return;
      this.#give(session, this.#builders[0]!, "home", seat);
    }
  }

  /** Where each waiting session goes, in their order. */
  #routes(): readonly Routing[] {
    // Of most sessions it is not known yet who they are when they begin to wait: then no builder has to be looked at.
    if (this.#queue.size === 0) return [];
    const { waiting, builders, policy } = this.facts;
    const routes = plan(waiting, builders, policy);
    this.#ports.onPlan?.({ waiting, builders, policy, routes });
    // The plan has taken them in their turn.
    return [...routes].map(([id, route]) => ({ session: this.#sessions.get(id)!, route }));
  }

  #asWaiting(session: Session, tag: number): Waiting {
    const { id, project, caller, arrivedMs } = session;
    const { placement, affinityPatienceMs } = this.policy;
    const nowMs = this.#ports.clock.nowMs();
    const isOver = affinityPatienceMs > 0 && nowMs >= arrivedMs + affinityPatienceMs;
    const late = nowMs >= this.#lateMs(session);
    const sibling = this.#siblingOf(session);
    return {
      id,
      tag,
      ...(project === undefined ? {} : { project }),
      ...(sibling === undefined ? {} : { sibling: sibling.builder, siblingRuns: sibling.runs }),
      patient: placement === "affinity" && project !== undefined && caller?.isPatient === true && !isOver,
      ...(late ? { late } : {}),
    };
  }

  /**
   * From when on a session takes any pod that runs, monotonic ms: a pod that is awaited for as long is stuck. In the queue
   * it waits for room, and for no pod.
   */
  #lateMs({ arrivedMs, queuedMs = 0, queuedSinceMs }: Session): number {
    if (queuedSinceMs !== undefined) return Infinity;
    return arrivedMs + queuedMs + this.policy.readyWaitTimeoutMs / 2;
  }

  /** Where another connection of the same client is, or was until a moment ago, and whether it runs. */
  #siblingOf({ caller }: Session): { readonly builder: string; readonly runs: boolean } | undefined {
    const found = this.#siblings.find(caller?.traceId);
    if (found === undefined || found.sessions >= SIBLINGS_BEYOND) return undefined;
    return { builder: found.builder, runs: found.sessions > 0 };
  }

  /** How far a session may go beyond the limits of a pod, where its route leads. */
  #beyond(session: Session, { why }: Route): Beyond {
    if (why === "sibling" && this.#siblingOf(session)?.runs) return "limit";
    return why === "shared" || why === "sibling" ? "target" : "nothing";
  }

  /** The session waits where its route says. Returns where that is; undefined if it is queued. */
  #assign(session: Session, { builder: name, why }: Route): RoutedBuilder | undefined {
    const builder = name === undefined ? undefined : this.#byName.get(name);
    if (builder === undefined || this.#yields(session, builder, why)) {
      this.#enqueue(session);
      return undefined;
    }
    session.why = why;
    this.#unqueue(session);
    this.#waitFor(session, "pod");
    // Nobody wakes a builder that takes no sessions: it would never be idle.
    if (builder.isCordoned) this.#leaveBuilder(session);
    else this.#holdAt(session, builder);
    return builder;
  }

  #holdAt(session: Session, builder: RoutedBuilder): void {
    const before = session.builder;
    if (before === builder) return;
    session.builder = builder;
    before?.seats.end(session.id);
    builder.seats.hold(session.id, true);
  }

  #leaveBuilder(session: Session): void {
    session.builder?.seats.end(session.id);
    session.builder = undefined;
  }

  /** Whether a session leaves room to another proxy. */
  #yields(session: Session, builder: RoutedBuilder, why: Route["why"]): boolean {
    const untilMs = this.#queued.yieldsUntilMs(session, builder, why);
    if (untilMs !== undefined) this.#wakeAt(untilMs);
    return untilMs !== undefined;
  }

  #enqueue(session: Session): void {
    this.#leaveBuilder(session);
    if (this.#queued.has(session)) return;
    this.#queued.add(session);
    this.#waitFor(session, "room");
    this.#heldChanged.tell();
  }

  /** It is not queued any more, if it was. */
  #unqueue(session: Session): void {
    if (this.#queued.remove(session)) this.#heldChanged.tell();
  }

  #waitFor(session: Session, waitsFor: WaitsFor): void {
    if (session.waitsFor === waitsFor) return;
    session.waitsFor = waitsFor;
    session.arrival.onWait(waitsFor);
  }

  #give(session: Session, builder: RoutedBuilder, why: Route["why"], seat: Seat): void {
    const take = session.take!;
    // One that watches is held without a limit, also while pods refuse it.
    if (session.caller?.purpose !== "watch") this.#waitFor(session, "pod");
    this.#watchers.seated(session);
    this.#queue.seated(session.id);
    this.#seated(session, builder, why, seat);
    take(seat);
  }

  #seated(session: Session, builder: RoutedBuilder, why: Route["why"], seat: Seat): void {
    this.#gave(seat, builder);
    if (session.stage !== "watching") this.#turn++;
    session.stage = "seated";
    session.builder = builder;
    session.why = why;
    this.#release(session);
    session.trace = session.caller?.traceId;
    this.#siblings.began(session.trace, builder.name);
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
    this.#takeNoMore(session);
    if (!this.#unseated.delete(session)) return;
    this.#heldChanged.tell();
    if (this.#unseated.size > 0) return;
    this.#queued.nobodyWaits();
    this.#cancelTimer();
    this.#timerMs = Infinity;
  }

  #takeNoMore(session: Session): void {
    session.take = undefined;
    this.#taking.delete(session);
  }

  /** Sessions that only watch go to their home if it is ready, else to the first builder that is. */
  #seatWatchers(): void {
    const watchers = [...this.#taking].filter(({ stage }) => stage === "watching");
    if (watchers.length === 0) return;
    const ready = this.#builders.filter(({ facts }) => facts.state === "ready");
    for (const session of watchers) {
      if (!this.#seatWatcher(session, ready)) this.#waitFor(session, "nothing");
    }
  }

  #seatWatcher(session: Session, ready: readonly RoutedBuilder[]): boolean {
    for (const builder of rankBy(ready, session.project, ({ name }) => name)) {
      const seat = builder.seats.seatWatcher(session.id);
      if (seat === undefined) continue;
      this.#give(session, builder, "home", seat);
      return true;
    }
    return false;
  }

  /** The patience of a session may end without any event, and so may the time for which it waits for the best pod. */
  #setTimer(): void {
    const { affinityPatienceMs } = this.policy;
    const nowMs = this.#ports.clock.nowMs();
    for (const session of this.#unseated) {
      for (const untilMs of [session.arrivedMs + (affinityPatienceMs || Infinity), this.#lateMs(session)]) {
        if (untilMs > nowMs) this.#wakeAt(untilMs);
      }
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

/** Whether it has waited for no builder, and for no room. */
function isNew({ builder, queuedSinceMs, queuedMs }: Session): boolean {
  return builder === undefined && queuedSinceMs === undefined && queuedMs === undefined;
}
