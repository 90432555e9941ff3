/** Tests of a proxy's own record: what becomes of it when writes fail, are lost, or somebody else touches it. @module */
import assert from "node:assert/strict";
import { CountWrites } from "../../../lib/ha/count_writes.ts";
import { OwnRecord, RecordGone, RecordLapsed } from "../../../lib/ha/own_record.ts";
import { parseRecord, type RecordBody } from "../../../lib/ha/record.ts";
import { Standing } from "../../../lib/ha/standing.ts";
import type { Lease } from "../../../lib/kube/types.ts";
import { FakeLeases } from "../../support/fake_leases.ts";
import { BUSY, EXPIRY_MS, IDLE, leaseOf, nameOf, TARGET } from "../../support/ha.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;
const NAME = nameOf("one");
const SETTINGS = { recordExpiryMs: EXPIRY_MS, whenCutOff: "serve" } as const;

function setUp(countWrites = new CountWrites(), clock = new VirtualClock()) {
  const leases = new FakeLeases();
  const restored: [string, string][] = [];
  const state: { body: RecordBody; goodForMs: number } = { body: IDLE, goodForMs: EXPIRY_MS };
  const standing = new Standing(clock, SETTINGS);
  let counted = () => {};
  let gone = (_lease: Lease) => {};
  const record = new OwnRecord({
    leases,
    clock,
    identity: "one",
    podUid: undefined,
    recordExpiryMs: EXPIRY_MS,
    lifetime: { goodForMs: () => Promise.resolve(state.goodForMs) },
    statement: {
      get body() {
        return state.body;
      },
      subscribe: () => {},
      onCounts: (listener) => void (counted = listener),
    },
    countWrites,
    standing,
    records: { onGone: (listener) => void (gone = listener) },
    count: { regressed: (from, to) => restored.push([from, to]) },
  });
  record.target = TARGET;
  const written = () => parseRecord(leases.named(NAME)!, TARGET)?.body;
  return {
    clock,
    countWrites,
    leases,
    record,
    standing,
    state,
    written,
    restored,
    gone: (lease: Lease) => gone(lease),
    counted: () => counted(),
  };
}

Deno.test("OwnRecord is created once, and later updates write the state of that moment", async () => {
  const { leases, record, state, written, standing } = setUp();
  assert.equal(standing.ageMs, Infinity);
  await record.join(SIGNAL);
  state.body = BUSY;
  await record.write(SIGNAL);
  assert.deepEqual(leases.requests, [`create ${NAME}`, `update ${NAME}`]);
  assert.deepEqual(written(), BUSY);
});

Deno.test("OwnRecord.write() makes no record of a proxy that has not joined", async () => {
  const { leases, record } = setUp();
  await assert.rejects(record.write(SIGNAL), RecordGone);
  assert.deepEqual(leases.all, []);
});

Deno.test("Standing.ageMs counts from when the last successful write was sent, through a suspend", async () => {
  const { clock, leases, record, standing } = setUp();
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  leases.fates("create", { after: answered });
  const joining = record.join(SIGNAL);
  await clock.advance(4_000);
  answers();
  await joining;
  assert.equal(standing.ageMs, 4_000);
  leases.fates("update", "unanswered", 500, "lost");
  for (let i = 0; i < 3; i++) await assert.rejects(record.write(SIGNAL));
  assert.equal(standing.ageMs, 4_000, "a failed write, or one with an unknown outcome, is none");
  clock.suspend(60_000);
  assert.equal(standing.ageMs, 63_000, "the boot clock is only good to the second");
  await record.write(SIGNAL);
  assert.equal(standing.ageMs, 0);
});

for (const fate of ["unanswered", "lost"] as const) {
  Deno.test(`OwnRecord: after a create that was ${fate} the next one brings it about`, async () => {
    const { leases, record, state, written, standing } = setUp();
    leases.fates("create", fate);
    await assert.rejects(record.join(SIGNAL));
    assert.equal(standing.ageMs, Infinity);
    state.body = BUSY;
    await record.join(SIGNAL);
    assert.deepEqual(written(), BUSY);
    assert.equal(leases.all.length, 1);
  });

  Deno.test(`OwnRecord: after an update that was ${fate} the next one brings it about`, async () => {
    const { leases, record, state, written } = setUp();
    await record.join(SIGNAL);
    leases.fates("update", fate);
    await assert.rejects(record.write(SIGNAL));
    state.body = BUSY;
    await record.write(SIGNAL);
    assert.deepEqual(written(), BUSY);
  });
}

