/**
 * What must hold of every plan that a proxy makes: the same facts give the same plan again, and each route keeps the rules
 * of the design, which are written down here once more, so that a plan that breaks them is found. Pure.
 *
 * @module
 */
import { type Builder, plan, type Route, type RoutePolicy, type Waiting } from "../../lib/route/plan.ts";
import type { PlanRecord } from "../../lib/route/pool_parts.ts";
import { rank } from "../../lib/route/rank.ts";

/** What is left of a builder while sessions take their seats. */
interface Left {
  readonly name: string;
  readonly isReady: boolean;
  readonly isUsable: boolean;
  room: number;
  reach: number;
  limit: number;
  open: number;
}

/** What is wrong with a plan; undefined if nothing is. */
export function faultOfPlan(record: PlanRecord): string | undefined {
  const { waiting, builders, policy, routes } = record;
  const again = plan(waiting, builders, policy);
  const differing = waiting.find(({ id }) => textOf(routes.get(id)) !== textOf(again.get(id)));
  if (differing === undefined) return ruleBrokenBy(record);
  const { id } = differing;
  return `session ${id} goes ${textOf(routes.get(id))}, and by the same facts ${textOf(again.get(id))}`;
}

/** Which rule these routes break; undefined if they keep all. */
export function ruleBrokenBy(record: PlanRecord): string | undefined {
  const { waiting, builders, policy, routes } = record;
  const inTurn = waiting.toSorted((a, b) => a.tag - b.tag || a.id - b.id);
  const left = new Map(builders.map((builder) => [builder.name, leftOf(builder)]));
  for (const [i, session] of inTurn.entries()) {
    const route = routes.get(session.id);
    if (route === undefined) return `session ${session.id} has no route`;
    const fault = faultOfRoute(session, route, left, policy) ??
      faultOfTurn(session, route, inTurn.slice(0, i), record);
    if (fault !== undefined) return `session ${session.id} goes ${textOf(route)}: ${fault}`;
    const taken = left.get(route.builder ?? "");
    if (taken === undefined) continue;
    taken.room--;
    taken.reach--;
    taken.limit--;
    taken.open--;
  }
  return undefined;
}

function leftOf({ name, state, room, reach, limit, open }: Builder): Left {
  return {
    name,
    isReady: state === "ready",
    isUsable: state !== "stuck" && state !== "missing",
    room: Math.min(room, reach, limit),
    reach: Math.min(reach, limit),
    limit,
    open: Math.min(open, limit),
  };
}

function faultOfRoute(
  session: Waiting,
  { builder, why }: Route,
  left: ReadonlyMap<string, Left>,
  policy: RoutePolicy,
): string | undefined {
  const home = homeOf(session, [...left.keys()], policy);
  const usable = [...left.values()].filter(({ isUsable, name }) =>
    isUsable && (home === undefined || policy.overflow === "full" || name === home)
  );
  if (why === "sibling") {
    if (session.sibling !== builder) return "its sibling is elsewhere";
    const there = left.get(builder ?? "");
    if (!there?.isReady) return "its sibling's builder is not ready";
    return session.siblingRuns || there.limit > 0
      ? undefined
      : "its sibling has ended, and its builder is full";
  }
  const sibling = left.get(session.sibling ?? "");
  if (sibling?.isReady && (session.siblingRuns || sibling.limit > 0)) return "its sibling's builder is ready";
  if (usable.length === 0) return why === "unusable" ? undefined : "no builder is usable";
  if (why === "unusable") return "a builder is usable";
  if (why === "queued") {
    return usable.every(({ limit }) => limit <= 0) ? undefined : "a usable builder is below its hard limit";
  }
  const taken = usable.find(({ name }) => name === builder);
  if (taken === undefined) return "that builder is not usable, and another is";
  if (taken.limit <= 0) return "that builder is at its hard limit";
  const mayShare = session.late && usable.some(({ isReady, open }) => isReady && open > 0);
  if (mayShare && taken.room <= 0 && (!taken.isReady || taken.open <= 0)) return "it is late, and a pod runs";
  if (why === "shared") {
    if (mayShare) return usable.some(({ room }) => room > 0) ? "a usable builder has room" : undefined;
    return usable.some(({ reach }) => reach > 0) ? "a usable builder is below its target" : undefined;
  }
  if (taken.reach <= 0 && usable.some(({ reach }) => reach > 0)) return "that builder is above its target";
  if (home === undefined || builder === home) return undefined;
  const { reach, room, isUsable } = left.get(home)!;
  if (!isUsable || reach <= 0) return undefined;
  if (session.patient && !session.late) return "its home has reach, and it waits for that";
  return room > 0 || taken.room <= 0 ? "its home has reach" : undefined;
}

/** The builder that the session goes to if it can; undefined where the policy has no homes. */
function homeOf(
  { project }: Waiting,
  names: readonly string[],
  { placement }: RoutePolicy,
): string | undefined {
  if (placement === "affinity") return rank(names, project)[0];
  return placement === "packed" ? names[0] : undefined;
}

/** The queue is first come, first served: within a project always, and between projects where all may go anywhere. */
function faultOfTurn(
  session: Waiting,
  { why }: Route,
  before: readonly Waiting[],
  { routes, policy }: PlanRecord,
): string | undefined {
  const late = before.find(({ project, id }) => project === session.project && id > session.id);
  if (late !== undefined) return `session ${late.id} of its project has come later, and is before it`;
  if (why === "queued" || why === "sibling" || why === "unusable") return undefined;
  const queued = before.find(({ id, project }) =>
    routes.get(id)?.why === "queued" && (policy.overflow === "full" || project === session.project)
  );
  return queued === undefined ? undefined : `session ${queued.id}, whose turn comes before, is queued`;
}

function textOf(route: Route | undefined): string {
  return route === undefined ? "nowhere" : `to ${route.builder ?? "no builder"} (${route.why})`;
}
