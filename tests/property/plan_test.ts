/**
 * What holds of every plan: for three builders against the rules told another way, and each promise by itself.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Builder, plan, type Route, type RoutePolicy, type Waiting } from "../../lib/route/plan.ts";
import { FairQueue } from "../../lib/route/queue.ts";
import { rank } from "../../lib/route/rank.ts";
import { inTurn, isUsable, planFault, withSeatTaken } from "../support/plan_rules.ts";

const NAMES = ["buildkitd", "buildkitd-b2", "buildkitd-b3"];

const seats = fc.constantFrom(0, 1, 2, 3, Infinity);

function builderOf(name: string): fc.Arbitrary<Builder> {
  const state = fc.constantFrom("missing", "ready", "ready", "stuck", "starting", "asleep" as const);
  return fc.record({ state, load: fc.integer({ min: 0, max: 3 }), room: seats, reach: seats, limit: seats })
    .map(({ state, load, room, reach, limit }): Builder => ({
      name,
      state: state as Builder["state"],
      load,
      room: state === "ready" ? Math.min(room, reach) : 0,
      // Without a target, it is beyond the hard limit.
      reach,
      limit,
      open: state !== "ready" ? 0 : load % 2 === 0 ? limit : Math.min(room, reach, limit),
    }));
}

/** Up to three builders, in any order. */
const builders = fc.shuffledSubarray(NAMES, { minLength: 1 })
  .chain((names) => fc.tuple(...names.map(builderOf)) as fc.Arbitrary<Builder[]>);

const projects = fc.constantFrom("team-a.ci", "team-b.ci", "team-c.ci", "team-h.ci");

const session = fc.record({
  project: fc.option(projects, { nil: undefined }),
  sibling: fc.option(fc.constantFrom(...NAMES, "gone"), { nil: undefined, freq: 4 }),
  siblingRuns: fc.boolean(),
  tag: fc.integer({ min: 1, max: 4 }),
  patient: fc.boolean(),
  late: fc.boolean(),
});

/** Sessions with distinct ids, in any order. */
const waitingOf = (one: fc.Arbitrary<Omit<Waiting, "id">>): fc.Arbitrary<Waiting[]> =>
  fc.array(one, { maxLength: 8 })
    .map((sessions) => sessions.map((session, id) => ({ ...session, id })))
    .chain((sessions) => fc.shuffledSubarray(sessions, { minLength: sessions.length }));

const waiting = waitingOf(session);

/** Such as are no siblings. */
const plain = waitingOf(session.map((one) => ({ ...one, sibling: undefined })));

const policy: fc.Arbitrary<RoutePolicy> = fc.record({
  placement: fc.constantFrom("affinity", "packed", "least-sessions", "round-robin"),
  overflow: fc.constantFrom("full", "never"),
  turn: fc.integer({ min: 0, max: 10 }),
}, { noNullPrototype: true });

const affinityPolicy: RoutePolicy = { placement: "affinity", overflow: "full", turn: 0 };

/** A map's entries in the order of its keys. */
function sorted(routes: ReadonlyMap<number, Route>): [number, Route][] {
  return [...routes].sort(([a], [b]) => a - b);
}

function sentTo(routes: ReadonlyMap<number, Route>, name: string): number {
  return [...routes.values()].filter(({ builder }) => builder === name).length;
}

function homeOf({ project }: Waiting, builders: readonly Builder[]): Builder {
  const [home] = rank(builders.map(({ name }) => name), project);
  return builders.find(({ name }) => name === home)!;
}

const RUNS = { numRuns: 3_000 };

