/** Tests of taking a watch's bytes apart. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { Patience, SilenceError, type WatchEvent, watchEvents } from "../../../lib/kube/watch_stream.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const TARGET = { verb: "watch", group: "apps", resource: "statefulsets", namespace: "n", name: "" } as const;
const event = (version: number) =>
  JSON.stringify({ type: "MODIFIED", object: { metadata: { name: "é", resourceVersion: String(version) } } });

function streamOf(
  chunks: readonly Uint8Array[],
  end: "close" | "stay" = "close",
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      if (end === "close") controller.close();
    },
  });
}

async function collect(events: AsyncIterable<WatchEvent<unknown>>): Promise<WatchEvent<unknown>[]> {
  const all: WatchEvent<unknown>[] = [];
  for await (const one of events) all.push(one);
  return all;
}

Deno.test("watchEvents() yields the same events however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode([1, 2, 3].map((n) => `${event(n)}\n`).join(""));
  await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 1, max: bytes.length - 1 })), async (cuts) => {
    const at = [0, ...new Set(cuts.sort((a, b) => a - b)), bytes.length];
    const chunks = at.slice(1).map((end, i) => bytes.slice(at[i], end));
    const never = new AbortController().signal;
    const got = await collect(
      watchEvents(streamOf(chunks), TARGET, new VirtualClock(), new Patience(1000), never),
    );
    assert.deepEqual(got.map((one) => JSON.stringify(one)), [1, 2, 3].map(event));
  }));
});

Deno.test("watchEvents() drops a last line that was cut", async () => {
  const bytes = new TextEncoder().encode(`${event(1)}\n${event(2)}`);
  const signal = new AbortController().signal;
  const got = await collect(
    watchEvents(streamOf([bytes]), TARGET, new VirtualClock(), new Patience(1000), signal),
  );
  assert.equal(got.length, 1);
});

Deno.test("watchEvents() throws the Status of an ERROR event", async () => {
  const error = {
    type: "ERROR",
    object: { kind: "Status", code: 410, reason: "Expired", message: "too old" },
  };
  const bytes = new TextEncoder().encode(`${JSON.stringify(error)}\n`);
  const signal = new AbortController().signal;
  const events = watchEvents(streamOf([bytes]), TARGET, new VirtualClock(), new Patience(1000), signal);
  await assert.rejects(collect(events), (thrown) => thrown instanceof ApiError && thrown.status === 410);
});

Deno.test("watchEvents() refuses what is no event", async () => {
  for (const line of ["{", "5", '{"type":"ADDED"}', '{"type":"NEWS","object":{}}']) {
    const bytes = new TextEncoder().encode(`${line}\n`);
    const signal = new AbortController().signal;
    await assert.rejects(
      collect(watchEvents(streamOf([bytes]), TARGET, new VirtualClock(), new Patience(1000), signal)),
      /Cannot read a watch event|no object/,
    );
  }
});

Deno.test("watchEvents() gives a silent stream up when the patience is over, however often it changed", async () => {
  const clock = new VirtualClock();
  const patience = new Patience(60_000);
  const signal = new AbortController().signal;
  let thrown: Error | undefined;
  collect(watchEvents(streamOf([], "stay"), TARGET, clock, patience, signal)).catch((error) =>
    thrown = error
  );
  await clock.advance(20_000);
  patience.limitMs = 30_000;
  await clock.advance(9_999);
  assert.equal(thrown, undefined);
  await clock.advance(1);
  assert.ok((thrown as Error | undefined) instanceof SilenceError);
  assert.equal(clock.pending, 0);
});

Deno.test("watchEvents() ends with the signal's reason and leaves no timer", async () => {
  const clock = new VirtualClock();
  const controller = new AbortController();
  const reason = new Error("enough");
  const events = collect(
    watchEvents(streamOf([], "stay"), TARGET, clock, new Patience(1000), controller.signal),
  );
  await settle();
  controller.abort(reason);
  await assert.rejects(events, (thrown) => thrown === reason);
  assert.equal(clock.pending, 0);
});
