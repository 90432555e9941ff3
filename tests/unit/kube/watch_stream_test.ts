/** Tests of taking a watch's bytes apart. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { SilenceError, SilenceLimit, type WatchEvent, watchEvents } from "../../../lib/kube/watch_stream.ts";
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
      watchEvents(streamOf(chunks), TARGET, new VirtualClock(), new SilenceLimit(1000), never),
    );
    assert.deepEqual(got.map((one) => JSON.stringify(one)), [1, 2, 3].map(event));
  }));
});

Deno.test("watchEvents() drops a last line that was cut", async () => {
  const bytes = new TextEncoder().encode(`${event(1)}\n${event(2)}`);
  const signal = new AbortController().signal;
  const got = await collect(
    watchEvents(streamOf([bytes]), TARGET, new VirtualClock(), new SilenceLimit(1000), signal),
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
  const events = watchEvents(streamOf([bytes]), TARGET, new VirtualClock(), new SilenceLimit(1000), signal);
  await assert.rejects(collect(events), (thrown) => thrown instanceof ApiError && thrown.status === 410);
});

Deno.test("watchEvents() refuses lines that are not events", async () => {
  for (const line of ["{", "5", '{"type":"ADDED"}', '{"type":"NEWS","object":{}}']) {
    const bytes = new TextEncoder().encode(`${line}\n`);
    const signal = new AbortController().signal;
    await assert.rejects(
      collect(watchEvents(streamOf([bytes]), TARGET, new VirtualClock(), new SilenceLimit(1000), signal)),
      /Cannot read a watch event|no object/,
    );
  }
});

Deno.test("watchEvents() gives a silent stream up when the silence limit has passed, however often it changed", async () => {
  const clock = new VirtualClock();
  const silence = new SilenceLimit(60_000);
  const signal = new AbortController().signal;
  let thrown: Error | undefined;
  collect(watchEvents(streamOf([], "stay"), TARGET, clock, silence, signal)).catch((error) => thrown = error);
  await clock.advance(20_000);
  silence.limitMs = 30_000;
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
    watchEvents(streamOf([], "stay"), TARGET, clock, new SilenceLimit(1000), controller.signal),
  );
  await settle();
  controller.abort(reason);
  await assert.rejects(events, (thrown) => thrown === reason);
  assert.equal(clock.pending, 0);
});

/** A watch whose bytes a test sends. */
function watched(silence = new SilenceLimit(1_000), signal = new AbortController().signal) {
  const clock = new VirtualClock();
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const cancelled: unknown[] = [];
  const body = new ReadableStream<Uint8Array>({
    start: (it) => void (controller = it),
    cancel: (reason) => void cancelled.push(reason),
  });
  const got: unknown[] = [];
  let react = () => {};
  const onEvent = (reaction: () => void) => void (react = reaction);
  const outcome: { error?: unknown; over?: true } = {};
  const done = (async () => {
    for await (const one of watchEvents<{ n: number }>(body, TARGET, clock, silence, signal)) {
      got.push(one.object.n);
      react();
    }
    outcome.over = true;
  })().catch((error) => void (outcome.error = error));
  const send = (text: string) => controller.enqueue(new TextEncoder().encode(text));
  const line = (n: number) => send(`${JSON.stringify({ type: "ADDED", object: { n } })}\n`);
  return {
    clock,
    silence,
    send,
    line,
    close: () => controller.close(),
    cancelled,
    got,
    outcome,
    done,
    onEvent,
  };
}

Deno.test("watchEvents() measures silence from the last bytes, whatever they say", async () => {
  const { clock, line, send, outcome, got, cancelled } = watched();
  for (let i = 0; i < 5; i++) {
    await clock.advance(999);
    if (i % 2 === 0) line(i);
    else send("\n");
    await clock.advance(0);
  }
  assert.deepEqual([got, outcome], [[0, 2, 4], {}]);
  await clock.advance(1_000);
  assert.ok(outcome.error instanceof SilenceError);
  assert.deepEqual([outcome.error.name, outcome.error.message], [
    "SilenceError",
    "The watch was silent for 1s",
  ]);
  assert.equal(cancelled[0], outcome.error);
});

Deno.test("watchEvents() gives a stream up at once when it was silent for longer than the new silence", async () => {
  const { clock, silence, outcome } = watched(new SilenceLimit(60_000));
  await clock.advance(20_000);
  silence.limitMs = 10_000;
  assert.equal(silence.limitMs, 10_000);
  await clock.advance(0);
  assert.ok(outcome.error instanceof SilenceError);
  silence.limitMs = 20_000;
  assert.equal(clock.pending, 0, "a stream that is over is not waited for");
});

