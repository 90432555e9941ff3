/**
 * Every step that two proxies, the API server, the network, clients and others can take, with one switch for each rule
 * that can be broken. What a proxy has seen and promised, what closes an ordinal, what speaks against a count, what a
 * claim writes, who must answer and whose answer counts, and whether a proxy places at all, is decided by the functions
 * that ship.
 *
 * @module
 */
import { placesAs } from "../../../lib/ha/standing.ts";
import { hasAnswered, mustAnswer, stillThere, type Voter } from "../../../lib/ha/votes.ts";
import { type Load, neededBy } from "../../../lib/scaler/capacity.ts";
import { blocks, claimOf, closedFrom, placeableBelow, promise, see } from "../../../lib/scaler/agreement.ts";
import type { Step } from "./explore.ts";
import {
  aged,
  agreements,
  Claim,
  copy,
  CURRENT,
  numberOf,
  Phase,
  type ProxyState,
  reset,
  Session,
  St,
  unborn,
  type World,
} from "./state.ts";

/** The size, and what is broken. With nothing set the rules are those that ship. */
export interface Options {
  /** Ordinals: replicas are 0 to this. */
  readonly ordinals: number;
  /** Neither crashes, clean ends, restarts, lapses nor other writers. */
  readonly calm?: boolean;
  /** A pod takes one session, as long as there may be another pod. */
  readonly target?: boolean;
  /** Sessions that are connected do not end. */
  readonly sessionsStay?: boolean;

  // Variants that the rules allow.
  readonly announceFirst?: boolean;
  readonly ownClaimsOnly?: boolean;
  readonly answersHeld?: boolean;
  readonly leadBeginsWithClaim?: boolean;

  // Mutations.
  readonly claimWithoutVersion?: boolean;
  readonly claimVoidsAll?: boolean;
  readonly joinReadsAnnouncements?: boolean;
  readonly lastPromiseOnly?: boolean;
  readonly leaderDoesNotVote?: boolean;
  readonly backWithoutJoining?: boolean;
  readonly lapsedPlaces?: boolean;
  readonly writeWithoutVersion?: boolean;
  readonly versionReadLate?: boolean;
  readonly listBeforeRead?: boolean;
  readonly staleList?: boolean;
  readonly expiryJudgedEarly?: boolean;
  readonly silenceConsents?: boolean;
  readonly oldAnswersCount?: boolean;
  readonly answerBeforePromise?: boolean;
  readonly answersBusy?: boolean;
  readonly dialDoesNotCount?: boolean;
  readonly promiseDropped?: boolean;
  readonly withdrawalEndsPromise?: boolean;
  readonly usedManagerName?: boolean;
  readonly placesOnSending?: boolean;
  readonly timeoutCounts?: boolean;
  readonly claimsNeedOnly?: boolean;
  readonly joinsUnbound?: boolean;
  readonly joinReadsFirst?: boolean;
  readonly noSecondLook?: boolean;
  readonly secondLookAtAgeOnly?: boolean;
  readonly busyExpires?: boolean;
  readonly neverExpires?: boolean;
  readonly noClaims?: boolean;
}

const NAMES = ["one", "two"] as const;

/** Proxy `one` has joined, `two` is not started; all pods are there. */
export function initial({ ordinals }: Options): World {
  const one = unborn();
  one.st = St.joined;
  one.agreement = numberOf({ seen: { version: CURRENT, replicas: ordinals }, promises: [] });
  return { p: [one, unborn()], count: ordinals, writes: 0, orphans: 0 };
}

/** The ordinal that a session dials or is on; -1 without one. */
function ordinalOf({ session }: ProxyState): number {
  return session >= Session.dialling ? (session - Session.dialling) & 1 : -1;
}

const isDialling = ({ session }: ProxyState) =>
  session === Session.dialling || session === Session.dialling + 1;
/** The ordinal that a session runs on; -1 without one. */
export const connectedTo = (q: ProxyState) => q.session >= Session.connected ? ordinalOf(q) : -1;

const isUp = ({ st }: ProxyState) => st === St.recorded || st === St.joined || st === St.lapsed;

/** Sees the present state of the StatefulSet, by the real function. */
function sees(q: ProxyState, count: number): void {
  q.agreement = numberOf(see(agreements[q.agreement]!, { version: CURRENT, replicas: count }));
}

function promises(q: ProxyState, below: number, { lastPromiseOnly }: Options): void {
  const before = agreements[q.agreement]!;
  const from = lastPromiseOnly ? { ...before, promises: [] } : before;
  q.agreement = numberOf(promise(from, { below, version: CURRENT }));
}

