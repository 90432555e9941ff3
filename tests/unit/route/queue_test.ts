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

/** Seats all sessions one after the other; their numbers in that order. */
function drain(queue: FairQueue, ids: readonly number[]): number[] {
  const order: number[] = [];
  const waiting = new Set(ids);
  while (waiting.size > 0) {
    const [next] = [...waiting].sort((a, b) => queue.tag(a)! - queue.tag(b)! || a - b);
    queue.seated(next!);
    waiting.delete(next!);
    order.push(next!);
  }
  return order;
}

Deno.test("FairQueue lets projects take turns, and is first in, first out within each", () => {
  assert.deepEqual(drain(queueOf("aaabbc"), [1, 2, 3, 4, 5, 6]), [1, 4, 6, 2, 5, 3]);
  assert.deepEqual(drain(queueOf("aaaa"), [1, 2, 3, 4]), [1, 2, 3, 4]);
});

Deno.test("FairQueue lets a project that comes late wait for one turn of the others, not for all of them", () => {
  const queue = queueOf("aaaaa");
  queue.seated(1);
  queue.seated(2);
  queue.add(6, "b");
  queue.add(7, "b");
  assert.deepEqual([3, 4, 6, 7].map((id) => queue.tag(id)), [3, 4, 3, 4]);
  assert.deepEqual(drain(queue, [3, 4, 5, 6, 7]), [3, 6, 4, 7, 5]);
});

Deno.test("FairQueue gives a project nothing for the time in which it did not wait", () => {
  const queue = queueOf("abababab");
  for (const id of [1, 2, 3, 4]) queue.seated(id);
  queue.add(9, "c");
  assert.equal(queue.tag(9), 3);
  queue.seated(9);
  queue.add(10, "c");
  assert.equal(queue.tag(10), 4, "nor for being alone before");
});

Deno.test("FairQueue moves sessions up when one before them leaves", () => {
  const queue = queueOf("aaaab");
  assert.equal(queue.tag(4), 4);
  queue.remove(2);
  assert.deepEqual([1, 3, 4].map((id) => queue.tag(id)), [1, 2, 3]);
  queue.remove(1);
  assert.deepEqual([3, 4, 5].map((id) => queue.tag(id)), [1, 2, 1]);
});

Deno.test("FairQueue does not put a project back for short connections that overlap", () => {
  const queue = queueOf("ab");
  queue.add(3, "a");
  for (let id = 4; id < 1_000; id++) {
    queue.add(id, "a");
    queue.remove(id - 1);
  }
  assert.equal(queue.tag(999), 2);
  assert.equal(queue.size, 3);
});

Deno.test("FairQueue gives the place of one that leaves to the next of its project, though that came later", () => {
  const queue = queueOf("abcaba");
  queue.seated(1);
  queue.add(7, "c");
  assert.equal(queue.tag(7), 2);
  queue.remove(3);
  assert.equal(queue.tag(7), 1, "its project has waited from the beginning");
  assert.deepEqual(drain(queue, [2, 4, 5, 6, 7]), [2, 7, 4, 5, 6]);
});

Deno.test("FairQueue gives nobody the place of one that turns out to belong to another project", () => {
  const queue = new FairQueue();
  queue.add(1, undefined);
  for (let id = 2; id < 5; id++) queue.add(id, "a");
  for (let id = 2; id < 5; id++) queue.seated(id);
  queue.add(5, "b");
  queue.add(6, undefined);
  queue.leaveLine(1);
  queue.add(1, "a");
  assert.deepEqual([1, 5, 6].map((id) => queue.tag(id)), [4, 4, 4], "the last to come is not the first");
  queue.leaveLine(7);
});

Deno.test("FairQueue never puts a session back that waits, but for a later one of its project that was seated first", () => {
  const queue = queueOf("aab");
  queue.seated(2);
  assert.deepEqual([queue.tag(1), queue.tag(3)], [2, 1], "its project has had its turn");
  queue.add(4, "c");
  assert.equal(queue.tag(4), 2, "and V is that turn");
});

Deno.test("FairQueue gives those that came while others were served their turn from then on", () => {
  const queue = queueOf("ab");
  for (let id = 3; id < 50; id++) {
    queue.add(id, "b");
    queue.seated(id - 1);
  }
  // Its builder could not serve "a" all the time. It has one turn at once, and no right to 47 more.
  queue.add(100, "a");
  queue.add(101, "a");
  assert.equal(queue.tag(1), 1);
  assert.deepEqual([100, 101].map((id) => queue.tag(id)), [48, 49]);
});

Deno.test("FairQueue takes a session that has lost its seat back in front of later ones", () => {
  const queue = queueOf("aaab");
  queue.seated(1);
  queue.add(1, "a");
  assert.deepEqual([1, 2, 3, 4].map((id) => queue.tag(id)), [2, 3, 4, 1]);
  queue.seated(1);
  assert.deepEqual([2, 3, 4].map((id) => queue.tag(id)), [3, 4, 1], "it has had two turns");
});

Deno.test("FairQueue does not put those behind a session back that has lost its seat long after they came", () => {
  const queue = queueOf("aab");
  queue.seated(1);
  for (let id = 4; id < 20; id++) {
    queue.add(id, "b");
    queue.seated(id === 4 ? 3 : id - 1);
  }
  queue.add(1, "a");
  assert.deepEqual([1, 2].map((id) => queue.tag(id)), [2, 3]);
});

Deno.test("FairQueue does not turn back when a session with an old tag is seated", () => {
  const queue = queueOf("abbb");
  for (const id of [2, 3, 4]) queue.seated(id);
  queue.seated(1);
  queue.add(5, "c");
  assert.equal(queue.tag(5), 4);
});

Deno.test("FairQueue has one line for all sessions without a project", () => {
  const queue = new FairQueue();
  queue.add(1, undefined);
  queue.add(2, undefined);
  queue.add(3, "a");
  assert.deepEqual(drain(queue, [1, 2, 3]), [1, 3, 2]);
});

Deno.test("FairQueue takes every call twice, in any order, and for sessions that it does not know", () => {
  const queue = queueOf("ab");
  queue.add(1, "b");
  assert.equal(queue.tag(1), 1);
  assert.equal(queue.size, 2);
  queue.seated(1);
  queue.seated(1);
  queue.remove(1);
  queue.remove(7);
  queue.seated(7);
  assert.equal(queue.tag(1), undefined);
  assert.equal(queue.tag(2), 1);
  queue.remove(2);
  queue.seated(2);
  queue.add(3, "b");
  assert.equal(queue.tag(3), 2, "whoever left has had no turn");
});

Deno.test("FairQueue keeps nothing of projects that do not wait", () => {
  const queue = new FairQueue();
  for (let id = 1; id <= 1_000; id++) {
    queue.add(id, `team-${id}`);
    assert.ok(queue.projects <= 2);
    if (id % 2 === 0) queue.seated(id);
    else queue.remove(id);
  }
  assert.equal(queue.projects, 0);
  assert.equal(queue.size, 0);
});
