/**
 * The demo from its arguments to its verdict, on stub pods and loopback.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FatalError } from "../../../lib/base/errors.ts";
import { runDemo } from "../../../lib/demo/demo.ts";

const fast = { podStartMs: 30, idleTimeoutMs: 600, buildMs: 30, colors: false };

Deno.test("runDemo() serves every client, sees the scale-down, and shows both", async () => {
  let text = "";
  const stop = new AbortController().signal;
  await runDemo({ ...fast, stub: true, stop, write: (more) => text += more });
  assert.equal(text.match(/client +\d+ served after/g)?.length, 11, text);
  assert.match(text, /program +scales 0 -> 1/);
  assert.match(text, /program +scales 1 -> 0/);
  assert.match(text, /pod buildkitd-0 is gone/);
  assert.match(text, /^OK {2}11 of 11 clients were served/m);
  assert.match(text, /^OK {2}9 of 9 builds were served/m, "the second act");
  assert.deepEqual(text.split("\n").filter((line) => line.length > 110), []);
});

Deno.test("runDemo() --laptop shows that the pods are reached through the API server, and serves every client", async () => {
  let text = "";
  const stop = new AbortController().signal;
  await runDemo({ ...fast, stub: true, laptop: true, stop, write: (more) => text += more });
  assert.match(text, /program +reaches pods by port-forward: 127\.0\.[01]\.1:\d+: No route to host/);
  assert.doesNotMatch(text, /scales 1 -> 1/, "a write of the same count scales nothing");
  assert.match(text, /it does not say that a pod listens: a silent stub is trusted after 0\.30 s/);
  assert.match(text, /it has no half-close: .* 1\.00 s later/);
  assert.deepEqual(text.split("\n").filter((line) => line.length > 110), []);
  assert.match(text, /^OK {2}11 of 11 clients were served/m);
  assert.doesNotMatch(text, /second act/);
});

Deno.test("runDemo() ends when it is interrupted, and has failed then", async () => {
  const stop = new AbortController();
  const write = (text: string) => {
    if (/pod buildkitd-0 is created/.test(text)) stop.abort(new Error("Ctrl-C"));
  };
  const demo = runDemo({ ...fast, stub: true, podStartMs: 60_000, stop: stop.signal, write });
  await assert.rejects(demo, (error) => error instanceof FatalError && /interrupted/.test(error.message));
});
