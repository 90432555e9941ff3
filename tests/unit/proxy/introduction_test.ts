/**
 * Tests of what a held client is taken for, and when.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Introduction, type Words } from "../../../lib/proxy/introduction.ts";
import type { Caller } from "../../../lib/target/seats.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const BUILD: Caller = { host: "team-a", purpose: "build", isPatient: true };
const WATCH: Caller = { ...BUILD, purpose: "watch" };

function setUp() {
  const clock = new VirtualClock();
  const told: (Caller | undefined)[] = [];
  return { clock, told, introduction: new Introduction(clock, (caller) => void told.push(caller)) };
}

Deno.test("Introduction takes a silent client for one that needs a pod after 200 ms, if it need not say anything", async () => {
  for (const wakes of [true, false]) {
    const { clock, told, introduction } = setUp();
    introduction.start(undefined, false, wakes);
    await clock.advance(199);
    assert.deepEqual(told, []);
    await clock.advance(1);
    assert.deepEqual(told, wakes ? [undefined] : []);
    assert.equal(clock.pending, 0);
  }
});

Deno.test("Introduction hears what came while the process stood still before it takes a client for a silent one", async () => {
  const { clock, told, introduction } = setUp();
  introduction.start(undefined, false, true);
  clock.setTimer(200, () => introduction.heard(BUILD));
  clock.freeze(1_000);
  await clock.advance(0);
  assert.deepEqual(told, [BUILD]);
  assert.equal(clock.pending, 0);
});

Deno.test("Introduction leaves no timer after its end, and begins none", async () => {
  const { clock, told, introduction } = setUp();
  introduction.start(undefined, false, true);
  assert.equal(clock.pending, 1);
  introduction.end();
  assert.equal(clock.pending, 0);
  introduction.heard(undefined);
  assert.equal(clock.pending, 0);
  await clock.advance(10_000);
  assert.deepEqual(told, []);
});

Deno.test("Introduction gives a client that has begun to speak five seconds for its first call", async () => {
  const { clock, told, introduction } = setUp();
  introduction.start(undefined, false, true);
  await clock.advance(150);
  introduction.heard(undefined);
  await clock.advance(4_900);
  introduction.heard(undefined);
  await clock.advance(99);
  assert.deepEqual(told, []);
  await clock.advance(1);
  assert.deepEqual(told, [undefined]);
  assert.equal(clock.pending, 0);
});

for (
  const { what, words, caller } of [
    { what: "what it says", words: BUILD, caller: BUILD },
    { what: "that it says nothing", words: "none", caller: undefined },
  ] as const satisfies readonly { what: string; words: Words; caller: Caller | undefined }[]
) {
  Deno.test(`Introduction tells at once ${what}, whether that came before the hold or after`, () => {
    const before = setUp();
    before.introduction.start(words, true, true);
    assert.deepEqual(before.told, [caller]);
    const after = setUp();
    after.introduction.heard(words);
    assert.deepEqual(after.told, [], "nobody asked yet");
    after.introduction.start(undefined, false, true);
    after.introduction.heard(words);
    after.introduction.heard(words);
    assert.deepEqual(after.told, [caller]);
    assert.equal(after.clock.pending, 0);
  });
}

Deno.test("Introduction tells when a client turns out to be another one, also in a later hold", () => {
  const { told, introduction } = setUp();
  introduction.start(BUILD, true, true);
  introduction.heard(WATCH);
  introduction.heard(WATCH);
  introduction.start(BUILD, true, true);
  assert.deepEqual(told, [BUILD, WATCH, BUILD]);
});

Deno.test("Introduction tells what a client says after its time", async () => {
  const { clock, told, introduction } = setUp();
  introduction.start(undefined, false, true);
  await clock.advance(200);
  introduction.heard(undefined);
  introduction.heard(BUILD);
  await clock.advance(60_000);
  assert.deepEqual(told, [undefined, BUILD]);
});

Deno.test("Introduction says nothing any more after its end, and leaves no timer", async () => {
  for (const spoke of [true, false]) {
    const { clock, told, introduction } = setUp();
    introduction.start(undefined, spoke, true);
    introduction.end();
    introduction.end();
    introduction.heard(undefined);
    introduction.heard(BUILD);
    introduction.left();
    introduction.start(BUILD, true, true);
    await clock.advance(60_000);
    assert.deepEqual(told, []);
    assert.equal(clock.pending, 0);
  }
});

Deno.test("Introduction counts a client that leaves without a word as a call for a pod, where it need say nothing", () => {
  const cases = [
    { wakes: true, spoke: false, told: [undefined] },
    { wakes: false, spoke: false, told: [] },
    { wakes: false, spoke: true, told: [undefined] },
  ];
  for (const { wakes, spoke, told: wanted } of cases) {
    const { told, introduction } = setUp();
    introduction.left();
    introduction.start(undefined, spoke, wakes);
    introduction.left();
    introduction.left();
    assert.deepEqual(told, wanted);
    introduction.end();
  }
});

Deno.test("Introduction has nothing to add when a client leaves that is known", () => {
  const { told, introduction } = setUp();
  introduction.start(WATCH, true, true);
  introduction.left();
  assert.deepEqual(told, [WATCH]);
});
