/**
 * What a plan must be, said otherwise than `plan` computes it: given the routes, each session's builder has the least cost
 * of all builders, where the cost is a list of numbers whose first ones count most. Uses nothing of `plan` but its types;
 * the order of builders by affinity is passed in.
 *
 * @module
 */
import type { Builder, Route, RoutePolicy, Waiting, Why } from "../../lib/route/plan.ts";

/** The builders' names as a project prefers them. */
export type Affinity = (project: string | undefined) => readonly string[];

/** Whether new sessions may go there. */
export function isUsable({ state }: Builder): boolean {
  return state === "ready" || state === "starting" || state === "asleep";
}

/** The waiting sessions in the order in which they are served. */
export function inTurn(waiting: readonly Waiting[]): Waiting[] {
  return [...waiting].sort((a, b) => a.tag === b.tag ? a.id - b.id : a.tag - b.tag);
}

/** The builders after a session has taken its seat on one of them. */
export function withSeatTaken(builders: readonly Builder[], name: string | undefined): Builder[] {
  return builders.map((builder) => {
    const { load, room, reach, limit, open } = builder;
    return builder.name === name
      ? { ...builder, load: load + 1, room: room - 1, reach: reach - 1, limit: limit - 1, open: open - 1 }
      : builder;
  });
}

/** What is wrong with the routes, if anything: the first session that is not where it belongs. */
export function planFault(
  routes: ReadonlyMap<number, Route>,
  waiting: readonly Waiting[],
  builders: readonly Builder[],
  policy: RoutePolicy,
  affinity: Affinity,
): string | undefined {
  if (routes.size !== waiting.length) return `${routes.size} routes for ${waiting.length} sessions`;
  let left = builders;
  let { turn } = policy;
  for (const session of inTurn(waiting)) {
    const route = routes.get(session.id);
    const wanted = wantedRoute(session, left, { ...policy, turn }, affinity);
    if (route === undefined || route.builder !== wanted.builder || route.why !== wanted.why) {
      return `session ${session.id}: found ${JSON.stringify(route)}, want ${JSON.stringify(wanted)}`;
    }
    left = withSeatTaken(left, route.builder);
    if (route.builder !== undefined) turn++;
  }
  return undefined;
}

function wantedRoute(
  session: Waiting,
  builders: readonly Builder[],
  policy: RoutePolicy,
  affinity: Affinity,
): Route {
  const order = orderOf(session, builders, policy, affinity);
  const place = (name: string) => order.indexOf(name);
  const costs = builders.map((builder) => ({
    builder,
    cost: costOf(session, builder, place(builder.name), policy),
  }));
  costs.sort((a, b) => compare(a.cost, b.cost));
  const best = costs[0];
  if (best === undefined) return { why: "unusable" };
  const kind = best.cost[0]!;
  if (kind === QUEUE) return { why: "queued" };
  const home = builders.find(({ name }) => place(name) === 0)!;
  return { builder: best.builder.name, why: whyOf(kind, best.builder, home) };
}

/** The kind of seat that only a late session prefers to one below the target on a pod that does not run yet. */
const LATE = 1.5;
/** Kinds of seats that are none: at the hard limit, and not usable. */
const QUEUE = 5;
const UNUSABLE = 6;

/** The kind of seat that the builder has for the session, from 0 (best), and what decides between seats of that kind. */
function costOf(
  { sibling, siblingRuns, patient, late }: Waiting,
  builder: Builder,
  place: number,
  { placement, overflow }: RoutePolicy,
): readonly number[] {
  const { name, state, load, limit } = builder;
  const hasHome = placement === "affinity" || placement === "packed";
  if (name === sibling && state === "ready" && (siblingRuns || limit > 0)) return [0];
  if (overflow === "never" && hasHome && place > 0) return [UNUSABLE, 2];
  if (!isUsable(builder)) return [UNUSABLE, state === "missing" ? 1 : 0, place];
  const reach = Math.min(builder.reach, limit);
  if ((!patient || late) && Math.min(builder.room, reach) > 0) return [1, place];
  if (late && Math.min(builder.open, limit) > 0 && state === "ready") return [LATE, load, place];
  if (reach > 0) return [2, place];
  if (limit > 0) return state === "ready" ? [3, load, place] : [4, place];
  return [QUEUE];
}

function whyOf(kind: number, builder: Builder, home: Builder): Why {
  if (kind === 0) return "sibling";
  if (kind === UNUSABLE) return "unusable";
  if (kind === LATE || kind === 3 || kind === 4) return "shared";
  if (builder.name === home.name) return "home";
  return isUsable(home) && Math.min(home.reach, home.limit) <= 0 ? "overflow" : "moved";
}

function orderOf(
  { project }: Waiting,
  builders: readonly Builder[],
  { placement, turn }: RoutePolicy,
  affinity: Affinity,
): string[] {
  const usable = builders.filter(isUsable);
  const eligible = usable.length > 0 ? usable : builders;
  const names = (some: readonly Builder[]) => some.map(({ name }) => name);
  switch (placement) {
    case "affinity":
      return [...affinity(project)];
    case "packed":
      return names(builders);
    case "round-robin":
      return names(eligible.map((_, at) => eligible[(turn + at) % eligible.length]!));
    case "least-sessions": {
      const ranked = affinity(project);
      const key = ({ name, load }: Builder) => [load, ranked.indexOf(name)];
      return names([...eligible].sort((a, b) => compare(key(a), key(b))));
    }
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at < 0 ? 0 : a[at]! - (b[at] ?? -Infinity);
}
