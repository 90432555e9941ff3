/** Tests of the judges of clients that wait: whether they are served soon, and in turn. @module */
import assert from "node:assert/strict";
import { poolsOf } from "../../lib/config/builders.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import type { SettingKey } from "../../lib/config/settings.ts";
import { choiceOf } from "./client_choice.ts";
import type { Progress } from "./clients.ts";
import { MAIN_DOOR } from "./plan.ts";
import { type BuilderNow, type Now, type PodNow, podsFor, PROMPT_MS, PromptJudge } from "./prompt_judge.ts";
import type { ProxyProcess } from "./proxy_process.ts";
import { TurnJudge } from "./turn_judge.ts";

/** Of `a` and `b`, the home of team-a is the latter. */
const SETTINGS = { builders: "a,b", sessionsPerReplica: "1", maxSessionsPerReplica: "1" };

function proxyWith(own: Partial<Record<SettingKey, string>> = {}): ProxyProcess {
  const flags = new Map(Object.entries({ ...SETTINGS, ...own }) as [SettingKey, string][]);
  const settings = parseSettings({ flags, variables: {} });
  const machine = { name: "proxy1", stopped: false };
  const memberships = new Map(["a", "b"].map((name) => [name, { readyMs: 0 }]));
  return { machine, settings, pools: poolsOf(settings), memberships } as unknown as ProxyProcess;
}

function clientOf(id: number, authority: string | undefined, http2 = true): Progress {
  const plan = { ...{ id, http2, door: MAIN_DOOR, headers: { authority } }, waitsForGreeting: false };
  return {
    plan: { ...plan, pausesMs: [], bytes: 0, patienceMs: 1 },
    conn: undefined,
    served: false,
    told: undefined,
  };
}

/** Sessions on each builder; undefined: it sleeps. */
function nowWith(loads: Readonly<Record<string, number | undefined>>): Now {
  const builders = Object.entries(loads).map(([name, load]): [string, BuilderNow] => [
    name,
    { name, isThere: true, replicas: load === undefined ? 0 : 1, leastLoads: new Map([[0, load ?? 0]]) },
  ]);
  const pods = Object.entries(loads).flatMap(([set, mostLoad]): PodNow[] =>
    mostLoad === undefined ? [] : [{ uid: set, name: `${set}-0`, set, ordinal: 0, sinceMs: 0, mostLoad }]
  );
  return { builders: new Map(builders), pods };
}

Deno.test("podsFor() gives the pods that should take a client by the settings of its proxy", () => {
  const names = (
    proxy: ProxyProcess,
    progress: Progress,
    loads: Readonly<Record<string, number | undefined>>,
    late = false,
  ) => podsFor(choiceOf(progress.plan, proxy)!, nowWith(loads), late).map(({ set }) => set);
  const [anybody, patient] = [clientOf(1, undefined), clientOf(2, "team-a")];
  const one = proxyWith();
  assert.deepEqual(names(one, anybody, { a: 1, b: 0 }), ["b"]);
  assert.deepEqual(names(one, patient, { a: 0, b: undefined }), [], "it waits for its home");
  assert.deepEqual(names(one, patient, { a: 0, b: undefined }, true), ["a"], "but not for ever");
  assert.deepEqual(names(one, patient, { a: 0, b: 1 }), ["a"], "its home is full");
  const never = proxyWith({ overflow: "never" });
  assert.deepEqual(names(never, patient, { a: 0, b: 1 }), []);
  const cordoned = proxyWith({ cordoned: "b" });
  assert.deepEqual(names(cordoned, patient, { a: 0, b: 0 }), ["a"]);
  const soft = proxyWith({ maxSessionsPerReplica: "2" });
  assert.deepEqual(names(soft, anybody, { a: 1, b: undefined }), [], "the other one may start");
  assert.deepEqual(names(soft, anybody, { a: 1, b: 2 }), ["a"]);
});

Deno.test("PromptJudge finds a client that waits beside room, and one for whom nobody asks", () => {
  const proxy = proxyWith();
  const free = new PromptJudge();
  free.begins(clientOf(1, undefined), proxy, 1_000);
  assert.equal(free.look(nowWith({ a: 0, b: 1 }), 2_000), undefined);
  free.seated("a", 3_000);
  assert.equal(free.look(nowWith({ a: 0, b: 1 }), 2_999 + PROMPT_MS), undefined, "another was seated there");
  assert.match(
    free.look(nowWith({ a: 0, b: 1 }), 3_000 + PROMPT_MS) ?? "",
    /Client 1 at proxy1 .* a-0 has had room/,
  );

  const asleep = new PromptJudge();
  asleep.begins(clientOf(2, "team-a"), proxy, 0);
  assert.equal(asleep.look(nowWith({ a: undefined, b: undefined }), 0), undefined);
  assert.match(
    asleep.look(nowWith({ a: undefined, b: undefined }), PROMPT_MS) ?? "",
    /nobody asks for a builder/,
  );
  assert.equal(asleep.look(nowWith({ a: undefined, b: 1 }), 2 * PROMPT_MS), undefined, "one runs");
});

/** Clients of the projects, in the order of their arrival, are seated in the order of `seats`. */
function faultOfTurns(
  projects: readonly (string | undefined)[],
  seats: readonly number[],
): string | undefined {
  const list = new PromptJudge();
  const proxy = proxyWith({ placement: "packed" });
  for (const [id, project] of projects.entries()) list.begins(clientOf(id, project), proxy, id * 2_000);
  const turns = new TurnJudge();
  const { builders } = nowWith({ a: 1, b: 1 });
  let atMs = 100_000;
  for (const id of seats) {
    const client = list.ends(id)!;
    turns.seated(client, { set: "a", isAbove: false }, list.waiting, builders, atMs);
    atMs += 5_000;
    const fault = turns.look(atMs, (other) => list.waits(other));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

Deno.test("TurnJudge finds a project that waits while another is served, and a client that is passed", () => {
  const backlog = ["a", "a", "a", "a", "b", "b"];
  assert.equal(faultOfTurns(backlog, [0, 4, 1, 5, 2, 3]), undefined);
  assert.equal(faultOfTurns(backlog, [0, 1, 4, 2, 3, 5]), undefined, "two in a row are none too many");
  assert.match(faultOfTurns(backlog, [0, 1, 2, 4, 3, 5]) ?? "", /a.default has got 3 seats in a row that b/);
  assert.match(faultOfTurns(backlog, [1, 4, 0, 5]) ?? "", /client 1 has a seat, and client 0 .* before it/);
});
