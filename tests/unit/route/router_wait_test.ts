/**
 * Tests of waiting for a seat: in which order sessions get one, and what ends their wait.
 *
 * @module
 */
import assert from "node:assert/strict";
import { builds, podOf, PoolWorld } from "../../support/pool_world.ts";

/** One builder goes without a plan, two do not. */
const POOLS = [["b1"], ["b1", "b2"]];

Deno.test("Router seats all who wait when a pod is ready, in the order in which they came", async () => {
  for (const builders of POOLS) {
    const world = new PoolWorld({ builders, capacity: { sessionsPerReplica: 4 } });
    const order: number[] = [];
    const sessions = [1, 2, 3].map(() => {
      const session = world.open();
      world.router.identify(session.id, builds());
      void world.router.wait(session.id, session.leave.signal).then((seat) => order.push(seat.id));
      return session;
    });
    await world.pass(1_000);
    world.builder("b1").run(1);
    await world.pass(1_000);
    assert.deepEqual(order, sessions.map(({ id }) => id));
    for (const session of sessions) await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router seats one who begins to wait after the pod has become ready", async () => {
  for (const builders of POOLS) {
    const world = new PoolWorld({ builders });
    const session = world.open();
    world.router.identify(session.id, builds());
    world.builder("b1").run(1);
    await world.pass(1_000);
    assert.equal(world.router.held, 1);
    world.wait(session);
    await world.pass(1_000);
    assert.equal(podOf(session), "b1-0");
    await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router.wait() ends with the signal; the session is held still, and is not seated any more", async () => {
  for (const builders of POOLS) {
    const world = new PoolWorld({ builders });
    const session = world.open();
    const { id, leave } = session;
    world.router.identify(id, builds());
    const reason = new Error("the time is up");
    const wait = assert.rejects(world.router.wait(id, leave.signal), reason);
    await world.pass(1_000);
    leave.abort(reason);
    await wait;
    await assert.rejects(world.router.wait(id, leave.signal), reason, "one that has ended before");
    world.builder("b1").run(1);
    await world.pass(1_000);
    assert.deepEqual([world.router.held, world.builder("b1").placement.usage.on(0)], [1, 0]);
    await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router.wait() leaves no listener behind", async () => {
  const world = new PoolWorld();
  const session = await world.come(builds());
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (_: string, listener: unknown) => void listeners.add(listener);
  signal.removeEventListener = (type: string, listener: unknown) => {
    if (type === "abort") listeners.delete(listener);
  };
  const wait = world.router.wait(session.id, signal);
  assert.equal(listeners.size, 1);
  world.builder("b1").run(1);
  await world.pass(1_000);
  await wait;
  assert.equal(listeners.size, 0);
  await world.end(session);
});
