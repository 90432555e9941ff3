/** Tests of list and watch, against the miniature API server on a virtual clock. @module */
import assert from "node:assert/strict";
import { ApiServer } from "../../../lib/demo/api_server.ts";
import { LEASES, STATEFULSETS } from "../../../lib/demo/objects.ts";
import { MemoryHttp } from "../../../lib/demo/memory_http.ts";
import { type Change, Reflector } from "../../../lib/kube/reflector.ts";
import type { StatefulSet } from "../../../lib/kube/types.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

function setUp() {
  const clock = new VirtualClock();
  const api = new ApiServer({ clock });
  const http = new MemoryHttp(api, clock, "test");
  let resets = 0;
  http.reset = () => resets++;
  const versions: (string | null)[] = [];
  const send = http.send.bind(http);
  http.send = (request) => {
    const { searchParams } = request.url;
    if (searchParams.has("watch")) versions.push(searchParams.get("resourceVersion"));
    return send(request);
  };
  const log = recordingLog();
  const metrics = countedMetrics(() => {});
  const client = testClient(http, { clock, log });
  const changes: string[] = [];
  const reflector = new Reflector<StatefulSet>(
    {
      group: "apps",
      resource: "statefulsets",
      namespace: "n",
      selector: { fieldSelector: "metadata.name=b" },
    },
    { client, clock, random: () => 0.5, log, metrics },
    (change) => changes.push(say(change)),
  );
  const controller = new AbortController();
  const running = reflector.run(controller.signal).catch(() => {});
  const set = (replicas: number) => {
    const body = {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "b", namespace: "n" },
      spec: {
        replicas,
        serviceName: "h",
        selector: { matchLabels: { app: "b" } },
        template: { metadata: { labels: { app: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
      },
    };
    const exists = api.registry.store.get(STATEFULSETS, "n", "b") !== undefined;
    if (exists) api.registry.replace(STATEFULSETS, "n", "b", body, { manager: "test" });
    else api.registry.create(STATEFULSETS, "n", body, { manager: "test" });
  };
  const requests = (verb: string) => api.requests.filter((request) => request.verb === verb).length;
  const stop = async () => {
    controller.abort(new Error("over"));
    http.set("open");
    await clock.advance(0);
    await running;
  };
  /** How often a watch began again, by cause, since the last look. */
  const seen: Record<string, number> = {};
  const restarts = () => {
    const news: Record<string, number> = {};
    for (const cause of ["ended", "expired", "silent", "failed"] as const) {
      const count = metrics.value("watch_restarts_total", { resource: "statefulsets", cause });
      if (count > (seen[cause] ?? 0)) news[cause] = count - (seen[cause] ?? 0);
      seen[cause] = count;
    }
    return news;
  };
  const warnings = () =>
    log.records.filter(({ level }) => level === "warn").map(({ fields }) => fields["cause"]);
  return {
    clock,
    api,
    http,
    log,
    reflector,
    changes,
    set,
    requests,
    versions,
    resets: () => resets,
    restarts,
    warnings,
    stop,
  };
}

function say(change: Change<StatefulSet>): string {
  if (change.type === "list") {
    return `list ${change.items.map(({ spec }) => spec?.replicas).join(" ")}`.trim();
  }
  return `${change.type} ${change.object.spec?.replicas}`;
}

Deno.test("Reflector lists, then reports each change once", async () => {
  const { clock, reflector, changes, set, stop } = setUp();
  assert.equal(reflector.synced, false);
  await clock.advance(0);
  assert.equal(reflector.synced, true);
  set(0);
  await clock.advance(0);
  set(1);
  await clock.advance(0);
  assert.deepEqual(changes, ["list", "set 0", "set 1"]);
  await stop();
});

Deno.test("Reflector goes on where it was when the server ends the watch", async () => {
  const { clock, changes, set, requests, stop } = setUp();
  await clock.advance(0);
  await clock.advance(60_000);
  set(3);
  await clock.advance(1_000);
  assert.deepEqual(changes, ["list", "set 3"]);
  assert.equal(requests("list"), 1);
  await stop();
});

Deno.test("Reflector lists again when its version has expired", async () => {
  const { clock, api, changes, http, set, requests, stop } = setUp();
  await clock.advance(0);
  http.set("refused");
  await clock.advance(100);
  set(1);
  set(2);
  api.compact();
  http.set("open");
  await clock.advance(20_000);
  assert.deepEqual(changes, ["list", "list 2"]);
  assert.equal(requests("list"), 2);
  await stop();
});

Deno.test("Reflector goes on from the version of a bookmark, although nothing that it watches has changed", async () => {
  const { clock, api, changes, set, versions, requests, stop } = setUp();
  await clock.advance(0);
  set(1);
  await clock.advance(0);
  const lease = {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "l", namespace: "n" },
  };
  api.registry.create(LEASES, "n", lease, { manager: "test" });
  const newest = String(api.registry.store.version);
  api.watches.bookmark();
  await clock.advance(2_000); // a watch that ends sooner is a fault
  api.watches.end();
  await clock.advance(0);
  assert.equal(versions.at(-1), newest);
  // What the bookmark covers may be forgotten by the server: nothing has to be listed again.
  api.compact();
  api.watches.end();
  await clock.advance(20_000);
  assert.equal(requests("list"), 1);
  assert.deepEqual(changes, ["list", "set 1"]);
  await stop();
});

Deno.test("Reflector.relist() lists anew at once, whatever it waits for", async () => {
  const { clock, changes, http, set, reflector, requests, stop } = setUp();
  set(1);
  await clock.advance(0);
  reflector.relist();
  await clock.advance(0);
  assert.deepEqual(changes, ["list 1", "list 1"]);
  set(2);
  await clock.advance(0);
  assert.deepEqual(changes, ["list 1", "list 1", "set 2"]);
  http.set("silent");
  await clock.advance(1_000);
  reflector.relist();
  await clock.advance(0);
  http.set("open");
  await clock.advance(0);
  assert.equal(changes.at(-1), "list 2");
  assert.equal(requests("list"), 3);
  await stop();
});

Deno.test("Reflector.relist() lists anew at once in the middle of a back-off, too", async () => {
  const { clock, changes, http, set, reflector, stop } = setUp();
  set(1);
  await clock.advance(0);
  http.set("refused");
  await clock.advance(600_000);
  http.set("open");
  set(2);
  reflector.relist();
  await clock.advance(0);
  assert.equal(changes.at(-1), "list 2");
  await stop();
});

Deno.test("Reflector backs off while the server is away, says so once, and catches up", async () => {
  const { clock, http, log, changes, set, reflector, requests, stop } = setUp();
  await clock.advance(0);
  http.set("refused");
  await clock.advance(600_000);
  assert.ok(reflector.fault !== undefined);
  const causes = log.records.filter(({ level }) => level === "warn").map(({ fields }) => fields["cause"]);
  assert.deepEqual(causes.length, new Set(causes).size, "each cause is said once");
  set(1);
  const before = requests("watch");
  http.set("open");
  await clock.advance(20_000);
  assert.deepEqual(changes, ["list", "set 1"]);
  assert.equal(reflector.fault, undefined);
  assert.ok(requests("watch") - before <= 3, "no burst of requests");
  await stop();
});

Deno.test("Reflector never loops quickly on a server that ends every watch at once", async () => {
  const { clock, api, requests, stop } = setUp();
  await clock.advance(0);
  const cancel = endless(clock, api);
  await clock.advance(60_000);
  cancel();
  assert.ok(requests("watch") < 40, `found ${requests("watch")} watches in a minute`);
  await stop();
});

Deno.test("Reflector gives up a silent watch: soon while somebody waits, else after the server's own limit", async () => {
  for (const [urgent, silentMs] of [[true, 10_000], [false, 75_000]] as const) {
    const { clock, http, reflector, changes, set, resets, stop } = setUp();
    await clock.advance(0);
    reflector.urgent = urgent;
    http.set("silent");
    await clock.advance(1);
    set(1);
    await clock.advance(silentMs - 1_000);
    assert.equal(reflector.fault, undefined);
    assert.equal(resets(), 0);
    await clock.advance(1_000);
    assert.equal(resets(), 1, "a connection that may be dead is not used again");
    await clock.advance(29_000);
    assert.match(reflector.fault ?? "", /no headers of an answer/);
    http.set("open");
    await clock.advance(20_000);
    assert.deepEqual(changes, ["list", "set 1"]);
    await stop();
  }
});

Deno.test("Reflector follows a Retry-After for a few seconds while somebody waits, and longer while nobody does", async () => {
  for (const [urgent, withinMs] of [[true, 5_000], [false, 50_000]] as const) {
    const { clock, api, reflector, changes, set, stop } = setUp();
    await clock.advance(0);
    reflector.urgent = urgent;
    api.faults.add({ fault: { kind: "status", code: 429, retryAfterSeconds: 50 }, times: 1 });
    api.watches.end();
    // One that ends at once is begun again after a pause.
    await clock.advance(1_000);
    set(1);
    await clock.advance(withinMs - 1_500);
    assert.deepEqual(changes, ["list"]);
    await clock.advance(1_000);
    assert.deepEqual(changes, ["list", "set 1"]);
    await stop();
  }
});

/** Ends every watch a moment after it began. */
function endless(clock: VirtualClock, api: ApiServer): () => void {
  let cancel = () => {};
  const again = () => {
    api.watches.end();
    cancel = clock.setTimer(100, again);
  };
  again();
  return () => cancel();
}

Deno.test("Reflector: whoever comes while a long Retry-After is followed need not wait it out", async () => {
  const { clock, api, reflector, changes, set, stop } = setUp();
  await clock.advance(0);
  api.faults.add({ fault: { kind: "status", code: 429, retryAfterSeconds: 50 }, times: 1 });
  api.watches.end();
  await clock.advance(2_000);
  reflector.urgent = true;
  set(1);
  await clock.advance(8_000);
  assert.deepEqual(changes, ["list", "set 1"]);
  await stop();
});

Deno.test("Reflector counts why a watch begins again", async () => {
  const { clock, api, http, restarts, reflector, set, stop } = setUp();
  await clock.advance(0);
  await clock.advance(60_000);
  assert.deepEqual(restarts(), { ended: 1 });
  api.watches.drop();
  await clock.advance(1_000);
  assert.deepEqual(restarts(), { failed: 1 });
  reflector.relist();
  await clock.advance(1_000);
  assert.deepEqual(restarts(), { expired: 1 });
  http.set("silent");
  await clock.advance(75_000);
  assert.deepEqual(restarts(), { silent: 1 });
  http.set("refused");
  set(1);
  api.compact();
  await clock.advance(100);
  restarts();
  http.set("open");
  await clock.advance(20_000);
  assert.deepEqual(restarts(), { expired: 1 });
  await stop();
});

Deno.test("Reflector takes a stream that breaks once for no fault, and one that breaks twice for one", async () => {
  const { clock, api, reflector, warnings, requests, changes, set, stop } = setUp();
  await clock.advance(5_000);
  api.watches.drop();
  await clock.advance(0);
  assert.equal(reflector.fault, undefined);
  set(1);
  await clock.advance(149);
  assert.equal(requests("watch"), 1, "not at once");
  await clock.advance(1);
  assert.deepEqual(changes, ["list", "set 1"]);
  await clock.advance(5_000);
  api.watches.drop();
  await clock.advance(150);
  assert.deepEqual(warnings(), [], "news in between have shown that the watch works");
  api.watches.drop();
  await clock.advance(0);
  assert.match(reflector.fault ?? "", /connection reset by peer/);
  assert.equal(warnings().length, 1);
  await clock.advance(299);
  assert.equal(requests("watch"), 3);
  await clock.advance(1);
  assert.equal(requests("watch"), 4, "a second failure in a row doubles the pause");
  assert.equal(reflector.fault, undefined);
  assert.equal(requests("list"), 1);
  await stop();
});

Deno.test("Reflector: a watch that the server ends in good order has shown that it works, without news too", async () => {
  const { clock, api, reflector, warnings, stop } = setUp();
  await clock.advance(5_000);
  api.watches.drop();
  await clock.advance(5_000);
  api.watches.end();
  await clock.advance(5_000);
  api.watches.drop();
  await clock.advance(0);
  assert.deepEqual([reflector.fault, warnings()], [undefined, []]);
  await stop();
});

Deno.test("Reflector reports an error that the server sends in a watch at once, and lists anew if it says so", async () => {
  const { clock, api, reflector, requests, warnings, set, stop } = setUp();
  await clock.advance(5_000);
  const error = (code: number, reason: string) =>
    `${JSON.stringify({ type: "ERROR", object: { kind: "Status", code, reason, message: "m" } })}\n`;
  api.watches.inject(error(500, "InternalError"));
  await clock.advance(0);
  assert.match(reflector.fault ?? "", /HTTP 500 InternalError: m$/);
  await clock.advance(5_000);
  assert.equal(requests("list"), 1);
  set(1);
  await clock.advance(0);
  api.watches.inject(error(410, "Expired"));
  await clock.advance(0);
  assert.equal(requests("list"), 2, "the first time without a pause");
  assert.equal(warnings().length, 1);
  await stop();
});

Deno.test("Reflector pauses when every list is expired at once", async () => {
  const { clock, api, requests, stop } = setUp();
  await clock.advance(0);
  const expired = { kind: "status", code: 410 } as const;
  api.faults.add({ fault: expired, matches: ({ verb }) => verb === "watch" });
  api.watches.drop();
  await clock.advance(60_000);
  assert.ok(requests("list") < 20, `found ${requests("list")} lists in a minute`);
  assert.ok(requests("list") > 5, `found ${requests("list")} lists in a minute`);
  await stop();
});

Deno.test("Reflector is synced once a watch was granted, not before", async () => {
  const { clock, api, reflector, changes, stop } = setUp();
  let isSynced = false;
  reflector.whenSynced.then(() => isSynced = true);
  const lift = api.faults.add({
    fault: { kind: "status", code: 500 },
    matches: ({ verb }) => verb === "watch",
  });
  await clock.advance(5_000);
  assert.deepEqual([changes, reflector.synced, isSynced], [["list"], false, false]);
  assert.match(reflector.fault ?? "", /HTTP 500/);
  lift();
  await clock.advance(10_000);
  assert.deepEqual([changes, reflector.synced, isSynced, reflector.fault], [["list"], true, true, undefined]);
  await stop();
});

Deno.test("Reflector reports what is gone, and takes a list without items for an empty one", async () => {
  const { clock, api, changes, set, http, reflector, stop } = setUp();
  await clock.advance(0);
  set(1);
  api.registry.delete(STATEFULSETS, "n", "b", {});
  await clock.advance(0);
  assert.deepEqual(changes, ["list", "set 1", "gone 1"]);
  const send = http.send.bind(http);
  let answer: unknown = { metadata: { resourceVersion: String(api.registry.store.version) }, items: null };
  http.send = async (request) => {
    if (request.url.searchParams.has("watch")) return await send(request);
    const { status, headers, body } = Response.json(answer);
    return { status, headers, body: body! };
  };
  reflector.relist();
  await clock.advance(0);
  assert.equal(changes.at(-1), "list");
  answer = { items: [] };
  reflector.relist();
  await clock.advance(0);
  assert.equal(reflector.fault, "Cannot list statefulsets: the answer has no resourceVersion");
  await stop();
});

Deno.test("Reflector asks for what it was told, with bookmarks, and for a minute", async () => {
  const { clock, http, stop } = setUp();
  const asked: Record<string, string>[] = [];
  const send = http.send.bind(http);
  http.send = (request) => {
    asked.push(Object.fromEntries(request.url.searchParams));
    return send(request);
  };
  await clock.advance(0);
  await clock.advance(60_000);
  const { resourceVersion, ...rest } = asked.at(-1)!;
  assert.ok(resourceVersion !== undefined);
  assert.deepEqual(rest, {
    fieldSelector: "metadata.name=b",
    watch: "1",
    allowWatchBookmarks: "true",
    timeoutSeconds: "60",
  });
  await stop();
});
