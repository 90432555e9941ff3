/** Tests of what a proxy says of itself: its own sessions, and what it has inherited of proxies that have gone. @module */
import assert from "node:assert/strict";
import { Listeners } from "../../../lib/base/listeners.ts";
import type { MemberState } from "../../../lib/ha/standing.ts";
import { describeUse, Statement } from "../../../lib/ha/statement.ts";
import type { LastUse } from "../../../lib/ha/peer_memory.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { Usage } from "../../../lib/scaler/usage.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { arrive } from "../../support/seating.ts";
import { BACKEND } from "../../support/session.ts";
import { soleProxy } from "../../../lib/scaler/sole_proxy.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const NOBODY: LastUse = { lastUsedMs: new Map(), lastNeededMs: -Infinity };

function describe(usage: Usage, options: { readonly replicas?: number; readonly inherited?: LastUse } = {}) {
  const { replicas = 3, inherited = NOBODY } = options;
  return describeUse({ usage, replicas, inherited, knownSinceMs: 400 }, 1_000);
}

/** Sessions that were on these ordinals, and ended at these times. */
function usedAt(...uses: readonly (readonly [ordinal: number, endMs: number])[]): Usage {
  const usage = new Usage();
  uses.forEach(([ordinal, endMs], id) => {
    usage.place(id, ordinal, true, 0);
    usage.end(id, endMs);
  });
  return usage;
}

Deno.test("describeUse() of a proxy without sessions says for how long it knows that nothing was in use", () => {
  assert.deepEqual(describe(new Usage()), { inUse: [], needing: 0, neededMs: null, knowsForMs: 600 });
});

Deno.test("describeUse() says which ordinals have sessions, and for how long the others have had none", () => {
  const usage = usedAt([2, 100], [0, 300], [1, 200]);
  usage.place(9, 1, true, 500);
  assert.deepEqual(describe(usage).inUse, [
    { ordinal: 1, busy: true, idleMs: 0 },
    { ordinal: 0, busy: false, idleMs: 700 },
    { ordinal: 2, busy: false, idleMs: 900 },
  ]);
  assert.deepEqual(describe(usage).sessions, { 1: 1 });
});

Deno.test("describeUse() says nothing of a pod beyond the count, unless a session is on it", () => {
  const usage = usedAt([0, 300], [1, 300], [2, 300]);
  assert.deepEqual(describe(usage, { replicas: 1 }).inUse.map(({ ordinal }) => ordinal), [0]);
  usage.place(9, 2, true, 500);
  assert.deepEqual(describe(usage, { replicas: 1 }).inUse.map(({ ordinal }) => ordinal), [2, 0]);
});

Deno.test("describeUse() says how many held sessions need a backend, and for how long none has", () => {
  const usage = new Usage();
  usage.hold(1, true, 100);
  usage.hold(2, true, 150);
  assert.equal(describe(usage).needing, 2);
  usage.end(1, 200);
  usage.end(2, 250);
  assert.equal(describe(usage).needing, 0);
  assert.equal(describe(usage).neededMs, 750);
});

Deno.test("describeUse() passes on what proxies that have gone used, where that was later than its own use", () => {
  const inherited = { lastUsedMs: new Map([[0, 350], [1, 150], [2, 50]]), lastNeededMs: 320 };
  const usage = usedAt([0, 300], [1, 200]);
  const idleMs = ({ inUse }: ReturnType<typeof describe>) => inUse.map(({ idleMs }) => idleMs);
  assert.deepEqual(idleMs(describe(usage, { inherited })), [650, 800, 950]);
  assert.equal(describe(usage, { inherited }).neededMs, 680);
  usage.hold(8, true, 330);
  usage.end(8, 400);
  assert.equal(describe(usage, { inherited }).neededMs, 600);
});

/** The statement of a proxy that has joined, with so many others beside it. */
function setUp(others = 1) {
  const clock = new VirtualClock();
  const placement = new Placement(clock, ONE_POD, "pod");
  placement.see({ replicas: 1, version: "1" });
  const heard = new Listeners();
  const standing: { state: MemberState; observes: boolean } = { state: "joined", observes: false };
  const records = {
    others: Array.from({ length: others }, () => ({})),
    inherited: NOBODY,
    use: soleProxy(placement, 0).use(),
    subscribe: (listener: () => void) => heard.add(listener),
  };
  const statement = new Statement({ clock, placement, records: records as never, standing });
  const told = { times: 0, counts: 0 };
  statement.subscribe(() => told.times++);
  statement.onCounts(() => told.counts++);
  return { clock, placement, heard, standing, records, statement, told };
}

