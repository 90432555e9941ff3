/**
 * What scaling to zero saves, and what it costs: pod-seconds asleep, cold starts, and seconds that clients waited. And what
 * another idle timeout would have done, by a replay of what clients have used. Pure.
 *
 * What is saved is in comparison with pods that run all the time: as many as were ever seen to run at once, at least one.
 *
 * @module
 */

/** What was saved so far, and what it has cost. */
export interface Saved {
  /** Pods that were not there, times the time, in ms. */
  readonly asleepMs: number;
  /** Pods that were started other than to keep the minimum. */
  readonly coldStarts: number;
  /** How long sessions of this proxy have waited for pods, added up, in ms. */
  readonly waitedMs: number;
}

/** Nothing yet. */
export const NOTHING_SAVED: Saved = { asleepMs: 0, coldStarts: 0, waitedMs: 0 };

/** The present, for {@link advance}. */
export interface Present {
  /** When it began, monotonic ms. */
  readonly atMs: number;
  /** The replica count; undefined while it is not known. */
  readonly replicas: number | undefined;
  /** The highest count so far, at least 1. */
  readonly peak: number;
  /** Replicas that stay without clients. */
  readonly floor: number;
  /** Sessions of this proxy that wait. */
  readonly waiting: number;
}

/** What was saved until `nowMs`, when the present becomes another one. */
export function advance(saved: Saved, before: Present, now: Present): Saved {
  const ms = Math.max(0, now.atMs - before.atMs);
  const from = before.replicas;
  const asleep = from === undefined ? 0 : Math.max(0, before.peak - from);
  const started = from === undefined || now.replicas === undefined
    ? 0
    : Math.max(0, now.replicas - Math.max(from, now.floor));
  return {
    asleepMs: saved.asleepMs + asleep * ms,
    coldStarts: saved.coldStarts + started,
    waitedMs: saved.waitedMs + before.waiting * ms,
  };
}

/** What an {@link Account} is told of the present. */
export interface Moment extends Omit<Present, "peak"> {
  /** How many replicas run that count for the peak. */
  readonly most: number;
}

/** Adds up what was saved. */
export class Account {
  #saved: Saved = NOTHING_SAVED;
  #told: Saved = NOTHING_SAVED;
  #present: Present;

  /** Nothing is known of the time before. */
  constructor(atMs: number) {
    this.#present = { atMs, replicas: undefined, peak: 1, floor: 0, waiting: 0 };
  }

  /** What was saved until the last `advance`. */
  get saved(): Saved {
    return this.#saved;
  }

  /** The present is another one; an unknown count stays as it was. */
  advance({ most, ...now }: Moment): void {
    const before = this.#present;
    this.#present = { ...now, replicas: now.replicas ?? before.replicas, peak: Math.max(before.peak, most) };
    this.#saved = advance(this.#saved, before, this.#present);
  }

  /** What was saved since the last call. */
  news(): Saved {
    const { asleepMs, coldStarts, waitedMs } = this.#told;
    const now = this.#told = this.#saved;
    return {
      asleepMs: now.asleepMs - asleepMs,
      coldStarts: now.coldStarts - coldStarts,
      waitedMs: now.waitedMs - waitedMs,
    };
  }
}

/** How many pods something wants. */
export interface Use {
  /** Clients: those with a session, and those that wait. */
  readonly used: number;
  /** The minimum and warm windows. */
  readonly floor: number;
}

/** How many pods were wanted from a moment on. */
export interface UsePoint extends Use {
  /** Since when, monotonic ms. */
  readonly atMs: number;
}

/** So many changes of use are kept: those of two weeks with three builds an hour around the clock. */
export const MOST_USES = 2_000;

/**
 * What was wanted, as a step function. Pauses that are shorter than every idle timeout of interest are left out, since no
 * pod would have gone in them: so the many short connections of one build are one use.
 */
export class UseHistory {
  readonly #shortestMs: number;
  #points: UsePoint[] = [];

  /** Pauses shorter than this are left out, in ms. */
  constructor(shortestMs: number) {
    this.#shortestMs = shortestMs;
  }

  /** This is wanted from now on. */
  note(use: Use, nowMs: number): void {
    const points = this.#points;
    const last = points.at(-1);
    if (last !== undefined && last.used === use.used && last.floor === use.floor) return;
    points.push({ ...use, atMs: nowMs });
    this.#fill();
    if (points.length > MOST_USES) points.shift();
  }

  /** What was wanted so far, oldest first. */
  get points(): readonly UsePoint[] {
    return this.#points;
  }