Deno.test("OwnRecord that is good for longer lapses later, by the same margin, and as usual after the next one", async () => {
  const { clock, leases, record, state, standing } = setUp();
  const duration = () => leases.named(NAME)!.spec!.leaseDurationSeconds! * 1000;
  await record.join(SIGNAL);
  assert.equal(duration(), EXPIRY_MS);
  state.goodForMs = 13 * EXPIRY_MS;
  await record.write(SIGNAL);
  assert.equal(duration(), 13 * EXPIRY_MS);
  leases.fates("update", 401);
  await clock.advance(12.9 * EXPIRY_MS - 1);
  await assert.rejects(record.write(SIGNAL));
  assert.equal(standing.lapsed, false);
  state.goodForMs = EXPIRY_MS;
  await record.write(SIGNAL);
  assert.equal(duration(), EXPIRY_MS);
  await clock.advance(0.9 * EXPIRY_MS - 1);
  assert.equal(standing.lapsed, false);
  await clock.advance(1);
  assert.equal(standing.lapsed, true);
  state.goodForMs = 13 * EXPIRY_MS;
  await assert.rejects(record.write(SIGNAL), RecordLapsed, "too late");
});

Deno.test("OwnRecord: a record edited by hand is written over", async () => {
  const { leases, record, state, written } = setUp();
  await record.join(SIGNAL);
  leases.put(leaseOf("one", BUSY));
  state.body = IDLE;
  await record.write(SIGNAL);
  assert.deepEqual(written(), IDLE);
});

for (const anew of [false, true]) {
  Deno.test(`OwnRecord: a record that was deleted${anew ? " and made anew" : ""} is gone, and never brought back by an update`, async () => {
    const { leases, record, standing } = setUp();
    await record.join(SIGNAL);
    leases.drop(NAME);
    if (anew) leases.put(leaseOf("one", BUSY));
    await assert.rejects(record.write(SIGNAL), RecordGone);
    assert.equal(leases.all.length, anew ? 1 : 0);
    assert.equal(standing.ageMs, Infinity);
    await assert.rejects(record.write(SIGNAL), RecordGone, "not until the proxy has joined again");
    assert.equal(leases.all.length, anew ? 1 : 0);
    await record.join(SIGNAL);
    assert.equal(leases.all.length, 1);
    assert.equal(standing.ageMs, 0);
  });
}

Deno.test("OwnRecord.write(): success after the lapse is no renewal, only joining is", async () => {
  const { clock, record, standing } = setUp();
  await record.join(SIGNAL);
  clock.freeze(EXPIRY_MS * 0.9 - 1);
  assert.equal(standing.lapsed, false);
  clock.freeze(1);
  assert.equal(standing.lapsed, true);
  await assert.rejects(record.write(SIGNAL), RecordLapsed);
  assert.equal(standing.lapsed, true);
  await record.join(SIGNAL);
  assert.equal(standing.lapsed, false);
});

Deno.test("OwnRecord.write(): an answer that comes after the lapse is no renewal", async () => {
  const { clock, leases, record, standing } = setUp();
  await record.join(SIGNAL);
  clock.freeze(EXPIRY_MS * 0.9 - 1);
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  leases.fates("update", { after: answered });
  const writing = record.write(SIGNAL);
  await settle();
  clock.freeze(1_000);
  answers();
  await assert.rejects(writing, RecordLapsed);
  assert.equal(standing.lapsed, true);
});

Deno.test("OwnRecord writes one at a time", async () => {
  const { leases, record, state, written } = setUp();
  await record.join(SIGNAL);
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  leases.fates("update", { before: held });
  const first = record.write(SIGNAL);
  state.body = BUSY;
  const second = record.write(SIGNAL);
  await settle();
  assert.equal(leases.requests.length, 2);
  letGo();
  await Promise.all([first, second]);
  assert.deepEqual(written(), BUSY);
});

Deno.test("OwnRecord.remove() deletes the record, also if it was edited, and succeeds if it is gone", async () => {
  for (
    const before of [
      () => {},
      (leases: FakeLeases) => leases.put(leaseOf("one", BUSY)),
      (leases: FakeLeases) => leases.drop(NAME),
    ]
  ) {
    const { leases, record } = setUp();
    await record.join(SIGNAL);
    before(leases);
    await record.remove(SIGNAL);
    assert.deepEqual(leases.all, []);
  }
});

