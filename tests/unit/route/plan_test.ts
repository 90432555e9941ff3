/**
 * Where sessions go, case by case.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Builder, plan, type Route, type RoutePolicy, type Waiting } from "../../../lib/route/plan.ts";

/** A project whose order is b1, b2, b3, and one whose order is b2, b1, b3. */
const A = "team-b.ci", D = "team-d.ci";

function session(id: number, more: Partial<Waiting> = {}): Waiting {
  return { id, project: A, tag: id, patient: false, ...more };
}

/** As many sessions, alike. */
function sessions(count: number, more: Partial<Waiting> = {}): Waiting[] {
  return Array.from({ length: count }, (_, at) => session(at + 1, more));
}

function ready(name: string, free: Partial<Builder> = {}): Builder {
  return { name, state: "ready", load: 0, room: 4, reach: 4, limit: Infinity, open: Infinity, ...free };
}

function asleep(name: string, free: Partial<Builder> = {}): Builder {
  return { name, state: "asleep", load: 0, room: 0, reach: 4, limit: Infinity, open: 0, ...free };
}

/** A builder that is full up to the target, and as many seats from its hard limit as given. */
function full(name: string, limit: number, load = 4): Builder {
  return { name, state: "ready", load, room: 0, reach: 0, limit, open: limit };
}

function policyOf(more: Partial<RoutePolicy> = {}): RoutePolicy {
  return { placement: "affinity", overflow: "full", turn: 0, ...more };
}

/** The routes as `builder why`, in the order in which the sessions are served. */
function routesOf(
  waiting: readonly Waiting[],
  builders: readonly Builder[],
  more: Partial<RoutePolicy> = {},
): string[] {
  return [...plan(waiting, builders, policyOf(more)).values()].map(textOf);
}

function textOf({ builder, why }: Route): string {
  return builder === undefined ? why : `${builder} ${why}`;
}

Deno.test("plan() sends projects to their homes, and sessions without a project to the first builder", () => {
  const builders = [ready("b1"), ready("b2"), ready("b3")];
  const waiting = [session(1), session(2, { project: D }), session(3, { project: undefined })];
  assert.deepEqual(routesOf(waiting, builders), ["b1 home", "b2 home", "b1 home"]);
});

Deno.test("plan() overflows when the home is full up to the target, and shares when all builders are", () => {
  const builders = [ready("b1", { room: 1, reach: 1 }), ready("b2", { room: 1, reach: 1 })];
  assert.deepEqual(routesOf(sessions(4), builders), ["b1 home", "b2 overflow", "b1 shared", "b2 shared"]);
});

Deno.test("plan() overflows to builders that are asleep before it shares", () => {
  assert.deepEqual(routesOf(sessions(1), [full("b1", Infinity), asleep("b2")]), ["b2 overflow"]);
});

Deno.test("plan() lets patient sessions wait for their home, and sends the others to where there is room", () => {
  const builders = [asleep("b1"), ready("b2")];
  const waiting = [session(1, { patient: true }), session(2)];
  assert.deepEqual(routesOf(waiting, builders), ["b1 home", "b2 moved"]);
  assert.deepEqual(
    routesOf(waiting, [asleep("b1"), asleep("b2")]),
    ["b1 home", "b1 home"],
    "no room anywhere",
  );
});

Deno.test("plan() sends late sessions to a pod with room, else to any that runs, and to one that starts if none does", () => {
  const late = [session(1, { late: true })];
  assert.deepEqual(routesOf(late, [asleep("b1"), full("b2", 1), ready("b3")]), ["b3 moved"]);
  assert.deepEqual(routesOf(late, [asleep("b1"), full("b2", 1, 5), full("b3", 1)]), ["b3 shared"]);
  assert.deepEqual(routesOf(late, [full("b1", 1), asleep("b2")]), ["b1 shared"]);
  assert.deepEqual(routesOf(late, [asleep("b1"), full("b2", 0)]), ["b1 home"]);
  assert.deepEqual(routesOf(late, [asleep("b1"), full("b2", 1)], { overflow: "never" }), ["b1 home"]);
  const further = { ...full("b1", 2), reach: 1, open: 0 };
  assert.deepEqual(routesOf(late, [further, full("b2", 2)]), ["b2 shared"], "its next pod does not run yet");
  const stuck: Builder = { ...full("b2", 1), state: "stuck" };
  assert.deepEqual(routesOf(late, [asleep("b1"), stuck]), ["b1 home"]);
});

Deno.test("plan() lets patient sessions wait for further replicas of their home, and sends the others on", () => {
  const builders = [ready("b1", { room: 1, reach: 3 }), ready("b2")];
  assert.deepEqual(routesOf(sessions(3, { patient: true }), builders), ["b1 home", "b1 home", "b1 home"]);
  assert.deepEqual(routesOf(sessions(3), builders), ["b1 home", "b2 moved", "b2 moved"]);
});

