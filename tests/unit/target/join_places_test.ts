/** Tests of how many targets join at a time. @module */
import assert from "node:assert/strict";
import { JoinPlaces, JOINS_AT_A_TIME, LONGEST_JOIN_MS } from "../../../lib/target/join_places.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;

/** So many that ask for a place, in this order. */
function setUp(count: number) {
  const clock = new VirtualClock();
  const places = new JoinPlaces(clock);
  const held = new Map<number, Disposable>();
  for (let i = 0; i < count; i++) places.take(SIGNAL).then((place) => held.set(i, place));
  return { clock, places, held, who: () => [...held.keys()] };
}

Deno.test("JoinPlaces gives four at a time, and each that is given back to the one that waits longest", async () => {
  const { clock, held, who } = setUp(7);
  await settle();
  assert.deepEqual(who(), [0, 1, 2, 3]);
  assert.equal(JOINS_AT_A_TIME, 4);
  held.get(2)![Symbol.dispose]();
  held.get(2)![Symbol.dispose]();
  await settle();
  assert.deepEqual(who(), [0, 1, 2, 3, 4], "giving one back twice is harmless");
  for (const place of held.values()) place[Symbol.dispose]();
  await settle();
  assert.deepEqual(who(), [0, 1, 2, 3, 4, 5, 6]);
  for (const place of held.values()) place[Symbol.dispose]();
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("JoinPlaces takes a place back that is kept for long", async () => {
  const { clock, held, who } = setUp(9);
  await clock.advance(LONGEST_JOIN_MS - 1);
  assert.equal(who().length, 4);
  await clock.advance(1);
  assert.equal(who().length, 8);
  held.get(0)![Symbol.dispose]();
  await settle();
  assert.equal(who().length, 8, "it is another one's by now");
  await clock.advance(LONGEST_JOIN_MS);
  assert.equal(who().length, 9);
});

Deno.test("JoinPlaces.take() ends with its signal, and no place is lost by that", async () => {
  const abort = (controller: AbortController) => controller.abort(new Error("over"));
  const giveBack = (_: AbortController, held: Map<number, Disposable>) => held.get(0)![Symbol.dispose]();
  // The place may come in the same moment.
  for (const happens of [[abort], [giveBack, abort], [abort, giveBack]]) {
    const { places, held } = setUp(4);
    await settle();
    await assert.rejects(places.take(AbortSignal.abort(new Error("over"))), /^Error: over$/);
    const controller = new AbortController();
    const waiting = places.take(controller.signal);
    await settle();
    for (const happen of happens) happen(controller, held);
    await waiting.then((place) => place[Symbol.dispose](), () => {});
    for (const place of held.values()) place[Symbol.dispose]();
    let taken = 0;
    for (let i = 0; i < 6; i++) places.take(SIGNAL).then(() => taken++);
    await settle();
    assert.equal(taken, 4);
  }
});
