/** Tests of where sessions are seated, and where they are not. @module */
import assert from "node:assert/strict";
import type { Placement, Seat } from "../../../lib/scaler/placement.ts";
import { arrive, awaitSeat } from "../../support/seating.ts";
import { pod, setUp } from "./placement_world.ts";

/** Sessions of tests that have several. */
const [HELD, SEATED, WATCHER] = [50, 51, 52];

Deno.test("Placement seats a session on the first pod that is ready and not going", () => {
  const { placement, place } = setUp(3);
  assert.equal(place(), 0);
  placement.pods.set([pod(0, { ready: false }), pod(1, { terminating: true }), pod(2)]);
  assert.equal(place(), 2);
  placement.pods.set([pod(0, { ready: false }), pod(1, { terminating: true })]);
  assert.equal(place(), undefined);
});

Deno.test("Placement seats no session on an ordinal beyond the count, the maximum or a promise", () => {
  const { placement, place } = setUp(3, { maxReplicas: 2 });
  placement.pods.set([pod(1), pod(2), pod(3)]);
  assert.equal(place(), 1);
  placement.pods.set([pod(2), pod(3)]);
  assert.equal(place(), undefined, "the maximum");
  const { placement: other, place: placeThere } = setUp(1);
  other.pods.set([pod(1)]);
  assert.equal(placeThere(), undefined, "the count");
  other.pods.set([pod(0)]);
  assert.ok(other.promise({ below: 0, version: "10" }));
  assert.equal(placeThere(), undefined, "a promise");
});

Deno.test("Placement seats nobody while the gate is closed, and tells when it has opened", () => {
  const { gate, placement } = setUp();
  gate.open = false;
  const session = awaitSeat(placement, 1);
  assert.equal(session.seat(), undefined);
  gate.open = true;
  gate.tell();
  assert.equal(session.seat()?.backend.ordinal, 0);
});

Deno.test("Placement.seat() ends a hold, and knows whether the session has shown that it is a client's", () => {
  const { placement, pods } = setUp(1);
  placement.pods.set([]);
  for (const id of [1, 2, 3]) assert.equal(arrive(placement, id, id !== 2), undefined);
  assert.deepEqual([placement.usage.held, placement.usage.needing], [3, 2]);
  placement.pods.set(pods(1));
  for (const id of [1, 2, 3]) assert.ok(placement.seat(id, id !== 2, "limit"));
  assert.deepEqual([placement.usage.held, placement.usage.on(0)], [0, 3]);
  assert.equal(placement.usage.needs(2), false);
  placement.markUsed(2);
  assert.equal(placement.usage.needs(2), true);
});

Deno.test("Placement.isValid() until the seat is lost, for whatever reason", () => {
  const lost: Record<string, (world: ReturnType<typeof setUp>, seat: Seat) => void> = {
    "the session was held again": ({ placement }) => placement.hold(1, true),
    "the session has ended": ({ placement }) => placement.end(1),
    "the session has another seat": ({ placement }) => placement.usage.place(1, 1, true, 0),
    "the pod is gone": ({ placement }) => placement.pods.set([]),
    "another pod has its name": ({ placement }) => placement.pods.set([pod(0, { uid: "new" })]),
    "the pod is going": ({ placement }) => placement.pods.set([pod(0, { terminating: true })]),
    "the pod is being deleted, says the API server": ({ placement }) => placement.pods.deleted("uid-0"),
    "the count has fallen": ({ see }) => see(0),
    "the gate has closed": ({ gate }) => gate.open = false,
  };
  for (const [what, lose] of Object.entries(lost)) {
    const world = setUp();
    const seat = arrive(world.placement, 1)!;
    assert.equal(world.placement.isValid(seat), true);
    lose(world, seat);
    assert.equal(world.placement.isValid(seat), false, what);
  }
  const { placement } = setUp();
  const seat = arrive(placement, 1)!;
  placement.pods.set([pod(0, { ready: false })]);
  assert.equal(placement.isValid(seat), true, "a pod that was ready when the session was placed is dialled");
});

Deno.test("Placement.hold() makes the session one that waits, and may cease to need a pod", () => {
  const { placement } = setUp();
  arrive(placement, 1);
  placement.hold(1, false);
  assert.deepEqual([placement.usage.held, placement.usage.needing, placement.usage.on(0)], [1, 0, 0]);
  placement.hold(1, true);
  assert.deepEqual([placement.usage.held, placement.usage.needing], [1, 1]);
});

