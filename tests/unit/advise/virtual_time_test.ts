/**
 * Tests of the clock of replays.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { VirtualTime } from "../../../lib/advise/virtual_time.ts";

/** Fires all timers in turn. */
function runOut(time: VirtualTime): void {
  for (let nextMs = time.nextMs; nextMs < Infinity; nextMs = time.nextMs) {
    time.moveTo(nextMs);
    time.fire();
  }
}

Deno.test("VirtualTime fires timers when they are due, those of one moment in the order in which they were set", () => {
  fc.assert(fc.property(
    fc.array(fc.record({ delayMs: fc.integer({ min: -1, max: 20 }), isCancelled: fc.boolean() })),
    (timers) => {
      const time = new VirtualTime(1_000);
      const fired: (readonly [number, number])[] = [];
      for (const [at, { delayMs, isCancelled }] of timers.entries()) {
        const cancel = time.setTimer(delayMs, () => fired.push([time.nowMs(), at]));
        if (isCancelled) cancel();
      }
      runOut(time);
      const wanted = timers.map(({ delayMs }, at) => [1_000 + Math.max(0, delayMs), at] as const)
        .filter(([, at]) => !timers[at]!.isCancelled)
        .sort(([a, first], [b, second]) => a - b || first - second);
      assert.deepEqual(fired, wanted);
      assert.equal(time.nextMs, Infinity);
    },
  ));
});

Deno.test("VirtualTime never goes back, takes timers that timers set, and none that is never due", () => {
  const time = new VirtualTime(5_000);
  time.moveTo(4_000);
  assert.deepEqual([time.nowMs(), time.bootMs(), time.wallMs()], [5_000, 5_000, 5_000]);
  const fired: number[] = [];
  time.setTimer(Infinity, () => fired.push(0));
  time.setTimer(10, () => {
    fired.push(time.nowMs());
    time.setTimer(5, () => fired.push(time.nowMs()));
  });
  runOut(time);
  assert.deepEqual(fired, [5_010, 5_015]);
});
