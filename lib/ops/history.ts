/**
 * What a builder has looked like, as a step function of bounded size for the status page. Detail fades with age: two
 * points are at least a quarter of a second apart, and the further back they are the further apart, so that a day fits in some hundred
 * points however busy the builder is. Points that are merged keep their peaks. Pure but for its own state.
 *
 * @module
 */

/** What a pod is doing; `wanted`: the count wants it, and nothing is seen of it. */
export type PodPhase = "wanted" | "starting" | "ready" | "terminating";

/** What a builder looks like at a moment. */
export interface Moment {
  /** The replica count; undefined before it was read. */
  readonly replicas: number | undefined;
  /** In observe mode, the count that there would be without it. */
  readonly virtual?: number | undefined;
  /** The pods by ordinal, the first {@link MOST_PODS}; undefined where there is none. */
  readonly pods: readonly (PodPhase | undefined)[];
  /** Sessions on its pods. */
  readonly sessions: number;
  /** Sessions that are held for it. */
  readonly held: number;
  /** Sessions that are queued for its pool. */
  readonly queued: number;
}

/** What it has looked like from a moment on. */
export interface Point extends Moment {
  /** Since when, monotonic ms. */
  readonly atMs: number;
}

/** Pods whose phases are remembered. */
export const MOST_PODS = 8;

/** Points are at least this far apart, in ms. */
const FINEST_MS = 250;

/** Points of this part of their age are merged. */
const FADING = 1 / 70;

/** What is older is forgotten, in ms. */
export const LONGEST_MS = 24 * 3_600_000;

/** So many points are kept at most: those of a day take 670. */
export const MOST_POINTS = 720;

/** The history of one builder. */
export class History {
  #points: Point[] = [];
  /** What the builder looks like now: the last point may show peaks of its first moments. */
  #now: Moment | undefined;

  /** The builder looks like this from now on. */
  note(moment: Moment, nowMs: number): void {
    this.#settle(nowMs);
    this.#now = moment;
    const last = this.#points.at(-1);
    if (last !== undefined && isSame(last, moment)) return;
    if (last !== undefined && nowMs < last.atMs + FINEST_MS) {
      this.#points[this.#points.length - 1] = merge(last, moment);
      return;
    }
    this.#points.push({ ...moment, atMs: nowMs });
    if (this.#points.length > MOST_POINTS) this.#points = faded(this.#points, nowMs);
  }

  /** The points so far, oldest first; the last one holds until now. */
  points(nowMs: number): readonly Point[] {
    this.#settle(nowMs);
    return this.#points;
  }

  /** The peaks of the last point end with its moment. */
  #settle(nowMs: number): void {
    const last = this.#points.at(-1);
    if (last === undefined || this.#now === undefined || isSame(last, this.#now)) return;
    const endMs = last.atMs + FINEST_MS;
    if (nowMs >= endMs) this.#points.push({ ...this.#now, atMs: endMs });
  }
}

/** The same points with less detail, the more the older they are. */
export function faded(points: readonly Point[], nowMs: number): Point[] {
  const kept: Point[] = [];
  for (const point of points) {
    const last = kept.at(-1);
    const apartMs = Math.max(FINEST_MS, (nowMs - point.atMs) * FADING);
    if (last !== undefined && point.atMs - last.atMs < apartMs) kept[kept.length - 1] = merge(last, point);
    else kept.push(point);
  }
  const young = kept.findIndex(({ atMs }) => atMs > nowMs - LONGEST_MS);
  // The one before the first of the day holds at its beginning.
  const first = young < 0 ? kept.length - 1 : Math.max(0, young - 1);
  return kept.slice(Math.max(first, kept.length - MOST_POINTS));
}

/** One point for two: sessions as at the busier one, the rest as at the later one. */
function merge(point: Point, next: Moment): Point {
  return { ...next, ...busier(point, next), atMs: point.atMs };
}

/** The sessions of the moment that has more of them; of the later one if both have as many. */
export function busier(
  before: Pick<Moment, "sessions" | "held" | "queued">,
  after: Pick<Moment, "sessions" | "held" | "queued">,
): Pick<Moment, "sessions" | "held" | "queued"> {
  const all = ({ sessions, held, queued }: typeof before) => sessions + held + queued;
  const { sessions, held, queued } = all(before) > all(after) ? before : after;
  return { sessions, held, queued };
}

function isSame(a: Moment, b: Moment): boolean {
  return a.replicas === b.replicas && a.virtual === b.virtual && a.sessions === b.sessions &&
    a.held === b.held &&
    a.queued === b.queued && a.pods.length === b.pods.length &&
    a.pods.every((phase, ordinal) => phase === b.pods[ordinal]);
}

/** Adds a value to a list that forgets its oldest beyond `most`. */
export function remember<T>(list: T[], value: T, most: number): void {
  list.push(value);
  if (list.length > most) list.shift();
}
