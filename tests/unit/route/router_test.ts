/**
 * Tests of the router over several builders: where sessions go, what they count for, and that nobody is forgotten.
 *
 * @module
 */
import assert from "node:assert/strict";
import { rank } from "../../../lib/route/rank.ts";
import { builds, podOf, PoolWorld, type TestSession, WATCHES } from "../../support/pool_world.ts";

const FULL = { capacity: { sessionsPerReplica: 1, maxSessionsPerReplica: 1 } };

Deno.test("Router holds a session until it is known what it wants, and wakes nothing before", async () => {
  const world = new PoolWorld();
  const session = world.open();
  world.wait(session);
  await world.pass(1_000);
  assert.equal(world.router.needs(session.id), false);
  assert.equal(world.builder("b1").placement.needed, 0);
  world.router.identify(session.id, builds());
  await world.pass(0);
  assert.equal(world.router.needs(session.id), true);
  assert.equal(world.builder("b1").placement.needed, 1);
  world.builder("b1").run(1);
  await world.pass(0);
  assert.equal(podOf(session), "b1-0");
  assert.equal(world.builder("b1").load, 1);
  await world.end(session);
  world.assertEmpty();
});

Deno.test("Router seats a session whose home has room without holding it there first", async () => {
  const world = new PoolWorld();
  const { placement } = world.builder("b1");
  world.builder("b1").run(1);
  let held = 0;
  placement.subscribe(() => held = Math.max(held, placement.usage.held));
  const session = await world.come(builds());
  assert.equal(podOf(session), "b1-0");
  assert.equal(held, 0);
  assert.equal(world.router.routeOf(session.id).isWarm, true);
  await world.end(session);
  world.assertEmpty();
});

Deno.test("Router calls no session warm that was queued or waited for a pod", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  const cold = await world.come(builds());
  world.builder("b1").run(1);
  await world.pass(0);
  const queued = await world.come(builds());
  await world.pass(1_000);
  await world.end(cold);
  assert.deepEqual([podOf(cold), podOf(queued)], ["b1-0", "b1-0"]);
  assert.equal(world.router.routeOf(cold.id).isWarm, undefined, "it has ended");
  assert.equal(world.router.routeOf(queued.id).isWarm, false);
  await world.end(queued);
  world.assertEmpty();
});

Deno.test("Router moves a session that waits when its builder is stuck, and counts it in one place", async () => {
  const world = new PoolWorld();
  const session = await world.come(builds());
  world.builder("b1").change({ state: "stuck" });
  await world.pass(0);
  assert.equal(world.builder("b1").placement.usage.held, 0);
  assert.equal(world.builder("b2").placement.usage.needing, 1);
  world.builder("b2").run(1);
  await world.pass(0);
  assert.equal(podOf(session), "b2-0");
  assert.deepEqual(world.router.routeOf(session.id).why, "moved");
  await world.end(session);
  world.assertEmpty();
});

Deno.test("Router does not seat a session where all that it may use is missing, though a pod runs there", async () => {
  const world = new PoolWorld();
  for (const builder of world.builders) {
    builder.run(1);
    builder.change({ state: "missing" });
  }
  const session = await world.come(builds());
  assert.equal(podOf(session), undefined);
  world.builder("b2").change({ state: undefined });
  await world.pass(0);
  assert.equal(podOf(session), "b2-0");
  await world.end(session);
  world.assertEmpty();
});