Deno.test("OwnRecord.remove() needs two requests, and the proxy has no record from then on", async () => {
  const { leases, record, standing } = setUp();
  await record.join(SIGNAL);
  leases.requests.length = 0;
  await record.remove(SIGNAL);
  assert.deepEqual(leases.requests, [`get ${NAME}`, `delete ${NAME}`]);
  assert.equal(standing.ageMs, Infinity);
  assert.equal(standing.lapsed, true);
  await assert.rejects(record.write(SIGNAL), RecordGone);
});

Deno.test("OwnRecord.remove() tries five times where somebody changes the record each time, and fails otherwise at once", async () => {
  const cases = [[[409, 409, 409, 409], undefined, 5], [[409, 409, 409, 409, 409], 409, 5], [
    [500],
    500,
    1,
  ]] as const;
  for (const [fates, status, deletes] of cases) {
    const { leases, record } = setUp();
    await record.join(SIGNAL);
    leases.fates("delete", ...fates);
    if (status === undefined) await record.remove(SIGNAL);
    else await assert.rejects(record.remove(SIGNAL), { status });
    assert.equal(leases.requests.filter((request) => request === `delete ${NAME}`).length, deletes);
    assert.equal(leases.all.length, status === undefined ? 0 : 1);
  }
});

Deno.test("OwnRecord.remove() waits for a write that is under way", async () => {
  const { leases, record } = setUp();
  const { promise: before, resolve: letGo } = Promise.withResolvers<void>();
  leases.fates("create", { before });
  const joining = record.join(SIGNAL);
  const removing = record.remove(SIGNAL);
  await settle();
  letGo();
  await Promise.all([joining, removing]);
  assert.deepEqual(leases.all, []);
});

Deno.test("OwnRecord: a write that has failed does not keep the next one", async () => {
  const { leases, record } = setUp();
  await record.join(SIGNAL);
  leases.fates("update", 500);
  await Promise.all([
    assert.rejects(record.write(SIGNAL), { status: 500 }),
    record.write(SIGNAL),
  ]);
});

Deno.test("OwnRecord says who wrote it and when, and in which pod", async () => {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const record = new OwnRecord({
    leases,
    clock,
    identity: "one",
    podUid: "pod-a",
    recordExpiryMs: EXPIRY_MS,
    lifetime: { goodForMs: () => Promise.resolve(EXPIRY_MS) },
    statement: { body: BUSY, subscribe: () => {}, onCounts: () => {} },
    countWrites: new CountWrites(),
    standing: new Standing(clock, SETTINGS),
    records: { onGone: () => {} },
    count: { regressed: () => {} },
  });
  record.target = TARGET;
  await record.join(SIGNAL);
  const lease = leases.named(NAME)!;
  const { identity, podUid, expiryMs, body } = parseRecord(lease, TARGET)!;
  assert.deepEqual({ identity, podUid, expiryMs, body }, {
    identity: "one",
    podUid: "pod-a",
    expiryMs: EXPIRY_MS,
    body: BUSY,
  });
  assert.equal(lease.spec?.renewTime, new Date(clock.wallMs()).toISOString().replace("Z", "000Z"));
});

for (const verb of ["create", "update"] as const) {
  Deno.test(`OwnRecord: a ${verb} that fails otherwise than by a conflict looks for nothing`, async () => {
    const { leases, record, restored } = setUp();
    if (verb === "update") await record.join(SIGNAL);
    leases.requests.length = 0;
    leases.fates(verb, 500);
    const writing = verb === "create" ? record.join(SIGNAL) : record.write(SIGNAL);
    await assert.rejects(writing, { status: 500 });
    assert.deepEqual(leases.requests, [`${verb} ${NAME}`]);
    assert.deepEqual(restored, []);
  });
}

Deno.test("OwnRecord: a conflict of unknown cause does not count as a deletion", async () => {
  const { leases, record, restored, standing } = setUp();
  await record.join(SIGNAL);
  leases.put(leaseOf("one", BUSY));
  leases.fates("get", 500);
  await assert.rejects(record.write(SIGNAL), { status: 500 });
  assert.equal(standing.ageMs, 0);
  assert.deepEqual(restored, []);
  await record.write(SIGNAL);
});

Deno.test("OwnRecord: a record that is gone is told apart from one that was not renewed in time, also by name", async () => {
  const { clock, leases, record } = setUp();
  await record.join(SIGNAL);
  clock.freeze(EXPIRY_MS);
  await assert.rejects(record.write(SIGNAL), { name: "RecordLapsed" });
  leases.drop(NAME);
  await assert.rejects(record.write(SIGNAL), { name: "RecordGone" });
});