Deno.test("Placement tells its listeners of everything that can change a decision", () => {
  const changes: Record<string, (world: ReturnType<typeof setUp>) => void> = {
    "see()": ({ see }) => see(2),
    "startAnew()": ({ placement }) => placement.startAnew(),
    "countsMissed()": ({ placement }) => placement.pods.countsMissed(),
    "settled()": ({ placement }) => placement.pods.settled(),
    "verified()": ({ placement }) => placement.pods.verified("uid-0", 0),
    "deleted()": ({ placement }) => placement.pods.deleted("uid-0"),
    "set()": ({ placement }) => placement.pods.set([]),
    "checked()": ({ placement }) => placement.pods.checked("uid-0", "serving"),
    "dialFailed()": ({ placement }) => placement.pods.dialFailed("uid-0"),
    "unbind()": ({ placement }) => placement.unbind(),
    "the gate": ({ gate }) => gate.tell(),
    "seat()": ({ placement }) => void placement.seat(1, true, "limit"),
    "hold()": ({ placement }) => placement.hold(1, true),
    "hold() of a seated session": ({ placement }) => placement.hold(SEATED, true),
    "markUsed() of a seated session": ({ placement }) => placement.markUsed(SEATED),
    "markUsed() of a held session": ({ placement }) => placement.markUsed(HELD),
    "silent()": ({ placement }) => placement.silent(SEATED, true),
    "watch()": ({ placement }) => placement.watch(SEATED),
    "seatWatcher()": ({ placement }) => void placement.seatWatcher(1),
    "end() of a seated session": ({ placement }) => placement.end(SEATED),
    "end() of a held session": ({ placement }) => placement.end(HELD),
  };
  for (const [what, change] of Object.entries(changes)) {
    const world = setUp();
    world.placement.seat(SEATED, false, "limit");
    world.placement.hold(HELD, false);
    let told = 0;
    world.placement.subscribe(() => told++);
    change(world);
    assert.equal(told, 1, what);
  }
  const { placement } = setUp();
  placement.subscribe(() => assert.fail("nothing has changed"));
  placement.see({ replicas: 5, version: "10" });
  placement.pods.checked("uid-0", "missed");
  placement.pods.checked("unknown", "serving");
  placement.pods.dialFailed("unknown");
});

Deno.test("Placement tells its listeners nothing of what a client does again", () => {
  const again: Record<string, (placement: Placement) => void> = {
    "hold()": (placement) => placement.hold(HELD, true),
    "markUsed() of a held session": (placement) => placement.markUsed(HELD),
    "markUsed() of a seated session": (placement) => placement.markUsed(SEATED),
    "silent()": (placement) => placement.silent(SEATED, false),
    "watch()": (placement) => placement.watch(WATCHER),
    "watchNoMore()": (placement) => void placement.watchNoMore(SEATED),
    "markUsed() of a watcher": (placement) => placement.markUsed(WATCHER),
    "silent() of a watcher": (placement) => placement.silent(WATCHER, true),
    "markUsed() of an unknown session": (placement) => placement.markUsed(1),
    "silent() of an unknown session": (placement) => placement.silent(1, true),
    "watch() of an unknown session": (placement) => placement.watch(1),
    "end() of an unknown session": (placement) => placement.end(1),
  };
  for (const [what, act] of Object.entries(again)) {
    const { placement } = setUp();
    placement.seatWatcher(WATCHER);
    placement.seat(SEATED, true, "limit");
    placement.hold(HELD, true);
    placement.subscribe(() => assert.fail(what));
    act(placement);
  }
});

Deno.test("Placement.see() says what is news", () => {
  const { placement, see } = setUp();
  assert.equal(placement.see({ replicas: 0, version: "10" }), false);
  assert.equal(placement.agreement.seen?.replicas, 1);
  assert.equal(see(0), true);
  assert.equal(placement.agreement.seen?.replicas, 0);
});

Deno.test("Placement.promise() is refused while a session is on what it closes, or a held one needs it", () => {
  const { placement } = setUp(2);
  arrive(placement, 1);
  assert.equal(placement.promise({ below: 0, version: "10" }), false);
  assert.equal(placement.promise({ below: 1, version: "10" }), true, "ordinal 0 stays");
  placement.hold(1, true);
  assert.equal(placement.promise({ below: 0, version: "10" }), false);
  assert.deepEqual(placement.agreement.promises, [{ below: 1, version: "10" }]);
  placement.hold(1, false);
  assert.equal(placement.promise({ below: 0, version: "10" }), true, "it may be no client at all");
});

Deno.test("Placement.closedToHeld says when a held session needs what a promise closes", () => {
  const { placement, see } = setUp();
  assert.ok(placement.promise({ below: 0, version: "10" }));
  assert.equal(placement.closedToHeld, false, "nobody waits");
  arrive(placement, 1);
  assert.equal(placement.closedToHeld, true);
  see(1, "watch");
  assert.equal(placement.closedToHeld, false, "the promise has ended");
});

Deno.test("Placement.bind() lets nobody in before a newer version is seen, whatever is in use", () => {
  const { placement, see, place } = setUp();
  arrive(placement, 1);
  placement.bind("10");
  assert.equal(place(), undefined);
  see(1, "10");
  assert.equal(place(), 0);
});

/** A placement with listeners, and which of them each step told. */
function heard(world: ReturnType<typeof setUp>) {
  const { placement } = world;
  const told: string[] = [];
  placement.subscribe(() => told.push("all"));
  placement.subscribeBeyondLoad(() => told.push("beyond load"));
  return (step: (placement: Placement) => void) => {
    told.length = 0;
    step(placement);
    return told.join(", ");
  };
}

