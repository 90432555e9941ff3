/**
 * Turns among projects that wait.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FairQueue } from "../../../lib/route/queue.ts";

/** A queue with sessions numbered from 1, of the projects given one by one. */
function queueOf(projects: string): FairQueue {
  const queue = new FairQueue();
  [...projects].forEach((project, at) => queue.add(at + 1, project));
  return queue;
}

/** The session has a seat, and is connected. */
function serve(queue: FairQueue, ...ids: readonly number[]): void {
  for (const id of ids) {
    queue.seated(id);
    queue.connected(id);
  }
}

/** Serves all sessions one after the other; their numbers in that order. */
function drain(queue: FairQueue): number[] {
  const order: number[] = [];
  for (let next; (next = queue.inTurn()[0]) !== undefined;) {
    serve(queue, next);
    order.push(next);
  }
  return order;
}

Deno.test("FairQueue lets projects take turns, and is first in, first out within each", () => {
  const queue = queueOf("aaabbc");
  assert.deepEqual(queue.inTurn(), [1, 4, 6, 2, 5, 3]);
  assert.deepEqual(drain(queue), [1, 4, 6, 2, 5, 3]);
  assert.deepEqual(drain(queueOf("aaaa")), [1, 2, 3, 4]);
});

Deno.test("FairQueue keeps the order of those that still wait, however many are seated before any is connected", () => {
  const queue = queueOf("aaabbc");
  const order = queue.inTurn();
  for (const [at, id] of order.entries()) {
    assert.deepEqual(queue.inTurn(), order.slice(at));
    queue.seated(id);
  }
  for (const id of order.toReversed()) queue.connected(id);
  assert.deepEqual([queue.size, queue.projects], [0, 0]);
});

Deno.test("FairQueue lets a project that comes late wait for one turn of the others, not for all of them", () => {
  const queue = queueOf("aaaaa");
  serve(queue, 1, 2);
  queue.add(6, "b");
  queue.add(7, "b");
  assert.deepEqual(drain(queue), [3, 6, 4, 7, 5]);
});

Deno.test("FairQueue gives a project nothing for the time in which it did not wait", () => {
  const queue = queueOf("ababab");
  serve(queue, 1, 2);
  queue.add(7, "c");
  assert.deepEqual(queue.inTurn(), [3, 4, 7, 5, 6]);
  serve(queue, 3, 4, 7);
  queue.add(8, "c");
  assert.deepEqual(queue.inTurn(), [5, 6, 8], "nor for being served last");
});

Deno.test("FairQueue keeps the turns of two projects apart from those of others that are seated elsewhere", () => {
  const queue = queueOf("aaac");
  for (let id = 5; id < 50; id++) {
    queue.add(id, "elsewhere");
    serve(queue, id);
  }
  queue.add(50, "b");
  assert.deepEqual(drain(queue), [1, 4, 50, 2, 3]);
});

Deno.test("FairQueue moves sessions up when one before them leaves", () => {
  const queue = queueOf("aaaab");
  queue.remove(2);
  assert.deepEqual(queue.inTurn(), [1, 5, 3, 4]);
  queue.remove(1);
  assert.deepEqual(queue.inTurn(), [3, 5, 4], "its project has waited from the beginning");
});

Deno.test("FairQueue does not put a project back for short connections that overlap", () => {
  const queue = queueOf("ab");
  queue.add(3, "a");
  queue.remove(1);
  for (let id = 4; id < 1_000; id++) {
    queue.add(id, "a");
    queue.remove(id - 1);
  }
  assert.deepEqual(queue.inTurn(), [999, 2]);
});

Deno.test("FairQueue gives nobody the place of one that turns out to belong to another project", () => {
  const queue = new FairQueue();
  queue.add(1, undefined);
  queue.add(2, "a");
  queue.add(3, "a");
  serve(queue, 2);
  queue.add(4, "b");
  queue.remove(1);
  queue.add(1, "a");
  assert.deepEqual(queue.inTurn(), [1, 4, 3]);
});

Deno.test("FairQueue gives those that came while others were served their turn from then on", () => {
  const queue = queueOf("ab");
  for (let id = 3; id < 50; id++) {
    queue.add(id, "b");
    serve(queue, id - 1);
  }
  // Its builder could not serve "a" all the time. It has one turn at once, and no right to 47 more.
  queue.add(100, "a");
  queue.add(101, "a");
  assert.deepEqual(queue.inTurn(), [1, 49, 100, 101]);
});

Deno.test("FairQueue does not count a seat whose dial fails, or whose client leaves before, as a turn", () => {
  for (const how of ["fails", "leaves"]) {
    const queue = queueOf("aab");
    queue.seated(1);
    assert.deepEqual(queue.inTurn(), [3, 2]);
    if (how === "fails") queue.add(1, "a");
    else queue.remove(1);
    assert.deepEqual(queue.inTurn(), how === "fails" ? [1, 3, 2] : [2, 3]);
  }
});

Deno.test("FairQueue counts the turns of a project that were connected, whichever of its dials fails", () => {
  const queue = queueOf("aaab");
  for (const id of [1, 4, 2]) queue.seated(id);
  queue.connected(2);
  queue.add(5, "b");
  queue.add(1, "a");
  assert.deepEqual(queue.inTurn(), [5, 1, 3], "the last turn of a was after that of b");
  queue.add(4, "b");
  assert.deepEqual(queue.inTurn(), [4, 1, 5, 3], "which was none, either");
});

Deno.test("FairQueue counts the last turn of a project, in whichever order its sessions connect", () => {
  const queue = queueOf("aaab");
  for (const id of [1, 4, 2]) queue.seated(id);
  queue.add(5, "b");
  queue.connected(2);
  queue.connected(1);
  queue.connected(4);
  assert.deepEqual(queue.inTurn(), [5, 3]);
});

Deno.test("FairQueue takes a session that has lost its seat back in front of later ones of its project", () => {
  const queue = queueOf("aa");
  queue.seated(1);
  queue.seated(2);
  queue.add(3, "a");
  queue.add(2, "a");
  queue.add(1, "a");
  assert.deepEqual(queue.inTurn(), [1, 2, 3]);
});

Deno.test("FairQueue has one line for all sessions without a project", () => {
  const queue = new FairQueue();
  queue.add(1, undefined);
  queue.add(2, undefined);
  queue.add(3, "a");
  assert.deepEqual(drain(queue), [1, 3, 2]);
});

Deno.test("FairQueue takes every call twice, in any order, and for sessions that it does not know", () => {
  const queue = queueOf("ab");
  queue.add(1, "b");
  assert.deepEqual(queue.inTurn(), [1, 2]);
  queue.connected(1);
  assert.equal(queue.size, 2, "it has no seat");
  for (let times = 0; times < 2; times++) queue.seated(1);
  for (let times = 0; times < 2; times++) queue.connected(1);
  queue.remove(1);
  queue.remove(7);
  queue.seated(7);
  queue.connected(7);
  assert.deepEqual(queue.inTurn(), [2]);
  queue.remove(2);
  queue.seated(2);
  assert.deepEqual([queue.size, queue.projects], [0, 0]);
});

Deno.test("FairQueue keeps nothing of projects whose sessions neither wait nor dial", () => {
  const queue = new FairQueue();
  for (let id = 1; id <= 1_000; id++) {
    queue.add(id, `team-${id}`);
    assert.equal(queue.projects, 1);
    if (id % 3 > 0) queue.seated(id);
    if (id % 3 > 1) queue.connected(id);
    else queue.remove(id);
  }
  assert.deepEqual([queue.projects, queue.size], [0, 0]);
});