Deno.test("plan() is right for up to three builders, whatever the policy", () => {
  fc.assert(
    fc.property(waiting, builders, policy, (waiting, builders, policy) => {
      const names = builders.map(({ name }) => name);
      const affinity = (project: string | undefined) => rank(names, project);
      const routes = plan(waiting, builders, policy);
      assert.equal(planFault(routes, waiting, builders, policy, affinity), undefined);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("plan() changes nothing that it is given, and the order in which sessions are given is irrelevant", () => {
  fc.assert(
    fc.property(waiting, builders, policy, (waiting, builders, policy) => {
      const before = structuredClone({ waiting, builders, policy });
      const routes = plan(waiting, builders, policy);
      assert.deepEqual({ waiting, builders, policy }, before);
      assert.deepEqual(sorted(plan(waiting.toReversed(), builders, policy)), sorted(routes));
      assert.deepEqual([...routes.keys()], inTurn(waiting).map(({ id }) => id));
    }),
    RUNS,
  );
});

Deno.test("plan() does not depend on the order of builders, by affinity or by sessions", () => {
  const placements = fc.constantFrom("affinity", "least-sessions" as const);
  const named = waitingOf(fc.tuple(session, projects).map(([one, project]) => ({ ...one, project })));
  fc.assert(
    fc.property(named, builders, placements, (waiting, builders, placement) => {
      const policy: RoutePolicy = { placement, overflow: "full", turn: 0 };
      assert.deepEqual(plan(waiting, builders.toReversed(), policy), plan(waiting, builders, policy));
    }),
    RUNS,
  );
});

Deno.test("plan() moves only a builder's own projects when it is removed, or added", () => {
  fc.assert(
    fc.property(plain, fc.constantFrom(...NAMES), (waiting, removed) => {
      const all = NAMES.map((name): Builder => (
        { name, state: "ready", load: 0, room: Infinity, reach: Infinity, limit: Infinity, open: Infinity }
      ));
      const named = waiting.filter(({ project }) => project !== undefined);
      const before = plan(named, all, affinityPolicy);
      const after = plan(named, all.filter(({ name }) => name !== removed), affinityPolicy);
      for (const [id, { builder }] of before) {
        if (builder === removed) assert.notEqual(after.get(id)!.builder, removed);
        else assert.equal(after.get(id)!.builder, builder);
      }
    }),
    RUNS,
  );
});

Deno.test("plan() lets no project overflow while its home has reach, by affinity", () => {
  fc.assert(
    fc.property(waiting, builders, (waiting, builders) => {
      const routes = plan(waiting, builders, affinityPolicy);
      for (const session of waiting) {
        if (routes.get(session.id)!.why !== "overflow") continue;
        const home = homeOf(session, builders);
        assert.ok(sentTo(routes, home.name) >= Math.min(home.reach, home.limit));
        assert.ok(isUsable(home));
      }
    }),
    RUNS,
  );
});

Deno.test("plan() keeps a patient session at its home while that has reach and is usable", () => {
  fc.assert(
    fc.property(session, builders, (session, builders) => {
      const one = { ...session, id: 1, patient: true, late: false, sibling: undefined };
      const home = homeOf(one, builders);
      fc.pre(isUsable(home) && home.reach > 0 && home.limit > 0);
      assert.deepEqual(plan([one], builders, affinityPolicy).get(1), { builder: home.name, why: "home" });
    }),
    RUNS,
  );
});

Deno.test("plan() lets no late session wait for a pod while one that runs is below its hard limit", () => {
  fc.assert(
    fc.property(session, builders, policy, (session, builders, policy) => {
      const one = { ...session, id: 1, patient: false, late: true, sibling: undefined };
      const running = builders.filter(({ state, limit, open }) =>
        state === "ready" && Math.min(limit, open) > 0
      );
      fc.pre(running.length > 0);
      const { builder } = plan([one], builders, { ...policy, overflow: "full" }).get(1)!;
      assert.ok(running.some(({ name }) => name === builder));
    }),
    RUNS,
  );
});

Deno.test("plan() queues nobody while a usable builder is below its hard limit", () => {
  fc.assert(
    fc.property(waiting, builders, policy, (waiting, builders, policy) => {
      const routes = plan(waiting, builders, { ...policy, overflow: "full" });
      fc.pre([...routes.values()].some(({ why }) => why === "queued"));
      for (const { name, limit } of builders.filter(isUsable)) assert.ok(sentTo(routes, name) >= limit);
    }),
    RUNS,
  );
});

Deno.test("plan() exceeds a hard limit only for siblings and for what must not be queued", () => {
  fc.assert(
    fc.property(plain, builders, policy, (waiting, builders, policy) => {
      const routes = plan(waiting, builders, policy);
      for (const { name, limit } of builders.filter(isUsable)) assert.ok(sentTo(routes, name) <= limit);
    }),
    RUNS,
  );
});

Deno.test("plan() is first in, first out within a project", () => {
  fc.assert(
    fc.property(plain, builders, policy, (waiting, builders, policy) => {
      const routes = plan(waiting, builders, policy);
      const queued = new Set<string | undefined>();
      for (const { id, project } of inTurn(waiting)) {
        if (routes.get(id)!.why === "queued") queued.add(project);
        else assert.ok(!queued.has(project), "somebody passed one of the own project in the queue");
      }
    }),
    RUNS,
  );
});

Deno.test("plan() gives stuck and missing builders nothing while another is usable", () => {
  fc.assert(
    fc.property(waiting, builders, policy, (waiting, builders, policy) => {
      fc.pre(builders.some(isUsable));
      const routes = plan(waiting, builders, { ...policy, overflow: "full" });
      for (const { name } of builders.filter((builder) => !isUsable(builder))) {
        assert.equal(sentTo(routes, name), 0);
      }
    }),
    RUNS,
  );
});

Deno.test("plan() gives everything to a builder that is the only one", () => {
  fc.assert(
    fc.property(waiting, builderOf("buildkitd"), policy, (waiting, builder, policy) => {
      const routes = plan(waiting, [builder], policy);
      for (const { builder: name, why } of routes.values()) {
        assert.equal(name, why === "queued" ? undefined : "buildkitd");
        assert.ok(why !== "overflow" && why !== "moved");
      }
      if (builder.limit === Infinity) assert.equal(sentTo(routes, "buildkitd"), waiting.length);
    }),
    RUNS,
  );
});

Deno.test("plan() says the same of those that still wait when the first in turn has its seat", () => {
  fc.assert(
    fc.property(waiting, builders, policy, (waiting, builders, policy) => {
      fc.pre(waiting.length > 0);
      const [first, ...rest] = inTurn(waiting);
      const { [0]: route, length } = [...plan(waiting, builders, policy).values()];
      const turn = policy.turn + (route!.builder === undefined ? 0 : 1);
      const after = plan(rest, withSeatTaken(builders, route!.builder), { ...policy, turn });
      assert.equal(length, after.size + 1);
      assert.deepEqual([[first!.id, route!], ...after], [...plan(waiting, builders, policy)]);
    }),
    RUNS,
  );
});

/** What happens to a full builder with a queue. */
const events = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constant("a seat is free" as const) },
    { weight: 2, arbitrary: fc.nat({ max: 3 }).map((project) => ({ arrives: project })) },
    { weight: 1, arbitrary: fc.nat({ max: 30 }).map((at) => ({ leaves: at })) },
  ),
  { maxLength: 60 },
);

/** A builder on which seats become free one by one, and the projects whose sessions were seated, in that order. */
class FullBuilder {
  readonly queue = new FairQueue();
  readonly waiting = new Map<number, string>();
  readonly seated: string[] = [];
  #lastId = 0;

  arrive(project: string): void {
    const id = ++this.#lastId;
    this.queue.add(id, project);
    this.waiting.set(id, project);
  }

  leave(at: number): void {
    const id = [...this.waiting.keys()][at];
    if (id === undefined) return;
    this.queue.remove(id);
    this.waiting.delete(id);
  }

  free(): void {
    const waiting = this.queue.inTurn().map((id, tag): Waiting => (
      { id, project: this.waiting.get(id)!, tag, patient: false }
    ));
    const builder: Builder = {
      name: "buildkitd",
      state: "ready",
      load: 1,
      room: 1,
      reach: 1,
      limit: 1,
      open: 1,
    };
    for (const [id, { builder: name }] of plan(waiting, [builder], affinityPolicy)) {
      if (name === undefined) continue;
      this.seated.push(this.waiting.get(id)!);
      this.queue.seated(id);
      this.queue.connected(id);
      this.waiting.delete(id);
    }
  }

  backlog(project: string): number {
    return [...this.waiting.values()].filter((other) => other === project).length;
  }
}

Deno.test("plan() and FairQueue seat projects that wait from the beginning in turn: they differ by at most one seat", () => {
  const first = fc.array(fc.nat({ max: 2 }), { minLength: 3, maxLength: 30 });
  fc.assert(
    fc.property(first, events, (first, events) => {
      const world = new FullBuilder();
      const constant = ["team-0", "team-1", "team-2"];
      for (const project of [0, 1, 2, ...first]) world.arrive(`team-${project}`);
      for (const event of events) {
        if (event === "a seat is free") world.free();
        else if ("arrives" in event) world.arrive(`team-${event.arrives}`);
        else world.leave(event.leaves);
        if (constant.some((project) => world.backlog(project) === 0)) return;
        const counts = constant.map((project) => world.seated.filter((other) => other === project).length);
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, String(counts));
      }
    }),
    RUNS,
  );
});

Deno.test("plan() and FairQueue let two projects that wait differ by at most one seat in any time", () => {
  fc.assert(
    fc.property(events, (events) => {
      const world = new FullBuilder();
      /** Seats of both since both wait. */
      let counts: [number, number] = [0, 0];
      let lead: [number, number] = [0, 0];
      for (const event of events) {
        const before = world.seated.length;
        if (event === "a seat is free") world.free();
        else if ("arrives" in event) world.arrive(`team-${event.arrives}`);
        else world.leave(event.leaves);
        const seated = world.seated.slice(before);
        counts = [0, 1].map((project, at) =>
          counts[at]! + seated.filter((other) => other === `team-${project}`).length
        ) as [number, number];
        const ahead = counts[0] - counts[1];
        lead = [Math.min(lead[0], ahead), Math.max(lead[1], ahead)];
        assert.ok(lead[1] - lead[0] <= 1, `${lead}`);
        if (world.backlog("team-0") === 0 || world.backlog("team-1") === 0) {
          [counts, lead] = [[0, 0], [0, 0]];
        }
      }
    }),
    { numRuns: 10_000 },
  );
});
