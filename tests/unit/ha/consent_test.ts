/** Tests of the agreement: what a leader takes for consent, and what a proxy gives it for. @module */
import assert from "node:assert/strict";
import { Listeners } from "../../../lib/base/listeners.ts";
import { Consent } from "../../../lib/ha/consent.ts";
import { parseRecord, type RecordBody } from "../../../lib/ha/record.ts";
import type { SeenRecord } from "../../../lib/ha/record_expiry.ts";
import type { MemberState } from "../../../lib/ha/standing.ts";
import { Statement } from "../../../lib/ha/statement.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { BUSY, EXPIRY_MS, IDLE, leaseOf, readyPod, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { soleProxy } from "../../../lib/scaler/sole_proxy.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;
const WANTED = { below: 0, version: "100" };

function setUp() {
  const clock = new VirtualClock();
  const placement = new Placement(clock, ONE_POD, "pod");
  placement.see({ replicas: 1, version: "100" });
  readyPod(placement);
  const state = {
    others: new Map<string, SeenRecord>(),
    answers: true,
    standing: "joined" as MemberState,
    writes: 0,
    lists: 0,
    published: 0,
    write: () => Promise.resolve(),
  };
  const heard = new Listeners();
  const regressed = new Listeners();
  const records = {
    get all() {
      return [...state.others.values()];
    },
    get others() {
      return this.all;
    },
    inherited: { lastUsedMs: new Map(), lastNeededMs: -Infinity },
    use: soleProxy(placement, 0).use(),
    list() {
      state.lists++;
      return Promise.resolve(this.all);
    },
    subscribe: (listener: () => void) => heard.add(listener),
  };
  const standing = {
    get state() {
      return state.standing;
    },
    get mayPromise() {
      return state.answers;
    },
    observes: false,
  };
  const statement = new Statement({ clock, placement, records, standing });
  const consent = new Consent(EXPIRY_MS, {
    clock,
    log: recordingLog(),
    placement,
    identity: "me",
    records,
    record: {
      write() {
        state.writes++;
        return state.write();
      },
      publish: () => void state.published++,
    },
    statement,
    standing,
    count: { onRegressed: (listener) => regressed.add(listener) },
  });
  /** Another proxy's record is heard of. */
  const hear = (identity: string, body: RecordBody | undefined, unchangedMs = 0) => {
    const record = parseRecord(leaseOf(identity, body ?? IDLE), TARGET)!;
    state.others.set(identity, {
      ...record,
      body: body === undefined ? undefined : record.body,
      seenMs: clock.nowMs(),
      unchangedMs,
    });
    heard.tell();
  };
  const lose = (identity: string) => {
    state.others.delete(identity);
    heard.tell();
  };
  /** Asks for consent; `outcome` is what came of it so far. */
  const ask = (wanted = WANTED) => {
    const asked: { outcome: boolean | undefined | Error } = { outcome: undefined };
    consent.obtain(wanted, SIGNAL).then((given) => asked.outcome = given, (error) => asked.outcome = error);
    return asked;
  };
  return { clock, placement, state, statement, heard, regressed, hear, lose, ask };
}

const answered = (generation: number): RecordBody => ({ ...IDLE, answers: { me: generation } });
const announces = (generation: number, below = 0, version = "100"): RecordBody => ({
  ...IDLE,
  announcement: { generation, below, version },
});

Deno.test("Consent.obtain() without other proxies promises and announces nothing", async () => {
  const { clock, placement, state, ask } = setUp();
  const asked = ask();
  await clock.advance(0);
  assert.equal(asked.outcome, true);
  assert.equal(state.writes, 0);
  assert.deepEqual(placement.agreement.promises, [WANTED]);
  assert.equal(arrive(placement, 1), undefined, "it binds this proxy, too");
});

Deno.test("Consent.obtain(): this proxy's own sessions count", async () => {
  for (const needs of [true, false]) {
    const { clock, placement, state, ask } = setUp();
    arrive(placement, 1, needs);
    const asked = ask();
    await clock.advance(0);
    assert.equal(asked.outcome, false);
    assert.deepEqual(placement.agreement.promises, []);
    assert.equal(state.writes, 0);
  }
});

Deno.test("Consent.obtain(): all others must answer, to this very generation, before the write", async () => {
  const { clock, statement, state, hear, ask } = setUp();
  hear("a", answered(0));
  hear("b", IDLE);
  const asked = ask();
  await clock.advance(0);
  assert.deepEqual(statement.announcement, { generation: 1, ...WANTED });
  assert.equal(state.writes, 1);
  hear("a", answered(1));
  await clock.advance(1_000);
  assert.equal(asked.outcome, undefined);
  hear("b", answered(1));
  await clock.advance(0);
  assert.equal(asked.outcome, true);
  assert.equal(statement.announcement, null);
});