Deno.test("Router lets a session whose home is missing or cordoned call for a builder that is stuck, and get it", async () => {
  for (const isCordoned of [false, true]) {
    const world = new PoolWorld({ cordoned: isCordoned ? ["b1"] : [] });
    const [b1, b2] = [world.builder("b1"), world.builder("b2")];
    b1.change({ state: "missing" });
    const before = await world.come(builds());
    assert.equal(b2.placement.usage.needing, 1);
    b2.change({ state: "stuck" });
    const after = await world.come(builds());
    assert.equal(b2.placement.usage.needing, 2, "while it starts slowly, and from its last failure on");
    assert.equal(b1.placement.usage.needing, 0);
    b2.change({ state: undefined });
    b2.run(1);
    await world.pass(0);
    assert.deepEqual([podOf(before), podOf(after)], ["b2-0", "b2-0"]);
    for (const session of [before, after]) await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router gives the seats behind the hard limit in the order of the queue, and says so", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  world.builder("b1").run(1);
  const first = await world.come(builds("a"));
  const [a1, a2, b1] = [
    await world.come(builds("a")),
    await world.come(builds("a")),
    await world.come(builds("b")),
  ];
  assert.deepEqual([first.seat?.id, a1.seat, a2.seat, b1.seat], [1, undefined, undefined, undefined]);
  assert.deepEqual(a1.waits, ["room"]);
  assert.deepEqual(world.log.of("session_queued").map(({ fields }) => fields), [
    { session: 2, project: "a", queued: 1 },
    { session: 3, project: "a", queued: 2 },
    { session: 4, project: "b", queued: 3 },
  ]);
  assert.equal(world.metrics.value("sessions_queued"), 3);
  assert.equal(world.builder("b1").toldQueuedSinceMs, 1_000);
  assert.equal(world.builder("b1").placement.usage.needing, 0, "the queue calls for no pod");
  const order: number[] = [];
  for (let last = first, left = [a1, a2, b1]; left.length > 0;) {
    await world.pass(1_000);
    await world.end(last);
    last = left.find(({ seat }) => seat !== undefined) ?? assert.fail("nobody was seated");
    left = left.filter((each) => each !== last);
    order.push(last.id);
    world.connect(last);
    if (left.length === 0) await world.end(last);
  }
  assert.deepEqual(order, [2, 4, 3]);
  assert.deepEqual(a2.waits, ["room", "pod"]);
  assert.equal(world.builder("b1").toldQueuedSinceMs, undefined);
  assert.equal(world.metrics.value("queue_seconds"), 3);
  world.assertEmpty();
});

Deno.test("Router lets a project's only build wait for one of another's backlog, whatever is seated elsewhere", async () => {
  const names = ["b1", "b2"];
  const world = new PoolWorld({
    builders: names,
    ...FULL,
    policy: { overflow: "never", placement: "affinity" },
  });
  for (const builder of world.builders) builder.run(1);
  const [one, two, elsewhere] = ["a", "b", "c", "d", "e", "f"].sort((a, b) =>
    rank(names, a)[0]!.localeCompare(rank(names, b)[0]!)
  ).filter((_, at) => [0, 1, 5].includes(at));
  assert.deepEqual([one, two, elsewhere].map((project) => rank(names, project)[0]), ["b1", "b1", "b2"]);
  const running = await world.come(builds(one));
  const backlog: TestSession[] = [];
  for (let i = 0; i < 30; i++) backlog.push(await world.come(builds(one)));
  // Nobody in the queue competes for these seats.
  for (let i = 0; i < 40; i++) await world.end(await world.come(builds(elsewhere)));
  const only = await world.come(builds(two));
  await world.end(running);
  world.connect(backlog[0]!);
  await world.end(backlog[0]!);
  assert.deepEqual([podOf(backlog[0]!), podOf(only)], ["b1-0", "b1-0"]);
  for (const session of [only, ...backlog]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router gives the turns of a project also while its first session waits for a pod elsewhere", async () => {
  const world = new PoolWorld({ ...FULL, policy: { placement: "affinity" } });
  const [patient, other] = ["a", "b", "c", "d", "e", "f"].sort((a, b) =>
    rank(["b1", "b2"], a)[0]!.localeCompare(rank(["b1", "b2"], b)[0]!)
  ).filter((_, at) => [0, 5].includes(at));
  const first = await world.come(builds(patient));
  const sessions: TestSession[] = [];
  for (const project of [other, other, other, patient, patient]) {
    sessions.push(await world.come(builds(project)));
  }
  const order: unknown[] = [];
  world.builder("b2").run(1);
  for (let seats = 1; seats <= 5; seats++) {
    await world.pass(1_000);
    const at = sessions.findIndex(({ seat }) => seat !== undefined);
    const [session] = sessions.splice(at, 1);
    order.push(world.router.routeOf(session!.id).project);
    world.connect(session!);
    await world.end(session!);
  }
  assert.deepEqual(order, [patient, other, patient, other, other]);
  assert.equal(world.router.routeOf(first.id).builder, "b1", "it goes on waiting there");
  await world.end(first);
  world.assertEmpty();
});

Deno.test("Router gives the turns of a project also while its first session waits for the builder of its sibling", async () => {
  const capacity = { ...FULL.capacity, maxReplicas: 2 };
  const world = new PoolWorld({ capacity, policy: { placement: "round-robin" } });
  for (const builder of world.builders) builder.run(1);
  await world.end(await world.come(builds("a", { traceId: "t" })));
  const running = [await world.come(builds("c")), await world.come(builds("c"))];
  assert.deepEqual(running.map(podOf), ["b2-0", "b1-0"]);
  const first = await world.come(builds("a", { traceId: "t" }));
  const sessions: TestSession[] = [];
  for (const project of ["b", "b", "b", "a", "a"]) sessions.push(await world.come(builds(project)));
  const order: unknown[] = [];
  await world.end(running[0]!);
  while (sessions.length > 0) {
    const at = sessions.findIndex(({ seat }) => seat !== undefined);
    assert.notEqual(at, -1, `nobody was seated after ${order}`);
    const [session] = sessions.splice(at, 1);
    order.push(world.router.routeOf(session!.id).project);
    world.connect(session!);
    await world.pass(1_000);
    await world.end(session!);
  }
  assert.deepEqual(order, ["a", "b", "a", "b", "b"]);
  assert.deepEqual(
    [world.router.routeOf(first.id).builder, first.seat],
    ["b1", undefined],
    "it goes on waiting there",
  );
  for (const session of [first, running[1]!]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router does not count a seat whose dial fails as its project's turn", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  world.builder("b1").run(1);
  const running = await world.come(builds("a"));
  const [a, b] = [await world.come(builds("a")), await world.come(builds("b"))];
  await world.end(running);
  for (let dial = 0; dial < 3; dial++) {
    assert.deepEqual([podOf(a), podOf(b)], ["b1-0", undefined], `after ${dial} failed dials`);
    a.seat = undefined;
    world.router.holdAgain(a.id);
    await world.pass(500);
    world.wait(a);
    await world.pass(0);
  }
  world.connect(a);
  await world.come(builds("a"));
  await world.end(a);
  assert.equal(podOf(b), "b1-0", "a seat that was connected to is a turn");
});

Deno.test("Router tells other proxies of a queue in front of one builder only, where sessions may use no other", async () => {
  for (
    const [overflow, placement] of [["never", "affinity"], ["never", "packed"], ["full", "affinity"]] as const
  ) {
    const world = new PoolWorld({ builders: ["b1", "b2"], ...FULL, policy: { overflow, placement } });
    for (const builder of world.builders) builder.run(1);
    const sessions: TestSession[] = [];
    // Those of one project, so many that both builders would be full.
    for (let i = 0; i < 4; i++) sessions.push(await world.come(builds("a")));
    const home = world.builder(podOf(sessions[0]!)!.slice(0, 2));
    const told = world.builders.map((builder) => builder.toldQueuedSinceMs !== undefined);
    const expected = world.builders.map((builder) => overflow === "full" || builder === home);
    assert.deepEqual(told, expected, `${overflow}, ${placement}`);
    for (const session of sessions) await world.end(session);
    assert.deepEqual(world.builders.map((builder) => builder.toldQueuedSinceMs), [undefined, undefined]);
    world.assertEmpty();
  }
});

Deno.test("Router refuses nobody for those that wait elsewhere, or for those that it seats (--max-held)", async () => {
  const names = ["b1", "b2"];
  const world = new PoolWorld({
    builders: names,
    policy: { placement: "affinity", maxHeld: 2 },
    capacity: { sessionsPerReplica: 0 },
  });
  const [one, two] = ["a", "b", "c", "d", "e", "f"].map((project) => ({
    project,
    home: rank(names, project)[0],
  }))
    .sort((a, b) => a.home!.localeCompare(b.home!)).filter((_, at) => at === 0 || at === 5);
  assert.deepEqual([one!.home, two!.home], ["b1", "b2"]);
  world.builder("b2").run(1);
  const held = [];
  for (let i = 0; i < 4; i++) held.push(await world.come(builds(one!.project)));
  const cause = "limited: The limit of 2 waiting sessions is reached (--max-held)";
  assert.deepEqual(held.map(({ refusals }) => refusals), [[], [], [cause], [cause]]);
  assert.equal(world.builder("b1").placement.usage.needing, 2, "they call for nothing");
  const free = [1, 2, 3, 4].map(() => world.open());
  for (const session of free) {
    world.wait(session);
    world.router.identify(session.id, builds(two!.project));
  }
  await world.pass(0);
  assert.deepEqual(free.map((session) => [podOf(session), session.refusals]), free.map(() => ["b2-0", []]));
  assert.deepEqual(
    world.log.of("held_limit_reached").map(({ level, fields }) => [level, fields["builder"]]),
    [
      ["warn", "b1"],
      ["debug", "b1"],
    ],
  );
  assert.equal(world.log.of("held_limit_reached_recovered").length, 0, "nor are those any sign of an end");
  world.builder("b1").change({ state: "missing" });
  world.builder("b2").change({ state: "asleep" });
  await world.pass(0);
  for (const session of [...held, ...free]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router refuses the last to come at once, of those that come together (--max-held)", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders, policy: { maxHeld: 2 }, capacity: { sessionsPerReplica: 0 } });
    const sessions = [1, 2, 3, 4].map(() => world.open());
    for (const session of sessions) {
      world.wait(session);
      world.router.identify(session.id, builds());
    }
    const silent = [1, 2, 3].map(() => world.open());
    await world.pass(0);
    assert.deepEqual(sessions.map(({ refusals }) => refusals.length), [0, 0, 1, 1]);
    for (const builder of world.builders) builder.change({ state: "missing" });
    await world.pass(0);
    assert.deepEqual(sessions.map(({ refusals }) => refusals.length), [0, 0, 1, 1], "whoever waits, stays");
    for (const session of [...sessions, ...silent]) await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router bounds each queue by itself: that of each home, where sessions may use no other (--max-held)", async () => {
  for (const overflow of ["never", "full"] as const) {
    const names = ["b1", "b2"];
    const world = new PoolWorld({
      builders: names,
      ...FULL,
      policy: { placement: "affinity", overflow, maxHeld: 1 },
    });
    for (const builder of world.builders) builder.run(1);
    const projects = ["a", "b", "c", "d", "e", "f"];
    const homes = names.map((name) => projects.find((project) => rank(names, project)[0] === name));
    const sessions = [];
    for (let i = 0; i < 3; i++) for (const project of homes) sessions.push(await world.come(builds(project)));
    const refused = sessions.map(({ refusals }) => refusals.length);
    assert.deepEqual(refused, overflow === "never" ? [0, 0, 0, 0, 1, 1] : [0, 0, 0, 1, 1, 1]);
    for (const session of sessions) await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router refuses at once a session that may use cordoned builders only, and says why", async () => {
  const names = ["b1", "b2"];
  const projects = ["a", "b", "c", "d", "e", "f"];
  const [first, second] = names.map((name) => projects.find((project) => rank(names, project)[0] === name)!);
  const home =
    'cordoned: Cannot build: the builder "b1" takes no new sessions (--cordoned), and this build may use ' +
    "no other (--overflow never)";
  const all = "cordoned: Cannot build: no builder takes new sessions (--cordoned)";
  for (
    const [cordoned, overflow, placement, wanted] of [
      [["b1"], "never", "affinity", [[home], []]],
      [["b1"], "never", "packed", [[home], [home]]],
      [["b2"], "never", "packed", [[], []]],
      [["b1"], "never", "least-sessions", [[], []]],
      [["b1"], "full", "affinity", [[], []]],
      [["b1", "b2"], "full", "affinity", [[all], [all]]],
    ] as const
  ) {
    const world = new PoolWorld({ builders: names, cordoned, policy: { overflow, placement } });
    const sessions = [await world.come(builds(first)), await world.come(builds(second))];
    const what = `${cordoned} cordoned, ${overflow}, ${placement}`;
    assert.deepEqual(sessions.map(({ refusals }) => refusals), wanted, what);
    const watcher = await world.come({ ...WATCHES, host: first });
    assert.deepEqual(watcher.refusals, []);
    const needing = world.builders.map(({ placement }) => placement.usage.needing);
    assert.equal(needing[0]! + needing[1]!, wanted.filter(({ length }) => length === 0).length, what);
    for (const session of [...sessions, watcher]) await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router seats nobody who has just left: the next one gets the seat", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  world.builder("b1").run(1);
  const running = await world.come(builds("a"));
  const leaving = await world.come(builds("a"));
  const next = await world.come(builds("a"));
  leaving.leave.abort(new Error("The client has left"));
  await world.end(running);
  assert.equal(world.builder("b1").load, 0, "it keeps its turn until it has ended, and takes no seat");
  world.router.end(leaving.id);
  await world.pass(0);
  assert.equal(podOf(leaving), undefined);
  assert.ok(next.seat !== undefined);
  await world.end(next);
  world.assertEmpty();
});

Deno.test("Router counts a session once, where it is connected to, however many dials fail and however often it queues", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders, capacity: { maxSessionsPerReplica: builders.length - 1 } });
    const routed = () => world.metrics.value("routed_total", { why: "home" });
    world.builder("b1").run(1);
    const session = await world.come(builds("a"));
    for (let dial = 0; dial < 3; dial++) {
      world.router.holdAgain(session.id);
      world.wait(session);
      await world.pass(0);
    }
    assert.equal(routed(), 0);
    world.connect(session);
    assert.equal(routed(), 1);
    await world.end(session);
    world.assertEmpty();
  }
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  const b1 = world.builder("b1");
  b1.run(1);
  const running = await world.come(builds("a"));
  const queued = await world.come(builds("a"));
  for (let times = 0; times < 3; times++) {
    b1.change({ state: "stuck" });
    await world.pass(1_000);
    b1.change({ state: undefined });
    await world.pass(1_000);
  }
  assert.deepEqual(queued.waits, ["room", "pod", "room", "pod", "room", "pod", "room"]);
  assert.equal(world.metrics.value("routed_total", { why: "queued" }), 1);
  assert.equal(world.router.routeOf(queued.id).queuedMs, 3_000, "all of the time that it was queued");
  for (const session of [running, queued]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router keeps the turn of a session that pauses after a failed dial", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  world.builder("b1").run(1);
  const first = await world.come(builds("a"));
  const second = await world.come(builds("a"));
  world.router.holdAgain(first.id);
  await world.pass(50);
  assert.equal(podOf(second), undefined);
  first.seat = undefined;
  world.wait(first);
  await world.pass(0);
  assert.ok(world.router.routeOf(first.id).why === "home" && first.seat !== undefined);
  assert.equal(podOf(second), undefined);
  assert.equal(world.builder("b1").load, 1);
  await world.end(first);
  assert.ok(second.seat !== undefined);
  await world.end(second);
  world.assertEmpty();
});

Deno.test("Router sends a trace to one builder, above the limits, also when both sessions get a seat at once", async () => {
  const world = new PoolWorld({ ...FULL });
  const build = () => builds("a", { traceId: "t" });
  const [one, two] = [await world.come(build()), await world.come(build())];
  assert.equal(world.builder("b2").placement.needed, 1);
  for (const builder of world.builders) builder.run(1);
  await world.pass(0);
  assert.equal(podOf(one), "b1-0");
  assert.equal(podOf(two), "b1-0");
  assert.equal(world.router.routeOf(two.id).why, "sibling");
  const three = await world.come(build());
  assert.equal(podOf(three), "b1-0");
  for (const session of [one, two, three]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router seats a sibling although a session before it in the same step finds no room on that builder", async () => {
  const world = new PoolWorld({ builders: ["b1"], capacity: { sessionsPerReplica: 1, maxReplicas: 2 } });
  const b1 = world.builder("b1");
  b1.run(1);
  const running = await world.come(builds("a", { traceId: "t" }));
  world.connect(running);
  const [first, sibling] = [world.open(), world.open()];
  for (const session of [first, sibling]) world.wait(session);
  world.router.identify(first.id, builds("b"));
  world.router.identify(sibling.id, builds("a", { traceId: "t" }));
  await world.pass(0);
  assert.deepEqual(world.plans.at(-1)!.waiting.length, 2, "both in one step");
  assert.deepEqual([podOf(first), podOf(sibling)], [undefined, "b1-0"]);
  for (const session of [running, first, sibling]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router does not count the time in the queue as waiting for a pod, in the log or for the time when any pod will do", async () => {
  const world = new PoolWorld({
    builders: ["b1"],
    capacity: { sessionsPerReplica: 1, maxSessionsPerReplica: 2, maxReplicas: 2 },
    policy: { readyWaitTimeoutMs: 100_000 },
  });
  const b1 = world.builder("b1");
  b1.run(2);
  const running = [];
  for (let i = 0; i < 4; i++) running.push(await world.come(builds("a")));
  const session = await world.come(builds("b"));
  await world.pass(70_000);
  // The second pod goes, with its sessions, and starts again.
  b1.run(2, [1]);
  for (const { seat, id } of running) if (seat?.backend.ordinal === 1) world.router.end(id);
  await world.pass(49_999);
  assert.equal(podOf(session), undefined, "it waits for the second pod");
  assert.equal(world.router.routeOf(session.id).queuedMs, 70_000);
  await world.end(running.find(({ seat }) => seat?.backend.ordinal === 0)!);
  await world.pass(0);
  assert.equal(podOf(session), undefined, "also while the first one is below its hard limit");
  await world.pass(1);
  assert.equal(podOf(session), "b1-0", "half of its time is up");
  for (const other of [...running, session]) await world.end(other);
  world.assertEmpty();
});

Deno.test("Router exceeds no hard limit for a trace whose other connection has ended", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  const b1 = world.builder("b1");
  b1.run(1);
  await world.end(await world.come(builds("a", { traceId: "t" })));
  const running = await world.come(builds("b"));
  const [next, sibling] = [await world.come(builds("b")), await world.come(builds("a", { traceId: "t" }))];
  await world.end(running);
  assert.equal(podOf(next), "b1-0");
  assert.equal(sibling.seat, undefined);
  assert.equal(b1.load, 1);
  assert.equal(world.router.routeOf(sibling.id).why, "queued");
  await world.end(next);
  assert.equal(podOf(sibling), "b1-0");
  await world.end(sibling);
  world.assertEmpty();
});

Deno.test("Router holds watchers without a limit, and they wake nothing, keep nothing and count for nothing", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders });
    const b1 = world.builder("b1");
    const watcher = await world.come(WATCHES);
    assert.deepEqual(watcher.waits, ["nothing"]);
    await world.pass(3_600_000);
    assert.equal(b1.placement.needed, 0);
    assert.equal(world.router.needs(watcher.id), false);
    b1.run(1);
    await world.pass(0);
    assert.equal(podOf(watcher), "b1-0");
    assert.equal(b1.load, 0);
    assert.equal(b1.placement.usage.highest, -1);
    await world.end(watcher);
    world.assertEmpty();
  }
});

