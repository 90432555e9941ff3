/**
 * Where a new session of a project would go, and why, in words for the people who ask the admin port. Pure: the answer is
 * `plan` itself, asked for one session more.
 *
 * @module
 */
import {
  type Builder,
  plan,
  type Route,
  type RoutePolicy,
  type State,
  type Waiting,
  type Why,
} from "./plan.ts";
import { rankBy } from "./rank.ts";

/**
 * Several lines of plain text that end with a line feed. `project` is what `projectOf` made of the name, `waiting` are the
 * sessions whose turn is before that of a new one.
 */
export function explainRoute(
  project: string | undefined,
  builders: readonly Builder[],
  policy: RoutePolicy,
  waiting: readonly Waiting[] = [],
): string {
  const lines = [
    `Project: ${project ?? "none (no name, an IP address, localhost or no DNS name)"}`,
    `Placement: ${policy.placement}; overflow: ${policy.overflow}`,
    `${orderOf(policy, project)}:`,
    ...describeBuilders(project, builders, policy),
    ...(waiting.length === 0 ? [] : [`Sessions that wait for a seat: ${waiting.length}`]),
    ...describeRoutes(project, builders, policy, waiting),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function orderOf({ placement }: RoutePolicy, project: string | undefined): string {
  switch (placement) {
    case "affinity":
      return project === undefined
        ? "Builders in their declared order, which sessions without a project prefer"
        : "Builders in the order in which this project prefers them";
    case "packed":
      return "Builders in their declared order, which all sessions prefer";
    case "least-sessions":
      return "Builders, of which sessions prefer the one with the fewest sessions";
    case "round-robin":
      return "Builders, which sessions take in turn";
  }
}

function describeBuilders(
  project: string | undefined,
  builders: readonly Builder[],
  policy: RoutePolicy,
): string[] {
  return preferred(project, builders, policy).map(({ name, state, load, room, reach, limit }, at) =>
    `  ${at + 1}. ${name}: ${STATES[state]}; ${load} session${load === 1 ? "" : "s"}; ` +
    `free seats below the target: ${seats(room)} now, ${seats(reach)} with all replicas; ` +
    `below the hard limit: ${seats(limit)}`
  );
}

/** The builders as the session prefers them, where that does not change from one session to the next. */
function preferred(
  project: string | undefined,
  builders: readonly Builder[],
  { placement }: RoutePolicy,
): readonly Builder[] {
  return placement === "affinity" ? rankBy(builders, project, ({ name }) => name) : builders;
}

const STATES: Readonly<Record<State, string>> = {
  missing: "missing (absent, forbidden or cordoned)",
  ready: "ready",
  stuck: "stuck (its start makes no progress)",
  starting: "starting",
  unknown: "not known yet",
  asleep: "asleep",
};

function seats(free: number): string {
  return free === Infinity ? "unlimited" : String(Math.max(0, free));
}

function describeRoutes(
  project: string | undefined,
  builders: readonly Builder[],
  policy: RoutePolicy,
  waiting: readonly Waiting[],
): string[] {
  const id = 1 + waiting.reduce((highest, session) => Math.max(highest, session.id), 0);
  const routeOf = (patient: boolean) => {
    const session = { id, project, tag: Infinity, patient };
    return plan([...waiting, session], builders, policy).get(id)!;
  };
  const first = firstChoice(project, builders, policy);
  const impatient = routeOf(false);
  if (policy.placement !== "affinity" || project === undefined) {
    return [`A new session ${describe(impatient, first)}.`];
  }
  const patient = routeOf(true);
  if (patient.builder === impatient.builder) return [`A new session ${describe(patient, first)}.`];
  return [
    `A new session ${describe(patient, first)}. It waits until a pod there is ready.`,
    `A session whose TLS passes through the proxy cannot wait: it ${describe(impatient, first)}.`,
  ];
}

/** The builder that the session would like best, in words. */
function firstChoice(
  project: string | undefined,
  builders: readonly Builder[],
  policy: RoutePolicy,
): { readonly name: string; readonly fault: string } {
  const [first] = preferred(project, builders, policy);
  if (first === undefined || policy.placement === "least-sessions" || policy.placement === "round-robin") {
    return { name: "its first choice", fault: "has no room now" };
  }
  const fault = first.state === "ready" ? "has no room now" : `is ${first.state}`;
  return { name: `its first choice, ${first.name},`, fault };
}

function describe(
  { builder, why }: Route,
  { name, fault }: { readonly name: string; readonly fault: string },
): string {
  const reasons: Readonly<Record<Why, string>> = {
    home: "this is its first choice",
    sibling: "another connection of the same client is there",
    overflow: `${name} is full up to the target`,
    shared: "all usable builders are full up to the target, and this one is below its hard limit",
    moved: `${name} ${fault}`,
    queued: "all usable builders are at their hard limit",
    unusable: "every builder that it may use is stuck or missing",
  };
  const where = why === "queued" ? "waits in the queue" : `goes to ${builder ?? "no builder"}`;
  return `${where}: ${reasons[why]}`;
}
