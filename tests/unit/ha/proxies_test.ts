/** Tests of a proxy among others: who leads, who is alive, whose word it takes. On the miniature API server. @module */
import assert from "node:assert/strict";
import { ApiServer } from "../../../lib/miniature/api_server.ts";
import { MemoryHttp } from "../../../lib/miniature/memory_http.ts";
import { LEASES, STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { randomName } from "../../../lib/base/random.ts";
import { CountWrites } from "../../../lib/ha/count_writes.ts";
import { Election } from "../../../lib/ha/election.ts";
import { watchRecords } from "../../../lib/ha/known_records.ts";
import { Proxies } from "../../../lib/ha/proxies.ts";
import { parseRecord, type RecordTarget } from "../../../lib/ha/record.ts";
import { RIGHTS_PATIENCE_MS } from "../../../lib/ha/alone.ts";
import { RecordLists } from "../../../lib/ha/record_lists.ts";
import { Standing } from "../../../lib/ha/standing.ts";
import type { Cluster } from "../../../lib/kube/cluster.ts";
import { leaseApi } from "../../../lib/kube/leases.ts";
import { statefulSetScale } from "../../../lib/kube/scale.ts";
import type { Lease } from "../../../lib/kube/types.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../../lib/scaler/replica_count.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { EXPIRY_MS, letPodsLive, readyPod } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const NAMESPACE = "n";
const NAME = "buildkitd";
const LEASE_MS = 15_000;
const SIGNAL = new AbortController().signal;

/** A StatefulSet with one replica, and proxies that a test starts. */
function stage() {
  const clock = new VirtualClock();
  const api = new ApiServer({ clock });
  const { registry } = api;
  const statefulSet = () =>
    registry.create(STATEFULSETS, NAMESPACE, {
      metadata: { name: NAME },
      spec: {
        replicas: 1,
        serviceName: "h",
        selector: { matchLabels: { app: "b" } },
        template: { metadata: { labels: { app: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
      },
    }, { manager: "test" });
  let target = { namespace: NAMESPACE, name: NAME, uid: statefulSet().metadata.uid };
  const proxies: { stop(): Promise<void> }[] = [];

  /** One that does not run yet. */
  const make = (name: string, options: Pick<Cluster, "podUid" | "tokenTimes"> = {}) => {
    const http = new MemoryHttp(api, clock, name);
    const metrics = countedMetrics(() => {});
    const log = recordingLog();
    const client = testClient(http, { clock, log, metrics }, {
      ...options,
      authenticate: () => Promise.resolve({ authorization: `Bearer ${name}` }),
    });
    const standing = new Standing(clock, { recordExpiryMs: EXPIRY_MS, whenCutOff: "serve" });
    const placement = new Placement(clock, ONE_POD, "pod", standing);
    placement.see({ replicas: 1, version: "1" });
    readyPod(placement);
    const scale = statefulSetScale(client, NAMESPACE, NAME);
    const identity = randomName(seededRandom(name.charCodeAt(0)).next, 12);
    const count = new ReplicaCount({ scale, placement, log, metrics, identity });
    const claimPresent = count.claimPresent.bind(count);
    count.claimPresent = async (signal) => {
      await claimPresent(signal);
      letPodsLive(placement);
    };
    const leases = leaseApi(client, NAMESPACE);
    const ports = { clock, random: seededRandom(name.charCodeAt(0)).next, log, metrics, client };
    const election = new Election({ namespace: NAMESPACE, names: [NAME] }, {
      leaseDurationMs: LEASE_MS,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2_000,
    }, { ...ports, access: client.access, leases, identity });
    const lists = new RecordLists([NAME], { clock, leases });
    const watch = watchRecords(NAMESPACE, [NAME], ports);
    const all = new Proxies({ namespace: NAMESPACE }, {
      recordExpiryMs: EXPIRY_MS,
      whenCutOff: "serve",
    }, {
      ...ports,
      election,
      watch,
      lists,
      countWrites: new CountWrites(),
      placement,
      standing,
      count,
      writer: count,
      identity,
    });
    /** As its process runs it. */
    const run = async (of: RecordTarget, signal: AbortSignal) => {
      election.see(NAME, of.uid);
      const shared = [election.run(signal), watch.run(signal)].map((part) => part.catch(() => {}));
      await all.run(of, signal).finally(() => Promise.all(shared));
    };
    return { all, election, run, placement, count, http, metrics, log };
  };

  const start = async (name: string, options: Parameters<typeof make>[1] = {}) => {
    const one = make(name, options);
    const { all, run } = one;
    let changes = 0;
    all.subscribe(() => changes++);
    const controller = new AbortController();
    const failed = run(target, controller.signal).then(() => undefined, (error) => error);
    const stop = async () => {
      controller.abort(new Error("over"));
      await clock.advance(0);
      assert.equal((await failed)?.message, "over");
    };
    proxies.push({ stop });
    await clock.advance(0);
    return { ...one, stop, failed, changes: () => changes };
  };

  return {
    clock,
    api,
    target,
    make,
    start,
    /** Somebody deletes all records, or that of one proxy. */
    deleteRecords: (identity = "") => {
      for (const { metadata: { name } } of registry.store.list(LEASES, NAMESPACE)) {
        if (name.includes(`-proxy-${identity}`)) registry.delete(LEASES, NAMESPACE, name, {});
      }
    },
    /** The records there are, by identity. */
    records: () =>
      registry.store.list(LEASES, NAMESPACE).filter(({ metadata }) => metadata.name.includes("-proxy-")).map((
        { spec },
      ) => spec.holderIdentity as string),
    /** What the record of each says, by identity. */
    bodies: () =>
      Object.fromEntries(
        registry.store.list(LEASES, NAMESPACE).map((lease) => parseRecord(lease as object as Lease, target))
          .filter((record) => record?.body !== undefined)
          .map((record) => [record!.identity, record!.body!]),
      ),
    /** For how long the record of each is good, in ms, by identity. */
    goodForMs: () =>
      Object.fromEntries(
        registry.store.list(LEASES, NAMESPACE).filter(({ metadata }) => metadata.name.includes("-proxy-"))
          .map(({ spec }) => [spec.holderIdentity, spec.leaseDurationSeconds * 1000]),
      ),
    /** How often one of them has written its record so far. */
    writes: (name: string) =>
      api.requests.filter(({ client, verb, name: lease }) =>
        client === name && verb === "update" && lease?.includes("-proxy-")
      ).length,
    /** The StatefulSet is deleted and made anew. */
    anew: () => {
      registry.delete(STATEFULSETS, NAMESPACE, NAME, {});
      target = { ...target, uid: statefulSet().metadata.uid };
      return target;
    },
    end: async () => {
      for (const { stop } of proxies) await stop();
      assert.equal(clock.pending, 0, "no timer is left");
    },
  };
}

Deno.test("Proxies: the only proxy leads as soon as it has joined, and logs that", async () => {
  const { clock, start, records, end } = stage();
  const one = await start("a");
  await clock.advance(3_000);
  assert.equal(one.all.leads, true);
  assert.match(one.all.identity, /^[a-z0-9]{12}$/);
  assert.equal(one.all.leader, one.all.identity);
  assert.equal(one.all.membership.state, "joined");
  assert.deepEqual(one.all.others, []);
  assert.deepEqual(records(), [one.all.identity]);
  assert.equal(one.metrics.value("leader"), 1);
  assert.equal(one.metrics.value("proxies_alive"), 1);
  assert.equal(one.metrics.value("member_state", { state: "joined" }), 1);
  assert.ok(one.changes() > 0);
  await end();
});

Deno.test("Proxies reports its state from the start, and does not lead before it has joined", async () => {
  const { clock, api, start, end } = stage();
  const lift = api.faults.add({ fault: { kind: "freeze" } });
  const one = await start("a");
  assert.equal(one.all.leads, false);
  assert.equal(one.all.leader, "");
  for (const state of ["joining", "joined", "cut_off", "alone"] as const) {
    assert.equal(one.metrics.value("member_state", { state }), state === "joining" ? 1 : 0, state);
  }
  const text = await one.metrics.text();
  assert.match(text, /^buildkitd_autoscaler_leader 0$/m);
  assert.match(text, /^buildkitd_autoscaler_proxies_alive 1$/m);
  await assert.rejects(one.all.consent({ below: 0, version: "1" }, AbortSignal.abort(new Error("no"))));
  lift();
  await clock.advance(3_000);
  assert.equal(one.all.leads, true);
  await end();
});

Deno.test("Proxies that has not seen the StatefulSet asks nobody, and has no record to keep", async () => {
  const { api, make, end } = stage();
  const { all } = make("a");
  await assert.rejects(all.consent({ below: 0, version: "1" }, SIGNAL), /not seen yet/);
  await all.outlast(SIGNAL);
  assert.deepEqual(api.requests, []);
  await end();
});

Deno.test("Proxies.run() with a signal that is aborted already asks nothing, and ends with its reason", async () => {
  const { clock, api, target, make } = stage();
  const { all } = make("a");
  await assert.rejects(all.run(target, AbortSignal.abort(new Error("over"))), /^Error: over$/);
  assert.deepEqual(api.requests, []);
  assert.equal(clock.pending, 0);
});

Deno.test("Proxies does not lead with a record that has lapsed, although it holds the election's Lease", async () => {
  const { clock, api, start, end } = stage();
  const one = await start("a");
  await clock.advance(3_000);
  api.faults.add({
    fault: { kind: "status", code: 500 },
    matches: ({ verb, name }) => verb === "update" && name?.includes("-proxy-") === true,
  });
  let lapses = 0;
  while (one.all.membership.state === "joined") {
    const { obstacle } = one.all;
    assert.equal(one.all.leads, obstacle === undefined, `after ${clock.nowMs()} ms`);
    if (obstacle !== undefined) lapses++;
    await clock.advance(500);
  }
  assert.ok(lapses > 0, "it was seen to lapse before it was cut off");
  assert.equal(one.all.leads, false);
  assert.equal(one.all.leader, one.all.identity);
  await end();
});

Deno.test("Proxies makes a record that is deleted anew at once, also in the pause between two writes, and it repeats no answer", async () => {
  const { clock, start, bodies, deleteRecords, end } = stage();
  const [one, two] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  const { version } = two.placement.agreement.seen!;
  for (const { placement } of [one, two]) placement.see({ replicas: 1, version });
  const asked = one.all.consent({ below: 0, version }, SIGNAL);
  await clock.advance(0);
  assert.equal(await asked, true);
  assert.deepEqual(bodies()[two.all.identity]?.answers, { [one.all.identity]: 1 });
  await clock.advance(1_000);
  arrive(two.placement, 1);
  await clock.advance(0);
  two.placement.end(1);
  await clock.advance(100);
  deleteRecords(two.all.identity);
  await clock.advance(1);
  assert.deepEqual(Object.keys(bodies()).toSorted(), [one.all.identity, two.all.identity].toSorted());
  assert.deepEqual(
    bodies()[two.all.identity]?.answers,
    {},
    "what was promised before need not bind it any more",
  );
  await end();
});

Deno.test("Proxies writes no record where what it would say is the same", async () => {
  const { clock, start, writes, bodies, end } = stage();
  const [one] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  let before = writes("a");
  for (let changes = 0; changes < 3; changes++) {
    readyPod(one.placement, `pod-${changes}`, true);
    await clock.advance(600);
  }
  assert.equal(writes("a"), before);
  one.placement.pods.set([]);
  for (const id of [1, 2]) {
    arrive(one.placement, id);
    await clock.advance(600);
  }
  assert.equal(writes("a") - before, 1, "one held session needs as many pods as two");
  assert.equal(bodies()[one.all.identity]?.needing, 1);
  before = writes("a");
  for (const id of [1, 2]) {
    one.placement.end(id);
    await clock.advance(600);
  }
  assert.equal(writes("a") - before, 1);
  assert.equal(bodies()[one.all.identity]?.needing, 0);
  await end();
});

Deno.test("Proxies: one of two leads, and each knows what the other has in use", async () => {
  const { clock, start, end } = stage();
  const [one, two] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  assert.deepEqual([one.all.leads, two.all.leads], [true, false]);
  assert.equal(two.all.leader, one.all.identity);
  assert.deepEqual(one.all.others.map(({ identity }) => identity), [two.all.identity]);
  assert.deepEqual(two.all.others.map(({ identity }) => identity), [one.all.identity]);
  assert.equal(one.all.use().highestBusy, -1);
  assert.ok(arrive(two.placement, 1) !== undefined);
  await clock.advance(1_000);
  assert.equal(one.all.use().highestBusy, 0);
  two.placement.end(1);
  await clock.advance(1_000);
  assert.equal(one.all.use().highestBusy, -1);
  const usedMs = one.all.use().lastUsedMs.get(0)!;
  assert.ok(clock.nowMs() - usedMs <= 2_000, "it was used until a moment ago");
  await end();
});

Deno.test("Proxies writes its record on a change only where somebody is there to read it", async () => {
  const { clock, start, writes, end } = stage();
  const one = await start("a");
  await clock.advance(3_000);
  const busy = async () => {
    const before = writes("a");
    assert.ok(arrive(one.placement, 1) !== undefined);
    await clock.advance(600);
    one.placement.end(1);
    await clock.advance(600);
    return writes("a") - before;
  };
  assert.equal(await busy(), 0);
  await start("b");
  await clock.advance(1_000);
  assert.ok(await busy() >= 2);
  await end();
});

Deno.test("Proxies.consent() has the others promise, and is refused by one that is busy", async () => {
  const { clock, start, end } = stage();
  const [one, two, three] = [await start("a"), await start("b"), await start("c")];
  await clock.advance(3_000);
  // The last to join has made the newest version.
  const { version } = three.placement.agreement.seen!;
  const wanted = { below: 0, version };
  for (const { placement } of [one, two, three]) placement.see({ replicas: 1, version });
  const asked = one.all.consent(wanted, SIGNAL);
  await clock.advance(2_000);
  assert.equal(await asked, true);
  for (const { placement } of [one, two, three]) {
    assert.deepEqual(placement.agreement.promises.map(({ below, version }) => ({ below, version })), [
      wanted,
    ]);
    assert.equal(arrive(placement, 1), undefined);
    placement.end(1);
  }
  const next = { below: 0, version: String(BigInt(version) + 1n) };
  for (const { placement } of [one, two, three]) {
    placement.see({ replicas: 1, version: next.version }, "watch");
  }
  assert.ok(arrive(three.placement, 2) !== undefined);
  const refused = one.all.consent(next, SIGNAL);
  await clock.advance(2_000);
  assert.equal(await refused, false);
  assert.deepEqual(three.placement.agreement.promises, []);
  await end();
});

Deno.test("Election.release() lets another lead at once, and leave() takes the record away", async () => {
  const { clock, start, records, end } = stage();
  const [one, two] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  assert.equal(one.all.leads, true);
  await one.election.release(SIGNAL);
  assert.equal(one.all.leads, false);
  assert.equal(one.metrics.value("leader"), 0);
  await clock.advance(3_000);
  assert.equal(two.all.leads, true);
  assert.equal(records().length, 2, "it may still have sessions");
  await one.stop();
  await one.all.leave(SIGNAL);
  await clock.advance(0);
  assert.deepEqual(records(), [two.all.identity]);
  assert.deepEqual(two.all.others, []);
  assert.equal(two.metrics.value("proxies_alive"), 1);
  await end();
});

Deno.test("Proxies: the leader deletes the record of one that has died, and not before its expiry", async () => {
  const { clock, start, records, end } = stage();
  const [one, two] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  await two.stop();
  await clock.advance(EXPIRY_MS - 45_000);
  assert.equal(records().length, 2);
  assert.equal(one.all.others.length, 1);
  await clock.advance(90_000);
  assert.deepEqual(records(), [one.all.identity]);
  assert.deepEqual(one.all.others, []);
  await end();
});

Deno.test("Proxies: one that was cut off leads no more before another can", async () => {
  const { clock, start, end } = stage();
  const [one, two] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  one.http.set("refused");
  for (let seconds = 0; seconds < 30; seconds++) {
    await clock.advance(1_000);
    assert.ok(!(one.all.leads && two.all.leads), `both lead after ${seconds} s`);
  }
  assert.deepEqual([one.all.leads, two.all.leads], [false, true]);
  assert.deepEqual([one, two].map(({ metrics }) => metrics.value("leader")), [0, 1]);
  assert.equal(one.all.leader, "", "it knows of none");
  await end();
});

Deno.test("Proxies, when the resourceVersions regress: nobody scales down before every live proxy, also one that the backup does not know, has been heard of", async () => {
  const { clock, start, end } = stage();
  const one = await start("a");
  await clock.advance(3_000);
  const consent = async () => {
    const asked = one.all.consent({ below: 0, version: one.placement.agreement.seen!.version }, SIGNAL);
    await clock.advance(0);
    return await asked;
  };
  one.count.regressed("2", "1");
  await clock.advance(EXPIRY_MS - 1);
  assert.equal(one.all.membership.state, "joined");
  assert.equal(await consent(), false);
  assert.deepEqual(one.placement.agreement.promises, [], "and it goes on placing meanwhile");
  await clock.advance(1);
  assert.equal(await consent(), true);
  await end();
});

Deno.test("Proxies: a deletion of its record that only a list shows makes a proxy join again at once, too", async () => {
  const { clock, api, start, records, deleteRecords, end } = stage();
  const one = await start("a");
  await clock.advance(3_000);
  one.http.set("refused");
  await clock.advance(100);
  deleteRecords();
  api.compact();
  one.http.set("open");
  await clock.advance(5_000);
  assert.deepEqual(records(), [one.all.identity], "long before the next renewal is due");
  assert.equal(one.all.membership.state, "joined");
  await end();
});

Deno.test("Proxies.outlast() keeps the record, and answers nobody", async () => {
  const { clock, start, records, end } = stage();
  const [one, two] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  assert.ok(arrive(two.placement, 1) !== undefined);
  await two.stop();
  const controller = new AbortController();
  const outlasting = two.all.outlast(controller.signal);
  two.http.set("refused");
  await clock.advance(EXPIRY_MS / 2);
  two.http.set("open");
  await clock.advance(2 * EXPIRY_MS);
  assert.equal(records().length, 2);
  assert.equal(one.all.use().highestBusy, 0);
  two.placement.end(1);
  const asked = one.all.consent({ below: 0, version: one.placement.agreement.seen!.version }, SIGNAL);
  await clock.advance(60_000);
  assert.equal(await asked, false, "silence is no consent");
  controller.abort();
  await clock.advance(0);
  await outlasting;
  await end();
});

Deno.test("Proxies.outlast() renews the record ten times within its expiry, and tries every 5 s when that fails", async () => {
  const { clock, start, writes, end } = stage();
  const one = await start("a");
  await clock.advance(3_000);
  await one.stop();
  const controller = new AbortController();
  const outlasting = one.all.outlast(controller.signal);
  await clock.advance(0);
  const before = writes("a");
  await clock.advance(EXPIRY_MS / 10 - 1);
  assert.equal(writes("a"), before);
  await clock.advance(1);
  assert.equal(writes("a"), before + 1);
  one.http.set("refused");
  await clock.advance(EXPIRY_MS / 10);
  one.http.set("open");
  await clock.advance(4_999);
  assert.equal(writes("a"), before + 1);
  await clock.advance(1);
  assert.equal(writes("a"), before + 2);
  controller.abort();
  await clock.advance(0);
  await outlasting;
  await end();
});

Deno.test("Proxies without the right to Leases is alone: it leads, asks nobody, and has no record to keep", async () => {
  const { clock, api, start, records, end } = stage();
  api.access.tokens.set("a", "a");
  api.access.rules.set("a", [{
    apiGroups: ["apps"],
    resources: ["statefulsets/scale"],
    verbs: ["get", "patch", "update"],
  }]);
  const one = await start("a");
  await clock.advance(RIGHTS_PATIENCE_MS + 1_000);
  assert.equal(one.all.membership.state, "alone");
  assert.equal(one.all.leads, true);
  assert.equal(one.all.leader, "");
  assert.deepEqual(records(), []);
  const wanted = { below: 0, version: one.placement.agreement.seen!.version };
  assert.equal(await one.all.consent(wanted, SIGNAL), true);
  assert.deepEqual(one.placement.agreement.promises, [wanted]);
  await one.all.outlast(SIGNAL);
  await end();
});

Deno.test("Proxies.run() with a StatefulSet that was made anew knows nothing of the records of the old one", async () => {
  const { clock, start, anew, records, end } = stage();
  const [one, two] = [await start("a"), await start("b")];
  await clock.advance(3_000);
  assert.equal(one.all.others.length, 1);
  await one.stop();
  const target = anew();
  const controller = new AbortController();
  const running = one.run(target, controller.signal).catch(() => {});
  await clock.advance(3_000);
  assert.deepEqual(one.all.others, [], "the other still takes part in the old one");
  assert.ok(records().includes(one.all.identity) && records().includes(two.all.identity));
  controller.abort(new Error("over"));
  await clock.advance(0);
  await running;
  await end();
});

/** A proxy's token: that it is valid for so long from now on, by both clocks. */
function tokenOf(clock: VirtualClock) {
  const token = { issuedMs: 0, expiresMs: Infinity };
  return {
    validFor: (ms: number) => void (token.expiresMs = clock.wallMs() + ms),
    tokenTimes: () => Promise.resolve({ ...token }),
  };
}

Deno.test("Proxies.drain() has the record outlive a drain whose token ends before, and the others wait for it", async () => {
  const { clock, api, start, records, goodForMs, end } = stage();
  api.access.tokens.set("a", "a").set("b", "b");
  const { tokenTimes, validFor } = tokenOf(clock);
  const [one, two] = [await start("a"), await start("b", { tokenTimes })];
  const ofTwo = () => goodForMs()[two.all.identity];
  await clock.advance(3_000);
  assert.ok(arrive(two.placement, 1) !== undefined);
  validFor(3 * EXPIRY_MS);
  const drainMs = 12 * EXPIRY_MS;
  two.all.drain(drainMs);
  await clock.advance(EXPIRY_MS);
  assert.equal(ofTwo(), EXPIRY_MS, "the token is good for longer than the record");
  await clock.advance(2 * EXPIRY_MS - 1_000);
  // The last renewal was a tenth of the expiry ago at most.
  const leftMs = Number(ofTwo()) - 10 * EXPIRY_MS;
  assert.ok(leftMs > 0 && leftMs <= EXPIRY_MS / 10 + 1_000, `${leftMs}`);
  assert.equal(two.log.of("token_expires_in_drain").length, 1);
  api.access.tokens.delete("b");
  api.watches.drop("b");
  await clock.advance(9 * EXPIRY_MS);
  assert.equal(two.all.membership.state, "joined");
  assert.equal(one.all.use().highestBusy, 0);
  assert.equal(records().length, 2);
  await clock.advance(EXPIRY_MS + EXPIRY_MS / 2);
  assert.deepEqual(one.all.others, [], "and no longer than that");
  assert.deepEqual(records(), [one.all.identity]);
  await end();
});

Deno.test("Proxies.drain() leaves the record as it was where a newer token has come, and while nothing drains", async () => {
  const { clock, start, goodForMs, end } = stage();
  const { tokenTimes, validFor } = tokenOf(clock);
  const one = await start("a", { tokenTimes });
  const goodFor = () => goodForMs()[one.all.identity];
  validFor(1_000);
  await clock.advance(EXPIRY_MS);
  assert.equal(goodFor(), EXPIRY_MS, "it does not drain");
  one.all.drain(Infinity);
  await clock.advance(0);
  assert.equal(goodFor(), 24 * 3_600_000 + EXPIRY_MS, "at once, since no renewal may come any more");
  validFor(EXPIRY_MS + 60_000);
  await clock.advance(EXPIRY_MS / 10);
  assert.equal(goodFor(), EXPIRY_MS);
  await end();
});

Deno.test("Proxies.drain() knows nothing of credentials that do not tell their end", async () => {
  const { clock, start, goodForMs, writes, end } = stage();
  const [one, two] = [await start("a"), await start("b", { tokenTimes: () => Promise.resolve(undefined) })];
  await clock.advance(3_000);
  const before = writes("a");
  for (const { all } of [one, two]) all.drain(3_600_000);
  await clock.advance(0);
  assert.equal(writes("a"), before, "it need not write anything");
  await clock.advance(EXPIRY_MS);
  assert.deepEqual(Object.values(goodForMs()), [EXPIRY_MS, EXPIRY_MS]);
  await end();
});