Deno.test("Router: a watcher that gets a seat moves no session that waits for its turn's builder", async () => {
  const world = new PoolWorld({
    builders: ["b1", "b2", "b3"],
    policy: { placement: "round-robin" },
    ...FULL,
  });
  world.builder("b1").run(1);
  const first = await world.come(builds());
  const second = await world.come(builds());
  assert.deepEqual([podOf(first), world.builder("b2").placement.needed], ["b1-0", 1]);
  const watcher = await world.come(WATCHES);
  assert.equal(podOf(watcher), "b1-0");
  world.builder("b3").change({});
  await world.pass(0);
  assert.deepEqual(["b2", "b3"].map((name) => world.builder(name).placement.needed), [1, 0]);
  for (const session of [first, second, watcher]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router counts the time in the queue of sessions that got a builder, and of no others", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  world.builder("b1").run(1);
  const first = await world.come(builds());
  const leaves = await world.come(builds());
  const stays = await world.come(builds());
  await world.pass(5_000);
  await world.end(leaves);
  assert.equal(world.metrics.value("queue_seconds"), 0);
  await world.end(first);
  assert.equal(podOf(stays), "b1-0");
  assert.equal(world.metrics.value("queue_seconds"), 0, "its dial may fail");
  world.router.holdAgain(stays.id);
  world.wait(stays);
  await world.pass(0);
  world.connect(stays);
  assert.equal(world.metrics.value("queue_seconds"), 1, "once, however often it was seated");
  await world.end(stays);
  world.assertEmpty();
});

Deno.test("Router holds a watcher without a limit also while a pod that looks ready refuses its connections", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders });
    world.builder("b1").run(1);
    const watcher = await world.come(WATCHES);
    assert.equal(podOf(watcher), "b1-0");
    world.router.holdAgain(watcher.id);
    const seated = world.router.wait(watcher.id, watcher.leave.signal);
    await world.pass(0);
    assert.equal((await seated).backend.pod, "b1-0");
    assert.equal(watcher.waits.at(-1), "nothing");
    await world.end(watcher);
    world.assertEmpty();
  }
});

