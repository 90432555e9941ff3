/** Tests of what a reflector takes for a fault, of when it begins again, and of what it asks for. @module */
import assert from "node:assert/strict";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { setUp } from "./reflector_stage.ts";

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
