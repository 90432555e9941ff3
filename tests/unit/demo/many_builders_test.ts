/**
 * The demo's second act, and its parts.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FatalError } from "../../../lib/base/errors.ts";
import { systemClock } from "../../../lib/base/clock.ts";
import { startBuild } from "../../../lib/demo/demo_builds.ts";
import { type ManyBuildersOptions, playManyBuilders } from "../../../lib/demo/many_builders.ts";
import { podNetwork } from "../../../lib/demo/pod_network.ts";
import { Timeline } from "../../../lib/demo/timeline.ts";
import { StubPods } from "../../../lib/miniature/stub_pods.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";

const fast = { podStartMs: 30, idleTimeoutMs: 600, buildMs: 30 };

async function play(
  write: (text: string) => void,
  options: Partial<ManyBuildersOptions> = {},
): Promise<void> {
  const stop = new AbortController().signal;
  await playManyBuilders(new Timeline(write, systemClock, false), { ...fast, stop, ...options });
}

Deno.test("playManyBuilders() shows projects at home, an overflow, a queue, and builders that sleep on their own", async () => {
  let text = "";
  await play((more) => text += more);
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
  assert.equal(count(/program +a build of docs has run on buildkitd: its home$/gm), 3, text);
  assert.equal(count(/program +a build of api has run on buildkitd-b2: its home/gm), 3, text);
  assert.equal(count(/program +a build of web has run on buildkitd-b3: its home$/gm), 2, text);
  assert.equal(count(/program +a build of web has run on buildkitd-b2: its home was full$/gm), 1, text);
  assert.equal(count(/every builder is full: the new build of api waits in the queue$/gm), 1, text);
  assert.equal(count(/its home, after \d\.\d\d s in the queue$/gm), 1, text);
  for (const builder of ["buildkitd", "buildkitd-b2", "buildkitd-b3"]) {
    assert.match(text, new RegExp(`program +scales ${builder} 0 -> 1: `));
    assert.match(text, new RegExp(`program +scales ${builder} 1 -> 0: nothing has been in use`));
  }
  assert.match(text, /^OK {2}9 of 9 builds were served/m);
  assert.deepEqual(text.split("\n").filter((line) => line.length > 96), []);
});

Deno.test("playManyBuilders() fails when a build goes where it should not", async () => {
  const playing = play(() => {}, { flags: { placement: "packed" } });
  await assert.rejects(playing, {
    message: "The demo has failed: api builds on buildkitd, want buildkitd-b2",
  });
});

Deno.test("playManyBuilders() ends when it is interrupted, and has failed then", async () => {
  const stop = new AbortController();
  const playing = play((text) => {
    if (/pod buildkitd-0 is created/.test(text)) stop.abort(new Error("Ctrl-C"));
  }, { stop: stop.signal });
  await assert.rejects(playing, (error) => error instanceof FatalError && /interrupted/.test(error.message));
});

Deno.test("startBuild() names the pod that answers, and finish() fails when that has ended", async () => {
  const network = podNetwork(denoNetwork);
  const pods = new StubPods({ network, clock: systemClock, warmUpMs: () => 0 });
  const address = { hostname: "127.0.1.1", port: 8372 };
  const process = pods.start({ name: "builder-0", ordinal: 0, uid: "1", address });
  await process.serving;
  const { signal } = new AbortController();
  using whole = await startBuild(network, address, "web", signal);
  using broken = await startBuild(network, address, "web", signal);
  assert.equal(whole.pod, "builder-0");
  await whole.finish();
  process.kill();
  await process.exited;
  await assert.rejects(broken.finish());
});

Deno.test("podNetwork() leads to what listens at an address, and refuses a second one there", async () => {
  const network = podNetwork(denoNetwork);
  const address = { hostname: "127.0.9.9", port: 8372 };
  using listener = Object.assign(network.listen(address), { [Symbol.dispose]: () => listener.close() });
  assert.deepEqual(listener.addr, address);
  assert.throws(() => network.listen(address), Deno.errors.AddrInUse);
  const [near, far] = await Promise.all([
    network.connect(address, new AbortController().signal),
    listener.accept(),
  ]);
  near.close();
  far.close();
});