Deno.test("Router takes a watcher that is held and makes another call for one that needs a pod, and the reverse", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders });
    const b1 = world.builder("b1");
    const session = await world.come(WATCHES);
    world.router.identify(session.id, builds());
    await world.pass(0);
    assert.deepEqual(session.waits, ["nothing", "pod"]);
    assert.equal(b1.placement.needed, 1);
    world.router.identify(session.id, WATCHES);
    await world.pass(0);
    assert.deepEqual(session.waits, ["nothing", "pod", "nothing"]);
    assert.equal(b1.placement.needed, 0);
    world.router.identify(session.id, builds());
    b1.run(1);
    await world.pass(0);
    assert.ok(session.seat !== undefined);
    assert.equal(b1.load, 1);
    await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router counts a seated watcher that makes another call, or says that it has lost its seat", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders });
    const b1 = world.builder("b1");
    b1.run(1);
    const [stays, loses] = [await world.come(WATCHES), await world.come(WATCHES)];
    assert.equal(b1.load, 0);
    assert.equal(world.router.identify(stays.id, builds()), true);
    assert.equal(b1.load, 1);
    await world.end(stays);
    assert.equal(b1.placement.promise({ below: 0, version: "9" }), true);
    assert.equal(world.router.identify(loses.id, builds()), false);
    assert.equal(world.router.identify(loses.id, builds()), false, "however often it asks");
    assert.equal(b1.load, 0);
    await world.end(loses);
    world.assertEmpty();
  }
});