/** What an ordinal takes with a target. */
const CAPACITY = { sessionsPerReplica: 1, maxSessionsPerReplica: 0, spread: "lowest" } as const;

/** The session of the other proxy, as its record has it. */
function loadOn(world: World, i: number): Load {
  const other = world.p[1 - i]!;
  const ordinal = isUp(other) ? ordinalOf(other) : -1;
  return new Map(ordinal < 0 ? [] : [[ordinal, 1]]);
}

/** How many pods its session needs while it is held. */
function needOf(world: World, i: number, { ordinals, target }: Options): number {
  if (world.p[i]!.session !== Session.held) return 0;
  return target ? neededBy(1, loadOn(world, i), { ...CAPACITY, maxReplicas: ordinals }) : 1;
}

function forgets(q: ProxyState): void {
  q.agreement = numberOf({ ...agreements[q.agreement]!, promises: [] });
}

function endAttempt(q: ProxyState, o: Options): void {
  q.phase = Phase.idle;
  q.below = 0;
  q.asked = 0;
  if (!o.oldAnswersCount) q.answered = 0;
}

/** The StatefulSet has changed: what was conditioned on the version before can never land. */
function bump(world: World, o: Options): void {
  for (const q of world.p) {
    q.agreement = numberOf(aged(agreements[q.agreement]!));
    q.pending = 0;
    if (q.claim === Claim.landed) q.claim = Claim.landedOld;
    if (q.claim === Claim.sent && !o.claimWithoutVersion) q.claim = q.claimed = 0;
    if (q.phase !== Phase.listedFirst && !o.writeWithoutVersion && !o.versionReadLate) endAttempt(q, o);
  }
  if (!o.writeWithoutVersion) world.writes = 0;
  if (!o.claimWithoutVersion) world.orphans = 0;
}

/** Somebody sets the count. Says whether a session of a live proxy was cut, if the write is one of ours. */
function setCount(world: World, count: number, fresh: boolean, ours: boolean, o: Options): boolean {
  const changed = count !== world.count;
  let cut = false;
  world.count = count;
  for (const q of world.p) {
    if (connectedTo(q) < count || q.st === St.dead) continue;
    cut ||= ours;
    q.session = Session.none;
  }
  if (changed || fresh) bump(world, o);
  return cut;
}

/** Who a proxy finds on a list of the records; the lapsed have expired there, or have no record any more. */
function listed(world: World, self: number, o: Options): number {
  const list: Voter[] = [];
  for (const [i, { st }] of world.p.entries()) {
    const live = st === St.recorded || st === St.joined;
    if (live || st === St.lapsed || (o.neverExpires && st === St.dead)) {
      list.push({ identity: NAMES[i]!, expiryMs: 1, unchangedMs: live || o.neverExpires ? 0 : 1 });
    }
  }
  return mustAnswer(list, NAMES[self]!).reduce(
    (bits, { identity }) => bits | 1 << NAMES.indexOf(identity as "one"),
    0,
  );
}

/** Whether a record is there no more, or has expired, by a later list. */
function needNotAnswer({ st }: ProxyState, o: Options): boolean {
  const voter = { identity: "x", expiryMs: 1, unchangedMs: 0 };
  const later = st === St.dead && !o.neverExpires
    ? []
    : [{ ...voter, unchangedMs: st === St.lapsed && !o.neverExpires ? 1 : 0 }];
  return stillThere([voter], later).length === 0;
}

/** Calls `emit` with each successor. */
export function steps(world: World, o: Options, emit: (next: World, step: Step) => void): void {
  let next = world;
  const go = (what: string, more: Partial<Step> = {}) => {
    emit(next, { what, fault: false, violation: false, leaver: -1, ...more });
  };
  for (let i = 0; i < 2; i++) {
    const p = world.p[i]!;
    /** Begins a step: the copy of this proxy that it changes. */
    const begin = () => (next = copy(world)).p[i]!;
    lifeOf(world, i, o, begin, go);
    if (!isUp(p)) continue;
    sessionOf(world, i, o, begin, go);
    claimOfProxy(world, i, o, begin, () => next, go);
    promisesOf(world, i, o, begin, () => next, go);
    attemptOf(world, i, o, begin, () => next, go);
  }
  for (let count = 0; count < o.ordinals; count++) {
    if ((world.writes & 1 << count) === 0) continue;
    next = copy(world);
    next.writes &= ~(1 << count);
    go("a scale-down is lost");
    next = copy(world);
    next.writes &= ~(1 << count);
    const violation = setCount(next, count, false, true, o);
    go(`a scale-down to ${count} lands`, { violation });
  }
  for (let count = 0; count <= o.ordinals; count++) {
    if ((world.orphans & 1 << count) === 0) continue;
    next = copy(world);
    next.orphans &= ~(1 << count);
    go("a claim that nobody waits for is lost");
    next = copy(world);
    next.orphans &= ~(1 << count);
    const violation = setCount(next, count, !o.usedManagerName, true, o);
    go(`a claim of ${count} that nobody waits for lands`, { violation });
  }
  if (o.calm) return;
  for (let count = 0; count <= o.ordinals; count++) {
    if (count === world.count) continue;
    next = copy(world);
    setCount(next, count, false, false, o);
    go(`somebody else sets ${count}`, { fault: true });
  }
  next = copy(world);
  bump(next, o);
  go("the StatefulSet's status changes", { fault: true });
}