Deno.test("OwnRecord.remove() deletes nothing when there never was a record", async () => {
  const { leases, record } = setUp();
  await record.remove(SIGNAL);
  assert.deepEqual(leases.requests, []);
});

Deno.test("OwnRecord.remove() deletes a record whose making was never answered", async () => {
  const { leases, record } = setUp();
  leases.fates("create", "unanswered");
  await assert.rejects(record.join(SIGNAL));
  await record.remove(SIGNAL);
  assert.deepEqual(leases.all, []);
});

Deno.test("OwnRecord.remove() has nothing to delete where it may not make a record", async () => {
  const { leases, record } = setUp();
  leases.fates("create", 403);
  await assert.rejects(record.join(SIGNAL));
  await record.remove(SIGNAL);
  assert.deepEqual(leases.requests, [`create ${NAME}`]);
});

Deno.test("OwnRecord.remove() deletes a record whose making was never answered, although a later try was refused", async () => {
  const { leases, record } = setUp();
  leases.fates("create", "unanswered", 403);
  for (let i = 0; i < 2; i++) await assert.rejects(record.join(SIGNAL));
  assert.equal(leases.all.length, 1);
  await record.remove(SIGNAL);
  assert.deepEqual(leases.all, []);
});

Deno.test("OwnRecord: one that is older than it was comes from a backup, so the proxy has to join again", async () => {
  const { leases, record, written, state, restored, standing } = setUp();
  await record.join(SIGNAL);
  const backup = leases.named(NAME)!;
  await record.write(SIGNAL);
  leases.restore([backup]);
  await assert.rejects(record.write(SIGNAL), RecordGone);
  assert.equal(standing.lapsed, true);
  assert.deepEqual(restored, [["1002", "1001"]]);
  state.body = BUSY;
  await record.join(SIGNAL);
  assert.deepEqual(written(), BUSY);
  assert.equal(leases.all.length, 1);
});

Deno.test("OwnRecord believes only news of the very Lease that it stands in", async () => {
  const { leases, record, standing, gone } = setUp();
  await record.join(SIGNAL);
  const lease = leases.named(NAME)!;
  gone({ ...lease, metadata: { ...lease.metadata, uid: "before" } });
  assert.equal(standing.lapsed, false);
  leases.drop(NAME);
  const due = record.whenDue(false, SIGNAL);
  gone(lease);
  await due;
  assert.equal(standing.ageMs, Infinity);
  leases.requests.length = 0;
  await assert.rejects(record.write(SIGNAL), RecordGone);
  await record.join(SIGNAL);
  assert.deepEqual(leases.requests, [`create ${NAME}`]);
});

Deno.test("OwnRecord that is deleted: a write that was answered before, and whose answer comes after, does not bring it back", async () => {
  const { leases, record, standing, gone } = setUp();
  await record.join(SIGNAL);
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  leases.fates("update", { after: answered });
  const writing = record.write(SIGNAL);
  await settle();
  const lease = leases.named(NAME)!;
  leases.drop(NAME);
  gone(lease);
  answers();
  await assert.rejects(writing, RecordGone);
  assert.equal(standing.ageMs, Infinity);
});

Deno.test("OwnRecord that is deleted: a Lease that comes back with a backup is believed to live", async () => {
  const { leases, record, written, state, standing, gone } = setUp();
  await record.join(SIGNAL);
  const backup = leases.all;
  leases.drop(NAME);
  gone(backup[0]!);
  await record.join(SIGNAL);
  leases.restore(backup);
  await assert.rejects(record.write(SIGNAL), RecordGone);
  state.body = BUSY;
  await record.join(SIGNAL);
  assert.deepEqual(written(), BUSY);
  assert.equal(standing.lapsed, false);
});

/** Carries out what is due, as the membership does, from now on; `written` says when that was, in ms. */
function keep({ clock, record }: ReturnType<typeof setUp>) {
  const written: number[] = [];
  const controller = new AbortController();
  const startedMs = clock.nowMs();
  const running = (async () => {
    for (;;) {
      await record.whenDue(false, controller.signal);
      written.push(clock.nowMs() - startedMs);
      await record.write(controller.signal);
    }
  })().catch(() => {});
  const stop = async () => {
    controller.abort(new Error("over"));
    await running;
  };
  return { written, stop };
}

