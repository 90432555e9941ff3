/** Tests of a proxy that may not write its record: when it goes on alone, and when it has to end. @module */
import assert from "node:assert/strict";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { FatalError, TimeoutError } from "../../../lib/base/errors.ts";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { isAlone, RIGHTS_PATIENCE_MS, untilAllowed } from "../../../lib/ha/alone.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../../lib/scaler/replica_count.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { FakeLeases } from "../../support/fake_leases.ts";
import { FakeScale } from "../../support/fake_scale.ts";
import { BUSY, leaseOf, member, nameOf, TARGET } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const NAME = nameOf("one");
const REFUSED = new ApiError(
  { verb: "create", group: "coordination.k8s.io", resource: "leases", namespace: "n", name: NAME },
  403,
  { message: 'User "before" cannot create resource "leases"' },
);

/** A proxy that is refused; `outcome` is what it has found out so far. */
function setUp() {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  leases.always.set("create", 403);
  const { record } = member(clock, leases);
  const log = recordingLog();
  const controller = new AbortController();
  const ask = () => {
    const asked: { outcome: unknown } = { outcome: "asks" };
    isAlone(TARGET, REFUSED, { clock, log, leases, record }, controller.signal)
      .then((alone) => asked.outcome = alone, (error) => asked.outcome = error);
    return asked;
  };
  const count = (request: string) => leases.requests.filter((each) => each === request).length;
  return { clock, leases, record, log, controller, ask, count };
}

Deno.test("isAlone() asks once a second until its patience ends, and finds nobody", async () => {
  const { clock, log, ask, count } = setUp();
  const asked = ask();
  await clock.advance(999);
  assert.equal(count(`create ${NAME}`), 0);
  for (let seconds = 1; seconds < RIGHTS_PATIENCE_MS / 1000; seconds++) {
    await clock.advance(1_000);
    assert.equal(count(`create ${NAME}`), seconds);
  }
  assert.equal(asked.outcome, "asks");
  await clock.advance(1);
  assert.equal(asked.outcome, true);
  assert.equal(clock.pending, 0);
  assert.deepEqual(log.of("leases_forbidden").map(({ level }) => level), ["error"]);
  assert.match(String(log.records[0]?.fields.cause), /User "proxy"/, "the latest refusal");
});

Deno.test("isAlone(): other records keep it waiting for as long as they are good, and it asks every 10 s then", async () => {
  const { clock, leases, log, ask, count } = setUp();
  leases.put(leaseOf("other", BUSY, { expiryMs: 60_000 }));
  leases.put(leaseOf("shorter", BUSY, { expiryMs: 20_000 }));
  leases.put(leaseOf("elsewhere", BUSY, { target: { ...TARGET, uid: "sts-0" }, expiryMs: 600_000 }));
  const asked = ask();
  await clock.advance(RIGHTS_PATIENCE_MS);
  const before = count("list");
  await clock.advance(40_000);
  assert.equal(count("list") - before, 4);
  assert.equal(asked.outcome, "asks");
  // They were first seen after one second.
  await clock.advance(61_000 - RIGHTS_PATIENCE_MS - 40_000 - 1);
  assert.equal(asked.outcome, "asks");
  await clock.advance(1);
  assert.equal(asked.outcome, true);
  assert.equal(log.of("leases_forbidden").length, 1);
});

Deno.test("isAlone(): a record that appears later also gets its full expiry", async () => {
  const { clock, leases, ask } = setUp();
  const asked = ask();
  await clock.advance(RIGHTS_PATIENCE_MS - 500);
  leases.put(leaseOf("late", BUSY, { expiryMs: 30_000 }));
  await clock.advance(30_000);
  assert.equal(asked.outcome, "asks");
  await clock.advance(500);
  assert.equal(asked.outcome, true);
});

Deno.test("isAlone(): the program ends beside a proxy that renews its record, once its patience is over", async () => {
  const { clock, leases, log, ask } = setUp();
  leases.put(leaseOf("other", BUSY));
  leases.put(leaseOf("dead", BUSY));
  const asked = ask();
  await clock.advance(2_000);
  leases.put(leaseOf("other", BUSY));
  await clock.advance(RIGHTS_PATIENCE_MS - 2_001);
  assert.equal(asked.outcome, "asks", "the right may come yet");
  await clock.advance(1);
  const { outcome } = asked as { outcome: unknown };
  assert.ok(outcome instanceof FatalError);
  assert.match(outcome.message, /beside proxy "other".*User "proxy" cannot create resource "leases"/);
  assert.deepEqual(log.records, []);
});