type Begin = () => ProxyState;
type Go = (what: string, more?: Partial<Step>) => void;

/** Starting, joining, lapsing, ending. */
function lifeOf(world: World, i: number, o: Options, begin: Begin, go: Go): void {
  const p = world.p[i]!;
  const name = NAMES[i]!;
  if (p.st === St.unborn || p.st === St.lapsed) {
    const q = begin();
    if (p.st === St.lapsed && o.backWithoutJoining) {
      q.st = St.joined;
      go(`${name} renews its record after a silence and goes on`);
    } else if (p.st === St.unborn && o.joinReadsFirst) {
      sees(q, world.count);
      promises(q, 0, o);
      q.st = St.readFirst;
      go(`${name} reads the count`);
    } else {
      q.st = St.recorded;
      if (o.staleList || (o.expiryJudgedEarly && p.st === St.lapsed)) q.late = 1;
      go(`${name} writes its record`);
    }
  }
  if (p.st === St.readFirst) {
    begin().st = St.joined;
    go(`${name} writes its record`);
  }
  if (p.st === St.recorded) {
    const q = begin();
    q.st = St.joined;
    const announced = Math.min(
      ...world.p.map(({ announcement }) => announcement === 0 ? Infinity : announcement - 1),
    );
    if (o.joinReadsAnnouncements) {
      if (announced < Infinity) promises(q, announced, o);
    } else if (!o.joinsUnbound) promises(q, 0, o);
    sees(q, world.count);
    go(`${name} reads the count and has joined`);
  }
  if (
    p.st === St.dead && !o.calm && !world.p.some(({ asked, answered }) => ((asked | answered) & 1 << i) !== 0)
  ) {
    reset(begin(), St.unborn);
    go(`a new process takes the place of ${name}`, { fault: true });
  }
  if (!isUp(p) || o.calm) return;
  const ends = (what: string, keepsRecord: boolean) => {
    const q = begin();
    reset(q, St.dead);
    if (keepsRecord) q.announcement = p.announcement;
    return what;
  };
  const dies = (what: string, keepsRecord: boolean) => {
    ends(what, keepsRecord);
    go(what, { fault: true });
  };
  if (p.claim !== Claim.sent) {
    dies(`${name} crashes`, true);
    if (p.session === Session.none) dies(`${name} ends`, false);
  }
  if (p.st === St.joined && (connectedTo(p) < 0 || o.busyExpires)) {
    begin().st = St.lapsed;
    go(`${name} is silent past its expiry`, { fault: true });
  }
  if (p.st === St.lapsed && agreements[p.agreement]!.promises.length > 0) {
    forgets(begin());
    go(`${name} is cut off, and forgets its promises`, { fault: true });
  }
}

/** Its client, and where that is placed. */
function sessionOf(world: World, i: number, o: Options, begin: Begin, go: Go): void {
  const p = world.p[i]!;
  const name = NAMES[i]!;
  const places = placesAs(
    p.st === St.lapsed ? "cut_off" : p.st === St.joined ? "joined" : "joining",
    p.st === St.lapsed,
    o.lapsedPlaces ? "serve" : "hold",
  );
  const below = o.placesOnSending && p.claim === Claim.sent
    ? o.ordinals
    : placeableBelow(agreements[p.agreement]!);
  if (p.session === Session.none) {
    begin().session = Session.held;
    go(`a client comes to ${name}`, { fault: true });
  } else if (p.session === Session.held) {
    begin().session = Session.none;
    go(`the held client of ${name} leaves`, { leaver: i });
    // Its view of the pods may be as old as it likes.
    for (let ordinal = 0; places && ordinal < below; ordinal++) {
      if (o.target && loadOn(world, i).has(ordinal)) continue;
      begin().session = Session.dialling + ordinal;
      go(`${name} places its session on ${ordinal} and dials`);
    }
  } else if (isDialling(p)) {
    const ordinal = ordinalOf(p);
    begin().session = Session.held;
    go(`the dial of ${name} fails, or its seat does not hold`);
    const holds = o.noSecondLook ||
      (places && (o.secondLookAtAgeOnly || o.dialDoesNotCount || o.placesOnSending ||
        o.answersBusy || ordinal < below));
    if (holds && ordinal < world.count) {
      begin().session = Session.connected + ordinal;
      go(`${name} is connected to ${ordinal}`);
    }
  } else if (!o.sessionsStay) {
    begin().session = Session.none;
    go(`the session of ${name} ends`);
  }
}

