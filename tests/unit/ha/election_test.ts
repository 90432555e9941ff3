/** Tests of the election: who leads, from when, and until when. @module */
import assert from "node:assert/strict";
import type { Clock } from "../../../lib/base/clock.ts";
import { Listeners } from "../../../lib/base/listeners.ts";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { Election, type ElectionTimes } from "../../../lib/ha/election.ts";
import { leadsAs, type MemberState } from "../../../lib/ha/standing.ts";
import type { Lease } from "../../../lib/kube/types.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { FakeLeases } from "../../support/fake_leases.ts";
import { leaseOf, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const TIMES = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
const NAME = "buildkitd-autoscaler-leader";

function candidate(clock: Clock, leases: FakeLeases, identity: string, options: {
  readonly times?: Partial<ElectionTimes>;
  readonly random?: number;
} = {}) {
  const controller = new AbortController();
  const log = recordingLog();
  const changes: string[] = [];
  const standing: { state: MemberState; places: boolean } = { state: "joined", places: true };
  const ports = { leases, clock, random: () => options.random ?? 0, log, metrics: noMetrics, identity };
  const { namespace, name, uid } = TARGET;
  const election = new Election({ namespace, names: [name] }, { ...TIMES, ...options.times }, ports);
  election.see(name, uid);
  election.enter();
  election.subscribe(() => void changes.push(election.holder));
  const running = () =>
    election.run(controller.signal).catch((error) => {
      if (!controller.signal.aborted) throw error;
    });
  return {
    election,
    get leads() {
      return leadsAs(standing, election.holdsLease);
    },
    standing,
    changes,
    log,
    start: running,
    stop: () => controller.abort(new Error("over")),
  };
}

async function two() {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const [a, b] = [candidate(clock, leases, "a"), candidate(clock, leases, "b")];
  const ends = [a.start()];
  await clock.advance(0);
  ends.push(b.start());
  await clock.advance(100);
  assert.deepEqual([a.leads, b.leads], [true, false]);
  const stop = async () => {
    a.stop();
    b.stop();
    await clock.advance(0);
    await Promise.all(ends);
    assert.equal(clock.pending, 0);
  };
  return { clock, leases, a, b, stop };
}

Deno.test("Election: the first leads, renews, and both know who it is", async () => {
  const { clock, leases, a, b, stop } = await two();
  await clock.advance(300_000);
  assert.deepEqual([a.leads, b.leads], [true, false]);
  assert.deepEqual([a.election.holder, b.election.holder], ["a", "a"]);
  assert.deepEqual(b.changes, ["a"], "told once");
  const { spec } = leases.named(NAME)!;
  assert.equal(spec?.leaseTransitions, 1);
  assert.equal(spec?.leaseDurationSeconds, 15);
  assert.ok(Date.parse(spec!.renewTime!) - Date.parse(spec!.acquireTime!) > 290_000);
  await stop();
});

Deno.test("Election: a leader that cannot renew stops before another one can take its place", async () => {
  const { clock, leases, a, b, stop } = await two();
  // Only what `a` writes gets lost.
  const update = leases.update.bind(leases);
  leases.update = (lease, signal) =>
    lease.spec?.holderIdentity === "a" ? Promise.reject(new Error("cut off")) : update(lease, signal);
  let lostMs = Infinity;
  let wonMs = Infinity;
  for (let i = 0; i < 300; i++) {
    await clock.advance(100);
    assert.ok(!(a.leads && b.leads), "never both");
    if (!a.leads) lostMs = Math.min(lostMs, clock.nowMs());
    if (b.leads) wonMs = Math.min(wonMs, clock.nowMs());
  }
  assert.ok(wonMs - lostMs >= 4_000, `lost at ${lostMs}, won at ${wonMs}`);
  assert.equal(a.election.holder, "b");
  await stop();
});

Deno.test("Election: the deadline counts from when the renewal was sent, and a freeze or suspend past it ends the lead at once", async () => {
  for (const how of ["freeze", "suspend"] as const) {
    const { clock, a, stop } = await two();
    clock[how](12_000);
    assert.equal(a.leads, false);
    await clock.advance(3_000);
    assert.equal(a.leads, true, "nobody has taken it, so it is its own again");
    await stop();
  }
  const { clock, leases, a, stop } = await two();
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  leases.fates("update", { after: answered });
  await clock.advance(9_000);
  answers();
  await clock.advance(0);
  leases.always.set("update", "lost");
  await clock.advance(3_200);
  assert.equal(a.leads, false);
  await stop();
});

Deno.test("Election: takes over a Lease only if it has not changed for its whole duration", async () => {
  const { clock, a, b, stop } = await two();
  a.stop();
  await clock.advance(14_000);
  assert.equal(b.leads, false);
  await clock.advance(4_000);
  assert.equal(b.leads, true);
  await stop();
});

Deno.test("Election: other machines' clocks do not matter", async () => {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const ahead: Clock = {
    nowMs: () => clock.nowMs(),
    bootMs: () => clock.bootMs(),
    wallMs: () => clock.wallMs() + 3_600_000,
    setTimer: (delayMs, callback) => clock.setTimer(delayMs, callback),
    nextTurn: (callback) => clock.nextTurn(callback),
  };
  const a = candidate(clock, leases, "a");
  const b = candidate(ahead, leases, "b");
  const ends = [a.start()];
  await clock.advance(0);
  ends.push(b.start());
  await clock.advance(600_000);
  assert.deepEqual([a.leads, b.leads], [true, false]);
  a.stop();
  await clock.advance(20_000);
  assert.equal(b.leads, true);
  b.stop();
  await clock.advance(0);
  await Promise.all(ends);
});

Deno.test("Election: the first proxy recreates a deleted Lease, and never two lead", async () => {
  const { clock, leases, a, b, stop } = await two();
  for (let i = 0; i < 5; i++) {
    leases.drop(NAME);
    for (let j = 0; j < 100; j++) {
      await clock.advance(100);
      assert.ok(!(a.leads && b.leads), "never both");
    }
    assert.ok(a.leads || b.leads);
  }
  await stop();
});

Deno.test("Election.release() lets another lead at the next try, and does not stand again", async () => {
  const { clock, leases, a, b, stop } = await two();
  await a.election.release(new AbortController().signal);
  assert.equal(a.leads, false);
  assert.equal(leases.named(NAME)?.spec?.holderIdentity, "");
  await clock.advance(2_500);
  assert.equal(b.leads, true);
  b.stop();
  await clock.advance(60_000);
  assert.equal(a.leads, false);
  await stop();
});

Deno.test("Election.release() by one that does not lead changes nothing", async () => {
  const { clock, leases, a, b, stop } = await two();
  await b.election.release(new AbortController().signal);
  await clock.advance(2_500);
  assert.equal(a.leads, true);
  assert.equal(leases.named(NAME)?.spec?.holderIdentity, "a");
  await stop();
});

for (const fate of ["before", "after"] as const) {
  Deno.test(`Election.release() in the middle of a renewal (held up ${fate} it is carried out) frees the Lease all the same`, async () => {
    const { clock, leases, a, b, stop } = await two();
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    leases.fates("update", fate === "before" ? { before: held } : { after: held });
    await clock.advance(2_000);
    const released = a.election.release(new AbortController().signal);
    assert.equal(a.leads, false, "at once");
    await clock.advance(0);
    letGo();
    await clock.advance(0);
    await released;
    assert.equal(leases.named(NAME)?.spec?.holderIdentity, "");
    assert.equal(a.leads, false);
    await clock.advance(2_500);
    assert.equal(b.leads, true);
    await stop();
  });
}

Deno.test("Election.release() in the middle of a first try frees the Lease that it brings", async () => {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const a = candidate(clock, leases, "a");
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  leases.fates("create", { before: held });
  const end = a.start();
  await clock.advance(0);
  const released = a.election.release(new AbortController().signal);
  letGo();
  await clock.advance(0);
  await released;
  assert.equal(a.leads, false);
  assert.equal(leases.named(NAME)?.spec?.holderIdentity, "");
  a.stop();
  await clock.advance(0);
  await end;
});

/** One candidate that has made one try. */
async function one(
  prepare: (leases: FakeLeases) => void = () => {},
  options: Parameters<typeof candidate>[3] = {},
) {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  prepare(leases);
  const a = candidate(clock, leases, "a", options);
  const end = a.start();
  await clock.advance(0);
  const stop = async () => {
    a.stop();
    await clock.advance(0);
    await end;
    assert.equal(clock.pending, 0);
  };
  /** What is asked from now until then. */
  const asked = async (ms: number) => {
    leases.requests.length = 0;
    await clock.advance(ms);
    return leases.requests.map((request) => request.replace(` ${NAME}`, ""));
  };
  return { clock, leases, a, stop, asked };
}

/** The Lease as another proxy has it. */
function held(spec: Lease["spec"]): Lease {
  const { metadata } = leaseOf("x");
  return {
    metadata: { ...metadata, name: NAME },
    spec: { holderIdentity: "x", leaseTransitions: 4, ...spec },
  };
}

Deno.test("Election.holdsLease ends with the renew deadline, by the clock that stands still in a suspend or by the other one", async () => {
  const { renewDeadlineMs } = TIMES;
  // The boot clock is only good to the second.
  for (const [how, lastMs] of [["freeze", renewDeadlineMs], ["suspend", renewDeadlineMs + 1_000]] as const) {
    const { clock, a, stop } = await one();
    clock[how](lastMs - 1);
    assert.equal(a.leads, true);
    clock[how](1);
    assert.equal(a.leads, false);
    await stop();
  }
});

Deno.test("Election: a leader renews with one request, and looks again only when that is refused or its lead was over", async () => {
  const { clock, leases, a, stop, asked } = await one();
  assert.deepEqual(leases.requests.map((request) => request.split(" ")[0]), ["get", "create"]);
  assert.deepEqual(await asked(4_000), ["update", "update"]);
  leases.put({ ...leases.named(NAME)! });
  assert.deepEqual(await asked(2_000), ["update", "get", "update"], "somebody has touched it");
  leases.drop(NAME);
  assert.deepEqual(await asked(2_000), ["update", "get", "create"]);
  assert.equal(a.leads, true);
  leases.fates("update", 500);
  assert.deepEqual(await asked(2_000), ["update"]);
  clock.freeze(TIMES.renewDeadlineMs);
  assert.deepEqual(await asked(0), ["get", "update"]);
  assert.equal(a.leads, true);
  await stop();
});

Deno.test("Election: the pause between two tries is up to a fifth longer, so that proxies do not keep step", async () => {
  const { clock, stop, asked } = await one(undefined, { random: 1 });
  assert.deepEqual(await asked(2_399), []);
  assert.deepEqual(await asked(1), ["update"]);
  await clock.advance(0);
  await stop();
});

Deno.test("Election: a leader that finds another holder in the Lease stops leading at once", async () => {
  const { clock, leases, a, stop } = await one();
  leases.put(held({ leaseDurationSeconds: 15 }));
  await clock.advance(2_000);
  assert.equal(a.leads, false);
  assert.equal(a.election.holder, "x");
  assert.deepEqual(a.changes, ["a", "x"]);
  assert.deepEqual(a.log.of("leader_changed").map(({ fields }) => fields), [
    { leader: "a", self: true },
    { leader: "x", self: false },
  ]);
  await stop();
});

Deno.test("Election: a leader that cannot renew logs that once, and that there is no leader", async () => {
  const { clock, leases, a, stop } = await one();
  leases.reachable = false;
  await clock.advance(60_000);
  assert.equal(a.election.holder, "");
  assert.deepEqual(a.changes, ["a", ""]);
  assert.equal(a.log.of("leader_missing").length, 1);
  assert.equal(a.log.records.filter(({ level }) => level === "warn").length, 1);
  leases.reachable = true;
  await clock.advance(2_000);
  assert.deepEqual(a.changes, ["a", "", "a"]);
  assert.equal(a.log.of("election_failed_recovered").length, 1);
  await stop();
});

Deno.test("Election: losing a race for the Lease is not logged as a fault", async () => {
  for (const verb of ["create", "update"] as const) {
    const { clock, leases, a, stop } = await one((leases) => {
      if (verb === "update") leases.put(held({ holderIdentity: "" }));
      leases.fates(verb, 409);
    });
    assert.equal(a.leads, false);
    await clock.advance(2_000);
    assert.equal(a.leads, true);
    assert.ok(leases.named(NAME) !== undefined);
    assert.deepEqual(a.log.records.map(({ code }) => code), ["leader_changed"]);
    await stop();
  }
});

Deno.test("Election: a Lease that cannot be read is not recreated", async () => {
  const { leases, a, stop } = await one((leases) => leases.fates("get", 500));
  assert.deepEqual(leases.requests, [`get ${NAME}`]);
  assert.equal(a.leads, false);
  assert.equal(a.log.of("election_failed").length, 1);
  await stop();
});

Deno.test("Election.run() ends with its signal in the middle of a try, and calls that no fault", async () => {
  const { clock, leases, a, stop } = await one();
  const { promise: answered, reject: fails } = Promise.withResolvers<never>();
  leases.update = () => answered;
  await clock.advance(2_000);
  a.stop();
  fails(new Error("no answer"));
  await stop();
  assert.deepEqual(a.log.records.map(({ code }) => code), ["leader_changed"]);
});

Deno.test("Election: another holder keeps the Lease for as long as it says there, or as usual, from when it was first seen", async () => {
  const cases = [{ leaseDurationSeconds: 6, keptMs: 6_000 }, { leaseDurationSeconds: 40, keptMs: 40_000 }, {
    keptMs: 14_000,
  }];
  for (const { keptMs, ...spec } of cases) {
    const { clock, a, stop } = await one((leases) => leases.put(held(spec)), {
      times: { leaseDurationMs: 14_000 },
    });
    assert.equal(a.election.holder, "x");
    await clock.advance(keptMs - 1);
    assert.equal(a.leads, false);
    await clock.advance(1);
    assert.equal(a.leads, true);
    await stop();
  }
});

Deno.test("Election: a Lease that nobody holds is taken at once", async () => {
  for (const spec of [{ holderIdentity: "" }, undefined]) {
    const { a, stop } = await one((leases) => {
      const { metadata } = held({});
      leases.put({ metadata: metadata!, ...(spec === undefined ? {} : { spec }) });
    });
    assert.equal(a.leads, true);
    await stop();
  }
});

Deno.test("Election writes the Lease as client-go does: acquired once by each holder, renewed with each write", async () => {
  const { clock, leases, a, stop } = await one((leases) => leases.put(held({ leaseDurationSeconds: 1 })), {
    times: { leaseDurationMs: 14_500 },
  });
  await clock.advance(2_000);
  const taken = leases.named(NAME)!.spec!;
  const stampOf = (ms: number) => new Date(ms).toISOString().replace("Z", "000Z");
  assert.deepEqual(taken, {
    holderIdentity: "a",
    leaseDurationSeconds: 15,
    acquireTime: stampOf(clock.wallMs()),
    renewTime: stampOf(clock.wallMs()),
    leaseTransitions: 5,
  });
  await clock.advance(2_000);
  const renewed = { ...taken, renewTime: stampOf(clock.wallMs()) };
  assert.deepEqual(leases.named(NAME)!.spec, renewed);
  await clock.advance(1_000);
  await a.election.release(new AbortController().signal);
  assert.deepEqual(leases.named(NAME)!.spec, {
    ...renewed,
    holderIdentity: "",
    leaseDurationSeconds: 1,
    renewTime: stampOf(clock.wallMs()),
  });
  assert.deepEqual(a.changes, ["x", "a", ""]);
  await stop();
});

Deno.test("leadsAs() says that a proxy leads only where it is heard of, and one that is alone without any election", async () => {
  const { a, b, stop } = await two();
  for (
    const [state, places, leads] of [
      ["joined", true, [true, false]],
      ["joined", false, [false, false]],
      ["joining", false, [false, false]],
      ["cut_off", true, [false, false]],
      ["alone", true, [true, true]],
    ] as const
  ) {
    for (const one of [a, b]) Object.assign(one.standing, { state, places });
    assert.deepEqual([a.leads, b.leads], leads, `${state} ${places}`);
  }
  await stop();
});

Deno.test("Election asks nothing before the process is a candidate, and then begins at once", async () => {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const ports = { leases, clock, random: () => 0, log: recordingLog(), metrics: noMetrics, identity: "a" };
  const election = new Election({ namespace: "n", names: ["buildkitd", "b2"] }, TIMES, ports);
  const controller = new AbortController();
  const running = election.run(controller.signal).catch((error) => error);
  await clock.advance(60_000);
  await election.release(new AbortController().signal);
  assert.deepEqual(leases.requests, []);
  controller.abort(new Error("over"));
  assert.equal((await running).message, "over");
  const again = new Election({ namespace: "n", names: ["buildkitd", "b2"] }, TIMES, ports);
  const end = new AbortController();
  const run = again.run(end.signal).catch(() => {});
  again.see("b2", "sts-2");
  again.enter();
  again.enter();
  await clock.advance(0);
  assert.equal(again.holdsLease, true);
  assert.equal(leases.named(NAME)?.metadata?.ownerReferences?.[0]?.name, "b2");
  again.see("buildkitd", "sts-1");
  await clock.advance(TIMES.retryPeriodMs);
  assert.equal(leases.named(NAME)?.metadata?.ownerReferences?.[0]?.uid, "sts-1");
  assert.equal(leases.all.length, 1);
  end.abort(new Error("over"));
  await run;
});

Deno.test("Election.add() has the process lead in the metrics while it leads in front of any StatefulSet", () => {
  const clock = new VirtualClock();
  const metrics = countedMetrics(() => {});
  const ports = {
    leases: new FakeLeases(),
    clock,
    random: () => 0,
    log: recordingLog(),
    metrics,
    identity: "a",
  };
  const election = new Election({ namespace: "n", names: ["a", "b"] }, TIMES, ports);
  const parts = ["a", "b"].map(() => {
    const changed = new Listeners();
    const part = { leads: false, subscribe: (listener: () => void) => changed.add(listener) };
    election.add(part);
    return (leads: boolean) => {
      part.leads = leads;
      changed.tell();
      return metrics.value("leader");
    };
  });
  const [a, b] = [parts[0]!, parts[1]!];
  assert.deepEqual([a(false), b(true), a(true), b(false), a(false)], [0, 1, 1, 1, 0]);
});