Deno.test("isAlone(): a right that is granted meanwhile is used", async () => {
  const { clock, leases, log, ask } = setUp();
  const asked = ask();
  await clock.advance(3_000);
  leases.always.clear();
  await clock.advance(1_000);
  assert.equal(asked.outcome, false);
  assert.ok(leases.named(NAME) !== undefined);
  assert.deepEqual(log.records, []);
  assert.equal(clock.pending, 0);
});

Deno.test("isAlone(): without the right to list, no other proxy is seen", async () => {
  const { clock, leases, ask } = setUp();
  leases.always.set("list", 403);
  leases.put(leaseOf("other", BUSY));
  const asked = ask();
  await clock.advance(RIGHTS_PATIENCE_MS);
  assert.equal(asked.outcome, true);
});

for (const verb of ["create", "list"] as const) {
  for (const fate of [500, "lost", "denied"] as const) {
    Deno.test(`isAlone(): a ${verb} that fails otherwise (${fate}) says nothing of rights`, async () => {
      const { clock, leases, log, ask } = setUp();
      leases.fates(verb, fate);
      const asked = ask();
      await clock.advance(1_000);
      if (fate === "lost") assert.ok(asked.outcome instanceof TimeoutError);
      else assert.ok(asked.outcome instanceof ApiError && !asked.outcome.isMissingPermission);
      assert.deepEqual(log.records, []);
      assert.equal(clock.pending, 0);
    });
  }
}

Deno.test("isAlone() ends with its signal", async () => {
  const { clock, controller, ask } = setUp();
  const asked = ask();
  await clock.advance(1_500);
  const reason = new Error("over");
  controller.abort(reason);
  await clock.advance(0);
  assert.equal(asked.outcome, reason);
  assert.equal(clock.pending, 0);
});

function waiting() {
  const world = setUp();
  const { clock, record, log, controller } = world;
  const scale = new FakeScale(1);
  const placement = new Placement(clock, ONE_POD, "pod");
  const reads = new ReplicaCount({ scale, placement, log, metrics: noMetrics, identity: "one" });
  const asked: { outcome: unknown } = { outcome: "waits" };
  untilAllowed({ clock, record, count: reads }, controller.signal)
    .then(() => asked.outcome = "allowed", (error) => asked.outcome = error);
  return { ...world, scale, placement, asked };
}

Deno.test("untilAllowed() asks once a minute, reads the count each time, and ends with a record", async () => {
  const { clock, leases, scale, placement, asked, count } = waiting();
  for (let minutes = 1; minutes <= 3; minutes++) {
    // The second read fails, and does not matter.
    if (minutes === 2) scale.fates("lost");
    await clock.advance(59_999);
    assert.equal(count(`create ${NAME}`), minutes - 1);
    await clock.advance(1);
    assert.equal(count(`create ${NAME}`), minutes);
    assert.deepEqual(scale.requests, Array(minutes).fill("read"));
  }
  assert.equal(placement.agreement.seen?.replicas, 1);
  leases.always.clear();
  await clock.advance(60_000);
  assert.equal(asked.outcome, "allowed");
  assert.ok(leases.named(NAME) !== undefined);
  assert.equal(scale.requests.length, 3);
  assert.equal(clock.pending, 0);
});

for (const what of ["write", "read"] as const) {
  Deno.test(`untilAllowed() ends with its signal in the middle of a ${what}`, async () => {
    const { clock, leases, scale, controller, asked } = waiting();
    const { promise: before, resolve: letGo } = Promise.withResolvers<void>();
    if (what === "write") {
      leases.put(leaseOf("one"));
      leases.fates("create", { before });
      leases.fates("get", "lost");
    } else scale.fates({ before }, "lost");
    await clock.advance(60_000);
    const asks = scale.requests.length;
    const reason = new Error("over");
    controller.abort(reason);
    letGo();
    await clock.advance(0);
    assert.equal(asked.outcome, reason);
    assert.equal(scale.requests.length, asks);
    assert.equal(clock.pending, 0);
  });
}
