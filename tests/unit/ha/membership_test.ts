/** Tests of a proxy's membership: joining, lapsing, being cut off, and coming back. @module */
import assert from "node:assert/strict";
import { VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";
import { FatalError } from "../../../lib/base/errors.ts";
import { RIGHTS_PATIENCE_MS } from "../../../lib/ha/alone.ts";
import {
  aMember as setUp,
  BUSY,
  EXPIRY_MS,
  joinedMember as joined,
  leaseOf,
  nameOf,
} from "../../support/ha.ts";
import { arrive } from "../../support/seating.ts";

/** When a proxy lapses that was not heard of, in ms. */
const LAPSE_MS = EXPIRY_MS * 0.9;

Deno.test("Membership joins in order: the record, then a read of the count with the promise to place nothing, then a claim", async () => {
  const { clock, leases, one } = setUp();
  const { promise: read, resolve: reads } = Promise.withResolvers<void>();
  const { promise: claimed, resolve: claims } = Promise.withResolvers<void>();
  one.scale.fates({ before: read }, { before: claimed });
  assert.equal(one.standing.places, false);
  const running = one.run();
  await clock.advance(0);
  assert.deepEqual(leases.requests, [`create ${nameOf("one")}`]);
  assert.deepEqual(one.scale.requests, ["read"], "only after the record was written");
  assert.equal(one.standing.places, false);
  reads();
  await clock.advance(0);
  assert.deepEqual(one.scale.requests, ["read", "apply 1"]);
  assert.deepEqual(one.placement.agreement.promises, [{ below: 0, version: "100" }]);
  assert.equal(arrive(one.placement, 1), undefined, "bound until its version has moved on");
  assert.equal(one.membership.ready, false, "no session must pay for that");
  claims();
  await clock.advance(0);
  await one.membership.whenReady;
  assert.deepEqual(one.placement.agreement.promises, []);
  assert.ok(arrive(one.placement, 2) !== undefined);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership does not read the count before its record is written", async () => {
  const { clock, leases, one } = setUp();
  leases.fates("create", "lost", 500);
  const running = one.run();
  await clock.advance(0);
  assert.deepEqual(one.scale.requests, []);
  assert.equal(one.membership.state, "joining");
  await clock.advance(20_000);
  assert.equal(one.membership.state, "joined");
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership, joining: a claim that meets a conflict counts, since the version has changed", async () => {
  const { clock, one } = setUp();
  const { promise: claimed, resolve: claims } = Promise.withResolvers<void>();
  one.scale.fates({ before: Promise.resolve() }, { before: claimed });
  const running = one.run();
  await clock.advance(0);
  one.scale.set(1);
  claims();
  await clock.advance(0);
  assert.equal(one.membership.ready, true);
  assert.deepEqual(one.placement.agreement.promises, []);
  // What it read may have skipped a fall of the count, so a pod that was there has to prove itself.
  assert.equal(arrive(one.placement, 1), undefined);
  one.placement.pods.settled();
  await clock.advance(VERIFIED_AFTER_MS);
  assert.ok(arrive(one.placement, 2) !== undefined);
  one.stop();
  await clock.advance(0);
  await running;
});

for (const how of ["is not answered", "is refused for a minute"] as const) {
  Deno.test(`Membership, joining: its record is renewed while its claim ${how}, and it lapses not`, async () => {
    const recordExpiryMs = 10_000;
    const { clock, leases, one } = setUp({ settings: { recordExpiryMs } });
    const fate = how === "is not answered"
      ? { before: new Promise<void>(() => {}) }
      : { retryAfterMs: 60_000 };
    one.scale.fates({ before: Promise.resolve() }, fate);
    const running = one.run();
    for (let passedMs = 0; passedMs < 3 * recordExpiryMs; passedMs += 100) {
      await clock.advance(100);
      assert.equal(one.standing.lapsed, false);
    }
    assert.equal(one.membership.ready, false);
    assert.ok(leases.requests.length >= 25);
    one.stop();
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  });
}

Deno.test("Membership, joining again: it is tried again before the record that is there can expire", async () => {
  const recordExpiryMs = 10_000;
  const { clock, one, stop } = await joined({ settings: { recordExpiryMs } });
  one.regressed();
  one.scale.fates({ retryAfterMs: 60_000 }, { retryAfterMs: 60_000 }, { retryAfterMs: 60_000 });
  for (let passedMs = 0; passedMs < 3 * recordExpiryMs; passedMs += 100) {
    await clock.advance(100);
    assert.equal(one.standing.lapsed, false);
  }
  await stop();
});

Deno.test("Membership, joining: a claim that succeeds does not say that a failing renewal is over", async () => {
  const { clock, leases, one } = setUp();
  const { promise: before, resolve: claims } = Promise.withResolvers<void>();
  one.scale.fates({ before: Promise.resolve() }, { before });
  const running = one.run();
  await clock.advance(1_000);
  leases.always.set("update", 500);
  await clock.advance(40_000);
  const { fault } = one.membership;
  assert.ok(fault !== undefined);
  claims();
  await clock.advance(1);
  assert.equal(one.membership.ready, true);
  assert.equal(one.membership.fault, fault);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership renews its record ten times within its expiry, and at once when somebody waits for it", async () => {
  const { clock, leases, one, stop } = await joined();
  leases.requests.length = 0;
  await clock.advance(EXPIRY_MS);
  assert.equal(leases.requests.length, 10);
  one.record.publish();
  await clock.advance(0);
  one.record.publish();
  one.record.publish();
  await clock.advance(0);
  assert.ok(leases.requests.length <= 12);
  const before = leases.requests.length;
  await clock.advance(499);
  assert.ok(leases.requests.length <= before + 1, "changes are not written more often than twice a second");
  one.record.publish(true);
  await clock.advance(0);
  assert.ok(leases.requests.length > before, "unless it is urgent");
  await stop();
});

Deno.test("Membership lapses a margin before its record can expire, counted from when the last renewal was sent", async () => {
  const { clock, leases, one, stop } = await joined({ settings: { whenCutOff: "hold" } });
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  leases.fates("update", { after: answered });
  await clock.advance(30_000);
  assert.equal(leases.requests.at(-1), `update ${nameOf("one")}`);
  await clock.advance(5_000);
  leases.always.set("update", "lost");
  answers();
  await clock.advance(0);
  await clock.advance(LAPSE_MS - 5_000 - 1);
  assert.equal(one.standing.places, true);
  await clock.advance(1);
  assert.equal(one.standing.places, false);
  await stop();
});

Deno.test("Membership, cut off with `serve`: it goes on placing, even where it had promised not to", async () => {
  const { clock, leases, one, stop } = await joined();
  leases.reachable = false;
  one.scale.fates("lost");
  await clock.advance(LAPSE_MS - 1_000);
  one.placement.bind(String(one.scale.version));
  assert.equal(arrive(one.placement, 1), undefined, "before the lapse a promise binds");
  await clock.advance(60_000);
  assert.equal(one.membership.state, "cut_off");
  assert.ok(arrive(one.placement, 2) !== undefined);
  assert.equal(one.log.of("proxy_cut_off").length, 1);
  leases.reachable = true;
  await clock.advance(60_000);
  assert.equal(one.membership.state, "joined");
  assert.ok(one.claims >= 2, "it has joined again");
  await stop();
});

Deno.test("Membership, cut off with `hold`: it places nothing until it has joined again", async () => {
  const { clock, leases, one, stop } = await joined({ settings: { whenCutOff: "hold" } });
  leases.reachable = false;
  await clock.advance(LAPSE_MS + 60_000);
  assert.equal(one.membership.state, "cut_off");
  assert.equal(arrive(one.placement, 1), undefined);
  leases.reachable = true;
  await clock.advance(60_000);
  assert.equal(one.membership.state, "joined");
  assert.equal(one.claims, 2);
  assert.ok(arrive(one.placement, 2) !== undefined);
  await stop();
});

for (const status of [401, 403]) {
  Deno.test(`Membership: a proxy that has joined and is refused with ${status} is cut off, not alone`, async () => {
    const { clock, leases, one, stop } = await joined();
    leases.always.set("update", status);
    leases.always.set("create", status);
    await clock.advance(LAPSE_MS + 30_000);
    assert.equal(one.membership.state, "cut_off");
    assert.equal(one.standing.places, true);
    await stop();
  });
}

for (const whenCutOff of ["serve", "hold"] as const) {
  for (const how of ["freeze", "suspend"] as const) {
    Deno.test(`Membership, back from a ${how} past its lapse with \`${whenCutOff}\`: it joins again before it places`, async () => {
      const { clock, one, stop } = await joined({ settings: { whenCutOff } });
      const { promise: read, resolve: reads } = Promise.withResolvers<void>();
      one.scale.fates({ before: read });
      clock[how](EXPIRY_MS + 10_000);
      assert.equal(one.standing.places, false, "before anything has run");
      await clock.advance(60_000);
      assert.equal(
        arrive(one.placement, 1),
        undefined,
        "its record is written again, and that is not enough",
      );
      assert.equal(one.scale.requests.at(-1), "read");
      reads();
      await clock.advance(0);
      assert.equal(one.claims, 2);
      assert.ok(arrive(one.placement, 2) !== undefined);
      await stop();
    });
  }
}

Deno.test("Membership, back from a suspend past its lapse: a client that comes makes it join again at once", async () => {
  const { clock, one, stop } = await joined();
  await clock.advance(1_000);
  clock.suspend(EXPIRY_MS + 10_000);
  assert.equal(arrive(one.placement, 1), undefined);
  // The next renewal is due in half a minute, and a client that speaks TLS waits for 20 s only.
  await clock.advance(1_000);
  assert.equal(one.claims, 2);
  assert.ok(arrive(one.placement, 2) !== undefined);
  await stop();
});

Deno.test("Membership: a renewal that succeeds only after the lapse does not end it", async () => {
  const { clock, leases, one, stop } = await joined({ settings: { whenCutOff: "hold" } });
  leases.always.set("update", "lost");
  await clock.advance(LAPSE_MS - 1);
  leases.always.delete("update");
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  leases.fates("update", { before: answered });
  await clock.advance(5_000);
  assert.equal(one.standing.places, false);
  const { promise: read, resolve: reads } = Promise.withResolvers<void>();
  one.scale.fates({ before: read });
  answers();
  await clock.advance(10_000);
  assert.equal(one.standing.places && arrive(one.placement, 1) !== undefined, false);
  reads();
  await clock.advance(0);
  assert.equal(one.claims, 2);
  assert.ok(arrive(one.placement, 2) !== undefined);
  await stop();
});

Deno.test("Membership: after a deletion of its record it joins again before it places sessions", async () => {
  const { clock, leases, one, stop } = await joined();
  const { promise: read, resolve: reads } = Promise.withResolvers<void>();
  one.scale.fates({ before: read });
  leases.drop(nameOf("one"));
  await clock.advance(30_000);
  assert.equal(one.log.of("own_record_deleted").length, 1);
  assert.equal(arrive(one.placement, 1), undefined);
  reads();
  await clock.advance(0);
  assert.equal(one.claims, 2);
  assert.ok(arrive(one.placement, 2) !== undefined);
  assert.ok(leases.named(nameOf("one")) !== undefined);
  await stop();
});

Deno.test("Membership: also joins again if another part of the program notices the deletion of its record", async () => {
  const { clock, leases, one, stop } = await joined();
  const { promise: read, resolve: reads } = Promise.withResolvers<void>();
  one.scale.fates({ before: read });
  leases.drop(nameOf("one"));
  // As the leader does when it announces.
  await assert.rejects(
    one.record.write(new AbortController().signal),
  );
  one.record.publish(true);
  await clock.advance(1_000);
  assert.equal(arrive(one.placement, 1), undefined);
  reads();
  await clock.advance(0);
  assert.equal(one.claims, 2);
  await stop();
});

Deno.test("Membership recreates a record that is deleted again and again, with pauses", async () => {
  const { clock, leases, one, stop } = await joined();
  const made = () => leases.requests.filter((request) => request === `create ${nameOf("one")}`).length;
  leases.onChange = (change) => {
    if (change.type === "set" && made() < 500) clock.setTimer(10, () => leases.drop(nameOf("one")));
    if (change.type === "gone") one.gone(change.object);
  };
  leases.drop(nameOf("one"));
  await clock.advance(0);
  assert.equal(made(), 2, "the first time at once");
  await clock.advance(60_000);
  assert.ok(made() > 4 && made() < 30, `found ${made()} in a minute`);
  leases.onChange = () => {};
  await clock.advance(20_000);
  assert.equal(one.membership.state, "joined");
  await stop();
});

Deno.test("Membership, cut off with `serve`: an API that fails again during the join does not stop placing for long", async () => {
  const { clock, leases, one, stop } = await joined();
  leases.reachable = false;
  await clock.advance(LAPSE_MS + 30_000);
  assert.equal(one.membership.state, "cut_off");
  // The record can be written once, the count cannot be read.
  one.scale.fates(...Array.from({ length: 200 }, () => "lost" as const));
  leases.fates("update", "ok");
  leases.fates("get", "ok");
  await clock.advance(EXPIRY_MS + 60_000);
  assert.equal(one.membership.state, "cut_off");
  assert.ok(arrive(one.placement, 1) !== undefined);
  await stop();
});

Deno.test("Membership: when the API's data is restored from a backup it joins again, by its next renewal", async () => {
  const { clock, leases, one, stop } = await joined();
  const backup = leases.all;
  await clock.advance(EXPIRY_MS);
  const { promise: read, resolve: reads } = Promise.withResolvers<void>();
  leases.restore(backup);
  one.scale.fates({ before: read });
  await clock.advance(30_000);
  assert.equal(arrive(one.placement, 1), undefined);
  reads();
  await clock.advance(0);
  assert.equal(one.log.of("resource_versions_regressed").length, 1);
  assert.equal(one.membership.state, "joined");
  assert.equal(one.claims, 2);
  assert.deepEqual(one.placement.agreement.promises, []);
  await stop();
});

Deno.test("Membership, alone: it notices a restore of the API's data within a minute, although it has no record", async () => {
  const { clock, leases, one } = setUp();
  for (const verb of ["create", "update", "list"] as const) leases.always.set(verb, 403);
  const running = one.run();
  await clock.advance(RIGHTS_PATIENCE_MS + 1_000);
  assert.equal(one.membership.state, "alone");
  one.scale.version = 40;
  one.scale.replicas = 0;
  await clock.advance(60_000);
  assert.equal(one.log.of("resource_versions_regressed").length, 1);
  assert.deepEqual(one.placement.agreement.seen, { replicas: 0, version: "40" });
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership, when the resourceVersions regress, places nothing until it has written its record, read and claimed", async () => {
  const { clock, leases, one, stop } = await joined();
  const { promise: written, resolve: writes } = Promise.withResolvers<void>();
  leases.fates("update", { before: written });
  one.regressed();
  assert.equal(arrive(one.placement, 1), undefined, "at once");
  await clock.advance(1_000);
  assert.equal(one.claims, 1);
  writes();
  await clock.advance(0);
  assert.equal(one.claims, 2);
  assert.ok(arrive(one.placement, 2) !== undefined);
  await stop();
});

Deno.test("Membership deletes the record of its predecessor in the same pod, and no other", async () => {
  const { clock, leases, one } = setUp({ podUid: "pod-a" });
  leases.put(leaseOf("before", BUSY, { podUid: "pod-a" }));
  leases.put(leaseOf("other", BUSY, { podUid: "pod-b" }));
  leases.put(leaseOf("outside", BUSY));
  const running = one.run();
  await clock.advance(0);
  assert.deepEqual(leases.all.map(({ spec }) => spec?.holderIdentity).sort(), ["one", "other", "outside"]);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership: a first 403 is retried, because new rights take a moment to become effective", async () => {
  const { clock, leases, one } = setUp();
  leases.fates("create", 403, 403, 403);
  const running = one.run();
  await clock.advance(RIGHTS_PATIENCE_MS - 1);
  assert.equal(one.membership.state, "joined");
  assert.equal(one.log.of("leases_forbidden").length, 0);
  assert.equal(one.log.of("join_failed_recovered").length, 1);
  assert.ok(arrive(one.placement, 1) !== undefined);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership: uses rights that are granted while it checks whether others are alive", async () => {
  const { clock, leases, one } = setUp();
  leases.always.set("create", 403);
  leases.put(leaseOf("other"));
  const running = one.run();
  await clock.advance(EXPIRY_MS / 2);
  assert.equal(one.standing.places, false);
  leases.always.clear();
  await clock.advance(10_000);
  assert.equal(one.membership.state, "joined");
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership without access to Leases: alone, ready, and it says so", async () => {
  const { clock, leases, one } = setUp();
  for (const verb of ["list", "get", "create", "update", "delete"] as const) leases.always.set(verb, 403);
  const running = one.run();
  await clock.advance(RIGHTS_PATIENCE_MS - 1_000);
  assert.equal(arrive(one.placement, 9), undefined, "it may be given the right in a moment");
  one.placement.end(9);
  await clock.advance(1_000);
  assert.equal(one.membership.state, "alone");
  assert.equal(one.membership.ready, true);
  assert.equal(one.log.of("leases_forbidden").length, 1);
  assert.ok(arrive(one.placement, 1) !== undefined);
  leases.always.clear();
  await clock.advance(120_000);
  assert.equal(one.membership.state, "joined", "given the right, it takes part");
  assert.ok(leases.named(nameOf("one")) !== undefined);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership: a record that admission refuses does not make it alone, for other proxies may have theirs", async () => {
  const { clock, leases, one } = setUp();
  leases.always.set("create", "denied");
  const running = one.run();
  await clock.advance(10 * RIGHTS_PATIENCE_MS);
  assert.equal(one.membership.state, "joining");
  assert.equal(one.standing.places, false);
  assert.match(one.membership.fault ?? "", /exceeded quota/);
  leases.always.delete("create");
  await clock.advance(60_000);
  assert.equal(one.membership.state, "joined");
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership without the right to write Leases ends when another proxy's record is alive", async () => {
  const { clock, leases, one } = setUp();
  leases.always.set("create", 403);
  leases.put(leaseOf("other"));
  const running = one.run();
  const ended = assert.rejects(running, FatalError);
  await clock.advance(30_000);
  assert.equal(one.standing.places, false, "it is not known yet whether that proxy lives");
  leases.put(leaseOf("other", BUSY));
  await clock.advance(20_000);
  await ended;
});

Deno.test("Membership without the right to write Leases goes on alone when the other record does not change for its expiry", async () => {
  const { clock, leases, one } = setUp();
  leases.always.set("create", 403);
  leases.put(leaseOf("other"));
  const running = one.run();
  await clock.advance(EXPIRY_MS - 1_000);
  assert.equal(one.standing.places, false);
  await clock.advance(2_000);
  assert.equal(one.membership.state, "alone");
  one.stop();
  await clock.advance(0);
  await running;
});
