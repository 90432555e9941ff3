/** Tests of the Events that wait to be written: series, tokens and bounds. @module */
import assert from "node:assert/strict";
import { EventQueue, type ToldEvent } from "../../../lib/ops/event_queue.ts";

const MINUTE = 60_000;

const EVENT: ToldEvent = { type: "Normal", reason: "ScaledUp", action: "Scale", note: "Scaled from 0 to 1" };

function setUp() {
  const queue = new EventQueue();
  let nowMs = 5_000;
  const times = () => ({ nowMs, wallMs: 1_000_000 + nowMs });
  return {
    queue,
    pass: (ms: number) => void (nowMs += ms),
    tell: (note = EVENT.note, uid: string | undefined = "u") => queue.tell({ ...EVENT, note }, uid, times()),
    dueMs: () => queue.dueMs(nowMs) - nowMs,
    /** Writes what is due, and says what that was. */
    write(): readonly [note: string, count: number] | undefined {
      const series = queue.due(nowMs);
      if (series === undefined) return undefined;
      queue.takeToken();
      series.writtenCount = series.count;
      return [series.event.note, series.count];
    },
  };
}

Deno.test("EventQueue gives each Event once, the one that waits longest first", () => {
  const { tell, write, dueMs } = setUp();
  assert.equal(dueMs(), Infinity);
  tell("a");
  tell("b");
  assert.equal(dueMs(), 0);
  assert.deepEqual([write(), write(), write()], [["a", 1], ["b", 1], undefined]);
  assert.equal(dueMs(), Infinity);
});

Deno.test("EventQueue counts what occurs again within six minutes as one series, by all that it says", () => {
  const { queue, tell, write, pass } = setUp();
  tell("a");
  const first = queue.due(5_000)!;
  write();
  pass(6 * MINUTE - 1);
  tell("a");
  tell("a");
  assert.equal(queue.due(6 * MINUTE), first);
  assert.deepEqual([first.firstMs, first.last.wallMs], [1_005_000, 1_005_000 + 6 * MINUTE - 1]);
  assert.deepEqual(write(), ["a", 3]);
  tell("a", "another");
  assert.deepEqual(write(), ["a", 1], "about another StatefulSet of the name");
  pass(6 * MINUTE);
  tell("a");
  assert.deepEqual(write(), ["a", 1]);
});

Deno.test("EventQueue lets 25 writes pass at once, and one a minute after that; meanwhile series count", () => {
  const { tell, write, pass, dueMs } = setUp();
  for (let i = 0; i < 25; i++) {
    tell(`${i}`);
    assert.deepEqual(write(), [`${i}`, 1]);
  }
  tell("late");
  assert.equal(write(), undefined);
  assert.equal(dueMs(), MINUTE);
  pass(MINUTE - 1);
  tell("late");
  assert.equal(write(), undefined);
  pass(1);
  assert.deepEqual(write(), ["late", 2]);
  pass(100 * MINUTE);
  const written = Array.from({ length: 30 }, (_, i) => {
    tell(`again ${i}`);
    return write();
  });
  assert.equal(written.filter((each) => each !== undefined).length, 25, "no more tokens than that are saved");
});

Deno.test("EventQueue keeps 50 series: a new one takes the place of one that is written, or is lost", () => {
  const { tell, write, pass } = setUp();
  tell("written");
  write();
  for (let i = 0; i < 49; i++) assert.equal(tell(`${i}`), true);
  assert.equal(tell("in its place"), true);
  assert.equal(tell("lost"), false);
  assert.equal(tell("0"), true, "a series that is known goes on");
  pass(59 * MINUTE);
  assert.equal(tell("lost"), false);
  pass(MINUTE);
  assert.equal(tell("later"), true, "what could not be written for an hour is news no more");
});

Deno.test("EventQueue forgets a series, or all that is not written", () => {
  const { queue, tell, write } = setUp();
  tell("a");
  tell("b");
  queue.forget(queue.due(5_000)!);
  assert.deepEqual([write(), write()], [["b", 1], undefined]);
  tell("c");
  queue.forgetUnwritten();
  assert.equal(write(), undefined);
  tell("b");
  assert.deepEqual(write(), ["b", 2], "the series that was written goes on");
});