Deno.test("Placement.subscribeBeyondLoad() does not tell of one more or one less on a pod that has others", () => {
  const told = heard(setUp(2, { capacity: { sessionsPerReplica: 2 } }));
  const both = "all, beyond load";
  assert.equal(told((it) => it.seat(1, true, "nothing")), both, "the first on the pod");
  assert.equal(told((it) => it.seat(2, true, "nothing")), "all");
  assert.equal(told((it) => it.silent(2, true)), "all");
  assert.equal(told((it) => it.silent(2, true)), "", "nothing has changed");
  assert.equal(told((it) => it.silent(2, false)), "all");
  assert.equal(told((it) => it.seat(3, true, "nothing")), both, "the first on another pod");
  assert.equal(told((it) => it.end(1)), "all");
  assert.equal(told((it) => it.end(1)), "");
  assert.equal(told((it) => it.end(2)), both, "the last on the pod");
  assert.equal(told((it) => it.seatWatcher(4)), both);
  assert.equal(told((it) => it.watchNoMore(4)), both);
});

Deno.test("Placement.subscribeBeyondLoad() tells of every change of the load while somebody calls for a pod", () => {
  const told = heard(setUp(1));
  const both = "all, beyond load";
  told((it) => it.seat(1, true, "nothing"));
  assert.equal(told((it) => it.hold(2, true)), both);
  assert.equal(told((it) => it.seat(3, true, "nothing")), both);
  assert.equal(told((it) => it.silent(3, true)), both);
  assert.equal(told((it) => it.end(3)), both);
  assert.equal(told((it) => it.seat(2, true, "nothing")), both, "it waits no more");
  assert.equal(told((it) => it.hold(4, false)), both, "a session that needs nothing is held, too");
  assert.equal(told((it) => it.seat(4, true, "nothing")), both);
  assert.equal(told((it) => it.seat(5, true, "nothing")), "all");
});

Deno.test("Placement.subscribeBeyondLoad() tells of what a listener does because of the load", () => {
  const { placement } = setUp(1);
  const told: string[] = [];
  let isDone = true;
  placement.subscribe(() => {
    if (isDone) return;
    isDone = true;
    placement.others = new Map([[0, 1]]);
  });
  placement.subscribeBeyondLoad(() => told.push("beyond load"));
  placement.seat(1, true, "nothing");
  told.length = 0;
  placement.seat(2, true, "nothing");
  assert.deepEqual(told, []);
  isDone = false;
  placement.seat(3, true, "nothing");
  assert.deepEqual(told, ["beyond load"]);
  placement.seat(4, true, "nothing");
  assert.deepEqual(told, ["beyond load"]);
});

Deno.test("Placement.roseMs says when the count rose last above what is still there", async () => {
  const { clock, placement, see } = setUp(1);
  const startMs = clock.nowMs();
  const rose = () => [...placement.roseMs].map(([ordinal, nowMs]) => [ordinal, nowMs - startMs]);
  assert.deepEqual(rose(), [[0, 0]], "the first count rises from nothing");
  see(0);
  assert.deepEqual(rose(), []);
  await clock.advance(10);
  see(2);
  assert.deepEqual(rose(), [[1, 10]]);
  await clock.advance(10);
  see(5);
  assert.deepEqual(rose(), [[1, 10], [4, 20]]);
  see(3);
  assert.deepEqual(rose(), [[1, 10], [2, 20]]);
  see(2);
  assert.deepEqual(rose(), [[1, 10]]);
  await clock.advance(10);
  see(3);
  assert.deepEqual(rose(), [[1, 10], [2, 30]]);
  see(0);
  assert.deepEqual(rose(), []);
});

Deno.test("Placement forgets what was used last of ordinals that a lower count takes", () => {
  const { placement, see } = setUp(2);
  for (const ordinal of [0, 1]) {
    placement.usage.place(ordinal, ordinal, true, 0);
    placement.end(ordinal);
  }
  see(1);
  assert.deepEqual([...placement.usage.lastUsedMs.keys()], [0]);
});

Deno.test("Placement knows nothing of the health of a pod that was away, nor of one that has never been there", () => {
  const { placement } = setUp(1, { mode: "grpc" });
  placement.pods.checked("uid-0", "serving");
  assert.equal(placement.pods.isReady(pod(0)), true);
  placement.pods.set([pod(0)]);
  assert.equal(placement.pods.isReady(pod(0)), true, "a change that does not concern it");
  placement.pods.set([]);
  placement.pods.checked("uid-0", "serving");
  placement.pods.set([pod(0)]);
  assert.equal(placement.pods.isReady(pod(0)), false);
});

Deno.test("Pods.dialFailed() keeps sessions from a pod in whose readiness the daemon has a say", () => {
  const { placement, place } = setUp(1, { mode: "auto" });
  assert.equal(place(), 0);
  placement.pods.dialFailed("uid-0");
  assert.equal(placement.pods.healthOf("uid-0").unhealthy, true);
  assert.equal(place(), undefined);
  placement.pods.checked("uid-0", "serving");
  assert.equal(place(), 0);
});