Deno.test("watchEvents() cancels the body when its reader leaves, and leaves no timer", async () => {
  const clock = new VirtualClock();
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(`${event(1)}\n${event(2)}\n`)),
    cancel: () => void (isCancelled = true),
  });
  const signal = new AbortController().signal;
  for await (const _ of watchEvents(body, TARGET, clock, new SilenceLimit(1_000), signal)) break;
  await settle();
  assert.deepEqual([isCancelled, clock.pending], [true, 0]);
});

Deno.test("watchEvents() yields nothing more once its signal is aborted, not even what has come already", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const { send, got, outcome, done, onEvent } = watched(undefined, controller.signal);
  const object = (n: number) => `${JSON.stringify({ type: "ADDED", object: { n } })}\n`;
  onEvent(() => controller.abort(reason));
  send(object(1) + object(2));
  await done;
  assert.deepEqual([got, outcome.error], [[1], reason]);
  const before = watched(undefined, AbortSignal.abort(reason));
  await before.done;
  assert.deepEqual([before.got, before.outcome.error], [[], reason]);
});

Deno.test("watchEvents() takes a line of 4 MiB, and none that is longer", async () => {
  const start = JSON.stringify({ type: "ADDED", object: { n: 1 } }).slice(0, -1);
  const fits = watched();
  fits.send(`${start}${" ".repeat(4 * 1024 * 1024 - 1 - start.length)}`);
  fits.send("}\n");
  fits.close();
  await fits.done;
  assert.deepEqual([fits.got, fits.outcome], [[1], { over: true }]);
  const tooLong = watched();
  tooLong.send(" ".repeat(4 * 1024 * 1024 + 1));
  await tooLong.done;
  assert.equal(tooLong.cancelled.length, 1);
  assert.match(
    String(tooLong.outcome.error),
    /^Error: Cannot read a watch event: it is longer than 4194304 bytes$/,
  );
});

Deno.test("watchEvents() says what is wrong with an event", async () => {
  const thrown = async (text: string) => {
    const { send, outcome, done } = watched();
    send(`${text}\n`);
    await done;
    return outcome.error as Error;
  };
  assert.equal((await thrown("{")).message, "Cannot read a watch event: it is not JSON");
  assert.ok((await thrown("{")).cause instanceof SyntaxError);
  assert.equal((await thrown('{"type":"NEWS"}')).message, 'Cannot read a watch event: found type "NEWS"');
  for (const object of ["null", "7", '"a"']) {
    assert.equal(
      (await thrown(`{"type":"ADDED","object":${object}}`)).message,
      "A watch event has no object",
    );
  }
  const error = await thrown('{"type":"ERROR"}');
  assert.ok(error instanceof ApiError);
  assert.deepEqual([error.status, error.reason], [500, ""]);
  const status = await thrown(
    '{"type":"ERROR","object":{"code":429,"reason":"TooManyRequests","message":"m"}}',
  );
  assert.equal(status.message, 'Cannot watch statefulsets in namespace "n": HTTP 429 TooManyRequests: m');
});

Deno.test("watchEvents() takes each type of event, and ends when the server ends the stream", async () => {
  const { send, got, outcome, close, done } = watched();
  for (const [n, type] of ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"].entries()) {
    send(` \r\n${JSON.stringify({ type, object: { n } })}\r\n`);
  }
  close();
  await done;
  assert.deepEqual([got, outcome], [[0, 1, 2, 3], { over: true }]);
});

Deno.test("watchEvents() looks at each byte of a dripped line once, and copies it once", async () => {
  const bytes = new TextEncoder().encode(`${event(1).padEnd(64 * 1024)}\n`.repeat(4));
  let searched = 0;
  const pieces = Array.from({ length: Math.ceil(bytes.length / 16) }, (_, i) => {
    const piece = bytes.subarray(16 * i, 16 * (i + 1));
    // What is cut from a piece counts, too.
    return Object.assign(piece, {
      indexOf(this: Uint8Array, value: number, from?: number) {
        searched += this.length;
        return Uint8Array.prototype.indexOf.call(this, value, from);
      },
    });
  });
  let copied = 0;
  const { set } = Uint8Array.prototype;
  Uint8Array.prototype.set = function (from: ArrayLike<number>, at?: number) {
    copied += from.length;
    return set.call(this, from, at);
  };
  try {
    const signal = new AbortController().signal;
    const events = watchEvents(streamOf(pieces), TARGET, new VirtualClock(), new SilenceLimit(1000), signal);
    assert.equal((await collect(events)).length, 4);
  } finally {
    Uint8Array.prototype.set = set;
  }
  assert.ok(
    searched > bytes.length / 2 && searched <= 2 * bytes.length,
    `${searched} of ${bytes.length} searched`,
  );
  assert.ok(copied > bytes.length / 2 && copied <= bytes.length, `${copied} of ${bytes.length} copied`);
});
