/**
 * The timeline of one builder as SVG: a lane for each pod, and below them sessions, those that are held and those that are
 * queued, on top of each other. Pure. Phases differ by shape as well as by colour.
 *
 * The time is cut into columns, and the picture ends with a whole one: as long as nothing happens, it stays the same for a
 * column's time.
 *
 * @module
 */
import { busier, type PodPhase } from "../history.ts";
import type { PointFacts } from "../status_facts.ts";
import { Html, html } from "./html.ts";

/** A length of time that a timeline can show. */
export interface Window {
  /** How long it is. */
  readonly seconds: number;
  /** How far apart its marks are. */
  readonly markSeconds: number;
}

/** The windows that a timeline can show, by name. */
export const WINDOWS: ReadonlyMap<string, Window> = new Map([
  ["2m", { seconds: 120, markSeconds: 20 }],
  ["10m", { seconds: 600, markSeconds: 120 }],
  ["1h", { seconds: 3_600, markSeconds: 600 }],
  ["6h", { seconds: 21_600, markSeconds: 3_600 }],
  ["24h", { seconds: 86_400, markSeconds: 14_400 }],
]);

const COLUMNS = 300;
const COLUMN_WIDTH = 2.6;
const LEFT = 56;
const TOP = 6;
const LANE = 18;
const LANES = 4;
const CHART = 64;
const AXIS = 22;
const WIDTH = LEFT + COLUMNS * COLUMN_WIDTH + 12;

/** What a column shows. */
export type Column = Omit<PointFacts, "at" | "replicas">;

