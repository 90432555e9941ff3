/**
 * The miniature API server without sockets: access, faults, watches, on a virtual clock.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ApiServer } from "../../../lib/miniature/api_server.ts";
import { ConnectionDropped } from "../../../lib/miniature/faults.ts";
import { MemoryHttp } from "../../../lib/miniature/memory_http.ts";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import type { HttpResponse } from "../../../lib/kube/http.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const PATH = "/apis/apps/v1/namespaces/default/statefulsets";
const never = new AbortController().signal;

function setUp(latencyMs?: () => number) {
  const clock = new VirtualClock();
  const api = new ApiServer({ clock, bookmarkIntervalMs: 1000 });
  const set = { metadata: { name: "buildkitd" }, spec: { replicas: 0 } };
  api.registry.create(STATEFULSETS, "default", set, { manager: "test" });
  const http = new MemoryHttp(api, clock, "proxy-1", latencyMs);
  const send = (path: string, init: Partial<Parameters<typeof http.send>[0]> = {}) =>
    http.send({ method: "GET", url: new URL(path, "http://api"), headers: {}, signal: never, ...init });
  const scale = (replicas: number) =>
    api.registry.patch(STATEFULSETS, "default", "buildkitd", "application/merge-patch+json", {
      spec: { replicas },
    }, { manager: "test" });
  return { clock, api, http, send, scale };
}

async function json(response: Promise<HttpResponse>) {
  const { status, headers, body } = await response;
  return { status, headers, body: await new Response(body).json() };
}

/** Reads a watch's text as it comes. */
function textOf({ body }: HttpResponse) {
  const text = { now: "", end: undefined as unknown };
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const done = (async () => {
    try {
      while (true) {
        const { done, value } = await reader.read();
        if (done) break;
        text.now += value;
      }
      text.end = "end";
    } catch (error) {
      text.end = error;
    }
  })();
  return Object.assign(text, { done });
}

const types = (text: string) => text.trimEnd().split("\n").map((line) => JSON.parse(line).type);

Deno.test("ApiServer asks for a token when it has any, and refuses what no rule allows in Kubernetes' words", async () => {
  const { api, send } = setUp();
  api.access.tokens.set("secret", "system:serviceaccount:default:x");
  const refused = await json(send(PATH));
  assert.equal(refused.status, 401);
  assert.equal(refused.body.reason, "Unauthorized");
  api.access.rules.set("system:serviceaccount:default:x", [
    { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list"], resourceNames: ["buildkitd"] },
  ]);
  const headers = { authorization: "Bearer secret" };
  const forbidden = await json(send(`${PATH}/buildkitd/scale`, { headers }));
  assert.equal(forbidden.status, 403);
  assert.equal(
    forbidden.body.message,
    `statefulsets.apps "buildkitd" is forbidden: User "system:serviceaccount:default:x" cannot get resource ` +
      `"statefulsets/scale" in API group "apps" in the namespace "default"`,
  );
  assert.equal((await json(send(PATH, { headers }))).status, 403, "a rule for one name needs that name");
  const named = send(`${PATH}?fieldSelector=metadata.name%3Dbuildkitd`, { headers });
  assert.equal((await json(named)).status, 200);
});

Deno.test("ApiServer keeps a log of requests by verb, subject and client", async () => {
  const { api, send } = setUp();
  await json(send(`${PATH}/buildkitd/scale`));
  await json(send(`${PATH}?fieldSelector=metadata.name%3Dbuildkitd`));
  assert.deepEqual(
    api.requests.map(({ verb, subject, name, client }) => ({ verb, subject, name, client })),
    [
      { verb: "get", subject: "apps/v1/statefulsets/scale", name: "buildkitd", client: "proxy-1" },
      { verb: "list", subject: "apps/v1/statefulsets", name: "buildkitd", client: "proxy-1" },
    ],
  );
});

Deno.test("Faults: a status is answered with Retry-After, and only as often as asked for", async () => {
  const { api, send } = setUp();
  api.faults.add({ fault: { kind: "status", code: 429, retryAfterSeconds: 3 }, times: 1 });
  const refused = await json(send(PATH));
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("retry-after"), "3");
  assert.equal(refused.body.reason, "TooManyRequests");
  assert.equal((await json(send(PATH))).status, 200);
});

Deno.test("Faults: an answer that is lost is of a request that was carried out", async () => {
  const { api, send } = setUp();
  api.faults.add({ fault: { kind: "lose_answer" }, matches: ({ verb }) => verb === "patch" });
  const patch = send(`${PATH}/buildkitd/scale`, {
    method: "PATCH",
    headers: { "content-type": "application/merge-patch+json" },
    body: `{"spec":{"replicas":1}}`,
  });
  await assert.rejects(patch, ConnectionDropped);
  assert.equal(api.registry.get(STATEFULSETS, "default", "buildkitd").spec.replicas, 1);
});

