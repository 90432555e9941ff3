/** Tests of one watch for several parts, in front of an API server that says just what a test wants. @module */
import assert from "node:assert/strict";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { SILENCE_LIMIT_MS, URGENT_SILENCE_LIMIT_MS } from "../../../lib/kube/reflector.ts";
import type { Change } from "../../../lib/kube/reflector.ts";
import { selectorOf, SharedWatch } from "../../../lib/kube/shared_watch.ts";
import type { Lease } from "../../../lib/kube/types.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { Collection, scriptedHttp } from "../../support/scripted_api.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** A Lease that is for this part, if it is for one. */
function lease(name: string, key?: string, version = 5): Lease {
  const labels: Record<string, string> = key === undefined ? {} : { key };
  return { metadata: { name, labels, resourceVersion: String(version) } };
}

function setUp(...items: Lease[]) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const leases = new Collection<Lease>();
  leases.items = items;
  const watch = new SharedWatch<Lease>(
    { group: "g", resource: "leases", namespace: "n", selector: { labelSelector: "key in (a,b)" } },
    ({ metadata }) => metadata?.labels?.["key"],
    {
      client: testClient(scriptedHttp({ leases }), { clock, log }),
      clock,
      random: () => 0.5,
      log,
      metrics: noMetrics,
    },
  );
  const controller = new AbortController();
  const running = watch.run(controller.signal).catch((error) => error);
  const told: string[] = [];
  const subscribe = (key: string, who = key) =>
    watch.subscribe(key, (change) => void told.push(`${who}: ${say(change)}`));
  /** What was told since the last look. */
  const news = async () => {
    await clock.advance(0);
    return told.splice(0);
  };
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    assert.equal((await running).message, "over");
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return { clock, leases, watch, subscribe, news, stop };
}

function say(change: Change<Lease>): string {
  const names = change.type === "list" ? change.items : [change.object];
  return `${change.type} ${names.map(({ metadata }) => metadata?.name)}`.trim();
}

Deno.test("SharedWatch asks nothing before the first part subscribes, and then once for all", async () => {
  const { clock, leases, watch, subscribe, news, stop } = setUp(lease("x", "a"), lease("y", "b"), lease("z"));
  await clock.advance(10_000);
  assert.deepEqual(leases.queries, []);
  assert.equal(watch.synced, false);
  subscribe("a");
  subscribe("b");
  assert.deepEqual(await news(), ["a: list x", "b: list y"]);
  await watch.whenSynced;
  assert.deepEqual([leases.lists, leases.watches], [1, 1]);
  assert.match(leases.queries[0]!, /^labelSelector=key\+in\+\(a,b\)$/);
  await stop();
});

Deno.test("SharedWatch tells each part of the objects of its key, all parts of one key the same, and nobody of others", async () => {
  const { leases, subscribe, news, stop } = setUp();
  for (const [key, who] of [["a", "a1"], ["a", "a2"], ["b", "b"]] as const) subscribe(key, who);
  assert.deepEqual(await news(), ["a1: list", "a2: list", "b: list"]);
  leases.send("ADDED", lease("x", "a"));
  leases.send("MODIFIED", lease("y", "b"));
  leases.send("ADDED", lease("z", "c"));
  leases.send("ADDED", lease("w"));
  leases.send("DELETED", lease("x", "a"));
  assert.deepEqual(await news(), ["a1: set x", "a2: set x", "b: set y", "a1: gone x", "a2: gone x"]);
  await stop();
});

Deno.test("SharedWatch tells a part that subscribes late the present state, as a list, and then what changes", async () => {
  const { leases, subscribe, news, stop } = setUp(lease("x", "b"), lease("y", "b"), lease("z", "a"));
  subscribe("a");
  await news();
  leases.send("DELETED", lease("x", "b"));
  leases.send("ADDED", lease("w", "b"));
  assert.deepEqual(await news(), []);
  subscribe("b");
  assert.deepEqual(await news(), ["b: list y,w"]);
  leases.send("DELETED", lease("y", "b"));
  assert.deepEqual(await news(), ["b: gone y"]);
  assert.equal(leases.lists, 1);
  await stop();
});

Deno.test("SharedWatch: an object whose key changes is gone for one part and new for another", async () => {
  const { leases, subscribe, news, stop } = setUp(lease("x", "a"));
  subscribe("a");
  subscribe("b");
  await news();
  leases.send("MODIFIED", lease("x", "b"));
  assert.deepEqual(await news(), ["a: gone x", "b: set x"]);
  leases.send("MODIFIED", lease("x"));
  assert.deepEqual(await news(), ["b: gone x"]);
  await stop();
});

Deno.test("SharedWatch tells a part nothing more that has ended its subscription, and goes on for the others", async () => {
  const { leases, subscribe, news, stop } = setUp();
  const { end } = subscribe("a", "a1");
  subscribe("a", "a2");
  await news();
  end();
  leases.send("ADDED", lease("x", "a"));
  assert.deepEqual(await news(), ["a2: set x"]);
  await stop();
});

Deno.test("SharedWatch.relist() lists anew for all, and nobody is shown what was there before", async () => {
  const { leases, watch, subscribe, news, stop } = setUp(lease("x", "a"));
  subscribe("a");
  await news();
  leases.items = [lease("y", "a"), lease("z", "b")];
  watch.relist();
  subscribe("a", "late");
  assert.deepEqual(await news(), ["a: list y", "late: list y"]);
  subscribe("b");
  assert.deepEqual(await news(), ["b: list z"]);
  assert.equal(leases.lists, 2);
  await stop();
});

Deno.test("SharedWatch gives up a silent watch soon while one of the parts is urgent", async () => {
  const { clock, leases, subscribe, news, stop } = setUp();
  const [a, b] = [subscribe("a"), subscribe("b")];
  await news();
  const restartsIn = async (ms: number) => {
    const before = leases.watches;
    await clock.advance(ms);
    return leases.watches - before;
  };
  assert.equal(await restartsIn(SILENCE_LIMIT_MS - 1), 0);
  assert.equal(await restartsIn(1), 1);
  a.urgent = true;
  b.urgent = true;
  a.urgent = false;
  assert.deepEqual([a.urgent, b.urgent], [false, true]);
  assert.equal(await restartsIn(URGENT_SILENCE_LIMIT_MS), 1);
  b.end();
  assert.equal(await restartsIn(3 * URGENT_SILENCE_LIMIT_MS), 0, "nobody waits any more");
  await stop();
});

Deno.test("SharedWatch says why it sees nothing", async () => {
  const { clock, leases, watch, subscribe, stop } = setUp();
  leases.status = 403;
  subscribe("a");
  await clock.advance(0);
  assert.match(watch.fault ?? "", /^Cannot list leases/);
  leases.status = 200;
  await clock.advance(60_000);
  assert.equal(watch.fault, undefined);
  assert.equal(watch.synced, true);
  await stop();
});

Deno.test("selectorOf() asks for one value as it always did, and for several at once", () => {
  assert.equal(selectorOf("l", ["a"]), "l=a");
  assert.equal(selectorOf("l", ["a", "a"]), "l=a");
  assert.equal(selectorOf("l", ["a", "b", "a"]), "l in (a,b)");
});
