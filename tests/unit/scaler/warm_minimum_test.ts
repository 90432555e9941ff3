/** Tests of the minimum that warm windows ask for. @module */
import assert from "node:assert/strict";
import { NEVER_WARM, nextWarm, WarmMinimum } from "../../../lib/scaler/warm_minimum.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const at = (nowMs: number, wallMs: number) => ({ nowMs, wallMs });

Deno.test("nextWarm() has the end of a window in monotonic time", () => {
  const warm = nextWarm(NEVER_WARM, { count: 2, untilMs: 5_000 }, at(100, 4_000));
  assert.deepEqual(warm, { count: 2, untilMs: 1_100, endedMs: new Map() });
  const ever = nextWarm(NEVER_WARM, { count: 0, untilMs: Infinity }, at(100, 4_000));
  assert.equal(ever.untilMs, Infinity);
});

Deno.test("nextWarm() is never due at once: a timer may fire a moment before its time", () => {
  assert.equal(nextWarm(NEVER_WARM, { count: 1, untilMs: 4_000 }, at(100, 4_000)).untilMs, 101);
});

Deno.test("nextWarm() remembers when an ordinal was kept last, until it is kept again", () => {
  const open = nextWarm(NEVER_WARM, { count: 3, untilMs: 5_000 }, at(100, 4_000));
  const less = nextWarm(open, { count: 1, untilMs: 6_000 }, at(1_100, 5_000));
  assert.deepEqual([...less.endedMs], [[1, 1_100], [2, 1_100]]);
  const more = nextWarm(less, { count: 2, untilMs: 9_000 }, at(2_100, 6_000));
  assert.deepEqual([...more.endedMs], [[2, 1_100]]);
  const late = nextWarm(open, { count: 0, untilMs: 9_000 }, at(1_500, 5_400));
  assert.deepEqual([...late.endedMs], [[0, 1_100], [1, 1_100], [2, 1_100]], "it ended when it had to");
  const clockWasSet = nextWarm(open, { count: 0, untilMs: 9_000 }, at(200, 8_000));
  assert.deepEqual([...clockWasSet.endedMs], [[0, 200], [1, 200], [2, 200]]);
});

Deno.test("WarmMinimum asks at the edges, and once a minute in case the wall clock was set", async () => {
  const clock = new VirtualClock();
  const asked: number[] = [];
  const startMs = clock.wallMs();
  const minimum = new WarmMinimum(clock, (wallMs) => {
    asked.push(wallMs - startMs);
    return wallMs - startMs < 90_000
      ? { count: 0, untilMs: startMs + 90_000 }
      : { count: 1, untilMs: startMs + 1e9 };
  });
  const look = async (ms: number) => {
    await clock.advance(ms);
    return minimum.now.count;
  };
  assert.equal(await look(0), 0);
  assert.equal(minimum.nextLookMs, clock.nowMs() + 60_000);
  assert.equal(await look(59_999), 0);
  assert.equal(await look(1), 0);
  assert.equal(minimum.nextLookMs, clock.nowMs() + 30_000);
  assert.equal(await look(30_000), 1);
  assert.deepEqual(asked, [0, 60_000, 90_000]);
});

Deno.test("WarmMinimum without windows has nothing to ask", () => {
  const minimum = new WarmMinimum(new VirtualClock(), undefined);
  assert.deepEqual([minimum.now, minimum.nextLookMs], [NEVER_WARM, Infinity]);
});
