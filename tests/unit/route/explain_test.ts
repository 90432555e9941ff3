/**
 * Where a project goes, in words.
 *
 * @module
 */
import assert from "node:assert/strict";
import { explainRoute } from "../../../lib/route/explain.ts";
import type { Builder, RoutePolicy, State } from "../../../lib/route/plan.ts";

/** Its order is buildkitd-b2, buildkitd, buildkitd-b3. */
const PROJECT = "team-e.ci";
const AFFINITY: RoutePolicy = { placement: "affinity", overflow: "full", turn: 0 };

function buildersOf(state: State, more: Partial<Builder> = {}): Builder[] {
  const asleep = { load: 0, room: 0, reach: 4, limit: Infinity, open: 0 };
  return [
    { name: "buildkitd", state: "ready", load: 1, room: 3, reach: 7, limit: Infinity, open: Infinity },
    { name: "buildkitd-b2", state, ...asleep, ...more },
    { name: "buildkitd-b3", state: "asleep", ...asleep },
  ];
}

/** What is said after the builders. */
function answerOf(...args: Parameters<typeof explainRoute>): string {
  return explainRoute(...args).split("\n").filter((line) => /^(?:A |Sessions)/.test(line)).join("\n");
}

Deno.test("explainRoute() tells the project, its order, each builder, and where a new session goes", () => {
  assert.equal(
    explainRoute(PROJECT, buildersOf("ready", { load: 3, room: 1, reach: 1, limit: 5 }), AFFINITY),
    `Project: team-e.ci
Placement: affinity; overflow: full
Builders in the order in which this project prefers them:
  1. buildkitd-b2: ready; 3 sessions; free seats below the target: 1 now, 1 with all replicas; below the hard limit: 5
  2. buildkitd: ready; 1 session; free seats below the target: 3 now, 7 with all replicas; below the hard limit: unlimited
  3. buildkitd-b3: asleep; 0 sessions; free seats below the target: 0 now, 4 with all replicas; below the hard limit: unlimited
A new session goes to buildkitd-b2: this is its first choice.
`,
  );
});

Deno.test("explainRoute() tells sessions that can wait from those that cannot", () => {
  for (const state of ["asleep", "unknown", "starting"] as const) {
    assert.equal(
      answerOf(PROJECT, buildersOf(state), AFFINITY),
      "A new session goes to buildkitd-b2: this is its first choice. It waits until a pod there is ready.\n" +
        "A session whose TLS passes through the proxy cannot wait: it goes to buildkitd: " +
        `its first choice, buildkitd-b2, is ${state}.`,
    );
  }
  assert.match(
    answerOf(PROJECT, buildersOf("ready"), AFFINITY),
    /cannot wait: it goes to buildkitd: its first choice, buildkitd-b2, has no room now\.$/,
  );
});

Deno.test("explainRoute() gives the reason why a session does not go to its first choice", () => {
  const full = { load: 4, room: 0, reach: 0 };
  assert.equal(
    answerOf(PROJECT, buildersOf("stuck"), AFFINITY),
    "A new session goes to buildkitd: its first choice, buildkitd-b2, is stuck.",
  );
  assert.equal(
    answerOf(PROJECT, buildersOf("ready", full), AFFINITY),
    "A new session goes to buildkitd: its first choice, buildkitd-b2, is full up to the target.",
  );
  const shared = buildersOf("ready").map((builder): Builder => ({ ...builder, ...full }));
  assert.equal(
    answerOf(PROJECT, shared, AFFINITY),
    "A new session goes to buildkitd-b2: all usable builders are full up to the target, " +
      "and this one is below its hard limit.",
  );
  assert.equal(
    answerOf(PROJECT, shared.map((builder) => ({ ...builder, limit: 0 })), AFFINITY),
    "A new session waits in the queue: all usable builders are at their hard limit.",
  );
});

Deno.test("explainRoute() tells of a project that no builder can serve", () => {
  const overflow = "never";
  assert.equal(
    answerOf(PROJECT, buildersOf("missing"), { ...AFFINITY, overflow }),
    "A new session goes to buildkitd-b2: every builder that it may use is stuck or missing.",
  );
  assert.equal(
    answerOf(PROJECT, [], AFFINITY),
    "A new session goes to no builder: every builder that it may use is stuck or missing.",
  );
});

Deno.test("explainRoute() counts those that wait before", () => {
  const waiting = [7, 3].map((id) => (
    { id, project: PROJECT, tag: id, patient: true }
  ));
  const builders = buildersOf("ready", { load: 2, room: 2, reach: 2 });
  assert.equal(
    answerOf(PROJECT, builders, AFFINITY, waiting),
    "Sessions that wait for a seat: 2\n" +
      "A new session goes to buildkitd: its first choice, buildkitd-b2, is full up to the target.",
  );
});

Deno.test("explainRoute() explains names that stand for no project", () => {
  const text = explainRoute(undefined, buildersOf("asleep"), AFFINITY);
  assert.match(text, /^Project: none \(no name, an IP address, localhost or no DNS name\)\n/);
  assert.match(text, /declared order.*\n {2}1\. buildkitd:[^]*\n {2}2\. buildkitd-b2:/);
  assert.match(text, /A new session goes to buildkitd: this is its first choice\.\n$/);
});

Deno.test("explainRoute() explains the policies that do not rank by project", () => {
  const builders = [
    { name: "b1", state: "asleep", load: 0, room: 0, reach: 4, limit: 8, open: 0 },
    { name: "b2", state: "ready", load: 1, room: 3, reach: 3, limit: 7, open: 3 },
  ] as const;
  const explain = (placement: RoutePolicy["placement"]) =>
    explainRoute(PROJECT, builders, { ...AFFINITY, placement });
  assert.match(explain("packed"), /all sessions prefer:[^]*goes to b2: its first choice, b1, is asleep\.\n$/);
  assert.match(
    explain("least-sessions"),
    /the fewest sessions:[^]*goes to b2: its first choice has no room now\.\n$/,
  );
  assert.match(explain("round-robin"), /in turn:[^]*goes to b2: its first choice has no room now\.\n$/);
});
