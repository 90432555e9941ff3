/**
 * Tests of when a session counts as silent.
 *
 * @module
 */
import assert from "node:assert/strict";
import { onSilence } from "../../../lib/proxy/silence.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const TIMEOUT_MS = 10_000;

function setUp(timeoutMs = TIMEOUT_MS) {
  const clock = new VirtualClock();
  const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  const state = { told: 0 };
  const cancel = onSilence(clock, traffic, timeoutMs, () => state.told++);
  return { clock, traffic, state, cancel };
}

Deno.test("onSilence() tells of a silence from its beginning, at most a tenth of the timeout late, and once", async () => {
  const { clock, state } = setUp();
  await clock.advance(TIMEOUT_MS - 1);
  assert.equal(state.told, 0);
  await clock.advance(TIMEOUT_MS / 10 + 1);
  assert.equal(state.told, 1);
  await clock.advance(10 * TIMEOUT_MS);
  assert.equal(state.told, 1);
  assert.equal(clock.pending, 0, "no timer is left");
});

for (const direction of ["upstreamBytes", "downstreamBytes"] as const) {
  Deno.test(`onSilence() is not told while ${direction} grow, by however little`, async () => {
    const { clock, traffic, state } = setUp();
    for (let i = 0; i < 5; i++) {
      await clock.advance(0.9 * TIMEOUT_MS);
      traffic[direction]++;
    }
    assert.equal(state.told, 0);
    await clock.advance(TIMEOUT_MS - 1);
    assert.equal(state.told, 0, "the silence begins with the last byte");
    await clock.advance(TIMEOUT_MS / 10 + 1);
    assert.equal(state.told, 1);
  });
}

Deno.test("onSilence() does not count the time in which the process stood still", async () => {
  const { clock, traffic, state } = setUp();
  await clock.advance(TIMEOUT_MS / 2);
  clock.freeze(10 * TIMEOUT_MS);
  await clock.advance(0);
  traffic.upstreamBytes++; // it had come meanwhile
  await clock.advance(TIMEOUT_MS - 1);
  assert.equal(state.told, 0);
  await clock.advance(TIMEOUT_MS / 10 + 1);
  assert.equal(state.told, 1);
});

Deno.test("onSilence() never tells once it is cancelled, and never with a timeout of 0", async () => {
  const cancelled = setUp();
  await cancelled.clock.advance(TIMEOUT_MS / 2);
  cancelled.cancel();
  const endless = setUp(0);
  for (const { clock, state } of [cancelled, endless]) {
    assert.equal(clock.pending, 0, "no timer is left");
    await clock.advance(10 * TIMEOUT_MS);
    assert.equal(state.told, 0);
  }
  endless.cancel();
});
