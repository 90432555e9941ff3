/** Tests of a proxy's membership over time: when its record is renewed, how faults are told, what a restart of joining costs. @module */
import assert from "node:assert/strict";
import { placesAs } from "../../../lib/ha/standing.ts";
import { RIGHTS_PATIENCE_MS } from "../../../lib/ha/alone.ts";
import { aMember, BUSY, EXPIRY_MS, joinedMember, leaseOf, nameOf } from "../../support/ha.ts";
import { arrive } from "../../support/seating.ts";

/** When a proxy lapses that was not heard of, in ms. */
const LAPSE_MS = EXPIRY_MS * 0.9;

const UPDATE = `update ${nameOf("one")}`;

/** How often the record was written from now until then. */
async function writesIn(ms: number, { clock, leases }: Pick<ReturnType<typeof aMember>, "clock" | "leases">) {
  leases.requests.length = 0;
  await clock.advance(ms);
  return leases.requests.filter((request) => request === UPDATE).length;
}

Deno.test("placesAs() is true where the others know this proxy, or cannot be asked", () => {
  const cases = [
    ["joining", [false, false, false, false]],
    ["joined", [true, true, false, false]],
    ["cut_off", [true, false, true, false]],
    ["alone", [true, true, true, true]],
  ] as const;
  for (const [state, wanted] of cases) {
    const found = [false, true].flatMap((lapsed) =>
      (["serve", "hold"] as const).map((whenCutOff) => placesAs(state, lapsed, whenCutOff))
    );
    assert.deepEqual(found, wanted, state);
  }
});

Deno.test("Membership renews its record when a tenth of its expiry has passed since the last write", async () => {
  const world = await joinedMember();
  assert.equal(await writesIn(EXPIRY_MS / 10 - 1, world), 0);
  assert.equal(await writesIn(1, world), 1);
  await world.clock.advance(10_000);
  world.one.record.publish();
  assert.equal(await writesIn(0, world), 1);
  assert.equal(await writesIn(EXPIRY_MS / 10 - 1, world), 0);
  assert.equal(await writesIn(1, world), 1);
  await world.stop();
});

Deno.test("OwnRecord.publish() writes half a second after the last write at the earliest, and at once if it is urgent", async () => {
  const world = await joinedMember();
  const { record } = world.one;
  record.publish();
  assert.equal(await writesIn(499, world), 0, "joining has written it, too");
  assert.equal(await writesIn(1, world), 1);
  await world.clock.advance(1_000);
  record.publish();
  assert.equal(await writesIn(0, world), 1);
  record.publish();
  assert.equal(await writesIn(200, world), 0);
  record.publish();
  assert.equal(await writesIn(299, world), 0);
  assert.equal(await writesIn(1, world), 1, "all changes at once");
  assert.equal(await writesIn(5_000, world), 0);
  record.publish();
  await world.clock.advance(0);
  record.publish();
  assert.equal(await writesIn(100, world), 0);
  record.publish(true);
  assert.equal(await writesIn(0, world), 1, "urgent in the middle of the pause");
  record.publish();
  assert.equal(await writesIn(499, world), 0, "the next one is not urgent any more");
  assert.equal(await writesIn(1, world), 1);
  await world.stop();
});

Deno.test("Membership tries a failed renewal again soon, and every 5 s at least", async () => {
  const world = await joinedMember();
  const { clock, leases } = world;
  for (let outage = 0; outage < 2; outage++) {
    leases.reachable = false;
    while (world.one.membership.fault === undefined) await clock.advance(100);
    assert.ok(await writesIn(1_000, world) >= 2, "soon, after each outage");
    await clock.advance(30_000);
    assert.equal(await writesIn(60_000, world), 12);
    leases.reachable = true;
    await clock.advance(5_000);
    assert.equal(world.one.membership.fault, undefined);
  }
  assert.equal(world.one.log.of("own_record_renewal_failed_recovered").length, 2);
  assert.equal(world.one.claims, 1, "it never had to join again");
  await world.stop();
});

Deno.test("Membership tries to write a change again soon, however young its record is", async () => {
  const world = await joinedMember();
  await world.clock.advance(1_000);
  world.leases.fates("update", "lost", "lost");
  world.one.record.publish();
  assert.equal(await writesIn(149, world), 1);
  assert.equal(await writesIn(1, world), 1);
  assert.equal(await writesIn(299, world), 0);
  assert.equal(await writesIn(1, world), 1);
  assert.equal(world.one.membership.fault, undefined);
  await world.stop();
});

for (const what of ["joins", "claims", "renews"] as const) {
  Deno.test(`Membership ends with its signal while it ${what}, and calls that no fault`, async () => {
    const { clock, leases, one } = aMember();
    const { promise: hangs, reject: fails } = Promise.withResolvers<never>();
    if (what === "joins") leases.create = () => hangs;
    if (what === "claims") one.scale.apply = () => hangs;
    if (what === "renews") leases.update = () => hangs;
    const running = one.run();
    await clock.advance(EXPIRY_MS / 10);
    one.stop();
    fails(new Error("no answer"));
    await clock.advance(0);
    await running;
    assert.deepEqual(one.log.records.map(({ code }) => code), what === "renews" ? ["proxy_joined"] : []);
    assert.equal(clock.pending, 0);
  });
}