Deno.test("plan() moves sessions from homes that are stuck or missing, patient ones as well", () => {
  for (const state of ["stuck", "missing"] as const) {
    const builders = [asleep("b1", { state }), asleep("b2")];
    assert.deepEqual(routesOf(sessions(1, { patient: true }), builders), ["b2 moved"]);
    assert.deepEqual(routesOf(sessions(1), [{ ...builders[0]!, reach: 0 }, builders[1]!]), ["b2 moved"]);
  }
});

Deno.test("plan() leaves sessions at their home when every builder is stuck, whatever the limits", () => {
  const builders = [full("b1", 0), full("b2", 0)].map((builder): Builder => ({ ...builder, state: "stuck" }));
  const waiting = [session(1), session(2, { project: D })];
  assert.deepEqual(routesOf(waiting, builders), ["b1 unusable", "b2 unusable"]);
  assert.deepEqual(routesOf(waiting, []), ["unusable", "unusable"], "a pool without builders");
});

Deno.test("plan() sends sessions to the first builder that is only stuck rather than to a missing home", () => {
  const missing = asleep("b1", { state: "missing" });
  const stuck = (name: string) => asleep(name, { state: "stuck" });
  const waiting = [session(1), session(2, { patient: true })];
  const builders = [missing, stuck("b2"), stuck("b3")];
  for (const placement of ["affinity", "packed", "round-robin", "least-sessions"] as const) {
    assert.ok(
      !routesOf(waiting, builders, { placement }).some((route) => route.startsWith("b1")),
      placement,
    );
  }
  assert.deepEqual(routesOf(waiting, builders), ["b2 unusable", "b2 unusable"]);
  assert.deepEqual(routesOf(waiting, builders, { overflow: "never" }), ["b1 unusable", "b1 unusable"]);
  const none = [missing, asleep("b2", { state: "missing" })];
  assert.deepEqual(routesOf(waiting, none), ["b1 unusable", "b1 unusable"], "all are missing");
});

Deno.test("plan() queues when every usable builder is at its hard limit", () => {
  const builders = [
    full("b1", 0),
    ready("b2", { room: 1, reach: 1, limit: 1 }),
    asleep("b3", { state: "stuck" }),
  ];
  assert.deepEqual(routesOf(sessions(2), builders), ["b2 overflow", "queued"]);
});

Deno.test("plan() shares with the ready builder of least load below the hard limit, in the session's order", () => {
  const builders = [full("b1", 1, 5), full("b2", 2, 4), full("b3", 0, 0), asleep("b4", { reach: 0 })];
  assert.deepEqual(routesOf(sessions(4), builders), ["b2 shared", "b1 shared", "b2 shared", "b4 shared"]);
});

Deno.test("plan() lets sessions above the target wait for a builder only if no ready one takes more", () => {
  const builders = [full("b1", 0), asleep("b2", { reach: 0, limit: 1 })];
  assert.deepEqual(routesOf(sessions(2), builders), ["b2 shared", "queued"]);
});

Deno.test("plan() sends siblings to the builder of the other connection, even at its hard limit", () => {
  const builders = [ready("b1"), full("b2", 0)];
  const waiting = [
    session(1, { sibling: "b2", siblingRuns: true }),
    session(2, { sibling: "b2", siblingRuns: true }),
    session(3),
  ];
  assert.deepEqual(routesOf(waiting, builders), ["b2 sibling", "b2 sibling", "b1 home"]);
  assert.deepEqual(routesOf(waiting.slice(0, 1), builders, { overflow: "never" }), ["b2 sibling"]);
});

Deno.test("plan() sends a session to where its sibling has ended only below the hard limit", () => {
  const builders = [ready("b1"), full("b2", 1)];
  const waiting = [session(1, { sibling: "b2" }), session(2, { sibling: "b2" })];
  assert.deepEqual(routesOf(waiting, builders), ["b2 sibling", "b1 home"]);
});

Deno.test("plan() takes seats off for siblings, too", () => {
  const builders = [ready("b1", { room: 1, reach: 1, limit: 1 })];
  const waiting = [session(1, { sibling: "b1" }), session(2)];
  assert.deepEqual(routesOf(waiting, builders), ["b1 sibling", "queued"]);
});

Deno.test("plan() forgets siblings on builders that are not ready, or gone", () => {
  for (const state of ["missing", "stuck", "starting", "asleep"] as const) {
    const builders = [ready("b1"), asleep("b2", { state })];
    assert.deepEqual(routesOf([session(1, { sibling: "b2" })], builders), ["b1 home"]);
  }
  assert.deepEqual(routesOf([session(1, { sibling: "gone" })], [ready("b1")]), ["b1 home"]);
});

