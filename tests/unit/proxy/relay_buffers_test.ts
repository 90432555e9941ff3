/**
 * Tests of the relay's buffers: their sizes, and that sessions which share them do not see each other's bytes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { AT_ONCE, ReadTurns } from "../../../lib/proxy/read_turns.ts";
import { nextBufferBytes, Relay } from "../../../lib/proxy/relay.ts";
import { HandConn } from "../../support/hand_conn.ts";
import { handOver } from "../../support/hand_over.ts";
import { type MemoryConn, readAll, writeAll } from "../../support/memory_network.ts";
import { relayed } from "../../support/relayed.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { pattern, sha256 } from "../../support/tcp_client.ts";
import { HandTurns, settle } from "../../support/virtual_clock.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Lets the reads and writes of many connections go on one at a time, in an order that the seed decides. */
class Turns {
  readonly #waiting: (() => void)[] = [];

  /** Has this connection wait for its turn before it reads or writes. */
  queue(conn: MemoryConn): void {
    const read = conn.read.bind(conn), write = conn.write.bind(conn);
    const turn = () => new Promise<void>((resolve) => this.#waiting.push(resolve));
    conn.read = (buffer) => turn().then(() => read(buffer));
    conn.write = (bytes) => turn().then(() => write(bytes));
  }

  /** Gives turns until `all` is settled. */
  async give(seed: number, all: Promise<unknown>): Promise<void> {
    const random = seededRandom(seed);
    let over = false;
    all.finally(() => over = true).catch(() => {});
    while (!over) {
      if (this.#waiting.length === 0) await settle();
      // What the last one has set off comes to its next turn.
      for (let i = 0; i < 20; i++) await Promise.resolve();
      this.#waiting.splice(random.integer(0, this.#waiting.length - 1), 1)[0]?.();
    }
    for (const go of this.#waiting) go();
    await all;
  }
}

for (const seed of [1, 2, 3, 4, 5]) {
  Deno.test(`Relay keeps the bytes of sessions with shared buffers apart, in the order of seed ${seed}`, async () => {
    const turns = new Turns();
    const sessions = Array.from({ length: 20 }, (_, i) => {
      const parts = relayed({}, { capacityBytes: 300_000 }, (upstream) => turns.queue(upstream));
      turns.queue(parts.downstream);
      return { up: pattern(900_000, 2 * i + 1), down: pattern(700_000, 2 * i + 2), i, ...parts };
    });
    const all = Promise.all(sessions.map(async ({ i, up, down, client, server, downstream, running }) => {
      const atServer = readAll(server), atClient = readAll(client);
      const answering = writeAll(server, down);
      for (const ending of [atServer, atClient, answering]) ending.catch(() => {});
      await writeAll(client, up);
      if (i % 5 === 4) {
        // One that breaks in the middle must not spoil a buffer for the others.
        downstream.reset();
        await Promise.allSettled([atServer, atClient, answering]);
        assert.equal(await running, "downstream_reset");
        return;
      }
      await answering;
      await client.closeWrite();
      await server.closeWrite();
      // Not deepEqual(): to show how long arrays differ takes minutes.
      assert.equal(sha256(await atServer), sha256(up), `session ${i}, to the server`);
      assert.equal(sha256(await atClient), sha256(down), `session ${i}, to the client`);
      assert.equal(await running, "completed");
    }));
    await turns.give(seed, all);
  });
}

Deno.test("Relay grows its buffer for a stream and gives it back when the stream is over", async () => {
  const { client, downstream, server, running } = relayed({}, { capacityBytes: 4 * 1024 * 1024 });
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

/** A session that has sent a part of `bytes` to a daemon that takes five writes and then nothing. */
async function blocked(bytes: Uint8Array) {
  const session = relayed({}, { capacityBytes: bytes.byteLength }, (upstream) => {
    const write = upstream.write.bind(upstream);
    const close = upstream.close.bind(upstream);
    const closed = Promise.withResolvers<number>();
    let writes = 0;
    upstream.write = (bytes) => ++writes > 5 ? closed.promise : write(bytes);
    upstream.close = () => {
      close();
      closed.reject(new Deno.errors.BadResource("Bad resource ID"));
    };
    closed.promise.catch(() => {});
  });
  await writeAll(session.client, bytes);
  await settle();
  return session;
}

Deno.test("Relay keeps less than 40 MiB for 1,400 sessions that wait in a write, and has large buffers after them", async () => {
  const bytes = new Uint8Array(900 * 1024);
  const sessions = [];
  for (let i = 0; i < 1_400; i++) sessions.push(await blocked(bytes));
  const lastBytes = sessions.map(({ downstream }) => downstream.bufferBytes.at(-1)!);
  const keptMib = lastBytes.reduce((sum, bytes) => sum + bytes, 0) / 1024 / 1024;
  assert.ok(keptMib < 40, `${keptMib} MiB`);
  assert.equal(Math.min(...lastBytes), 16 * 1024, "the others are still carried in reads of 16 KiB");
  for (const { relay } of sessions) relay.stop();
  await Promise.all(sessions.map(({ running }) => running));
  await settle();
  const later = await blocked(bytes);
  assert.equal(later.downstream.bufferBytes.at(-1), 256 * 1024);
  later.relay.stop();
  await later.running;
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

Deno.test("Relays that send much read some at a time, and one that sends little needs no turn", async () => {
  const turns = new HandTurns();
  const readTurns = new ReadTurns(turns);
  const begin = async () => {
    const parts = { downstream: new HandConn(), upstream: new HandConn() };
    const { downstream, upstream } = parts;
    const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
    const events = { upstream: () => {}, downstream: () => {} };
    const relay = new Relay(downstream, upstream, traffic, events, readTurns);
    const running = relay.run(handOver());
    await settle();
    return { ...parts, relay, running };
  };
  const crowd = await Promise.all(Array.from({ length: AT_ONCE + 2 }, begin));
  const little = await begin();
  for (const { downstream } of crowd) await downstream.bring(new Uint8Array(downstream.roomBytes!));
  const reading = () => crowd.filter(({ downstream }) => downstream.reading > 0).length;
  assert.equal(reading(), AT_ONCE);
  await little.downstream.bring(new Uint8Array(10));
  assert.equal(little.downstream.reading, 1);
  await turns.take();
  assert.equal(reading(), AT_ONCE + 2);
  for (const { relay, running } of [...crowd, little]) {
    relay.stop();
    await running;
  }
  await turns.take();
  assert.equal(turns.asked, 0);
});