Deno.test("Membership tells of a fault while it lasts, and calls it an obstacle only where it places nothing", async () => {
  for (const whenCutOff of ["serve", "hold"] as const) {
    const { clock, leases, one: { membership, log }, stop } = await joinedMember({
      settings: { whenCutOff },
    });
    const said = () => [membership.fault, membership.obstacle, membership.holding];
    assert.deepEqual(said(), [undefined, undefined, undefined]);
    leases.reachable = false;
    await clock.advance(LAPSE_MS / 2);
    assert.deepEqual(said(), ["no answer", undefined, undefined]);
    await clock.advance(LAPSE_MS);
    assert.equal(membership.state, "cut_off");
    const isHeld = whenCutOff === "hold";
    assert.deepEqual(said(), [
      "no answer",
      "no answer",
      isHeld ? "New sessions are held (--when-cut-off=hold): no answer" : undefined,
    ]);
    leases.reachable = true;
    await clock.advance(60_000);
    assert.deepEqual(said(), [undefined, undefined, undefined]);
    const causes = log.of("proxy_cut_off").map(({ fields }) => fields.cause);
    assert.deepEqual(causes, ["no answer"], "once");
    await stop();
  }
});

Deno.test("Membership.holding with `hold` says that it has to join again where there is no fault", async () => {
  const { one: { membership }, clock, stop } = await joinedMember({ settings: { whenCutOff: "hold" } });
  clock.suspend(EXPIRY_MS);
  assert.equal(
    membership.holding,
    "New sessions are held (--when-cut-off=hold): this proxy has to join again",
  );
  await stop();
});

Deno.test("Membership.holding is not told before it was ready", async () => {
  const { clock, leases, one } = aMember({ settings: { whenCutOff: "hold" } });
  leases.reachable = false;
  const running = one.run();
  await clock.advance(60_000);
  assert.equal(one.membership.obstacle, "no answer");
  assert.equal(one.membership.holding, undefined);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership that was never ready is not cut off when its record lapses: it places nothing before it has read the count", async () => {
  const { clock, leases, one } = aMember();
  one.scale.fates("lost");
  leases.fates("create", "ok");
  leases.reachable = false;
  const running = one.run();
  await clock.advance(0);
  assert.ok(leases.named(nameOf("one")) !== undefined);
  await clock.advance(2 * EXPIRY_MS);
  assert.equal(one.standing.lapsed, true);
  assert.equal(one.membership.state, "joining");
  assert.equal(arrive(one.placement, 1), undefined);
  leases.reachable = true;
  await clock.advance(EXPIRY_MS / 10);
  assert.equal(one.membership.state, "joined");
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership, cut off: the API that comes back makes it join at once, and its record counts as neither lost nor late", async () => {
  const { clock, leases, one, stop } = await joinedMember();
  leases.reachable = false;
  await clock.advance(LAPSE_MS + 60_000);
  leases.requests.length = 0;
  leases.reachable = true;
  await clock.advance(10_000);
  assert.equal(one.membership.state, "joined");
  assert.deepEqual(leases.requests, [UPDATE], "one write");
  for (const lost of ["own_record_deleted", "own_record_expired"] as const) {
    assert.equal(one.log.of(lost).length, 0);
  }
  assert.equal(one.log.of("proxy_joined").length, 1, "said once in a process");
  await stop();
});

Deno.test("Standing.subscribe() tells of each other state", async () => {
  const { clock, leases, one } = aMember();
  const states: string[] = [];
  one.standing.subscribe(() => states.push(one.standing.state));
  assert.equal(one.standing.state, "joining");
  const running = one.run();
  await clock.advance(0);
  leases.reachable = false;
  await clock.advance(LAPSE_MS + 30_000);
  leases.reachable = true;
  await clock.advance(60_000);
  assert.deepEqual(states, ["joined", "cut_off", "joining", "joined"]);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership, when the resourceVersions regress, of one that has not joined, or is cut off, changes nothing", async () => {
  const { clock, leases, one, stop } = await joinedMember();
  leases.reachable = false;
  await clock.advance(LAPSE_MS + 30_000);
  one.regressed();
  assert.equal(one.membership.state, "cut_off");
  assert.equal(one.standing.places, true);
  await stop();
});

Deno.test("Membership, when the resourceVersions regress, in the middle of a pause between two writes joins at once", async () => {
  const { clock, one, stop } = await joinedMember();
  one.record.publish();
  await clock.advance(100);
  one.regressed();
  await clock.advance(0);
  assert.equal(one.membership.state, "joined");
  assert.equal(one.claims, 2);
  await stop();
});