/** Its claims. */
function claimOfProxy(world: World, i: number, o: Options, begin: Begin, now: () => World, go: Go): void {
  const p = world.p[i]!;
  const name = NAMES[i]!;
  const { seen, promises: made } = agreements[p.agreement]!;
  const mustLead = o.leadBeginsWithClaim === true && p.led === 0;
  if (p.st === St.joined && p.claim === Claim.none && !o.noClaims && seen !== undefined) {
    // With an old version it is a conflict, and nothing has happened.
    const lands = seen.version === CURRENT || o.claimWithoutVersion;
    const counts = new Set<number>();
    if (p.session === Session.held) {
      const least = needOf(world, i, o);
      for (let needed = least; needed <= (o.target ? least : o.ordinals); needed++) {
        counts.add(o.claimsNeedOnly ? needed : claimOf(seen, needed).replicas);
      }
    } else if (closedFrom(made) < Infinity || mustLead) counts.add(claimOf(seen, 0).replicas);
    for (const count of lands ? counts : []) {
      const q = begin();
      q.claim = Claim.sent;
      q.claimed = count;
      go(`${name} sends a claim of ${count}`);
    }
  }
  if (p.claim === Claim.sent) {
    begin().claim = Claim.landed;
    const next = now();
    // Before `bump`, so that it does not take it for one that met a conflict; its version is the new current one.
    const violation = setCount(next, p.claimed, !o.usedManagerName, true, o);
    next.p[i]!.claim = Claim.landed;
    next.p[i]!.claimed = 0;
    go(`the claim of ${name} lands: ${p.claimed}`, { violation });
    const q = begin();
    now().orphans |= 1 << p.claimed;
    q.claim = q.claimed = 0;
    if (o.timeoutCounts) forgets(q);
    go(`${name} waits for its claim no longer`);
  } else if (p.claim !== Claim.none) {
    const q = begin();
    q.claim = Claim.none;
    if (p.claim === Claim.landed) sees(q, world.count);
    if (o.claimVoidsAll) forgets(q);
    q.led = o.leadBeginsWithClaim ? 1 : 0;
    go(`${name} learns that its claim has succeeded`);
    begin().claim = Claim.none;
    go(`${name} waits for its claim no longer`);
  }
}

/** What it sees, and what it promises others. */
function promisesOf(world: World, i: number, o: Options, begin: Begin, now: () => World, go: Go): void {
  const p = world.p[i]!;
  const name = NAMES[i]!;
  const agreement = agreements[p.agreement]!;
  if (agreement.seen?.version !== CURRENT && !o.ownClaimsOnly) {
    sees(begin(), world.count);
    go(`${name} sees the StatefulSet as it is`);
  } else if (agreement.seen?.version !== CURRENT) {
    // It knows the count, but takes no version for newer.
    begin().agreement = numberOf({
      ...see(agreement, { version: CURRENT, replicas: world.count }),
      promises: agreement.promises,
    });
    go(`${name} sees the StatefulSet as it is`);
  }
  if (p.st !== St.joined) return;
  if (p.pending > 0) {
    const q = begin();
    q.pending = 0;
    promises(q, p.pending - 1, o);
    go(`${name} makes its promise`);
  }
  const announced = (phase: number) => phase === Phase.waiting || phase === Phase.announced;
  const dropped = o.promiseDropped ||
    (o.withdrawalEndsPromise && !world.p.some(({ phase }) => announced(phase)));
  if (dropped && agreement.promises.length > 0) {
    forgets(begin());
    go(`${name} drops its promises`);
  }
  for (let j = 0; j < 2; j++) {
    const leader = world.p[j]!;
    const bit = 1 << i;
    if (j === i || !announced(leader.phase) || leader.st === St.dead || (leader.answered & bit) !== 0) {
      continue;
    }
    if (leader.phase === Phase.waiting && (leader.asked & bit) === 0) continue;
    const highest = isDialling(p) && o.dialDoesNotCount ? -1 : ordinalOf(p);
    const needed = o.answersHeld ? 0 : needOf(world, i, o);
    if (blocks({ highest, needed }, leader.below) && !o.answersBusy) continue;
    const q = begin();
    // The record as the leader will read it: this answer is to its present announcement.
    const generation = 2;
    const body = { answers: { [NAMES[j]!]: generation } };
    if (!hasAnswered({ body }, NAMES[j]!, generation)) throw new Error("an answer that does not count");
    const l = now().p[j]!;
    if (leader.phase === Phase.waiting && !o.oldAnswersCount) l.asked &= ~bit;
    else l.answered |= bit;
    if (o.answerBeforePromise) q.pending = leader.below + 1;
    else promises(q, leader.below, o);
    go(`${name} answers ${NAMES[j]}`);
  }
}

