/** Tests of where sessions are seated, and when they have to wait. @module */
import assert from "node:assert/strict";
import type { Seat } from "../../../lib/scaler/placement.ts";
import { pod, setUp, waiting } from "./placement_world.ts";

const SIGNAL = new AbortController().signal;

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

Deno.test("Placement seats nobody while the gate is closed, and those who wait when it opens", async () => {
  const { clock, gate, placement } = setUp();
  gate.open = false;
  const session = waiting(placement, 1);
  gate.open = true;
  gate.tell();
  await clock.advance(0);
  assert.equal(session.ordinal, 0);
});

Deno.test("Placement seats all who wait when a pod is ready, in the order in which they came", async () => {
  const { clock, placement, pods } = setUp(1);
  placement.pods.set([]);
  const seated: number[] = [];
  for (const id of [1, 2, 3]) {
    assert.equal(placement.open(id, id !== 2), undefined);
    void placement.wait(id, SIGNAL).then(({ id }) => seated.push(id));
  }
  assert.equal(placement.usage.needing, 2);
  placement.pods.set(pods(1));
  await clock.advance(0);
  assert.deepEqual(seated, [1, 2, 3]);
  assert.deepEqual([placement.usage.held, placement.usage.on(0)], [0, 3]);
  assert.equal(placement.usage.needs(2), false, "it has not shown that it is a client's");
  placement.markUsed(2);
  assert.equal(placement.usage.needs(2), true);
});

Deno.test("Placement seats one who begins to wait after the pod has become ready", async () => {
  const { clock, placement, pods } = setUp(1);
  placement.pods.set([]);
  placement.open(1, true);
  placement.pods.set(pods(1));
  const seat = placement.wait(1, SIGNAL);
  await clock.advance(0);
  assert.equal((await seat).backend.ordinal, 0);
});

Deno.test("Placement.wait() ends with the signal; the session is held still, and is not seated any more", async () => {
  const { clock, placement, pods } = setUp(1);
  placement.pods.set([]);
  const controller = new AbortController();
  const reason = new Error("the time is up");
  placement.open(1, true);
  const waits = placement.wait(1, controller.signal);
  controller.abort(reason);
  await assert.rejects(waits, reason);
  await assert.rejects(placement.wait(1, controller.signal), reason, "one that has ended before");
  placement.pods.set(pods(1));
  await clock.advance(0);
  assert.deepEqual([placement.usage.held, placement.usage.on(0)], [1, 0]);
});

Deno.test("Placement.wait() leaves no listener behind", async () => {
  const { placement, pods } = setUp(1);
  placement.pods.set([]);
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (_: string, listener: unknown) => void listeners.add(listener);
  signal.removeEventListener = (type: string, listener: unknown) => {
    if (type === "abort") listeners.delete(listener);
  };
  placement.open(1, true);
  const seat = placement.wait(1, signal);
  assert.equal(listeners.size, 1);
  placement.pods.set(pods(1));
  await seat;
  assert.equal(listeners.size, 0);
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
    const seat = world.placement.open(1, true)!;
    assert.equal(world.placement.isValid(seat), true);
    lose(world, seat);
    assert.equal(world.placement.isValid(seat), false, what);
  }
  const { placement } = setUp();
  const seat = placement.open(1, true)!;
  placement.pods.set([pod(0, { ready: false })]);
  assert.equal(placement.isValid(seat), true, "a pod that was ready when the session was placed is dialled");
});

Deno.test("Placement.hold() makes the session one that waits, and may cease to need a pod", () => {
  const { placement } = setUp();
  placement.open(1, true);
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
    "open()": ({ placement }) => void placement.open(1, true),
    "hold()": ({ placement }) => placement.hold(1, true),
    "markUsed()": ({ placement }) => placement.markUsed(1),
    "end()": ({ placement }) => placement.end(1),
  };
  for (const [what, change] of Object.entries(changes)) {
    const world = setUp();
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

Deno.test("Placement.see() says what is news", () => {
  const { placement, see } = setUp();
  assert.equal(placement.see({ replicas: 0, version: "10" }), false);
  assert.equal(placement.agreement.seen?.replicas, 1);
  assert.equal(see(0), true);
  assert.equal(placement.agreement.seen?.replicas, 0);
});

Deno.test("Placement.promise() is refused while a session is on what it closes, or a held one needs it", () => {
  const { placement } = setUp(2);
  placement.open(1, true);
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
  placement.open(1, true);
  assert.equal(placement.closedToHeld, true);
  see(1, "watch");
  assert.equal(placement.closedToHeld, false, "the promise has ended");
});

Deno.test("Placement.bind() lets nobody in before a newer version is seen, whatever is in use", () => {
  const { placement, see, place } = setUp();
  placement.open(1, true);
  placement.bind("10");
  assert.equal(place(), undefined);
  see(1, "10");
  assert.equal(place(), 0);
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
