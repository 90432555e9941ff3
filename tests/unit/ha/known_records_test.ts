/** Tests of all proxies' records as one proxy keeps them: watched, listed, and deleted where their proxies are dead. @module */
import assert from "node:assert/strict";
import { ApiServer } from "../../../lib/miniature/api_server.ts";
import { MemoryHttp } from "../../../lib/miniature/memory_http.ts";
import { LEASES } from "../../../lib/miniature/objects.ts";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { deleteDeadRecords } from "../../../lib/ha/dead_records.ts";
import { KnownRecords, watchRecords } from "../../../lib/ha/known_records.ts";
import { MOST_READ } from "../../../lib/ha/record_expiry.ts";
import { RecordLists } from "../../../lib/ha/record_lists.ts";
import { hasAnswered, mustAnswer, objects } from "../../../lib/ha/votes.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { FakeLeases } from "../../support/fake_leases.ts";
import { BUSY, EXPIRY_MS, IDLE, leaseOf, nameOf, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

function setUp(recordExpiryMs = EXPIRY_MS) {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const api = new ApiServer({ clock });
  const log = recordingLog();
  const metrics = countedMetrics(() => {});
  const controller = new AbortController();
  const { signal } = controller;
  /** What was told, in order: "changed", or who is gone. */
  const told: string[] = [];
  let regress = () => {};
  const client = testClient(new MemoryHttp(api, clock, "me"), { clock, log, metrics });
  const watch = watchRecords(TARGET.namespace, [TARGET.name], {
    client,
    clock,
    random: () => 0.5,
    log,
    metrics,
  });
  watch.run(signal).catch(() => {});
  const known = new KnownRecords({
    clock,
    log,
    metrics,
    watch,
    lists: new RecordLists([TARGET.name], { clock, leases }),
    leases,
    identity: "me",
    count: { onRegressed: (listener) => void (regress = listener) },
  });
  known.subscribe(() => void told.push(`changed: ${known.all.map(({ identity }) => identity)}`));
  known.onGone((lease) => void told.push(`gone: ${lease.spec?.holderIdentity}`));
  known.target = TARGET;
  const state = { leads: true };
  const collect = () => {
    const ended: { reason: unknown } = { reason: undefined };
    const ports = { clock, log, leases, records: known, lead: state, identity: "me" };
    deleteDeadRecords(recordExpiryMs, ports, signal).catch((error) => ended.reason = error);
    return ended;
  };
  const count = (request: string) => leases.requests.filter((each) => each === request).length;
  const end = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return {
    clock,
    leases,
    registry: api.registry,
    log,
    metrics,
    known,
    told,
    regress: () => regress(),
    state,
    collect,
    count,
    signal,
    end,
  };
}

const names = (records: readonly { readonly identity: string }[]) => records.map(({ identity }) => identity);

Deno.test("KnownRecords.list() returns all records of the target, and `others` those of other proxies that are alive", async () => {
  const { leases, known, metrics, told, signal } = setUp();
  for (const identity of ["me", "a", "b"]) leases.put(leaseOf(identity, BUSY));
  leases.put(leaseOf("old", BUSY, { target: { ...TARGET, uid: "sts-0" } }));
  assert.deepEqual(names(await known.list(signal)), ["me", "a", "b"]);
  assert.deepEqual(names(known.all), ["me", "a", "b"]);
  assert.deepEqual(names(known.others), ["a", "b"]);
  assert.equal(known.use.highestBusy, 0);
  assert.equal(metrics.value("proxies_alive"), 3);
  assert.deepEqual(told, ["changed: me,a,b"]);
});

Deno.test("KnownRecords tells once that this proxy's own record is gone from a list, before it tells of the change", async () => {
  const { leases, known, told, signal } = setUp();
  leases.put(leaseOf("a"));
  await known.list(signal);
  assert.deepEqual(told, ["changed: a"], "there was none yet");
  leases.put(leaseOf("me"));
  await known.list(signal);
  leases.drop(nameOf("a"));
  await known.list(signal);
  leases.drop(nameOf("me"));
  told.length = 0;
  await known.list(signal);
  await known.list(signal);
  assert.deepEqual(told, ["gone: me", "changed: ", "changed: "]);
});

Deno.test("KnownRecords.inherited is what a proxy that has gone had in use", async () => {
  const { clock, leases, known, signal } = setUp();
  leases.put(leaseOf("a", BUSY));
  await known.list(signal);
  assert.deepEqual(known.inherited, { lastUsedMs: new Map(), lastNeededMs: -Infinity });
  await clock.advance(5_000);
  leases.drop(nameOf("a"));
  await known.list(signal);
  assert.deepEqual(known.inherited.lastUsedMs, new Map([[0, clock.nowMs()]]));
  assert.deepEqual(known.others, []);
});

Deno.test("KnownRecords: since when the oldest queued session of the others waits", async () => {
  const { clock, leases, known, signal, end } = setUp();
  assert.equal(known.queuedSinceMs, undefined);
  await clock.advance(9_000);
  leases.put(leaseOf("me", { ...IDLE, queuedMs: 9_000 }));
  leases.put(leaseOf("a", { ...IDLE, queuedMs: 2_000 }));
  leases.put(leaseOf("b", { ...IDLE, queuedMs: 500 }));
  leases.put(leaseOf("c"));
  await known.list(signal);
  const since = clock.nowMs() - 2_000;
  assert.equal(known.queuedSinceMs, since);
  await clock.advance(1_000);
  assert.equal(known.queuedSinceMs, since, "it waits since then, however old the record is");
  leases.put(leaseOf("a"));
  await known.list(signal);
  assert.equal(known.queuedSinceMs, since + 1_500);
  await end();
});

Deno.test("KnownRecords: a proxy that has missed a renewal has nobody queued, long before its record expires", async () => {
  for (const expiryMs of [EXPIRY_MS, 20_000]) {
    const { clock, leases, known, signal, end } = setUp();
    leases.put(leaseOf("dead", { ...IDLE, queuedMs: 0 }, { expiryMs }));
    await known.list(signal);
    // Each record is renewed ten times within its expiry.
    await clock.advance(expiryMs * 0.15);
    assert.equal(known.queuedSinceMs, clock.nowMs() - expiryMs * 0.15);
    await clock.advance(1);
    assert.equal(known.queuedSinceMs, undefined);
    assert.deepEqual(names(known.others), ["dead"]);
    await end();
  }
});

Deno.test("deleteDeadRecords(): a leader deletes the record of a dead proxy when it has expired, and no other", async () => {
  const { clock, leases, known, log, metrics, collect, end } = setUp();
  for (const identity of ["me", "dead", "live"]) leases.put(leaseOf(identity, BUSY));
  collect();
  await known.list(new AbortController().signal);
  for (let ms = 10_000; ms <= EXPIRY_MS - 10_000; ms += 10_000) {
    leases.put(leaseOf("live", BUSY));
    await clock.advance(10_000);
    assert.equal(leases.all.length, 3);
  }
  leases.put(leaseOf("live", BUSY));
  await clock.advance(10_000);
  assert.deepEqual(leases.all.map(({ spec }) => spec?.holderIdentity), ["me", "live"]);
  assert.deepEqual(log.records.map(({ fields }) => fields), [{ proxy: "dead" }]);
  await clock.advance(10_000);
  assert.deepEqual(names(known.others), ["live"]);
  assert.equal(metrics.value("proxies_alive"), 2);
  await end();
});

Deno.test("deleteDeadRecords() reads every 10 s, or ten times within the shortest expiry", async () => {
  const cases = [
    { own: EXPIRY_MS, other: EXPIRY_MS, everyMs: 10_000 },
    { own: EXPIRY_MS, other: 20_000, everyMs: 2_000 },
    { own: 50_000, other: EXPIRY_MS, everyMs: 5_000 },
  ];
  for (const { own, other, everyMs } of cases) {
    const { clock, leases, known, collect, count, signal, end } = setUp(own);
    leases.put(leaseOf("me", IDLE, { expiryMs: own }));
    leases.put(leaseOf("a", IDLE, { expiryMs: other }));
    await known.list(signal);
    const before = count("list");
    collect();
    for (let reads = 1; reads <= 4; reads++) {
      await clock.advance(everyMs - 1);
      assert.equal(count("list") - before, reads - 1);
      await clock.advance(1);
      assert.equal(count("list") - before, reads);
    }
    await end();
  }
});

Deno.test("deleteDeadRecords() reads nothing while this proxy does not lead, or is the only one", async () => {
  const { clock, leases, known, state, collect, count, signal, end } = setUp();
  leases.put(leaseOf("me"));
  await known.list(signal);
  collect();
  await clock.advance(60_000);
  assert.equal(count("list"), 1, "it is the only one");
  leases.put(leaseOf("a"));
  await known.list(signal);
  state.leads = false;
  await clock.advance(60_000);
  assert.equal(count("list"), 2, "it does not lead");
  state.leads = true;
  await clock.advance(60_000);
  assert.equal(count("list"), 8);
  await end();
});

Deno.test("deleteDeadRecords() goes on after a failure, and notes one that is not the work of somebody quicker", async () => {
  for (
    const [verb, fate, isNoted] of [
      ["list", 500, true],
      ["list", "lost", true],
      ["delete", 403, true],
      ["delete", 404, false],
      ["delete", 409, false],
    ] as const
  ) {
    const { clock, leases, known, log, collect, signal, end } = setUp();
    for (const identity of ["me", "dead"]) leases.put(leaseOf(identity));
    await known.list(signal);
    collect();
    await clock.advance(verb === "list" ? 0 : EXPIRY_MS - 10_000);
    leases.fates(verb, fate);
    await clock.advance(10_000);
    assert.equal(log.of("records_cleanup_failed").length, isNoted ? 1 : 0, `${verb} ${fate}`);
    assert.equal(leases.all.length, 2);
    await clock.advance(EXPIRY_MS);
    assert.deepEqual(leases.all.map(({ spec }) => spec?.holderIdentity), ["me"]);
    await end();
  }
});

Deno.test("deleteDeadRecords() ends with its signal in the middle of a read", async () => {
  const { clock, leases, known, log, collect, signal, end } = setUp();
  for (const identity of ["me", "a"]) leases.put(leaseOf(identity));
  await known.list(signal);
  const { promise: asked, reject: fails } = Promise.withResolvers<never>();
  leases.list = () => asked;
  const ended = collect();
  await clock.advance(10_000);
  await end();
  fails(new Error("no answer"));
  await clock.advance(0);
  assert.equal((ended.reason as Error).message, "over");
  assert.deepEqual(log.records, []);
});

Deno.test("KnownRecords.watch() follows the records of the target, and tells of each one that is gone", async () => {
  const { clock, registry, known, told, regress, signal, end } = setUp();
  const put = (identity: string, options: Parameters<typeof leaseOf>[2] = {}) => {
    const { metadata, spec } = leaseOf(identity, BUSY, options);
    const { ownerReferences: _, ...rest } = metadata!;
    registry.create(LEASES, TARGET.namespace, { metadata: rest, spec }, { manager: "test" });
  };
  put("a");
  const running = known.watch(signal).catch(() => {});
  await clock.advance(0);
  assert.deepEqual(names(known.all), ["a"]);
  put("b");
  put("elsewhere", { target: { ...TARGET, name: "other" } });
  await clock.advance(0);
  assert.deepEqual(names(known.all), ["a", "b"]);
  told.length = 0;
  registry.delete(LEASES, TARGET.namespace, nameOf("b"), {});
  await clock.advance(0);
  assert.deepEqual([told, names(known.all)], [["gone: b"], ["a"]]);
  await clock.advance(100);
  assert.deepEqual(told, ["gone: b", "changed: a"]);
  regress();
  assert.deepEqual(known.all, [], "what was seen is forgotten");
  await clock.advance(0);
  assert.deepEqual(names(known.all), ["a"], "and listed anew at once");
  await end();
  await running;
});

Deno.test("KnownRecords.watch() tells of the first change at once, and of more within 100 ms together", async () => {
  const { clock, registry, known, told, signal, end } = setUp();
  const running = known.watch(signal).catch(() => {});
  await clock.advance(1_000);
  const put = (identity: string) => {
    const { metadata, spec } = leaseOf(identity);
    const { ownerReferences: _, ...rest } = metadata!;
    registry.create(LEASES, TARGET.namespace, { metadata: rest, spec }, { manager: "test" });
  };
  const steps = async (ms: number) => {
    told.length = 0;
    for (let at = 0; at < ms; at += 10) {
      put(`${at}-of-${ms}`);
      await clock.advance(10);
    }
    return told.length;
  };
  assert.equal(await steps(10), 1);
  assert.equal(known.all.length, 1);
  await clock.advance(1_000);
  assert.equal(await steps(1_000), 11, "of 100 changes in a second");
  assert.equal(known.all.length, 101);
  assert.equal(known.all, known.all, "nothing is copied for who looks");
  await clock.advance(1_000);
  assert.equal(await steps(20), 1);
  await known.list(signal);
  assert.equal(told.length, 2, "a list is taken up at once");
  await end();
  await running;
});

Deno.test("KnownRecords counts what it does not read as busy everywhere, and says that there are too many", async () => {
  const { leases, known, log, signal } = setUp();
  leases.put(leaseOf("me"));
  for (let i = 1; i < MOST_READ; i++) leases.put(leaseOf(`p${i}`));
  await known.list(signal);
  assert.deepEqual([known.use.highestBusy, log.records], [-1, []]);
  for (let i = 0; i < 3; i++) leases.put(leaseOf(`forged-${i}`));
  for (let i = 0; i < 2; i++) await known.list(signal);
  assert.deepEqual([known.others.length, known.use.highestBusy], [MOST_READ + 2, Infinity]);
  const unread = mustAnswer(known.all, "me").filter((record) => record.body === undefined);
  assert.deepEqual(names(unread), ["forged-0", "forged-1", "forged-2"]);
  assert.ok(unread.every((record) => !hasAnswered(record, "me", 1) && !objects(record, 0)));
  assert.deepEqual(log.records.map(({ level, code }) => [level, code]), [["warn", "records_not_read"]]);
  for (let i = 0; i < 3; i++) await leases.remove(await leases.get(nameOf(`forged-${i}`), signal), signal);
  await known.list(signal);
  assert.equal(known.use.highestBusy, -1);
  assert.equal(log.records[1]!.code, "records_not_read_recovered");
});

Deno.test("KnownRecords only forgets when the resourceVersions regress before the first watch", async () => {
  const { leases, known, regress, signal } = setUp();
  leases.put(leaseOf("a"));
  await known.list(signal);
  regress();
  assert.deepEqual(known.all, []);
});

Deno.test("KnownRecords.listLately() takes over its own records of a list that serves several targets", async () => {
  const { clock, leases, count, signal } = setUp();
  const lists = new RecordLists([TARGET.name, "b2"], { clock, leases: listing(leases) });
  const [first, second] = [TARGET, { ...TARGET, name: "b2", uid: "sts-2" }].map((target) => {
    const known = new KnownRecords({
      clock,
      log: recordingLog(),
      metrics: noMetrics,
      watch: {} as never,
      lists,
      leases,
      identity: "me",
      count: { onRegressed: () => {} },
    });
    known.target = target;
    leases.put(leaseOf("a", BUSY, { target }));
    return known;
  });
  assert.deepEqual(names(await first!.listLately(5_000, signal)), ["a"]);
  await clock.advance(5_000);
  assert.deepEqual((await second!.listLately(5_000, signal)).map(({ lease }) => lease.metadata?.name), [
    "b2-proxy-a",
  ]);
  assert.equal(count("list"), 1);
  leases.put(leaseOf("b"));
  await clock.advance(1);
  assert.deepEqual(names(await first!.listLately(5_000, signal)), ["a", "b"]);
  assert.equal(count("list"), 2);
  leases.fates("list", 500);
  await clock.advance(6_000);
  await assert.rejects(second!.listLately(5_000, signal), { status: 500 });
  assert.equal((await second!.listLately(5_000, signal)).length, 1, "a failed list serves nobody");
});

/** Leases of which a list by any selector says all. */
function listing(leases: FakeLeases): Pick<FakeLeases, "list"> {
  return { list: (_selector, signal) => leases.list("", signal) };
}
