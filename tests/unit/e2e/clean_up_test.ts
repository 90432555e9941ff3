/**
 * How the end-to-end suite ends what it has started: a test that has passed may not hang there.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { KubeApi } from "../../e2e/kube_api.ts";
import { cleanUp, within } from "../../e2e/waiting.ts";

/** Has the garbage collected. */
function collect(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

/** An API server without certificates that lists one object, and whose watches say nothing until they are cut. */
function silentServer() {
  const watches: { cut(): void }[] = [];
  const seen = { lists: 0, opened: Promise.withResolvers<void>() };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    if (!new URL(request.url).searchParams.has("watch")) {
      seen.lists++;
      return Response.json({ items: [{ metadata: { name: "a" } }], metadata: { resourceVersion: "1" } });
    }
    const body = new ReadableStream({
      start(controller) {
        // Headers are sent with the first bytes.
        controller.enqueue(new TextEncoder().encode('{"type":"BOOKMARK","object":{"metadata":{}}}\n'));
        watches.push({ cut: () => controller.close() });
      },
      cancel() {},
    });
    seen.opened.resolve();
    return new Response(body);
  });
  const api = new KubeApi({ baseUrl: `http://127.0.0.1:${server.addr.port}`, caPem: "", token: "t" });
  return { seen, watches, api, [Symbol.asyncDispose]: () => within("the server's end", server.shutdown()) };
}

Deno.test("KubeApi.follow() ends when its signal is aborted, also after a garbage collection", async () => {
  await using server = silentServer();
  const { api, seen } = server;
  const stopped = new AbortController();
  const names: string[] = [];
  const following = api.follow("/pods", {}, ({ object }) => names.push(object.metadata.name), stopped.signal);
  await within("the watch", seen.opened.promise);
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  stopped.abort();
  await within("the end of the watch", following);
  assert.deepEqual([names, seen.lists], [["a"], 1]);
  api.close();
});

Deno.test("KubeApi.followAnew() has every watch list again", async () => {
  await using server = silentServer();
  const { api, seen } = server;
  const stopped = new AbortController();
  const names: string[] = [];
  const twice = Promise.withResolvers<void>();
  const following = api.follow("/pods", {}, ({ object }) => {
    if (names.push(object.metadata.name) === 2) twice.resolve();
  }, stopped.signal);
  await within("the watch", seen.opened.promise);
  api.followAnew();
  await within("the second list", twice.promise);
  stopped.abort();
  await within("the end of the watch", following);
  api.close();
});

Deno.test("cleanUp() goes on after a step that fails, and fails with all that went wrong", async () => {
  const done: string[] = [];
  const steps = [
    () => done.push("a"),
    () => Promise.reject(new Error("b is stuck")),
    () => {
      throw new Error("c is gone");
    },
    () => Promise.resolve(done.push("d")),
  ];
  await assert.rejects(cleanUp(...steps), /b is stuck[^]*c is gone/);
  assert.deepEqual(done, ["a", "d"]);
  await assert.rejects(cleanUp(steps[1]!), { message: "b is stuck" });
  await cleanUp();
});

Deno.test("within() names what it waited for when it times out", async () => {
  const never = new Promise(() => {});
  await assert.rejects(
    within("the end of a watch", never, 1),
    /^Error: Waited 1 ms in vain: the end of a watch$/,
  );
});