Deno.test("Statement.body says what is in use, what was answered and what is announced", () => {
  const { placement, statement } = setUp();
  arrive(placement, 1);
  statement.answer("leader", 3);
  statement.announcement = { generation: 1, below: 0, version: "1" };
  const { needing, answers, announcement } = statement.body;
  assert.deepEqual({ needing, answers, announcement }, {
    needing: 1,
    answers: { leader: 3 },
    announcement: { generation: 1, below: 0, version: "1" },
  });
});

Deno.test("Statement.body says that a proxy only observes, and of no other", () => {
  const { standing, statement } = setUp();
  assert.equal("observes" in statement.body, false);
  standing.observes = true;
  assert.equal(statement.body.observes, true);
});

Deno.test("Statement.body has no answers while the proxy has not joined, or is cut off", () => {
  const { standing, statement } = setUp();
  statement.answer("leader", 3);
  for (const state of ["joining", "cut_off", "alone"] as const) {
    standing.state = state;
    assert.deepEqual(statement.body.answers, {});
  }
  standing.state = "joined";
  assert.deepEqual(statement.body.answers, { leader: 3 });
});

Deno.test("Statement tells once of each change that the others should hear of", () => {
  const { placement, heard, statement, told } = setUp();
  heard.tell();
  assert.equal(told.times, 1, "the first that they hear");
  for (const id of [1, 2]) arrive(placement, id);
  assert.equal(told.times, 2, "that one more session is held changes nothing for them");
  statement.answer("leader", 1);
  statement.answer("leader", 1);
  assert.equal(told.times, 3);
  statement.keepAnswersTo(new Set(["leader"]));
  assert.equal(told.times, 3);
  statement.keepAnswersTo(new Set());
  assert.equal(told.times, 4);
  assert.deepEqual(statement.answers, {});
});

Deno.test("Statement tells of nothing while this proxy is the only one, and of all that has changed afterwards", () => {
  const { placement, heard, records, told } = setUp(0);
  arrive(placement, 1);
  assert.equal(told.times, 0);
  records.others.push({});
  heard.tell();
  assert.equal(told.times, 1);
});

Deno.test("describeUse() says how many sessions are on each ordinal that is busy, silent ones not counted", () => {
  const usage = usedAt([2, 100]);
  assert.equal(describe(usage).sessions, undefined);
  for (const [id, ordinal] of [[11, 1], [12, 0], [13, 1]] as const) usage.place(id, ordinal, true, 500);
  assert.deepEqual(describe(usage).sessions, { 0: 1, 1: 2 });
  for (const id of [11, 12, 13]) usage.silent(id, true);
  assert.deepEqual(describe(usage).sessions, {}, "they are there, and no load");
  assert.deepEqual(describe(usage).inUse.filter(({ busy }) => busy).map(({ ordinal }) => ordinal), [0, 1]);
});

Deno.test("Statement tells of changed numbers apart from what the agreement needs", () => {
  const { placement, heard, told } = setUp();
  placement.pods.set([BACKEND]);
  heard.tell();
  assert.deepEqual(told, { times: 1, counts: 0 });
  arrive(placement, 1);
  assert.deepEqual(told, { times: 2, counts: 0 }, "the ordinal is busy: that tells the number, too");
  arrive(placement, 2);
  assert.deepEqual(told, { times: 2, counts: 1 });
  placement.end(1);
  assert.deepEqual(told, { times: 2, counts: 2 });
  placement.end(2);
  assert.deepEqual(told, { times: 3, counts: 2 });
});

Deno.test("Statement.body says for how long the oldest queued session waits, and tells of another one", async () => {
  const { clock, heard, statement, told } = setUp();
  heard.tell();
  assert.equal("queuedMs" in statement.body, false);
  statement.queuedSinceMs = clock.nowMs();
  await clock.advance(3_000);
  assert.equal(statement.body.queuedMs, 3_000);
  assert.equal(told.counts, 1);
  statement.queuedSinceMs = undefined;
  assert.equal("queuedMs" in statement.body, false);
  assert.deepEqual(told, { times: 1, counts: 2 });
});