Deno.test("Router lets a watcher that lost its seat during the dial, and builds by now, call for a pod", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders });
    const b1 = world.builder("b1");
    const session = await world.come(WATCHES);
    b1.run(1);
    await world.pass(0);
    const { seat } = session;
    assert.ok(seat !== undefined && b1.placement.promise({ below: 0, version: "9" }));
    assert.equal(world.router.identify(session.id, builds()), false);
    assert.equal(world.router.connected(seat), false);
    world.router.holdAgain(session.id);
    assert.equal(session.waits.at(-1), "pod");
    assert.equal(world.router.needs(session.id), true);
    assert.ok(b1.placement.isClaiming);
    await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router learns the project of a session that waits already, and puts it into its line", async () => {
  const world = new PoolWorld({ builders: ["b1", "b2", "b3"], policy: { placement: "affinity" } });
  const session = await world.come(undefined);
  assert.equal(world.router.routeOf(session.id).builder, "b1");
  const homes = new Set<string | undefined>();
  for (const host of ["p", "q", "r", "s", "t", "u"]) {
    const other = await world.come(builds(host));
    homes.add(world.router.routeOf(other.id).builder);
    await world.end(other);
  }
  assert.ok(homes.size > 1);
  world.router.identify(session.id, builds("p"));
  await world.pass(0);
  const other = await world.come(builds("p"));
  assert.equal(world.router.routeOf(session.id).builder, world.router.routeOf(other.id).builder);
  assert.equal(world.router.routeOf(session.id).project, "p");
  await world.end(session);
  await world.end(other);
  world.assertEmpty();
});