Deno.test("Membership: a record that is deleted in the middle of a claim makes it join again at once", async () => {
  const { clock, leases, one } = aMember();
  // The count is read; its first claim is never answered.
  one.scale.fates({ before: Promise.resolve() }, { before: new Promise<void>(() => {}) });
  const running = one.run();
  await clock.advance(1_000);
  assert.equal(one.membership.ready, false);
  leases.drop(nameOf("one"));
  one.record.publish(true);
  await clock.advance(0);
  assert.equal(one.membership.ready, true);
  assert.equal(one.claims, 2);
  assert.deepEqual(one.log.records.map(({ code }) => code), ["own_record_deleted", "proxy_joined"]);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership looks for a predecessor only before it is ready for the first time", async () => {
  const { clock, leases, one, stop } = await joinedMember({ podUid: "pod-a" });
  const lists = () => leases.requests.filter((request) => request === "list").length;
  assert.equal(lists(), 1);
  leases.put(leaseOf("before", BUSY, { podUid: "pod-a" }));
  one.regressed();
  await clock.advance(1_000);
  assert.equal(one.claims, 2);
  assert.equal(lists(), 1);
  assert.equal(leases.all.length, 2);
  await stop();
});

Deno.test("Membership.whenRecorded resolves once others can see this proxy, which they cannot while it is alone", async () => {
  const { clock, leases, one } = aMember();
  let recorded = false;
  one.membership.whenRecorded.then(() => recorded = true);
  for (const verb of ["create", "list"] as const) leases.always.set(verb, 403);
  const running = one.run();
  await clock.advance(RIGHTS_PATIENCE_MS);
  assert.equal(one.membership.state, "alone");
  assert.equal(one.membership.obstacle, undefined);
  assert.equal(recorded, false);
  leases.always.clear();
  await clock.advance(60_000);
  assert.equal(one.membership.state, "joined");
  assert.equal(recorded, true);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership, back from a freeze: right after a failed renewal it is cut off, and long after one it has to join first", async () => {
  for (const sinceMs of [15_000, 15_001]) {
    const { clock, leases, one, stop } = await joinedMember();
    leases.fates("update", "lost");
    await clock.advance(EXPIRY_MS / 10);
    leases.reachable = false;
    // Nothing runs any more: the failure was so long ago, and the record has lapsed by the boot clock.
    clock.freeze(sinceMs);
    clock.suspend(EXPIRY_MS);
    const isCutOff = sinceMs === 15_000;
    assert.equal(arrive(one.placement, 1) !== undefined, isCutOff);
    assert.equal(one.membership.state, isCutOff ? "cut_off" : "joined");
    await stop();
  }
});

Deno.test("Membership, joining: a claim that fails is tried again with growing pauses, and its fault is told", async () => {
  const { clock, one } = aMember();
  one.scale.fates({ before: Promise.resolve() }, ...Array.from({ length: 5 }, () => "lost" as const));
  const running = one.run();
  await clock.advance(0);
  assert.equal(one.membership.obstacle, "no answer");
  assert.equal(one.claims, 1);
  // 150, 300, 600, 1200 and 2400 ms.
  const pausesMs = [150, 300, 600, 1_200, 2_400];
  for (const [at, pauseMs] of pausesMs.entries()) {
    await clock.advance(pauseMs - 1);
    assert.equal(one.claims, at + 1);
    await clock.advance(1);
    assert.equal(one.claims, at + 2);
  }
  assert.equal(one.membership.ready, true);
  assert.equal(one.membership.obstacle, undefined);
  assert.equal(one.log.of("join_failed_recovered").length, 1);
  one.stop();
  await clock.advance(0);
  await running;
});

Deno.test("Membership: tries to join come with growing pauses, from the first one again once it has joined", async () => {
  const { clock, leases, one, stop } = await joinedMember();
  const joins = () => leases.requests.filter((request) => request === UPDATE).length;
  for (let round = 0; round < 2; round++) {
    leases.fates("update", "lost", "lost", "lost");
    leases.requests.length = 0;
    one.regressed();
    await clock.advance(0);
    for (const [at, pauseMs] of [150, 300, 600].entries()) {
      await clock.advance(pauseMs - 1);
      assert.equal(joins(), at + 1);
      await clock.advance(1);
      assert.equal(joins(), at + 2);
    }
    assert.equal(one.membership.state, "joined");
    await clock.advance(20_000);
  }
  await stop();
});

Deno.test("Membership: a record that is lost again long after the last time is made anew at once", async () => {
  const { clock, leases, one, stop } = await joinedMember();
  for (let losses = 0; losses < 3; losses++) {
    await clock.advance(15_000);
    leases.drop(nameOf("one"));
    one.record.publish(true);
    await clock.advance(0);
    assert.ok(leases.named(nameOf("one")) !== undefined);
    assert.equal(one.membership.state, "joined");
  }
  // Less than that after the last time: with a pause.
  await clock.advance(14_999);
  leases.drop(nameOf("one"));
  one.record.publish(true);
  await clock.advance(149);
  assert.equal(leases.named(nameOf("one")), undefined);
  await clock.advance(1);
  assert.equal(one.membership.state, "joined");
  await stop();
});
