/**
 * Tests of the history of a builder: what it remembers, and that it stays small.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  faded,
  History,
  LONGEST_MS,
  type Moment,
  MOST_POINTS,
  type Point,
} from "../../../lib/ops/history.ts";

const ASLEEP: Moment = { replicas: 0, pods: [], sessions: 0, held: 0, queued: 0 };
const STARTING: Moment = { ...ASLEEP, replicas: 1, pods: ["wanted"], held: 1 };
const BUSY: Moment = { ...ASLEEP, replicas: 1, pods: ["ready"], sessions: 1 };

const at = (atMs: number, moment: Moment): Point => ({ ...moment, atMs });

Deno.test("History remembers each change with its time, and none twice", () => {
  const history = new History();
  history.note(ASLEEP, 0);
  history.note(ASLEEP, 5_000);
  history.note(STARTING, 10_000);
  history.note(BUSY, 14_000);
  history.note(ASLEEP, 60_000);
  assert.deepEqual(history.points(70_000), [
    at(0, ASLEEP),
    at(10_000, STARTING),
    at(14_000, BUSY),
    at(60_000, ASLEEP),
  ]);
});

Deno.test("History shows the peak of a moment, and what came after it", () => {
  const history = new History();
  history.note(ASLEEP, 0);
  history.note({ ...BUSY, sessions: 3 }, 10_000);
  history.note({ ...BUSY, sessions: 7 }, 10_050);
  history.note({ ...BUSY, sessions: 2 }, 10_100);
  const peak = { ...BUSY, sessions: 7 };
  assert.deepEqual(history.points(10_200), [at(0, ASLEEP), at(10_000, peak)]);
  assert.deepEqual(history.points(11_000).slice(1), [
    at(10_000, peak),
    at(10_250, { ...BUSY, sessions: 2 }),
  ]);
});

Deno.test("History never shows more sessions than there were at once", () => {
  const history = new History();
  history.note({ ...STARTING, held: 2 }, 0);
  // Held sessions are seated one after the other.
  history.note({ ...BUSY, sessions: 1, held: 1 }, 100);
  history.note({ ...BUSY, sessions: 2 }, 100);
  const [{ sessions, held } = BUSY] = history.points(100);
  assert.equal(sessions + held, 2);
});

Deno.test("History stays within its bounds for a builder that changes all the time, and covers a day", () => {
  const history = new History();
  for (let ms = 0; ms < 30 * 3_600_000; ms += 700) {
    history.note({ ...BUSY, sessions: 1 + ms / 700 % 2 }, ms);
  }
  const nowMs = 30 * 3_600_000;
  const points = history.points(nowMs);
  assert.ok(points.length <= MOST_POINTS, `${points.length} points`);
  const ageMs = nowMs - points[0]!.atMs;
  assert.ok(ageMs >= LONGEST_MS && ageMs < 1.1 * LONGEST_MS, `${ageMs} ms`);
  // The last minute has detail.
  assert.ok(points.filter(({ atMs }) => atMs > nowMs - 60_000).length > 40);
});

Deno.test("faded() keeps order, bounds and the highest peak of the day", () => {
  const point = fc.record({ gapMs: fc.integer({ min: 250, max: 600_000 }), sessions: fc.nat(50) });
  fc.assert(fc.property(fc.array(point, { minLength: 1, maxLength: 1_200 }), (gaps) => {
    let atMs = 0;
    const points = gaps.map(({ gapMs, sessions }) => at(atMs += gapMs, { ...BUSY, sessions }));
    const nowMs = atMs + 1;
    const kept = faded(points, nowMs);
    assert.ok(kept.length >= 1 && kept.length <= MOST_POINTS);
    for (const [index, { atMs }] of kept.entries()) {
      assert.ok(index === 0 || atMs > kept[index - 1]!.atMs);
    }
    const recent = points.filter((each) => each.atMs >= kept[0]!.atMs);
    const peak = (all: readonly Point[]) => Math.max(...all.map(({ sessions }) => sessions));
    assert.equal(peak(kept), peak(recent));
    assert.equal(kept.at(-1)!.pods, BUSY.pods);
  }));
});