Deno.test("Router leaves room alone for 2 s each time while another proxy's oldest session is queued for longer", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  const b1 = world.builder("b1");
  b1.run(1);
  const running = await world.come(builds("a"));
  await world.pass(10_000);
  const queued = await world.come(builds("a"));
  b1.change({ othersQueuedSinceMs: world.clock.nowMs() - 5_000 });
  await world.end(running);
  await world.pass(1_999);
  assert.equal(podOf(queued), undefined);
  // The other proxy takes it.
  b1.placement.others = new Map([[0, 1]]);
  await world.pass(60_000);
  assert.equal(podOf(queued), undefined);
  b1.placement.others = new Map();
  await world.pass(1_999);
  assert.equal(podOf(queued), undefined, "the second time, too");
  await world.pass(1);
  assert.ok(queued.seat !== undefined);
  await world.end(queued);
  world.assertEmpty();
});

Deno.test("Router does not wait for another proxy that has no older session", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  const b1 = world.builder("b1");
  b1.run(1);
  const running = await world.come(builds("a"));
  const queued = await world.come(builds("a"));
  b1.change({ othersQueuedSinceMs: world.clock.nowMs() });
  await world.end(running);
  assert.ok(queued.seat !== undefined);
  await world.end(queued);
  world.assertEmpty();
});