  /** Fills the pause that has just ended, if it was short, and the one that it was a part of. */
  #fill(): void {
    const points = this.#points;
    for (;;) {
      const [before, pause, after] = points.slice(-3);
      if (before === undefined || pause === undefined || after === undefined) return;
      if (pause.used >= before.used || pause.used >= after.used || pause.floor !== before.floor) return;
      if (after.atMs - pause.atMs >= this.#shortestMs) return;
      const used = Math.min(before.used, after.used);
      points.splice(-2, 2, ...joined(before, { ...pause, used }, after));
    }
  }
}

/** The points after the first, without those that change nothing. */
function joined(before: UsePoint, pause: UsePoint, after: UsePoint): UsePoint[] {
  const isEqual = (a: Use, b: Use) => a.used === b.used && a.floor === b.floor;
  const middle = isEqual(before, pause) ? [] : [pause];
  return isEqual(middle.at(-1) ?? before, after) ? middle : [...middle, after];
}

/** What an idle timeout would have done. */
export interface Replayed {
  /** Pods that would have been there, times the time, in ms. */
  readonly runMs: number;
  /** Pods that would not, of those that were wanted at once at most, times the time, in ms. */
  readonly asleepMs: number;
  /** Pods that clients would have waited for. */
  readonly coldStarts: number;
}

/** Replays what was wanted until `untilMs` with an idle timeout. Each pod stays for that long after it was last wanted. */
export function replay(points: readonly UsePoint[], untilMs: number, idleTimeoutMs: number): Replayed {
  let runMs = 0;
  let coldStarts = 0;
  // What stays for what was wanted before: the highest first, which ends the soonest.
  let kept: readonly { readonly level: number; readonly endMs: number }[] = [];
  let levelBefore: number | undefined;
  for (const [index, { atMs, used, floor }] of points.entries()) {
    const endMs = points[index + 1]?.atMs ?? untilMs;
    const level = Math.max(used, floor);
    // What was wanted until this moment is still there.
    const there = Math.max(levelBefore ?? level, ...kept.map((each) => each.level));
    coldStarts += Math.max(0, used - Math.max(there, floor));
    kept = kept.filter((each) => each.level > level);
    let fromMs = atMs;
    for (const each of kept) {
      const toMs = Math.min(each.endMs, endMs);
      runMs += each.level * Math.max(0, toMs - fromMs);
      fromMs = Math.max(fromMs, toMs);
    }
    runMs += level * Math.max(0, endMs - fromMs);
    kept = [...kept, { level, endMs: endMs + idleTimeoutMs }].filter((each) => each.endMs > endMs);
    levelBefore = level;
  }
  const peak = Math.max(1, ...points.map(({ used, floor }) => Math.max(used, floor)));
  const totalMs = points.length === 0 ? 0 : Math.max(0, untilMs - points[0]!.atMs);
  return { runMs, asleepMs: peak * totalMs - runMs, coldStarts };
}

/** Idle timeouts that people choose between, in ms. */
export const CANDIDATES_MS: readonly number[] = [1, 2, 5, 10, 30].map((minutes) => minutes * 60_000);

/** One row of the table of idle timeouts. */
export interface WhatIf extends Replayed {
  /** The idle timeout, in ms. */
  readonly idleTimeoutMs: number;
  /** It is the one that is set. */
  readonly isSet: boolean;
  /** How long clients would have waited, by what a cold start costs them; undefined while that is not known. */
  readonly waitedMs: number | undefined;
}

/**
 * What each idle timeout would have done, the one that is set among them, shortest first. `perStartMs`: how long clients
 * wait in a cold start, if that is known.
 */
export function whatIf(
  points: readonly UsePoint[],
  untilMs: number,
  setMs: number,
  perStartMs: number | undefined,
): readonly WhatIf[] {
  const timeouts = [...new Set([...CANDIDATES_MS, setMs])].sort((a, b) => a - b);
  return timeouts.map((idleTimeoutMs) => {
    const replayed = replay(points, untilMs, idleTimeoutMs);
    const wouldWaitMs = replayed.coldStarts === 0
      ? 0
      : perStartMs === undefined
      ? undefined
      : replayed.coldStarts * perStartMs;
    return { idleTimeoutMs, isSet: idleTimeoutMs === setMs, ...replayed, waitedMs: wouldWaitMs };
  });
}

/** Pauses that no idle timeout of interest would notice, in ms. */
export function shortestPauseMs(setMs: number): number {
  return Math.max(1, Math.min(setMs, ...CANDIDATES_MS));
}
