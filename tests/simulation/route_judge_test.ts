/** Tests that the judge of plans accepts what `plan()` makes, and finds what breaks a rule. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Builder, plan, type Route, type RoutePolicy, type Waiting } from "../../lib/route/plan.ts";
import { faultOfPlan, ruleBrokenBy } from "./route_judge.ts";

const builder = fc.record<Omit<Builder, "name">>({
  state: fc.constantFrom("missing", "ready", "stuck", "starting", "asleep"),
  load: fc.nat(3),
  room: fc.nat(2),
  reach: fc.nat(3),
  limit: fc.constantFrom(0, 1, 2, Infinity),
  open: fc.nat(2),
});
const policy = fc.record<RoutePolicy>({
  placement: fc.constantFrom("affinity", "packed", "least-sessions", "round-robin"),
  overflow: fc.constantFrom("full", "never"),
  turn: fc.nat(5),
});
const session = fc.record({
  project: fc.constantFrom("a", "b", undefined),
  sibling: fc.constantFrom("b1", undefined, undefined),
  siblingRuns: fc.boolean(),
  patient: fc.boolean(),
  late: fc.boolean(),
});

Deno.test("faultOfPlan() finds nothing wrong with what plan() makes", () => {
  fc.assert(fc.property(
    fc.array(session, { maxLength: 6 }),
    fc.array(builder, { minLength: 1, maxLength: 4 }),
    policy,
    (sessions, facts, policy) => {
      const waiting: Waiting[] = sessions.map((each, id) => ({ ...each, id, tag: id }));
      const builders: Builder[] = facts.map((each, i) => ({ ...each, name: `b${i + 1}` }));
      const record = { waiting, builders, policy, routes: plan(waiting, builders, policy) };
      assert.equal(faultOfPlan(record), undefined);
    },
  ));
});

/** Builders `b1`, `b2` … that are ready and have room, but for what is given. */
function buildersOf(...facts: Partial<Builder>[]): Builder[] {
  return facts.map((each, i) => ({
    name: `b${i + 1}`,
    state: "ready",
    load: 0,
    room: 1,
    reach: 1,
    limit: Infinity,
    open: each.state === undefined || each.state === "ready" ? Infinity : 0,
    ...each,
  }));
}

function broken(
  builders: readonly Builder[],
  waiting: readonly Partial<Waiting>[],
  routes: readonly Route[],
  overflow: RoutePolicy["overflow"] = "full",
): string {
  const sessions = waiting.map((each, id) => ({ id, tag: id, patient: false, ...each }));
  const ids = sessions.map(({ id }, i) => [id, routes[i]!] as const);
  const policy: RoutePolicy = { placement: "packed", overflow, turn: 0 };
  return ruleBrokenBy({ waiting: sessions, builders, policy, routes: new Map(ids) }) ?? "";
}

Deno.test("faultOfPlan() finds a route that the same facts do not give", () => {
  const [builders, policy] = [
    buildersOf({}, {}),
    { placement: "packed", overflow: "full", turn: 0 } as const,
  ];
  const waiting = [{ id: 0, tag: 0, patient: false }];
  const routes = new Map([[0, { builder: "b2", why: "moved" } as const]]);
  assert.match(faultOfPlan({ waiting, builders, policy, routes }) ?? "", /by the same facts to b1 \(home\)$/);
});

Deno.test("ruleBrokenBy() finds overflow while the home has reach", () => {
  const [to1, to2] = [{ builder: "b1", why: "home" }, { builder: "b2", why: "overflow" }] as const;
  assert.match(broken(buildersOf({}, {}), [{}], [to2]), /its home has reach/);
  assert.equal(broken(buildersOf({ reach: 0 }, {}), [{}], [to2]), "");
  assert.equal(broken(buildersOf({}, {}), [{}, {}], [to1, to2]), "", "the first one has taken the room");
  assert.match(broken(buildersOf({ room: 0 }, {}), [{ patient: true }], [to2]), /it waits for that/);
  assert.equal(broken(buildersOf({ room: 0 }, {}), [{}], [to2]), "");
  assert.match(broken(buildersOf({ reach: 0 }, {}), [{}], [to2], "never"), /not usable/);
});

Deno.test("ruleBrokenBy() finds builders that are stuck, missing or full, and others that are not", () => {
  const to1 = { builder: "b1", why: "home" } as const;
  for (const state of ["stuck", "missing"] as const) {
    assert.match(broken(buildersOf({ state }, {}), [{}], [to1]), /not usable, and another is/);
    assert.equal(broken(buildersOf({ state }, {}), [{}], [{ builder: "b2", why: "moved" }]), "");
    assert.equal(broken(buildersOf({ state }), [{}], [{ builder: "b1", why: "unusable" }]), "");
  }
  assert.match(broken(buildersOf({}), [{}], [{ builder: "b1", why: "unusable" }]), /a builder is usable/);
  assert.match(broken(buildersOf({ limit: 0 }, {}), [{}], [to1]), /hard limit/);
  assert.match(
    broken(buildersOf({ reach: 0 }, {}), [{}], [{ builder: "b1", why: "shared" }]),
    /below its target/,
  );
});

Deno.test("ruleBrokenBy() lets late sessions, and no others, exceed the target while another builder could start", () => {
  const [home, shared] = [{ builder: "b1", why: "home" }, { builder: "b2", why: "shared" }] as const;
  const builders = buildersOf({ state: "asleep", room: 0 }, { room: 0, reach: 0 });
  assert.equal(broken(builders, [{ late: true }], [shared]), "");
  assert.match(broken(builders, [{}], [shared]), /below its target/);
  assert.match(broken(builders, [{ late: true }], [home]), /it is late, and a pod runs/);
  assert.equal(broken(builders, [{}], [home]), "");
  assert.match(broken(buildersOf({}, { room: 0, reach: 0 }), [{ late: true }], [shared]), /has room/);
  const moved = { builder: "b2", why: "moved" } as const;
  assert.equal(broken(buildersOf({ room: 0 }, {}), [{ patient: true, late: true }], [moved]), "");
});

Deno.test("ruleBrokenBy() finds a queue in which nobody has to be, or that is not in order", () => {
  const [queued, to1] = [{ why: "queued" }, { builder: "b1", why: "home" }] as const;
  assert.match(broken(buildersOf({ limit: 1 }), [{}], [queued]), /below its hard limit/);
  assert.equal(broken(buildersOf({ limit: 1 }), [{}, {}], [to1, queued]), "");
  const [late, early] = [{ id: 5, tag: 1, project: "a" }, { id: 4, tag: 2, project: "a" }];
  assert.match(broken(buildersOf({ limit: 1 }), [late, early], [to1, queued]), /has come later/);
});

Deno.test("ruleBrokenBy() keeps siblings together", () => {
  const there = { builder: "b2", why: "sibling" } as const;
  assert.equal(broken(buildersOf({}, { limit: 0 }), [{ sibling: "b2", siblingRuns: true }], [there]), "");
  assert.match(
    broken(buildersOf({}, { limit: 0 }), [{ sibling: "b2" }], [there]),
    /has ended, and its builder is full/,
  );
  assert.match(broken(buildersOf({}, {}), [{ sibling: "b2" }], [{ builder: "b1", why: "home" }]), /is ready/);
  assert.match(broken(buildersOf({}, { state: "asleep" }), [{ sibling: "b2" }], [there]), /is not ready/);
});