Deno.test("Router ends the patience of a session in time, whoever came before it, and leaves no timer", async () => {
  const world = new PoolWorld({
    builders: ["b1", "b2"],
    policy: { placement: "affinity", affinityPatienceMs: 10_000 },
  });
  const probe = await world.come(builds("p"));
  const home = world.router.routeOf(probe.id).builder!;
  await world.end(probe);
  assert.equal(world.clock.pending, 0);
  const other = world.builders.find(({ name }) => name !== home)!;
  other.run(1);
  const patient = await world.come(builds("p"));
  await world.pass(4_000);
  const later = await world.come(builds("p"));
  await world.pass(5_999);
  assert.equal(podOf(patient), undefined);
  await world.pass(1);
  assert.equal(podOf(patient), `${other.name}-0`);
  assert.equal(world.router.routeOf(patient.id).why, "moved");
  assert.equal(podOf(later), undefined);
  await world.pass(4_000);
  assert.ok(later.seat !== undefined);
  for (const session of [patient, later]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router seats a session that has waited for half of its time on any pod that runs, above the target", async () => {
  const world = new PoolWorld({
    builders: ["b1", "b2"],
    capacity: { sessionsPerReplica: 1 },
    policy: { placement: "packed", readyWaitTimeoutMs: 10_000 },
  });
  const [b1, b2] = [world.builder("b1"), world.builder("b2")];
  b1.run(1);
  const running = await world.come(builds("a"));
  const waiting = await world.come(builds("a"));
  assert.equal(world.router.routeOf(waiting.id).builder, "b2", "that is called for");
  assert.equal(b2.placement.usage.needing, 1);
  await world.pass(4_999);
  assert.equal(waiting.seat, undefined);
  await world.pass(1);
  assert.equal(podOf(waiting), "b1-0");
  assert.equal(world.router.routeOf(waiting.id).why, "shared");
  assert.equal(b2.placement.usage.needing, 0);
  for (const session of [running, waiting]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router never queues a client that hands over traces", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  world.builder("b1").run(1);
  const running = await world.come(builds("a"));
  const queued = await world.come(builds("a"));
  const exporter = await world.come(builds("a", { purpose: "export" }));
  assert.equal(podOf(queued), undefined);
  assert.ok(exporter.seat !== undefined);
  for (const session of [running, queued, exporter]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router says who waits and where a project goes", async () => {
  const world = new PoolWorld({ ...FULL });
  for (const builder of world.builders) builder.run(1);
  for (let i = 0; i < 2; i++) await world.come(builds("a"));
  await world.come(builds("b"));
  await world.pass(7_000);
  const pool = world.router.pools.get("")!;
  assert.equal(
    pool.description,
    "1 waiting (1 of b); 1 queued, the oldest for 7s; session 1 of a: b1, home; session 2 of a: b2, overflow",
  );
  assert.match(world.router.explain("b"), /Sessions that wait for a seat: 1\n.*waits in the queue/s);
  assert.equal(
    pool.explainQueue(3),
    "All 2 builders are full (1 session each); none had room in 1h0m0s (--queue-timeout)",
  );
});

Deno.test("Router seats sessions of one builder without limits before they have said anything", async () => {
  const world = new PoolWorld({ builders: ["b1"] });
  world.builder("b1").run(1);
  const sessions = [1, 2, 3, 4, 5].map(() => world.open());
  assert.ok(sessions.every(({ seat }) => seat !== undefined));
  assert.equal(world.plans.length, 0);
  assert.equal(world.router.identify(sessions[0]!.id, WATCHES), true);
  assert.equal(world.builder("b1").load, 4);
  for (const session of sessions) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router looks at no more than one session a change where one builder has no pod", async () => {
  const world = new PoolWorld({ builders: ["b1"] });
  const b1 = world.builder("b1");
  let tries = 0;
  const seat = b1.seats.seat.bind(b1.seats);
  b1.seats.seat = (...args) => {
    tries++;
    return seat(...args);
  };
  const sessions = Array.from({ length: 1_000 }, () => world.open());
  for (const session of sessions) world.wait(session);
  for (const session of sessions) world.router.identify(session.id, builds());
  await world.pass(0);
  assert.ok(tries < 10_000, `${tries}`);
  b1.run(1);
  await world.pass(0);
  assert.ok(sessions.every((session) => session.seat !== undefined));
});

Deno.test("Router tells a session of traces that it waits for nothing only where no pod takes it", async () => {
  for (const builders of [["b1"], ["b1", "b2"]]) {
    const world = new PoolWorld({ builders });
    const exporter = await world.come(builds("a", { purpose: "export" }));
    assert.deepEqual(exporter.waits, ["nothing"]);
    assert.equal(world.builder("b1").placement.needed, 0);
    world.builder("b1").run(1);
    await world.pass(0);
    assert.equal(podOf(exporter), "b1-0");
    const warm = await world.come(builds("a", { purpose: "export" }));
    assert.deepEqual([podOf(warm), warm.waits], ["b1-0", []]);
    assert.equal(world.builder("b1").load, 0);
    for (const session of [exporter, warm]) await world.end(session);
    world.assertEmpty();
  }
});

Deno.test("Router lets a client that has just come leave room to an older one of another proxy, each time", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  const b1 = world.builder("b1");
  b1.run(1);
  b1.change({ othersQueuedSinceMs: world.clock.nowMs() - 5_000 });
  for (let i = 0; i < 2; i++) {
    const session = await world.come(builds("a"));
    await world.pass(1_999);
    assert.equal(podOf(session), undefined, `${i}`);
    await world.pass(1);
    assert.equal(podOf(session), "b1-0");
    await world.end(session);
    await world.pass(60_000);
  }
  world.assertEmpty();
});

Deno.test("Router does not take a session for its own sibling after a failed dial", async () => {
  const world = new PoolWorld();
  world.builder("b1").run(1);
  const session = await world.come(builds("a", { traceId: "t" }));
  world.router.holdAgain(session.id);
  world.wait(session);
  await world.pass(0);
  assert.equal(world.router.routeOf(session.id).why, "home");
  await world.end(session);
  world.assertEmpty();
});

Deno.test("Router ends the patience of a session that is held again in time, though younger ones waited before", async () => {
  const world = new PoolWorld({ policy: { placement: "affinity", affinityPatienceMs: 10_000 } });
  const probe = await world.come(builds("p"));
  const home = world.builder(world.router.routeOf(probe.id).builder!);
  await world.end(probe);
  const other = world.builders.find((each) => each !== home)!;
  home.run(1);
  const older = await world.come(builds("p"));
  home.run(0);
  other.run(1);
  await world.pass(3_000);
  const younger = await world.come(builds("p"));
  await world.pass(1_000);
  older.seat = undefined;
  world.router.holdAgain(older.id);
  world.wait(older);
  await world.pass(5_999);
  assert.equal(podOf(older), undefined);
  await world.pass(1);
  assert.equal(podOf(older), `${other.name}-0`);
  assert.equal(podOf(younger), undefined);
  for (const session of [older, younger]) await world.end(session);
  world.assertEmpty();
});

Deno.test("Router gives a queued session that says late whose it is the turn of its project", async () => {
  const world = new PoolWorld({ builders: ["b1"], ...FULL });
  world.builder("b1").run(1);
  const running = await world.come();
  const [first, second, late] = [await world.come(), await world.come(), await world.come()];
  world.router.identify(late.id, builds("p"));
  await world.end(running);
  assert.equal(podOf(first), "b1-0");
  world.connect(first);
  await world.end(first);
  assert.equal(podOf(late), "b1-0");
  assert.equal(podOf(second), undefined);
  assert.deepEqual(late.waits, ["room", "pod"]);
  for (const session of [late, second]) await world.end(session);
  world.assertEmpty();
});