Deno.test("plan() lets nobody overflow with --overflow=never", () => {
  const overflow = "never";
  assert.deepEqual(routesOf(sessions(1), [full("b1", 0), ready("b2")], { overflow }), ["queued"]);
  assert.deepEqual(routesOf(sessions(1), [full("b1", 1), ready("b2")], { overflow }), ["b1 shared"]);
  assert.deepEqual(routesOf(sessions(1), [asleep("b1"), ready("b2")], { overflow }), ["b1 home"]);
  const stuck = [asleep("b1", { state: "stuck" }), ready("b2")];
  assert.deepEqual(routesOf(sessions(1), stuck, { overflow }), ["b1 unusable"]);
  const placement = "packed";
  assert.deepEqual(routesOf(sessions(1, { project: D }), stuck, { overflow, placement }), ["b1 unusable"]);
});

Deno.test("plan() ignores --overflow=never where builders are nobody's home", () => {
  for (const placement of ["least-sessions", "round-robin"] as const) {
    const builders = [full("b1", 0, 0), ready("b2", { load: 1 })];
    assert.deepEqual(routesOf(sessions(1), builders, { overflow: "never", placement }), ["b2 overflow"]);
  }
});

Deno.test("plan() serves in the order of tags, then of ids", () => {
  const waiting = [session(3, { tag: 1 }), session(1, { tag: 2 }), session(2, { tag: 1 })];
  const routes = plan(waiting, [ready("b1", { room: 2, reach: 2, limit: 2 })], policyOf());
  assert.deepEqual([...routes].map(([id, route]) => `${id} ${textOf(route)}`), [
    "2 b1 home",
    "3 b1 home",
    "1 queued",
  ]);
});

Deno.test("plan() fills builders in declared order when packed", () => {
  const builders = [ready("b2", { room: 1, reach: 1 }), ready("b1")];
  assert.deepEqual(routesOf(sessions(2), builders, { placement: "packed" }), ["b2 home", "b1 overflow"]);
});

Deno.test("plan() takes builders in turn by round-robin, from the seats given so far, without those not usable", () => {
  const builders = [ready("b1"), asleep("b2", { state: "missing" }), ready("b3"), ready("b4")];
  const found = routesOf(sessions(4), builders, { placement: "round-robin", turn: 5 });
  assert.deepEqual(found, ["b4 home", "b1 home", "b3 home", "b4 home"]);
  const none = builders.map((builder): Builder => ({ ...builder, state: "missing" }));
  assert.deepEqual(routesOf(sessions(1), none, { placement: "round-robin", turn: 5 }), ["b2 unusable"]);
});

Deno.test("plan() prefers the least sessions, those of this plan included, then the project's order", () => {
  const builders = [ready("b1", { load: 1 }), ready("b2"), ready("b3", { load: 2 })];
  const placement = "least-sessions";
  assert.deepEqual(routesOf(sessions(3), builders, { placement }), ["b2 home", "b1 home", "b2 home"]);
  const alike = [ready("b1"), ready("b2")];
  assert.deepEqual(routesOf(sessions(1, { project: D }), alike, { placement }), ["b2 home"]);
  assert.deepEqual(routesOf(sessions(1, { project: undefined }), alike, { placement }), ["b1 home"]);
});

Deno.test("plan() never counts missing or stuck builders as those with the least sessions", () => {
  const builders = [asleep("b1", { state: "missing" }), ready("b2", { load: 3 })];
  assert.deepEqual(routesOf(sessions(1), builders, { placement: "least-sessions" }), ["b2 home"]);
});

Deno.test("plan() knows no target where that is Infinity, and then the hard limit alone", () => {
  const open = ready("b1", { room: Infinity, reach: Infinity });
  assert.deepEqual(routesOf(sessions(3), [open, ready("b2")]), ["b1 home", "b1 home", "b1 home"]);
  const limited = { ...open, limit: 1 };
  assert.deepEqual(routesOf(sessions(2), [limited, ready("b2")]), ["b1 home", "b2 overflow"]);
  assert.deepEqual(routesOf(sessions(2), [limited]), ["b1 home", "queued"]);
});

Deno.test("plan() takes a builder for full that is beyond its target or limit already", () => {
  const beyond = ready("b1", { load: 6, room: 0, reach: -2, limit: -1 });
  assert.deepEqual(routesOf(sessions(1), [beyond, ready("b2")]), ["b2 overflow"]);
  assert.deepEqual(routesOf(sessions(1), [beyond]), ["queued"]);
});
