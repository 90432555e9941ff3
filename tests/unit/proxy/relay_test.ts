/**
 * Tests of the relay on connections in memory: ends, their order, what breaks and who is to blame.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { HandOver } from "../../../lib/proxy/hold.ts";
import { nextBufferBytes, relay, type RelayEnd } from "../../../lib/proxy/relay.ts";
import { handOver, zerosTakenOut } from "../../support/hand_over.ts";
import { MemoryConn, type MemoryOptions, readAll, writeAll } from "../../support/memory_network.ts";
import { settle } from "../../support/virtual_clock.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);

/** Has every write to this end fail. */
function takesNothing(conn: MemoryConn): void {
  conn.write = () => Promise.reject(new Deno.errors.BrokenPipe("Broken pipe"));
}

function setUp(
  given: Partial<HandOver> = {},
  options: MemoryOptions = {},
  prepare: (upstream: MemoryConn) => void = () => {},
) {
  const [client, downstream] = MemoryConn.pair(options);
  const [upstream, server] = MemoryConn.pair(options);
  prepare(upstream);
  const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  const firsts: string[] = [];
  const ended: { how?: RelayEnd } = {};
  const running = relay(downstream, upstream, handOver(given), traffic, {
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
  const { client, server, traffic, running } = setUp({
    chunks: [bytes("one "), bytes("two ")],
    pending: pending.promise,
    ended: false,
  }, { writeBytes: () => 3 });
  await writeAll(client, bytes("four"));
  await client.closeWrite();
  pending.resolve(bytes("three "));
  assert.equal(text(await readAll(server)), "one two three four");
  server.close();
  assert.equal(await running, "completed");
  assert.equal(traffic.upstreamBytes, 18);
});

Deno.test("relay() has the opening take out what was not meant for the server, and then looks no more", async () => {
  const pending = Promise.resolve(Uint8Array.of(1, 0, 2));
  const { client, server, traffic, running } = setUp({ pending, opening: zerosTakenOut(6) });
  for (const byte of [0, 3, 0, 0, 4]) await writeAll(client, Uint8Array.of(byte));
  await client.closeWrite();
  assert.deepEqual([...await readAll(server)], [1, 2, 3, 0, 4]);
  server.close();
  assert.equal(await running, "completed");
  assert.equal(traffic.upstreamBytes, 5);
});

Deno.test("relay() sends the server's bytes only after what the hold had to say", async () => {
  const said = Promise.withResolvers<void>();
  const { client, server, downstream, running } = setUp({ written: said.promise });
  await writeAll(server, bytes("from the server"));
  await server.closeWrite();
  await settle();
  await writeAll(downstream, bytes("from the hold, "));
  said.resolve();
  assert.equal(text(await readAll(client)), "from the hold, from the server");
  await client.closeWrite();
  assert.equal(await running, "completed");
});

Deno.test("relay() passes on a FIN that came during the hold, after what was held", async () => {
  for (
    const first of [{ ended: true, pending: undefined }, { ended: false, pending: Promise.resolve(null) }]
  ) {
    const { client, server, running } = setUp({ chunks: [bytes("last words")], ...first });
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
  const { server, running } = setUp({ chunks: [], pending, ended: false });
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
  const held = { chunks: [bytes("held")], pending: undefined, ended: false };
  const { server, running } = setUp(held, {}, takesNothing);
  await server.closeWrite();
  assert.equal(await running, "upstream_reset");
});

Deno.test("relay() reads no more than it can write on", async () => {
  const { client, traffic, running, server } = setUp({}, { capacityBytes: 1_000 });
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
  const { client, downstream, server, running } = setUp({}, { capacityBytes: 4 * 1024 * 1024 });
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
  assert.ok(sizes[0]! < 2 * 1024);
  assert.equal(Math.max(...sizes), 256 * 1024);
  assert.ok(sizes.at(-1)! < 2 * 1024, "an idle session holds a small buffer");
});

Deno.test("relay() mixes up no bytes of sessions that share their buffers", async () => {
  const sessions = Array.from(
    { length: 20 },
    (_, i) => ({ value: i + 1, ...setUp({}, { capacityBytes: 300_000 }) }),
  );
  await Promise.all(sessions.map(async ({ value, client, server, downstream, running }) => {
    const reading = readAll(server);
    await writeAll(client, new Uint8Array(1_500_000).fill(value));
    if (value % 5 === 0) {
      downstream.reset();
      await reading;
      assert.equal(await running, "downstream_reset");
      return;
    }
    await client.closeWrite();
    const received = await reading;
    assert.equal(received.byteLength, 1_500_000);
    assert.ok(received.every((byte) => byte === value));
    server.close();
    assert.equal(await running, "completed");
  }));
});

Deno.test("nextBufferBytes() grows by four while reads fill the buffer, to 256 KiB, and shrinks when they do not", () => {
  const kib = 1024;
  assert.equal(nextBufferBytes(16 * kib, 16 * kib), 64 * kib);
  assert.equal(nextBufferBytes(64 * kib, 64 * kib), 256 * kib);
  assert.equal(nextBufferBytes(256 * kib, 256 * kib), 256 * kib);
  assert.equal(nextBufferBytes(256 * kib, 65 * kib), 256 * kib);
  assert.equal(nextBufferBytes(256 * kib, 64 * kib), 64 * kib);
  assert.equal(nextBufferBytes(16 * kib, 1), 16 * kib);
});
