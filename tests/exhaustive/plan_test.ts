/**
 * Every state of two builders with every three sessions of two projects: `plan` gives what the rules say, told another
 * way, and what nobody may ever get does not happen.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Builder, plan, type Route, type RoutePolicy, type Waiting } from "../../lib/route/plan.ts";
import { isUsable, planFault } from "../support/plan_rules.ts";

/** Two builders, and a project at home on each: their order was looked up once, and is the same for ever. */
const FIRST = "b1", SECOND = "b2";
const HOMES = { "team-a.ci": FIRST, "team-d.ci": SECOND } as const;

function affinity(project: string | undefined): readonly string[] {
  return HOMES[project as keyof typeof HOMES] === SECOND ? [SECOND, FIRST] : [FIRST, SECOND];
}

/** All builders of a name: room, reach and limit of 0 to 2, of which none exceeds the next. */
function buildersOf(name: string, load: number): Builder[] {
  const builders: Builder[] = [];
  for (const limit of [0, 1, 2]) {
    for (let reach = 0; reach <= limit; reach++) {
      for (let room = 0; room <= reach; room++) {
        builders.push({ name, state: "ready", load, room, reach, limit, open: limit });
        // What is below the hard limit is on pods that do not run yet.
        if (room === 0 && limit > 0) {
          builders.push({ name, state: "ready", load, room, reach, limit, open: 0 });
        }
      }
      for (const state of ["missing", "stuck", "starting", "asleep"] as const) {
        builders.push({ name, state, load, room: 0, reach, limit, open: 0 });
      }
    }
  }
  return builders;
}

type Kind = Pick<Waiting, "patient" | "sibling" | "siblingRuns" | "late">;

const KINDS: readonly Kind[] = [
  { patient: false },
  { patient: true },
  { patient: false, late: true },
  { patient: false, sibling: FIRST, siblingRuns: true },
  { patient: true, sibling: SECOND },
];

/** Every three sessions. Two have the same tag, and are told apart by their ids, which are not in the order given. */
function* sessions(): Generator<readonly Waiting[]> {
  const all = KINDS.flatMap((kind) => Object.keys(HOMES).map((project) => ({ ...kind, project })));
  for (const a of all) {
    for (const b of all) {
      for (const c of all) {
        yield [{ ...c, id: 3, tag: 2 }, { ...b, id: 2, tag: 1 }, { ...a, id: 1, tag: 1 }];
      }
    }
  }
}

/** What must hold of the whole, whatever the rules. */
function harmOf(
  routes: ReadonlyMap<number, Route>,
  waiting: readonly Waiting[],
  builders: readonly Builder[],
): string | undefined {
  const usable = builders.filter(isUsable);
  for (const { name, limit } of builders) {
    const sent = waiting.filter(({ id }) => routes.get(id)!.builder === name);
    const mayExceed = sent.some(({ sibling, siblingRuns }) => siblingRuns && sibling === name);
    if (usable.length > 0 && sent.length > 0 && !usable.some((builder) => builder.name === name)) {
      return `${name} gets sessions though it is not usable`;
    }
    if (usable.length > 0 && !mayExceed && sent.length > limit) return `${name} is above its hard limit`;
    const isFull = sent.length >= limit;
    const isQueued = [...routes.values()].some(({ why }) => why === "queued");
    if (isQueued && !isFull && usable.some((builder) => builder.name === name)) {
      return `somebody is queued though ${name} is below its hard limit`;
    }
  }
  return undefined;
}

function check(
  policy: RoutePolicy,
  loads: readonly [number, number],
  threes: readonly (readonly Waiting[])[],
): number {
  let plans = 0;
  for (const first of buildersOf(FIRST, loads[0])) {
    for (const second of buildersOf(SECOND, loads[1])) {
      const builders = [first, second];
      for (const waiting of threes) {
        const routes = plan(waiting, builders, policy);
        const fault = planFault(routes, waiting, builders, policy, affinity) ??
          (policy.overflow === "full" ? harmOf(routes, waiting, builders) : undefined);
        if (fault !== undefined) {
          assert.fail(`${fault}\n${JSON.stringify({ policy, builders, waiting }, undefined, 1)}`);
        }
        plans++;
      }
    }
  }
  return plans;
}

const ALL = [...sessions()];
/** A part of them for the policies that differ only in the order of builders: one of seven, all kinds in all places. */
const SOME = ALL.filter((_, at) => at % 7 === 0);

for (const placement of ["affinity", "packed", "least-sessions", "round-robin"] as const) {
  for (const overflow of ["full", "never"] as const) {
    const isMain = placement === "affinity";
    Deno.test(`plan() is right for two builders in every state and three sessions: ${placement}, overflow ${overflow}`, () => {
      const policy: RoutePolicy = { placement, overflow, turn: 1 };
      const areLoadsCompared = overflow === "full" || placement === "least-sessions";
      const loads = areLoadsCompared ? [[0, 0], [0, 1], [1, 0]] as const : [[0, 1]] as const;
      let plans = 0;
      for (const load of loads) plans += check(policy, load, isMain ? ALL : SOME);
      assert.equal(plans, 39 ** 2 * loads.length * (isMain ? 10 ** 3 : 143));
    });
  }
}
