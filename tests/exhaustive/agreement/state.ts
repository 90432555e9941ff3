/**
 * The state of two proxies, the API server and the network between them, small enough to be enumerated. No version is a
 * number that grows: of a version that somebody remembers only this matters, whether it is still the current one, since
 * a write conditioned on an old one can never land. So runs of any length are covered.
 *
 * @module
 */
import { type Agreement, NOTHING_SEEN, type ScalePromise, type Seen } from "../../../lib/scaler/agreement.ts";

/** Where a proxy stands. */
export const St = {
  /** Not started. */
  unborn: 0,
  /** Its record is written; it has not read the count yet. */
  recorded: 1,
  /** It has joined. */
  joined: 2,
  /** It was silent for longer than its record's expiry. */
  lapsed: 3,
  /** It has ended, or crashed and its record has expired. */
  dead: 4,
  /** Only in a mutation: it has read the count and has no record yet. */
  readFirst: 5,
} as const;

/** Its one session: none, held, and from there on dialling or connected to an ordinal. */
export const Session = { none: 0, held: 1, dialling: 2, connected: 4 } as const;

/** Its claim: none, under way, carried out and not answered yet; and the latter with a version that is old by now. */
export const Claim = { none: 0, sent: 1, landed: 2, landedOld: 3 } as const;

/** Its attempt to lower the count. */
export const Phase = {
  idle: 0,
  /** The count and its version are read. */
  read: 1,
  /** The records are listed, its own promise is made. */
  listed: 2,
  /** Announced and listed: it waits for answers. */
  waiting: 3,
  /** Announced first: it has to list yet. */
  announced: 4,
  /** Only in a mutation: listed before the count is read. */
  listedFirst: 5,
} as const;

/** One proxy. */
export interface ProxyState {
  st: number;
  session: number;
  /** Number of an {@link Agreement} in {@link agreements}: what has been seen, and the promises that bind. */
  agreement: number;
  claim: number;
  claimed: number;
  phase: number;
  /** The count that the attempt is for. */
  below: number;
  /** Who must answer: a bit for each proxy. */
  asked: number;
  /** Who has answered before that was known, or (in a mutation) an earlier announcement. */
  answered: number;
  /** In a mutation: 1 + the count of a promise that is answered and not made yet. */
  pending: number;
  /** In a mutation: it has joined since the beginning, so that an old list may lack it. */
  late: number;
  /** In a mutation: 1 + the count of the announcement that stands in its record. */
  announcement: number;
  /** In a mutation: it has begun its lead with a claim. */
  led: number;
}

/** All of it. */
export interface World {
  readonly p: readonly [ProxyState, ProxyState];
  count: number;
  /** Scale-downs under way: a bit for each count. */
  writes: number;
  /** Claims under way that nobody waits for any more: a bit for each count. */
  orphans: number;
}

/** The current version, one between the newest that a proxy has seen and the current one, and an old one. */
export const CURRENT = "3";
const BETWEEN = "2";
const OLD = "1";

/** Agreements by number: the real values, with the versions above. */
export const agreements: Agreement[] = [NOTHING_SEEN];
const numbers = new Map<string, number>([[keyOf(NOTHING_SEEN), 0]]);
const LARGEST = 0x1ff;

/** The number of an agreement. */
export function numberOf(agreement: Agreement): number {
  const key = keyOf(agreement);
  let number = numbers.get(key);
  if (number === undefined) {
    number = agreements.length;
    if (number > LARGEST) throw new Error("more agreements than fit");
    agreements.push(agreement);
    numbers.set(key, number);
  }
  return number;
}

function keyOf({ seen, promises }: Agreement): string {
  const sorted = promises.map(({ below, version }) => `${version}:${below}`).sort();
  return `${seen?.version ?? ""}:${seen?.replicas ?? ""} ${sorted}`;
}

/** The same agreement after the StatefulSet has changed: what was current is not any more. */
export function aged({ seen, promises }: Agreement): Agreement {
  const older: Seen | undefined = seen && { version: OLD, replicas: seen.replicas };
  const merged = new Map<string, ScalePromise>();
  for (const { below } of promises) merged.set(`${below}`, { below, version: BETWEEN });
  return { seen: older, promises: [...merged.values()] };
}

/** A proxy that was never started. */
export function unborn(): ProxyState {
  return {
    st: St.unborn,
    session: 0,
    agreement: 0,
    claim: 0,
    claimed: 0,
    phase: 0,
    below: 0,
    asked: 0,
    answered: 0,
    pending: 0,
    late: 0,
    announcement: 0,
    led: 0,
  };
}

/** A copy that can be changed. */
export function copy({ p: [a, b], count, writes, orphans }: World): World {
  return { p: [{ ...a }, { ...b }], count, writes, orphans };
}

/** Forgets what a proxy was doing. */
export function reset(q: ProxyState, st: number): void {
  Object.assign(q, unborn(), { st });
}

/** Numbers that a state is packed into. */
export const WORDS = 3;

/** Packs a state. */
export function pack({ p: [a, b], count, writes, orphans }: World, into: Int32Array, at: number): void {
  into[at] = packOne(a);
  into[at + 1] = packOne(b);
  into[at + 2] = count | writes << 2 | orphans << 5 | rest(a) << 8 | rest(b) << 14;
}

/** Unpacks a state. */
export function unpack(from: Int32Array, at: number): World {
  const last = from[at + 2]!;
  return {
    p: [unpackOne(from[at]!, last >> 8), unpackOne(from[at + 1]!, last >> 14)],
    count: last & 3,
    writes: last >> 2 & 7,
    orphans: last >> 5 & 7,
  };
}

function packOne(q: ProxyState): number {
  return q.st | q.session << 3 | q.agreement << 6 | q.claim << 15 | q.claimed << 17 | q.phase << 19 |
    q.below << 22 | q.asked << 23 | q.answered << 25 | q.pending << 27 | q.late << 29;
}

/** What does not fit there. */
function rest({ announcement, led }: ProxyState): number {
  return announcement | led << 2;
}

function unpackOne(word: number, more: number): ProxyState {
  return {
    st: word & 7,
    session: word >> 3 & 7,
    agreement: word >> 6 & LARGEST,
    claim: word >> 15 & 3,
    claimed: word >> 17 & 3,
    phase: word >> 19 & 7,
    below: word >> 22 & 1,
    asked: word >> 23 & 3,
    answered: word >> 25 & 3,
    pending: word >> 27 & 3,
    late: word >> 29 & 1,
    announcement: more & 3,
    led: more >> 2 & 1,
  };
}