Deno.test("OwnRecord: changed numbers are written within half a second, and renew the record", async () => {
  const parts = setUp();
  const { clock, record, counted } = parts;
  await record.join(SIGNAL);
  const { written, stop } = keep(parts);
  for (let i = 0; i < 20; i++) {
    counted();
    await clock.advance(100);
  }
  assert.deepEqual(written, [500, 1_000, 1_500, 2_000]);
  await clock.advance(EXPIRY_MS / 10 - 1);
  assert.equal(written.length, 4);
  await clock.advance(1);
  assert.deepEqual(written.slice(4), [2_000 + EXPIRY_MS / 10]);
  await stop();
});

Deno.test("OwnRecord: a write for changed numbers delays no other, and the next write tells them in any case", async () => {
  const parts = setUp();
  const { clock, record, counted } = parts;
  await record.join(SIGNAL);
  const { written, stop } = keep(parts);
  await clock.advance(10_000);
  counted();
  await clock.advance(100);
  record.publish();
  await clock.advance(10);
  assert.deepEqual(written, [10_000, 10_100], "what others should hear of");
  record.publish();
  counted();
  await clock.advance(390);
  assert.equal(written.length, 2, "no two of those are closer together than half a second");
  await clock.advance(100);
  counted();
  record.publish(true);
  await clock.advance(5_000);
  assert.deepEqual(written, [10_000, 10_100, 10_600, 10_600], "each tells the numbers: one write for both");
  await record.write(SIGNAL);
  counted();
  await record.write(SIGNAL);
  await clock.advance(5_000);
  assert.equal(written.length, 4, "a write of the leader has told them");
  await stop();
});

Deno.test("OwnRecord: all records of a process are written five times a second for changed numbers, and for the rest at once", async () => {
  const countWrites = new CountWrites();
  const clock = new VirtualClock();
  const all = Array.from({ length: 20 }, () => setUp(countWrites, clock));
  for (const { record } of all) await record.join(SIGNAL);
  const kept = all.map(keep);
  await clock.advance(1_000);
  for (const { counted } of all) counted();
  await clock.advance(1_999);
  const writes = () => kept.flatMap(({ written }) => written);
  assert.equal(writes().length, 10);
  assert.equal(kept.filter(({ written }) => written.length > 1).length, 0, "each in its turn");
  for (const { record } of all) record.publish(true);
  await clock.advance(0);
  assert.equal(writes().length, 30);
  await clock.advance(5_000);
  assert.equal(writes().length, 30, "nothing is left to tell");
  for (const { stop } of kept) await stop();
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("OwnRecord: numbers that a failed write should have told are told later", async () => {
  const parts = setUp();
  const { clock, leases, record, counted } = parts;
  await record.join(SIGNAL);
  const { written, stop } = keep(parts);
  await clock.advance(100);
  counted();
  leases.fates("update", "lost");
  await assert.rejects(record.write(SIGNAL));
  await clock.advance(400);
  assert.deepEqual(written, [500]);
  await stop();
});

Deno.test("OwnRecord: what is more urgent is not put off by changed numbers, and a write of the leader counts as one", async () => {
  const parts = setUp();
  const { clock, record, counted } = parts;
  await record.join(SIGNAL);
  const { written, stop } = keep(parts);
  record.publish(true);
  counted();
  record.publish();
  await clock.advance(0);
  assert.deepEqual(written, [0]);
  await clock.advance(450);
  counted();
  await clock.advance(50);
  assert.deepEqual(written, [0, 500]);
  await record.write(SIGNAL);
  record.publish();
  counted();
  await clock.advance(499);
  assert.equal(written.length, 2);
  await clock.advance(1);
  assert.deepEqual(written, [0, 500, 1_000]);
  await stop();
});

Deno.test("OwnRecord: what others should hear of does not wait until numbers may be written", async () => {
  const parts = setUp();
  const { clock, countWrites, record, counted } = parts;
  await record.join(SIGNAL);
  const { written, stop } = keep(parts);
  await clock.advance(400);
  countWrites.written(clock.nowMs());
  record.publish();
  counted();
  await clock.advance(100);
  assert.deepEqual(written, [500]);
  await stop();
});

Deno.test("OwnRecord: a retry is due soon, whatever else is written in the process", async () => {
  const { clock, countWrites, record } = setUp();
  await record.join(SIGNAL);
  countWrites.written(clock.nowMs() + 60_000);
  let isDue = false;
  record.whenDue(true, SIGNAL).then(() => isDue = true);
  await clock.advance(499);
  assert.equal(isDue, false);
  await clock.advance(1);
  assert.equal(isDue, true);
});