Deno.test("Faults: a frozen request is carried out once thawed; a client may give up before", async () => {
  const { api, send } = setUp();
  const thaw = api.faults.add({ fault: { kind: "freeze" } });
  const controller = new AbortController();
  const given = send(PATH, { signal: controller.signal });
  const waiting = json(send(PATH));
  const settled: string[] = [];
  waiting.then(() => settled.push("answered"));
  await settle();
  assert.deepEqual(settled, []);
  controller.abort(new Error("given up"));
  await assert.rejects(given, /given up/);
  thaw();
  assert.equal((await waiting).status, 200);
});

Deno.test("Faults: latency passes on the clock", async () => {
  const { clock, api, send } = setUp();
  api.faults.add({ fault: { kind: "latency", delayMs: 700 } });
  const answered: number[] = [];
  const answer = json(send(PATH)).then(() => answered.push(clock.nowMs()));
  const beganMs = clock.nowMs();
  await clock.advance(1000);
  await answer;
  assert.deepEqual(answered, [beganMs + 700]);
});

Deno.test("Watches.withhold() delivers nothing, bookmarks neither, and then everything in order", async () => {
  const { clock, api, send, scale } = setUp();
  const watch = textOf(await send(`${PATH}?watch=1&resourceVersion=1001&allowWatchBookmarks=true`));
  const release = api.watches.withhold();
  scale(1);
  scale(2);
  await clock.advance(3000);
  assert.equal(watch.now, "");
  release();
  await settle();
  assert.deepEqual(types(watch.now), ["MODIFIED", "MODIFIED"]);
  api.watches.end();
  await watch.done;
});

Deno.test("Watches.cut() ends a watch in the middle of a line, drop() its connection, end() at a whole one", async () => {
  const { api, send } = setUp();
  const path = `${PATH}?watch=1`;
  const [cut, dropped] = [textOf(await send(path)), textOf(await send(path))];
  await settle();
  api.watches.cut("somebody else");
  assert.equal(api.watches.size, 2);
  api.watches.cut("proxy-1");
  await cut.done;
  assert.equal(cut.end, "end");
  assert.equal(cut.now.endsWith("\n"), false);
  await dropped.done;
  const third = textOf(await send(path));
  api.watches.drop();
  await third.done;
  assert.ok(third.end instanceof ConnectionDropped);
  assert.equal(api.watches.size, 0);
});

Deno.test("ApiServer.compact() makes older versions 410, and lets watches go on that have seen everything", async () => {
  const { api, send, scale } = setUp();
  const current = textOf(await send(`${PATH}?watch=1&resourceVersion=1001`));
  scale(1);
  api.compact();
  scale(2);
  await settle();
  assert.deepEqual(types(current.now), ["MODIFIED", "MODIFIED"]);
  const old = textOf(await send(`${PATH}?watch=1&resourceVersion=1001`));
  await old.done;
  assert.equal(JSON.parse(old.now).object.code, 410);
  const exact = await json(send(`${PATH}?resourceVersion=1001&resourceVersionMatch=Exact`));
  assert.equal(exact.status, 410);
  assert.equal(exact.body.reason, "Expired");
  api.watches.end();
  await current.done;
});

Deno.test("a watch gets a bookmark each interval and at its time-out, once there is something new", async () => {
  const { clock, api, send } = setUp();
  const query = "watch=1&resourceVersion=1001&allowWatchBookmarks=true&timeoutSeconds=3";
  const watch = textOf(await send(`${PATH}?${query}`));
  await clock.advance(1500);
  assert.equal(watch.now, "");
  api.registry.store.touch();
  await clock.advance(1000);
  assert.deepEqual(types(watch.now), ["BOOKMARK"]);
  await clock.advance(1000);
  assert.deepEqual(types(watch.now), ["BOOKMARK", "BOOKMARK"]);
  await watch.done;
  assert.equal(watch.end, "end");
  assert.equal(clock.pending, 0);
});

Deno.test("MemoryHttp: a silent way keeps back answers and events until it opens, a refused one fails", async () => {
  const { api, http, send, scale } = setUp();
  const watch = textOf(await send(`${PATH}?watch=1&resourceVersion=1001`));
  await settle();
  http.set("silent");
  scale(1);
  const answer = json(send(PATH));
  await settle();
  assert.equal(watch.now, "");
  http.set("open");
  assert.equal((await answer).status, 200);
  await settle();
  assert.deepEqual(types(watch.now), ["MODIFIED"]);
  http.set("refused");
  await watch.done;
  assert.ok(watch.end instanceof ConnectionDropped);
  await assert.rejects(send(PATH), /connection refused/);
  assert.equal(api.watches.size, 0);
});

Deno.test("MemoryHttp: a watch that its client leaves is closed at the server", async () => {
  const { clock, api, send } = setUp(() => 10);
  const controller = new AbortController();
  const pending = send(`${PATH}?watch=1`, { signal: controller.signal });
  await clock.advance(50);
  const { body } = await pending;
  assert.equal(api.watches.size, 1);
  controller.abort(new Error("left"));
  await assert.rejects(body.getReader().read(), /left/);
  assert.equal(api.watches.size, 0);
  const second = send(`${PATH}?watch=1`);
  await clock.advance(50);
  await (await second).body.cancel();
  assert.equal(api.watches.size, 0);
  assert.equal(clock.pending, 0);
});