Deno.test("Consent.obtain(): an answer to an earlier generation is none, also after a failed attempt on the same version", async () => {
  const { clock, hear, ask } = setUp();
  hear("a", IDLE);
  hear("b", IDLE);
  const first = ask();
  await clock.advance(0);
  hear("a", answered(1));
  await clock.advance(11_000);
  assert.equal(first.outcome, false);
  const second = ask();
  await clock.advance(0);
  hear("b", answered(2));
  await clock.advance(1_000);
  assert.equal(second.outcome, undefined, "a has answered the first only");
  hear("a", answered(2));
  await clock.advance(0);
  assert.equal(second.outcome, true);
});

Deno.test("Consent.obtain() fails if a proxy does not answer", async () => {
  const { clock, placement, statement, hear, ask } = setUp();
  hear("a", IDLE);
  const asked = ask();
  await clock.advance(60_000);
  assert.equal(asked.outcome, false);
  assert.equal(statement.announcement, null);
  assert.deepEqual(placement.agreement.promises, [WANTED], "the promise binds all the same");
  assert.equal(clock.pending, 0);
});

Deno.test("Consent.obtain(): an announcement that cannot be written is no consent, and is withdrawn", async () => {
  const { clock, statement, state, hear, ask } = setUp();
  hear("a", answered(1));
  state.write = () => Promise.reject(new Error("no answer"));
  const asked = ask();
  await clock.advance(0);
  assert.ok(asked.outcome instanceof Error);
  assert.equal(statement.announcement, null);
});

Deno.test("Consent.obtain(): an objection ends the attempt at once", async () => {
  for (const body of [BUSY, { ...IDLE, needing: 1 }]) {
    const { clock, hear, ask } = setUp();
    hear("a", IDLE);
    const asked = ask();
    await clock.advance(0);
    hear("a", body);
    await clock.advance(0);
    assert.equal(asked.outcome, false);
  }
});

Deno.test("Consent.obtain() promises nothing beside an observer, which never answers", async () => {
  const { clock, placement, state, hear, ask } = setUp();
  hear("a", { ...IDLE, observes: true });
  const asked = ask();
  await clock.advance(0);
  assert.equal(asked.outcome, false);
  assert.deepEqual([placement.agreement.promises, state.writes], [[], 0]);
  assert.ok(arrive(placement, 1) !== undefined, "no client has to wait for the end of a promise");
});

Deno.test("Consent.obtain() gives up after 10 s, and lists the records every 2 s until then", async () => {
  const { clock, state, hear, ask } = setUp();
  hear("a", IDLE);
  const asked = ask();
  await clock.advance(0);
  for (let lists = 1; lists <= 5; lists++) {
    assert.equal(state.lists, lists);
    await clock.advance(1_999);
    assert.equal(state.lists, lists);
    assert.equal(asked.outcome, undefined);
    await clock.advance(1);
  }
  assert.equal(asked.outcome, false);
  assert.equal(state.lists, 5);
  assert.equal(state.writes, 1);
});

Deno.test("Consent.obtain() withdraws its announcement with one more write at the end", async () => {
  for (const body of [answered(1), BUSY]) {
    const { clock, state, hear, ask } = setUp();
    hear("a", IDLE);
    const asked = ask();
    await clock.advance(0);
    assert.equal(state.published, 0);
    hear("a", body);
    await clock.advance(0);
    assert.equal(asked.outcome, body !== BUSY);
    assert.equal(state.published, 1);
  }
});

Deno.test("Consent.obtain() that ends withdraws its own announcement only, not a later one", async () => {
  const { clock, statement, hear, ask } = setUp();
  hear("a", IDLE);
  const first = ask();
  await clock.advance(1_000);
  const second = ask({ below: 0, version: "101" });
  await clock.advance(0);
  assert.equal(statement.announcement?.generation, 2);
  await clock.advance(9_000);
  assert.equal(first.outcome, false);
  assert.deepEqual(statement.announcement, { generation: 2, below: 0, version: "101" });
  await clock.advance(1_000);
  assert.equal(second.outcome, false);
  assert.equal(statement.announcement, null);
});

Deno.test("Consent.obtain(): a record that cannot be read neither answers nor goes away", async () => {
  const { clock, hear, ask } = setUp();
  hear("a", undefined);
  const asked = ask();
  await clock.advance(30_000);
  assert.equal(asked.outcome, false);
});

Deno.test("Consent.obtain() asks no proxy whose record has expired, and stops waiting for one that goes or expires", async () => {
  const { clock, state, hear, lose, ask } = setUp();
  hear("dead", BUSY, EXPIRY_MS);
  hear("leaves", IDLE);
  hear("dies", IDLE);
  const asked = ask();
  await clock.advance(0);
  lose("leaves");
  hear("dies", IDLE, EXPIRY_MS);
  await clock.advance(0);
  assert.equal(asked.outcome, undefined, "only a consistent list says so");
  const { lists } = state;
  await clock.advance(2_100);
  assert.ok(state.lists > lists);
  assert.equal(asked.outcome, true);
});

