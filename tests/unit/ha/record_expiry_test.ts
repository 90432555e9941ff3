/** Tests of what a proxy sees of all records, and of when one has expired. @module */
import assert from "node:assert/strict";
import { isExpired, MOST_READ, RecordExpiry } from "../../../lib/ha/record_expiry.ts";
import { BUSY, EXPIRY_MS, IDLE, leaseOf, nameOf, TARGET, versionOf } from "../../support/ha.ts";

const lease = versionOf(leaseOf("a"), 5);

function seen(): RecordExpiry {
  const records = new RecordExpiry();
  records.target = TARGET;
  return records;
}

/** Reads the same list every 10 s, until `untilMs`. */
function read(records: RecordExpiry, fromMs: number, untilMs: number, stepMs = 10_000): void {
  for (let ms = fromMs; ms <= untilMs; ms += stepMs) records.listed([lease], ms, ms);
}

const expired = (records: RecordExpiry) => records.all.map(isExpired);

Deno.test("RecordExpiry: a record expires when it has not changed for its duration while the API was read", () => {
  const records = seen();
  read(records, 0, EXPIRY_MS - 10_000);
  assert.deepEqual(expired(records), [false]);
  read(records, EXPIRY_MS, EXPIRY_MS);
  assert.deepEqual(expired(records), [true]);
});

Deno.test("RecordExpiry: time in which the API was not read does not count", () => {
  const records = seen();
  read(records, 0, EXPIRY_MS - 10_000);
  // Cut off for an hour; and each read after that is too far from the one before.
  read(records, 3_600_000, 3_600_000 + 10 * EXPIRY_MS, 21_000);
  assert.deepEqual(expired(records), [false]);
  const last = 3_600_000 + 10 * EXPIRY_MS;
  read(records, last, last + 30_000);
  assert.deepEqual(expired(records), [true]);
});

Deno.test("RecordExpiry: an outage shorter than a record's own duration does not count either", () => {
  const records = seen();
  const short = versionOf(leaseOf("a", IDLE, { expiryMs: 12_000 }), 5);
  for (const ms of [0, 1_200, 2_400]) records.listed([short], ms, ms);
  // Nobody could reach the API for 17 s: its proxy could not renew it either.
  records.listed([short], 19_400, 19_400);
  assert.deepEqual(expired(records), [false]);
  for (let ms = 20_600; ms < 29_000; ms += 1_200) records.listed([short], ms, ms);
  assert.deepEqual(expired(records), [false]);
  records.listed([short], 29_000, 29_000);
  assert.deepEqual(expired(records), [true], "1.2 s twice before, and 8 times since");
});

Deno.test("RecordExpiry: what a read adds to the time without a change", () => {
  const cases: readonly (readonly [
    what: string,
    reads: readonly (number | readonly [askedMs: number, answeredMs: number])[],
    unchangedMs: number,
    expiryMs?: number,
  ])[] = [
    ["the first read", [5_000], 0],
    ["the longest gap", [0, 20_000], 20_000],
    ["a gap that is too long", [0, 20_001], 0],
    ["only the good gaps around one", [0, 10_000, 40_000, 45_000], 15_000],
    ["a quarter of a short duration", [0, 10_000], 10_000, 40_000],
    ["more than a quarter", [0, 10_001], 0, 40_000],
    ["not the time that the first answer took", [[0, 4_000], 10_000], 6_000],
    ["nor that of a later one", [0, [10_000, 19_000]], 10_000],
    ["an answer after the next question", [[0, 15_000], 10_000], 0],
  ];
  for (const [what, reads, unchangedMs, expiryMs = EXPIRY_MS] of cases) {
    const records = seen();
    const listed = versionOf(leaseOf("a", IDLE, { expiryMs }), 5);
    for (const read of reads) {
      const [askedMs, answeredMs] = typeof read === "number" ? [read, read] : read;
      records.listed([listed], askedMs, answeredMs);
    }
    assert.equal(records.all[0]?.unchangedMs, unchangedMs, what);
  }
});

Deno.test("RecordExpiry: time before a record was seen for the first time does not count for it", () => {
  const records = seen();
  records.listed([], 0, 0);
  records.changed({ type: "set", object: lease }, 3_000);
  records.listed([lease], 10_000, 10_000);
  assert.deepEqual(records.all.map(({ seenMs, unchangedMs }) => [seenMs, unchangedMs]), [[3_000, 7_000]]);
});