/** Its own attempt to lower the count. A leader that has lapsed goes on with what it had begun: it may have stood still. */
function attemptOf(world: World, i: number, o: Options, begin: Begin, now: () => World, go: Go): void {
  const p = world.p[i]!;
  const name = NAMES[i]!;
  if (o.leadBeginsWithClaim && p.led === 0) return;
  const oldLists = (found: number) => {
    const lists = [found];
    for (let j = 0; j < 2; j++) {
      if ((o.staleList || o.expiryJudgedEarly) && j !== i && world.p[j]!.late === 1) {
        lists.push(found & ~(1 << j));
      }
    }
    return new Set(lists);
  };
  /** Its own vote. */
  const votes = (q: ProxyState, below: number): boolean => {
    if (o.leaderDoesNotVote) return true;
    const highest = isDialling(p) && o.dialDoesNotCount ? -1 : ordinalOf(p);
    const needed = o.answersHeld ? 0 : needOf(world, i, o);
    if (blocks({ highest, needed }, below) && !o.answersBusy) return false;
    if (o.answerBeforePromise) q.pending = below + 1;
    else promises(q, below, o);
    return true;
  };
  const lists = (phase: number, vote: boolean) => {
    for (const found of oldLists(listed(world, i, o))) {
      const q = begin();
      if (vote && !votes(q, p.below)) continue;
      q.phase = phase;
      q.asked = found & ~(o.oldAnswersCount ? 0 : p.answered);
      if (!o.oldAnswersCount) q.answered = 0;
      go(`${name} lists the records: ${NAMES.filter((_, j) => (found & 1 << j) !== 0)} must answer`);
    }
  };
  const reads = (phase: number, vote: boolean) => {
    for (let below = 0; below < world.count; below++) {
      const q = begin();
      sees(q, world.count);
      if (vote && !votes(q, below)) continue;
      q.phase = phase;
      q.below = below;
      go(`${name} reads the count, wants ${below}`);
    }
  };
  const announces = (phase: number, vote: boolean) => {
    const q = begin();
    if (vote && !votes(q, p.below)) return;
    q.phase = phase;
    q.announcement = o.joinReadsAnnouncements ? p.below + 1 : 0;
    go(`${name} announces ${p.below}`);
  };
  switch (p.phase) {
    case Phase.idle:
      if (p.st !== St.joined) break;
      if (o.listBeforeRead) lists(Phase.listedFirst, false);
      else reads(Phase.read, false);
      break;
    case Phase.listedFirst:
      reads(Phase.listed, true);
      break;
    case Phase.read:
      if (o.announceFirst) announces(Phase.announced, true);
      else lists(Phase.listed, true);
      break;
    case Phase.announced:
      lists(Phase.waiting, false);
      break;
    case Phase.listed:
      announces(Phase.waiting, false);
      break;
    case Phase.waiting: {
      const missing = p.asked & ~p.answered;
      for (let j = 0; j < 2; j++) {
        if ((missing & 1 << j) === 0 || !(needNotAnswer(world.p[j]!, o) || o.silenceConsents)) continue;
        begin().asked &= ~(1 << j);
        go(`${name} does not wait for ${NAMES[j]} any more`);
      }
      if (missing === 0) {
        const q = begin();
        now().writes |= 1 << p.below;
        endAttempt(q, o);
        go(`${name} sends the scale-down to ${p.below}`);
      }
    }
  }
  if (p.phase === Phase.idle) return;
  endAttempt(begin(), o);
  go(`${name} gives its attempt up`);
}
