/**
 * Dials of clients that are released together.
 *
 * @module
 */
import assert from "node:assert/strict";
import { AT_ONCE, DialPace } from "../../../lib/target/dial_pace.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

Deno.test("DialPace begins a dial at once, and of very many some in each turn, in their order", async () => {
  const turns: (() => void)[] = [];
  const pace = new DialPace({
    setTimer(delayMs, turn) {
      assert.equal(delayMs, 0);
      turns.push(turn);
      return () => {};
    },
  });
  const begun: number[] = [];
  // None of them ever ends: those behind them must go on.
  for (let id = 0; id < 3 * AT_ONCE; id++) {
    void pace.run(() => {
      begun.push(id);
      return new Promise(() => {});
    });
  }
  const counts = [begun.length];
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
    turn();
    await settle();
    counts.push(begun.length);
  }
  assert.deepEqual(counts, [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE]);
  assert.deepEqual(begun, begun.toSorted((a, b) => a - b));
});

Deno.test("DialPace settles as the dial does, and has room again after it", async () => {
  const clock = new VirtualClock();
  const pace = new DialPace(clock);
  await assert.rejects(pace.run(() => Promise.reject(new Error("refused"))), /refused/);
  for (let id = 0; id < 2 * AT_ONCE; id++) assert.equal(await pace.run(() => Promise.resolve(id)), id);
  assert.equal(clock.pending, 0);
});