Deno.test("RecordExpiry: a list that has another version than the one that is known says nothing of its time", () => {
  const records = seen();
  records.listed([lease], 0, 0);
  records.changed({ type: "set", object: versionOf(leaseOf("a"), 6) }, 1);
  records.listed([lease], 10_000, 10_000);
  assert.equal(records.all[0]?.unchangedMs, 0);
});

Deno.test("RecordExpiry.forget() forgets all, and takes older versions for news", () => {
  const records = seen();
  records.listed([lease], 0, 0);
  records.forget();
  assert.equal(records.all.length, 0);
  records.listed([versionOf(leaseOf("a", BUSY), 2)], 1, 1);
  assert.deepEqual(records.all[0]?.body, BUSY);
});

Deno.test("RecordExpiry: before the target is known nothing is taken in, and a list that a watch begins with replaces all", () => {
  const early = new RecordExpiry();
  early.listed([lease], 0, 0);
  assert.deepEqual(early.all, []);
  const records = seen();
  records.changed({ type: "list", items: [lease, versionOf(leaseOf("b"), 6)] }, 0);
  records.changed({ type: "list", items: [versionOf(leaseOf("b"), 6), versionOf(leaseOf("c"), 7)] }, 1);
  assert.deepEqual(records.all.map(({ identity }) => identity), ["b", "c"]);
});

Deno.test("RecordExpiry: any change begins its time anew, by a watch or by a list", () => {
  const records = seen();
  read(records, 0, EXPIRY_MS - 10_000);
  records.changed({ type: "set", object: versionOf(leaseOf("a"), 6) }, EXPIRY_MS - 5_000);
  records.listed([versionOf(leaseOf("a"), 6)], EXPIRY_MS, EXPIRY_MS);
  assert.deepEqual(expired(records), [false]);
  records.listed([versionOf(leaseOf("a"), 7)], EXPIRY_MS + 10_000, EXPIRY_MS + 10_000);
  assert.equal(records.all[0]?.unchangedMs, 0);
});

Deno.test("RecordExpiry: a list counts for the time before it was asked for, not for how long its answer took", () => {
  const records = seen();
  read(records, 0, EXPIRY_MS - 10_000);
  // The record may have been renewed right after the list was made.
  records.listed([lease], EXPIRY_MS - 5_000, EXPIRY_MS + 4_000);
  assert.deepEqual(expired(records), [false]);
  records.listed([lease], EXPIRY_MS + 5_000, EXPIRY_MS + 6_000);
  assert.deepEqual(expired(records), [true]);
});

Deno.test("RecordExpiry: the initial list of a watch says nothing about the time before it", () => {
  const records = seen();
  read(records, 0, EXPIRY_MS - 10_000);
  records.changed({ type: "list", items: [lease] }, EXPIRY_MS);
  assert.deepEqual(expired(records), [false]);
});

Deno.test("RecordExpiry: an older version of a record, from a slow list or a stale watch, changes nothing", () => {
  const records = seen();
  records.changed({ type: "set", object: versionOf(leaseOf("a", BUSY), 10) }, 0);
  records.listed([versionOf(leaseOf("a", IDLE), 9)], 1_000, 1_000);
  assert.deepEqual(records.all[0]?.body, BUSY);
  records.changed({ type: "set", object: versionOf(leaseOf("a", IDLE), 8) }, 2_000);
  assert.deepEqual(records.all[0]?.body, BUSY);
});

Deno.test("RecordExpiry: a record that is deleted is forgotten, whichever way that is seen", () => {
  const records = seen();
  records.changed({ type: "set", object: lease }, 0);
  records.changed({ type: "gone", object: versionOf(leaseOf("a"), 6) }, 1);
  assert.deepEqual(records.all, []);
  records.changed({ type: "set", object: versionOf(leaseOf("a"), 7, "uid-2") }, 2);
  records.listed([], 3, 3);
  assert.deepEqual(records.all, []);
});

Deno.test("RecordExpiry: a late deletion event of an earlier record does not remove the new record of the same name", () => {
  const records = seen();
  records.listed([versionOf(leaseOf("a"), 9, "uid-2")], 0, 0);
  records.changed({ type: "gone", object: versionOf(leaseOf("a"), 8) }, 1);
  assert.equal(records.all.length, 1);
});

