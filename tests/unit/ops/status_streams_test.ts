/**
 * Tests of live status pages: how many there may be, what they are sent, and when.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Listeners } from "../../../lib/base/listeners.ts";
import type { StatusFacts } from "../../../lib/ops/status_facts.ts";
import { StatusPages } from "../../../lib/ops/status_pages.ts";
import { MOST_STREAMS, StatusStreams } from "../../../lib/ops/status_streams.ts";
import { FACTS } from "../../support/status_facts.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

function setUp() {
  const clock = new VirtualClock();
  const changed = new Listeners();
  let facts: StatusFacts = FACTS;
  let asked = 0;
  const status = {
    facts: () => {
      asked++;
      return Promise.resolve(facts);
    },
    subscribe: (listener: () => void) => changed.add(listener),
  };
  const change = (openSessions: number) => {
    facts = { ...FACTS, sessions: { open: openSessions, held: 0 } };
    changed.tell();
  };
  return { clock, status, change, asked: () => asked, streams: new StatusStreams(status, clock) };
}

/** Reads a stream message by message; what it has read so far is at hand. */
function read(stream: ReadableStream<Uint8Array>) {
  const messages: string[] = [];
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  const ended = (async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      messages.push(decoder.decode(value));
    }
  })();
  return { messages, ended, reader };
}

function partsIn(message: string): Record<string, string> {
  const data = /^event: parts\ndata: (.*)\n\n$/.exec(message)?.[1];
  assert.ok(data !== undefined, message);
  return JSON.parse(data);
}

Deno.test("StatusStreams sends all parts at first, and then those that have changed, at most once a second", async () => {
  const { clock, streams, change } = setUp();
  const end = new AbortController();
  const { messages, ended } = read(streams.open("1h", end.signal)!);
  await clock.advance(0);
  assert.equal(messages[0], "retry: 3000\n\n");
  assert.ok(Object.keys(partsIn(messages[1]!)).includes("b0-timeline"));
  for (let open = 1; open <= 5; open++) {
    change(open);
    await clock.advance(100);
  }
  assert.equal(messages.length, 2);
  await clock.advance(500);
  assert.equal(messages.length, 3);
  assert.deepEqual(Object.keys(partsIn(messages[2]!)), ["summary"]);
  assert.match(partsIn(messages[2]!)["summary"]!, /<strong>5<\/strong> <span>open/);
  end.abort();
  await ended;
  assert.equal(streams.size, 0);
  assert.equal(clock.pending, 0);
});

Deno.test("StatusStreams sends something now and then, so that a client that has vanished is noticed", async () => {
  const { clock, streams } = setUp();
  const end = new AbortController();
  const { messages, ended } = read(streams.open("1h", end.signal)!);
  await clock.advance(12_000);
  assert.deepEqual(messages.slice(2), [":\n\n", ":\n\n"]);
  end.abort();
  await ended;
});

Deno.test("StatusStreams asks once for all streams of a moment, and not at all while nobody looks or takes anything", async () => {
  const { clock, streams, change, asked } = setUp();
  change(1);
  await clock.advance(60_000);
  assert.equal(asked(), 0);
  const ends = Array.from({ length: 5 }, () => new AbortController());
  const all = ends.map(({ signal }, at) => streams.open(at < 3 ? "1h" : "24h", signal)!);
  await clock.advance(60_000);
  assert.equal(asked(), 0);
  const reading = all.map(read);
  await clock.advance(0);
  assert.equal(asked(), 1);
  assert.ok(reading.every(({ messages }) => messages.length === 2));
  for (const end of ends) end.abort();
  await Promise.all(reading.map(({ ended }) => ended));
});

Deno.test("StatusStreams has room again when a stream is cancelled or its client has left", async () => {
  const { clock, streams } = setUp();
  const end = new AbortController();
  const first = streams.open("1h", end.signal)!;
  const others = Array.from(
    { length: MOST_STREAMS - 1 },
    () => streams.open("1h", new AbortController().signal)!,
  );
  assert.equal(streams.open("1h", new AbortController().signal), undefined);
  const { ended } = read(first);
  await clock.advance(0);
  end.abort();
  await ended;
  assert.equal(streams.size, MOST_STREAMS - 1);
  for (const stream of others) await stream.cancel();
  assert.equal(streams.size, 0);
  assert.equal(streams.open("1h", AbortSignal.abort()), undefined, "it has left already");
  assert.equal(clock.pending, 0);
});

Deno.test("StatusStreams ends a stream whose facts cannot be had, and has its room again", async () => {
  const { clock, status } = setUp();
  const broken = { ...status, facts: () => Promise.reject(new Error("broken")) };
  const streams = new StatusStreams(broken, clock);
  const { messages, ended } = read(streams.open("1h", new AbortController().signal)!);
  await clock.advance(0);
  await ended;
  assert.deepEqual([messages.length, streams.size], [1, 0]);
});

Deno.test("StatusPages answers the 17th live page with 503 and says why, and HEAD without a stream", async () => {
  const { clock, status } = setUp();
  const pages = new StatusPages(status, clock);
  const ask = (method = "GET") =>
    pages.answer({ method, signal: new AbortController().signal }, new URL("http://x/status.live?window=1h"));
  for (let open = 0; open < MOST_STREAMS; open++) {
    const answer = await ask();
    assert.deepEqual([answer!.status, answer!.type], [undefined, "text/event-stream; charset=utf-8"]);
  }
  assert.equal((await ask("HEAD"))!.body, "");
  const refused = await ask();
  assert.equal(refused!.status, 503);
  assert.equal(
    refused!.body,
    "16 live status pages are open already: close one, or reload this page by hand",
  );
});

Deno.test("StatusPages lets nothing of another host run, and nobody frame the page", async () => {
  const { clock, status } = setUp();
  const pages = new StatusPages(status, clock);
  const ask = async (path: string) => {
    const answer = pages.answer(
      { method: "GET", signal: new AbortController().signal },
      new URL(`http://x${path}`),
    );
    await clock.advance(0);
    return await answer;
  };
  for (const path of ["/", "/status", "/status?window=nonsense"]) {
    const answer = await ask(path);
    assert.equal(
      answer!.headers!["content-security-policy"],
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    assert.match(String(answer!.body), /data-live="status\.live\?window=10m"/);
  }
  assert.match(String((await ask("/?window=24h"))!.body), /status\.live\?window=24h/);
  assert.deepEqual(JSON.parse(String((await ask("/status.json"))!.body)), FACTS);
  assert.equal(await ask("/status.html"), undefined);
});