Deno.test("Consent.obtain() does not wait for proxies that join after the list: they made their own promise", async () => {
  const { clock, hear, ask } = setUp();
  hear("a", IDLE);
  const asked = ask();
  await clock.advance(0);
  hear("late", IDLE);
  hear("a", answered(1));
  await clock.advance(0);
  assert.equal(asked.outcome, true);
});

Deno.test("Consent: promises before it answers", () => {
  const { placement, statement, state, hear } = setUp();
  hear("leader", announces(7));
  assert.deepEqual(placement.agreement.promises.map(({ below, version }) => ({ below, version })), [WANTED]);
  assert.deepEqual(statement.answers, { leader: 7 });
  assert.equal(state.published, 1);
  assert.equal(arrive(placement, 1), undefined);
  hear("leader", announces(7));
  assert.equal(state.published, 1, "once");
});

Deno.test("Consent: no answer while a session is there, dialling ones included, or a held one needs it; it says so once", () => {
  for (const needs of [true, false]) {
    const { placement, statement, state, hear } = setUp();
    arrive(placement, 1, needs);
    hear("leader", announces(1));
    hear("leader", announces(1));
    assert.deepEqual(statement.answers, {});
    assert.deepEqual(placement.agreement.promises, []);
    assert.equal(state.published, 1);
    placement.end(1);
    hear("leader", announces(1));
    assert.deepEqual(statement.answers, { leader: 1 });
  }
  const { placement, statement, hear } = setUp();
  placement.pods.set([]);
  arrive(placement, 1);
  hear("leader", announces(1));
  assert.deepEqual(statement.answers, {});
});

Deno.test("Consent: no answer by a proxy that has not joined, or has lapsed", () => {
  const { placement, statement, state, heard, hear } = setUp();
  state.answers = false;
  hear("leader", announces(1));
  assert.deepEqual([statement.answers, placement.agreement.promises], [{}, []]);
  state.answers = true;
  heard.tell();
  assert.deepEqual(statement.answers, { leader: 1 });
});

Deno.test("Consent: a promise outlives the announcement, its withdrawal and its leader; later ones replace none", () => {
  const { placement, hear, lose } = setUp();
  hear("leader", announces(1, 0));
  hear("leader", IDLE);
  assert.equal(arrive(placement, 1), undefined);
  placement.end(1);
  hear("leader", announces(2, 1));
  lose("leader");
  assert.equal(arrive(placement, 2), undefined);
  placement.see({ replicas: 1, version: "101" }, "watch");
  assert.ok(arrive(placement, 3) !== undefined, "until a newer version is seen");
});

Deno.test("Consent: a promise on a version that is old already binds nothing, and is an answer all the same", () => {
  const { placement, statement, hear } = setUp();
  placement.see({ replicas: 1, version: "105" }, "watch");
  hear("leader", announces(1, 0, "100"));
  assert.deepEqual(statement.answers, { leader: 1 });
  assert.ok(arrive(placement, 1) !== undefined);
});

Deno.test("Consent: two leaders at once are answered each by its own generation", () => {
  const { statement, hear, lose } = setUp();
  hear("x", announces(3));
  hear("y", announces(9));
  assert.deepEqual(statement.answers, { x: 3, y: 9 });
  lose("x");
  assert.deepEqual(statement.answers, { y: 9 });
});

Deno.test("Consent remembers nothing of a leader that is gone, whether it was answered or objected to", () => {
  const { placement, state, hear, lose } = setUp();
  arrive(placement, 1);
  hear("leader", announces(1));
  lose("leader");
  hear("leader", announces(1));
  assert.equal(state.published, 2);
});

Deno.test("Consent.obtain() of a proxy that is alone is its own promise, whatever records there are", async () => {
  const { clock, placement, state, hear, ask } = setUp();
  hear("a", IDLE);
  state.standing = "alone";
  const asked = ask();
  await clock.advance(0);
  assert.deepEqual([asked.outcome, state.lists], [true, 0]);
  assert.deepEqual(placement.agreement.promises, [WANTED]);
});

Deno.test("Consent.obtain() is refused for one expiry after the resourceVersions have regressed", async () => {
  const { clock, placement, state, regressed, ask } = setUp();
  regressed.tell();
  await clock.advance(EXPIRY_MS - 1);
  const early = ask();
  await clock.advance(0);
  assert.deepEqual([early.outcome, state.lists, placement.agreement.promises], [false, 0, []]);
  await clock.advance(1);
  const asked = ask();
  await clock.advance(0);
  assert.equal(asked.outcome, true);
});