Deno.test("RecordExpiry: a list from before a record was deleted does not bring it back, and one made anew counts", () => {
  const records = seen();
  records.listed([lease], 0, 0);
  records.changed({ type: "gone", object: versionOf(leaseOf("a"), 6) }, 2_000);
  records.listed([lease], 1_000, 3_000);
  assert.deepEqual(records.all, []);
  records.changed({ type: "gone", object: versionOf(leaseOf("b"), 7) }, 302_000);
  records.listed([lease], 1_000, 302_000);
  assert.deepEqual(records.all, [], "that is remembered for 5 min");
  records.listed([versionOf(leaseOf("a"), 8)], 303_000, 303_000);
  assert.equal(records.all.length, 1);
});

Deno.test("RecordExpiry forgets what was deleted when the resourceVersions regress, and in time", () => {
  for (const forget of [true, false]) {
    const records = seen();
    records.changed({ type: "gone", object: versionOf(leaseOf("a"), 6) }, 0);
    if (forget) records.forget();
    else records.changed({ type: "gone", object: versionOf(leaseOf("b"), 7) }, 300_001);
    records.listed([lease], 300_002, 300_002);
    assert.equal(records.all.length, 1);
  }
});

Deno.test("RecordExpiry: a list that was asked for before a record was seen does not hide it", () => {
  const records = seen();
  records.changed({ type: "set", object: lease }, 1_000);
  records.listed([], 500, 2_000);
  assert.equal(records.all.length, 1);
  records.listed([], 2_500, 2_600);
  assert.equal(records.all.length, 0);
});

Deno.test("RecordExpiry: with another StatefulSet of the same name all is forgotten", () => {
  const records = seen();
  records.listed([lease], 0, 0);
  records.target = TARGET;
  assert.equal(records.all.length, 1);
  records.target = { ...TARGET, uid: "sts-2" };
  assert.equal(records.all.length, 0);
  records.listed([lease], 1, 1);
  assert.equal(records.all.length, 0, "its label says that it belongs to the other one");
});

Deno.test("RecordExpiry: a record made anew under the same name is another one", () => {
  const records = seen();
  read(records, 0, EXPIRY_MS);
  records.listed([versionOf(leaseOf("a", BUSY), 9, "uid-2")], EXPIRY_MS + 1, EXPIRY_MS + 1);
  assert.deepEqual(expired(records), [false]);
  assert.equal(records.all[0]?.lease.metadata?.uid, "uid-2");
});

Deno.test("RecordExpiry: a list that was asked for before another one makes no time count twice", () => {
  const records = seen();
  records.listed([lease], 0, 0);
  records.listed([lease], 60_000, 60_000);
  assert.equal(records.all[0]?.unchangedMs, 0, "nothing is known of this minute");
  records.listed([lease], 55_000, 61_000);
  records.listed([lease], 65_000, 65_000);
  assert.equal(records.all[0]?.unchangedMs, 5_000);
});

Deno.test("RecordExpiry reads no more than MOST_READ records: those that it has read stay read, others take their places", () => {
  const records = seen();
  const of = (name: string, version: number, body = IDLE) => versionOf(leaseOf(name, body), version);
  const read = () => records.all.filter(({ body }) => body !== undefined).map(({ identity }) => identity);
  for (let i = 0; i < MOST_READ + 2; i++) records.changed({ type: "set", object: of(`p${i}`, i + 1) }, 0);
  assert.deepEqual([records.all.length, read().length], [MOST_READ + 2, MOST_READ]);
  assert.ok(!read().includes(`p${MOST_READ}`) && !read().includes(`p${MOST_READ + 1}`));
  records.changed({ type: "set", object: of("p0", 1_000, BUSY) }, 0);
  records.changed({ type: "set", object: of(`p${MOST_READ}`, 1_001, BUSY) }, 0);
  assert.deepEqual(records.named(nameOf("p0"))!.body, BUSY);
  assert.equal(records.named(nameOf(`p${MOST_READ}`))!.body, undefined);
  for (const gone of ["p1", "p2", "p3"]) records.changed({ type: "gone", object: of(gone, 2_000) }, 0);
  records.changed({ type: "set", object: of(`p${MOST_READ}`, 2_001, BUSY) }, 0);
  assert.deepEqual(records.named(nameOf(`p${MOST_READ}`))!.body, BUSY);
});