/** The picture. `id` makes the ids of its title and description. */
export function timeline(
  id: string,
  points: readonly PointFacts[],
  now: string,
  window: Window,
): Html {
  const stepMs = window.seconds * 1_000 / COLUMNS;
  const endMs = Math.ceil(Date.parse(now) / stepMs) * stepMs;
  const columns = columnsOf(points, endMs - window.seconds * 1_000, stepMs);
  const lanes = Math.min(LANES, Math.max(1, ...columns.map((column) => column?.pods.length ?? 0)));
  const chartTop = TOP + lanes * LANE + 8;
  const height = chartTop + CHART + AXIS;
  const most = Math.max(1, ...columns.map((column) => column === undefined ? 0 : stack(column, 3)));
  const bottom = chartTop + CHART;
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-title">
<title id="${id}-title">${titleOf(columns, most)}</title>
${laneMarks(columns, lanes)}
<line class="axis" x1="${LEFT}" x2="${x(COLUMNS)}" y1="${bottom}" y2="${bottom}"/>
<text x="${LEFT - 8}" y="${chartTop + 10}" class="end">${most}</text>
<text x="${LEFT - 8}" y="${bottom}" class="end">0</text>
${
    [3, 2, 1].map((layers) => {
      const path = area(columns, layers, most, bottom);
      return path !== "" && html`
        <path class="${LAYERS[layers - 1]!}" d="${path}" />
      `;
    })
  }
${ticks(endMs, window, bottom)}
</svg>`;
}

const LAYERS = ["sessions", "held", "queued"] as const;

/** The sum of the first layers of a column. */
function stack({ sessions, held, queued }: Column, layers: number): number {
  return sessions + (layers > 1 ? held : 0) + (layers > 2 ? queued : 0);
}

/** What each column shows: sessions at their peak, and the last phases. Undefined before the first point. */
export function columnsOf(
  points: readonly PointFacts[],
  startMs: number,
  stepMs: number,
): readonly (Column | undefined)[] {
  const columns: (Column | undefined)[] = Array(COLUMNS).fill(undefined);
  for (const [index, point] of points.entries()) {
    const next = points[index + 1];
    const first = Math.max(0, Math.floor((Date.parse(point.at) - startMs) / stepMs));
    const end = next === undefined ? COLUMNS : Math.ceil((Date.parse(next.at) - startMs) / stepMs);
    for (let at = first; at < Math.min(COLUMNS, end); at++) {
      const before = columns[at];
      const { pods, virtualReplicas } = point;
      columns[at] = {
        pods,
        ...(virtualReplicas !== undefined && { virtualReplicas }),
        ...busier(before ?? point, point),
      };
    }
  }
  return columns;
}

function x(column: number): number {
  return round(LEFT + column * COLUMN_WIDTH);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Bars of equal phases, one lane for each pod. */
function laneMarks(columns: readonly (Column | undefined)[], lanes: number): readonly Html[] {
  return Array.from({ length: lanes }, (_, ordinal) => {
    const top = TOP + ordinal * LANE;
    const phases = columns.map((column) => column?.pods[ordinal] ?? undefined);
    // In observe mode: what would be there without it.
    const virtual = runsOf(columns.map((column) => ordinal < (column?.virtualReplicas ?? 0)));
    return html`
      <text x="${LEFT - 8}" y="${top + 11}" class="end">pod ${ordinal}</text>
      <line class="lane" x1="${LEFT}" x2="${x(COLUMNS)}" y1="${top + 7}" y2="${top + 7}" />
      ${runsOf(phases).map(({ value, from, to }) =>
        value !== undefined &&
        html`
          <rect class="pod ${value}" x="${x(from)}" y="${top + 7 - HEIGHTS[value] / 2}" width="${round(
            (to - from) * COLUMN_WIDTH,
          )}" height="${HEIGHTS[value]}" />
        `
      )}
      ${virtual.map(({ value, from, to }) =>
        value && html`
          <rect class="virtual" x="${x(from)}" y="${top + 15}" width="${round(
            (to - from) * COLUMN_WIDTH,
          )}" height="3" />
        `
      )}
    `;
  });
}

const HEIGHTS: Readonly<Record<PodPhase, number>> = { wanted: 6, starting: 10, ready: 14, terminating: 3 };

/** Equal values in a row. */
export function runsOf<T>(
  values: readonly T[],
): { readonly value: T; readonly from: number; readonly to: number }[] {
  const runs: { value: T; from: number; to: number }[] = [];
  for (const [at, value] of values.entries()) {
    const last = runs.at(-1);
    if (last !== undefined && last.value === value) last.to = at + 1;
    else runs.push({ value, from: at, to: at + 1 });
  }
  return runs;
}

/** The area under the first layers, in steps; empty where there is none. */
function area(
  columns: readonly (Column | undefined)[],
  layers: number,
  most: number,
  bottom: number,
): string {
  const heights = columns.map((column) => column === undefined ? 0 : stack(column, layers));
  return runsOf(heights).filter(({ value }) => value > 0).map(({ value, from, to }) => {
    const top = round(bottom - value / most * (CHART - 4));
    return `M${x(from)} ${bottom}V${top}H${x(to)}V${bottom}z`;
  }).join("");
}

/** Times of day at round moments. */
function ticks(endMs: number, { seconds, markSeconds }: Window, bottom: number): readonly Html[] {
  const everyMs = markSeconds * 1_000;
  const startMs = endMs - seconds * 1_000;
  const marks: Html[] = [];
  for (let atMs = Math.ceil(startMs / everyMs) * everyMs; atMs <= endMs; atMs += everyMs) {
    const at = round(LEFT + (atMs - startMs) / (seconds * 1_000) * COLUMNS * COLUMN_WIDTH);
    const text = new Date(atMs).toISOString().slice(11, seconds < 600 ? 19 : 16);
    if (at > WIDTH - 24) continue;
    marks.push(html`
      <line class="tick" x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom + 4}" />
      <text x="${at}" y="${bottom + 17}" class="middle">${text}</text>
    `);
  }
  return marks;
}

function titleOf(columns: readonly (Column | undefined)[], most: number): string {
  const last = columns.at(-1);
  if (last === undefined) return "Nothing was seen yet.";
  const phases = last.pods.filter((phase) => phase !== null);
  const pods = phases.length === 0 ? "no pod" : `pods ${phases.join(", ")}`;
  const { virtualReplicas } = last;
  const would = virtualReplicas === undefined ? "" : ` (without observe mode ${virtualReplicas})`;
  return `Timeline. Now: ${pods}${would}; ${last.sessions} sessions, ${last.held} held, ${last.queued} queued. ` +
    `At most ${most} at once in this time.`;
}
