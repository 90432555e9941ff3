/**
 * Tests of requests without a session: which builder they wake, what they count for, and how long they keep it awake.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Waking } from "../../../lib/target/seats.ts";
import { builds, PoolWorld, type PoolWorldOptions } from "../../support/pool_world.ts";

const HOUR_MS = 3_600_000;
const DOOR = { pool: "" };

class WakeWorld extends PoolWorld {
  changes = 0;

  constructor(options: PoolWorldOptions = {}) {
    super({ builders: ["b1"], ...options });
  }

  wake(keepForMs = 0, host?: string): Waking {
    return this.router.wake(DOOR, host, keepForMs, () => this.changes++);
  }

  get usage() {
    return this.builder("b1").placement.usage;
  }
}

Deno.test("Router.outlook() wakes nothing, and is no use of the builder", async () => {
  const world = new WakeWorld();
  const { builder, project, state, keptForMs, explain } = world.router.outlook(DOOR, undefined);
  assert.deepEqual([builder, project, state, keptForMs], ["b1", undefined, "asleep", 0]);
  assert.equal(await explain(new AbortController().signal), "b1 does not come");
  assert.deepEqual([world.usage.open, world.usage.needing, world.router.held], [0, 0, 0]);
});

Deno.test("Router.wake() calls for a pod like one held session, until the builder serves", async () => {
  const world = new WakeWorld();
  const waking = world.wake();
  assert.equal(waking.isServed, false);
  assert.deepEqual([world.usage.needing, world.router.held], [1, 1]);
  assert.equal(waking.outlook.state, "starting");
  await world.pass(5_000);
  world.builder("b1").run(1);
  await world.pass(0);
  assert.equal(waking.isServed, true);
  assert.ok(world.changes > 0, "it was told");
  assert.deepEqual([world.usage.open, world.usage.needing, world.router.held], [0, 0, 0]);
  assert.equal(world.usage.lastUsedMs.get(0), world.clock.nowMs(), "the pod was used until now");
  waking.end();
});

Deno.test("Router.wake() of a builder that is ready is served at once, and counts as a use of it", async () => {
  const world = new WakeWorld();
  world.builder("b1").run(1);
  await world.pass(1_000);
  assert.equal(world.wake().isServed, true);
  assert.equal(world.usage.lastUsedMs.get(0), world.clock.nowMs());
  assert.equal(world.router.held, 0);
});

Deno.test("Router.wake() asks for one pod, however many wait, and counts each of them as held", () => {
  const capacity = { maxReplicas: 5, sessionsPerReplica: 1 };
  const world = new WakeWorld({ capacity });
  const all = Array.from({ length: 50 }, () => world.wake());
  assert.deepEqual([world.builder("b1").placement.needed, world.router.held], [1, 50]);
  for (const waking of all.slice(1)) waking.end();
  assert.deepEqual([world.builder("b1").placement.needed, world.router.held], [1, 1]);
  all[0]!.end();
  all[0]!.end();
  assert.deepEqual([world.usage.open, world.router.held], [0, 0]);
});

Deno.test("Router.wake() that many wait for is served to all of them", async () => {
  const world = new WakeWorld();
  const all = Array.from({ length: 150 }, () => world.wake());
  world.builder("b1").run(1);
  await world.pass(100);
  assert.ok(all.every(({ isServed }) => isServed));
  assert.deepEqual([world.usage.open, world.router.held], [0, 0]);
});

Deno.test("Router.wake() for a time uses the lowest pod for so long, and is no load on it", async () => {
  const capacity = { maxReplicas: 3, sessionsPerReplica: 1, spread: "least" } as const;
  const world = new WakeWorld({ capacity });
  world.builder("b1").run(3);
  await world.pass(0);
  const waking = world.wake(2 * HOUR_MS);
  assert.equal(waking.isServed, true);
  assert.deepEqual(world.usage.busyOrdinals, [0]);
  assert.equal(world.builder("b1").load, 0);
  assert.equal(world.router.outlook(DOOR, undefined).keptForMs, 2 * HOUR_MS);
  waking.end();
  await world.pass(2 * HOUR_MS - 1);
  assert.deepEqual(world.usage.busyOrdinals, [0]);
  assert.equal(
    world.builder("b1").placement.promise({ below: 0, version: "9" }),
    false,
    "nobody may take it away",
  );
  await world.pass(1);
  assert.deepEqual(world.usage.busyOrdinals, []);
  assert.equal(world.usage.lastUsedMs.get(0), world.clock.nowMs());
  assert.equal(world.router.outlook(DOOR, undefined).keptForMs, 0);
  assert.equal(world.clock.pending, 0);
});

Deno.test("Router.wake() for a time moves to a lower pod once that is there, and never to a higher one", async () => {
  const world = new WakeWorld({ capacity: { maxReplicas: 2 } });
  world.builder("b1").run(2, [0]);
  assert.equal(world.wake(HOUR_MS).isServed, true);
  assert.deepEqual(world.usage.busyOrdinals, [1]);
  world.builder("b1").run(2);
  await world.pass(0);
  assert.deepEqual(world.usage.busyOrdinals, [0]);
  assert.equal(world.usage.lastUsedMs.has(1), false, "nothing is kept up there");
  world.builder("b1").run(2, [0]);
  await world.pass(0);
  assert.deepEqual(world.usage.busyOrdinals, [0]);
  await world.pass(HOUR_MS);
  assert.deepEqual([world.usage.open, world.clock.pending], [0, 0]);
});

Deno.test("Router.wake() waits for no builder that cannot be used while the others are full", async () => {
  const world = new WakeWorld({
    builders: ["b1", "b2"],
    capacity: { sessionsPerReplica: 1, maxSessionsPerReplica: 1 },
  });
  world.builder("b1").change({ state: "missing" });
  world.builder("b2").run(1);
  const session = await world.come(builds());
  assert.deepEqual([world.wake().isServed, world.router.outlook(DOOR, undefined).builder], [true, "b2"]);
  await world.end(session);
});

Deno.test("Router.wake() for a time makes it longer, never shorter, and uses the builder once", async () => {
  const world = new WakeWorld();
  world.builder("b1").run(1);
  world.wake(2 * HOUR_MS);
  world.wake(HOUR_MS);
  world.wake(0);
  assert.equal(world.router.outlook(DOOR, undefined).keptForMs, 2 * HOUR_MS);
  await world.pass(HOUR_MS);
  world.wake(2 * HOUR_MS);
  assert.equal(world.router.outlook(DOOR, undefined).keptForMs, 2 * HOUR_MS);
  assert.equal(world.usage.open, 1);
  await world.pass(2 * HOUR_MS);
  assert.equal(world.usage.open, 0);
  assert.equal(world.clock.pending, 0);
});

Deno.test("Router.wake() for a time counts from when the builder serves", async () => {
  const world = new WakeWorld();
  const waking = world.wake(HOUR_MS);
  await world.pass(60_000);
  assert.equal(waking.outlook.keptForMs, 0);
  world.builder("b1").run(1);
  await world.pass(0);
  assert.equal(waking.outlook.keptForMs, HOUR_MS);
  assert.deepEqual(world.usage.busyOrdinals, [0]);
  await world.pass(HOUR_MS);
  assert.equal(world.usage.open, 0);
});

Deno.test("Router keeps nothing awake once its proxy drains", async () => {
  const world = new WakeWorld();
  world.builder("b1").run(1);
  world.wake(HOUR_MS);
  world.router.endWatchers("The proxy is shutting down");
  assert.equal(world.usage.open, 0);
  assert.equal(world.clock.pending, 0);
  const waking = world.wake(HOUR_MS);
  assert.deepEqual([waking.isServed, waking.outlook.keptForMs], [true, 0]);
  await world.pass(0);
  assert.equal(world.usage.open, 0);
});

Deno.test("Router.wake() wakes the home of the door's project, else of the host's", async () => {
  const builders = ["b1", "b2", "b3", "b4"];
  const world = new WakeWorld({ builders, policy: { placement: "affinity" } });
  const homes = new Set<string | undefined>();
  for (const host of ["team-a", "team-b", "team-c", "team-d"]) {
    const session = await world.come(builds(host));
    const home = world.router.routeOf(session.id).builder;
    await world.end(session);
    homes.add(home);
    assert.equal(world.router.outlook(DOOR, host).builder, home);
    const byHost = world.wake(0, host);
    const byDoor = world.router.wake({ pool: "", project: host }, "another", 0, () => {});
    const needing = world.builders.filter(({ placement }) => placement.usage.needing === 1);
    assert.deepEqual(needing.map(({ name }) => name), [home]);
    assert.deepEqual([byHost.outlook.builder, byDoor.outlook.builder, byDoor.outlook.project], [
      home,
      home,
      host,
    ]);
    byHost.end();
    byDoor.end();
  }
  assert.ok(homes.size > 1, "they have different homes");
  assert.ok(world.builders.every(({ placement }) => placement.usage.open === 0));
});

Deno.test("Router.wake() moves on when the builder that it waits for is stuck", async () => {
  const world = new WakeWorld({ builders: ["b1", "b2"] });
  const waking = world.wake();
  assert.equal(waking.outlook.builder, "b1");
  world.builder("b1").change({ state: "stuck" });
  await world.pass(0);
  assert.equal(waking.outlook.builder, "b2");
  assert.deepEqual([world.usage.open, world.builder("b2").placement.usage.needing], [0, 1]);
  world.builder("b2").run(1);
  await world.pass(0);
  assert.equal(waking.isServed, true);
  assert.ok(world.builders.every(({ placement }) => placement.usage.open === 0));
});

Deno.test("Router.wake() is served by a builder that is full: it needs no seat", async () => {
  const world = new WakeWorld({ capacity: { sessionsPerReplica: 1, maxSessionsPerReplica: 1 } });
  world.builder("b1").run(1);
  const session = await world.come(builds());
  assert.equal(world.wake(HOUR_MS).isServed, true);
  assert.equal(world.router.held, 0);
  await world.end(session);
  await world.pass(HOUR_MS);
  assert.equal(world.usage.open, 0);
});

Deno.test("Router.wake() waits on while no pod of a builder that is ready may be used", async () => {
  const world = new WakeWorld();
  world.builder("b1").change({ state: "ready" });
  const waking = world.wake(HOUR_MS);
  await world.pass(0);
  assert.deepEqual([waking.isServed, world.router.held, world.usage.highest], [false, 1, -1]);
  world.builder("b1").run(1);
  await world.pass(0);
  assert.deepEqual([waking.isServed, world.router.held, world.usage.highest], [true, 0, 0]);
});

Deno.test("Router.wake() takes no session for one of its own", async () => {
  const world = new WakeWorld();
  const sessions = [await world.come(builds()), await world.come(builds())];
  const waking = world.wake(HOUR_MS);
  world.builder("b1").run(1);
  await world.pass(0);
  assert.deepEqual([waking.isServed, world.builder("b1").load], [true, 2]);
  for (const session of sessions) await world.end(session);
  assert.deepEqual([world.usage.open, world.builder("b1").load], [1, 0]);
  await world.pass(HOUR_MS);
  assert.equal(world.usage.open, 0);
});

Deno.test("Router.wake() never wakes a builder that takes no sessions, and says why", async () => {
  const world = new WakeWorld();
  Object.defineProperty(world.builder("b1"), "isCordoned", { value: true });
  world.builder("b1").change({ state: "missing" });
  const waking = world.wake();
  assert.deepEqual([world.usage.open, world.router.held], [0, 1]);
  const why = await waking.outlook.explain(new AbortController().signal);
  assert.equal(why, 'the builder "b1" takes no new sessions (--cordoned)');
  waking.end();
  assert.equal(world.router.held, 0);
});
