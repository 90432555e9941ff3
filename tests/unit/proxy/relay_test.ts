/**
 * Tests of the relay on connections in memory: ends, their order, what breaks and who is to blame.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { HandOver } from "../../../lib/proxy/hold.ts";
import { nextBufferBytes, relay, type RelayEnd } from "../../../lib/proxy/relay.ts";
import { handOver } from "../../support/hand_over.ts";
import { MemoryConn, type MemoryOptions, readAll, writeAll } from "../../support/memory_network.ts";
import { settle } from "../../support/virtual_clock.ts";

const NOTHING = handOver();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);

/** Has every write to this end fail. */
function takesNothing(conn: MemoryConn): void {
  conn.write = () => Promise.reject(new Deno.errors.BrokenPipe("Broken pipe"));
}

function setUp(
  first: HandOver = NOTHING,
  options: MemoryOptions = {},
  prepare: (upstream: MemoryConn) => void = () => {},
) {
  const [client, downstream] = MemoryConn.pair(options);
  const [upstream, server] = MemoryConn.pair(options);
  prepare(upstream);
  const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  const firsts: string[] = [];
  const ended: { how?: RelayEnd } = {};
  const running = relay(downstream, upstream, first, traffic, {
    upstream: () => firsts.push("upstream"),
    downstream: () => firsts.push("downstream"),
  }).then((how) => {
    ended.how = how;
    assert.ok(downstream.closed && upstream.closed, "both are closed in the end");
    return how;
  });
  return { client, downstream, upstream, server, traffic, firsts, ended, running };
}

Deno.test("relay() carries bytes both ways and counts them", async () => {
  const { client, server, traffic, firsts, running } = setUp();
  await writeAll(client, bytes("question"));
  await client.closeWrite();
  assert.equal(text(await readAll(server)), "question");
  await writeAll(server, bytes("long answer"));
  server.close();
  assert.equal(text(await readAll(client)), "long answer");
  assert.equal(await running, "completed");
  assert.deepEqual(traffic, { upstreamBytes: 8, downstreamBytes: 11 });
  assert.deepEqual(firsts, ["upstream", "downstream"]);
});

Deno.test("relay() passes a FIN on at once, and lets the other direction go on", async () => {
  for (const half of ["client", "server"] as const) {
    const { client, server, ended, running } = setUp();
    const [first, other] = half === "client" ? [client, server] : [server, client];
    await first.closeWrite();
    assert.equal((await readAll(other)).byteLength, 0);
    await settle();
    assert.equal(ended.how, undefined);
    await writeAll(other, bytes("still here"));
    await other.closeWrite();
    assert.equal(text(await readAll(first)), "still here");
    assert.equal(await running, "completed");
  }
});

Deno.test("relay() sends what was held before all else, then the read under way, then the rest", async () => {
  const pending = Promise.withResolvers<Uint8Array | null>();
  const first = handOver({ chunks: [bytes("one "), bytes("two ")], pending: pending.promise });
  const { client, server, traffic, running } = setUp(first, { writeBytes: () => 3 });
  await writeAll(client, bytes("four"));
  await client.closeWrite();
  pending.resolve(bytes("three "));
  assert.equal(text(await readAll(server)), "one two three four");
  server.close();
  assert.equal(await running, "completed");
  assert.equal(traffic.upstreamBytes, 18);
});

Deno.test("relay() passes on a FIN that came during the hold, after what was held", async () => {
  for (
    const first of [{ ended: true, pending: undefined }, { ended: false, pending: Promise.resolve(null) }]
  ) {
    const { client, server, running } = setUp(handOver({ chunks: [bytes("last words")], ...first }));
    assert.equal(text(await readAll(server)), "last words");
    await writeAll(server, bytes("heard"));
    server.close();
    assert.equal(text(await readAll(client)), "heard");
    assert.equal(await running, "completed");
  }
});

Deno.test("relay() ends both sides when one resets, and says which", async () => {
  for (const side of ["downstream", "upstream"] as const) {
    const parts = setUp();
    await writeAll(parts.client, bytes("hello"));
    await settle();
    parts[side].reset();
    assert.equal(await parts.running, `${side}_reset`);
    const other = side === "downstream" ? parts.server : parts.client;
    await readAll(other);
  }
});

Deno.test("relay() blames the client whose reset ended the read under way since the hold", async () => {
  const pending = Promise.reject(new Deno.errors.ConnectionReset("Connection reset by peer"));
  pending.catch(() => {});
  const { server, running } = setUp(handOver({ pending }));
  assert.equal(await running, "downstream_reset");
  assert.equal((await readAll(server)).byteLength, 0);
});

Deno.test("relay() still delivers what a server had sent before it stopped taking bytes", async () => {
  const { client, server, upstream, running } = setUp();
  await writeAll(server, bytes("refused: too large"));
  // The server reads no more: writes to it break, and what it has sent is there to be read.
  takesNothing(upstream);
  await writeAll(client, bytes("a large body"));
  await server.closeWrite();
  assert.equal(text(await readAll(client)), "refused: too large");
  assert.equal(await running, "upstream_reset");
});

Deno.test("relay() blames the server when what was held cannot be written to it", async () => {
  const held = handOver({ chunks: [bytes("held")] });
  const { server, running } = setUp(held, {}, takesNothing);
  await server.closeWrite();
  assert.equal(await running, "upstream_reset");
});

Deno.test("relay() reads no more than it can write on", async () => {
  const { client, traffic, running, server } = setUp(NOTHING, { capacityBytes: 1_000 });
  let sent = 0;
  const sending = (async () => {
    for (let i = 0; i < 1_000; i++) sent += await client.write(new Uint8Array(100));
  })();
  await settle();
  // 1,000 wait at the server, 1,000 at the relay, and it holds one read of its own.
  assert.ok(sent <= 3_000, `${sent} bytes were taken`);
  const all = readAll(server);
  await sending;
  await client.closeWrite();
  assert.equal((await all).byteLength, 100_000);
  server.close();
  assert.equal(await running, "completed");
  assert.equal(traffic.upstreamBytes, 100_000);
});

Deno.test("relay() grows its buffer for a stream and gives it back when the stream is over", async () => {
  const { client, downstream, server, running } = setUp(NOTHING, { capacityBytes: 4 * 1024 * 1024 });
  const reading = readAll(server);
  await writeAll(client, new Uint8Array(3 * 1024 * 1024));
  for (let i = 0; i < 5; i++) {
    await settle();
    await writeAll(client, bytes("small"));
  }
  await client.closeWrite();
  await reading;
  server.close();
  await running;
  const sizes = downstream.bufferBytes;
  assert.equal(sizes[0], 8 * 1024);
  assert.equal(Math.max(...sizes), 256 * 1024);
  assert.equal(sizes.at(-1), 8 * 1024, "an idle session holds a small buffer");
});

Deno.test("nextBufferBytes() doubles what was filled up to 256 KiB and shrinks what was not", () => {
  const kib = 1024;
  assert.equal(nextBufferBytes(8 * kib, 8 * kib), 16 * kib);
  assert.equal(nextBufferBytes(128 * kib, 128 * kib), 256 * kib);
  assert.equal(nextBufferBytes(256 * kib, 256 * kib), 256 * kib);
  assert.equal(nextBufferBytes(256 * kib, 10), 8 * kib);
  assert.equal(nextBufferBytes(256 * kib, 40 * kib), 64 * kib);
  assert.equal(nextBufferBytes(16 * kib, 10 * kib), 16 * kib);
});
