/**
 * Aborts that thousands follow.
 *
 * @module
 */
import assert from "node:assert/strict";
import { anySignal } from "../../../lib/base/any_signal.ts";
import { Ending } from "../../../lib/base/ending.ts";

Deno.test("Ending calls those who follow it once, in their order, and has the first reason", () => {
  const ending = new Ending();
  const called: string[] = [];
  for (const name of ["a", "b"]) ending.follow(() => called.push(name));
  ending.throwIfAborted();
  assert.equal(ending.aborted, false);
  ending.abort("first");
  ending.abort("second");
  assert.deepEqual([called, ending.aborted, ending.reason, ending.isFree], [["a", "b"], true, "first", true]);
  assert.throws(() => ending.throwIfAborted(), (reason) => reason === "first");
});

Deno.test("Ending calls at once who comes late, and nobody who has left, even in the same moment", () => {
  const ending = new Ending();
  const called: string[] = [];
  const leaver = () => called.push("leaver");
  ending.follow(() => ending.leave(leaver));
  ending.follow(leaver);
  ending.abort("the end");
  ending.follow(() => called.push("late"));
  assert.deepEqual(called, ["late"]);
  assert.ok(ending.isFree);
});

Deno.test("Ending calls those behind one that throws, too", () => {
  const ending = new Ending();
  let called = 0;
  ending.follow(() => assert.fail("a bug"));
  ending.follow(() => called++);
  assert.throws(() => ending.abort("the end"), /a bug/);
  assert.equal(called, 1);
});

Deno.test("anySignal() follows an Ending among signals, from the start or later, and leaves it", () => {
  const ending = new Ending();
  const before = anySignal(new AbortController().signal, ending);
  const left = anySignal(ending);
  left[Symbol.dispose]();
  ending.abort("the end");
  using after = anySignal(ending);
  assert.deepEqual(
    [before.signal.reason, left.signal.aborted, after.signal.reason],
    ["the end", false, "the end"],
  );
  assert.ok(ending.isFree);
});
