/**
 * Properties of the relay: however reads and writes are sliced, the same bytes come out.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { nextBufferBytes, Relay } from "../../lib/proxy/relay.ts";
import { handOver, turns, zerosTakenOut } from "../support/hand_over.ts";
import { concat, MemoryConn, readAll, writeAll } from "../support/memory_network.ts";

const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), { maxLength: 12 });
/** How many bytes the next reads and writes take, round and round. */
const slices = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 10 });
const capacity = fc.integer({ min: 1, max: 20_000 });

function cycle(sizes: readonly number[]): () => number {
  let at = 0;
  return () => sizes[at++ % sizes.length]!;
}

Deno.test("Relay gives out what it was given, whatever the slicing, and counts it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        held: chunks,
        pending: fc.option(fc.uint8Array({ minLength: 1, maxLength: 100 }), { nil: undefined }),
        up: chunks,
        down: chunks,
        /** How far the opening looks, beyond what was held. */
        lookedAt: fc.integer({ min: 0, max: 2_000 }),
        reads: slices,
        writes: slices,
        capacityBytes: capacity,
        serverEndsFirst: fc.boolean(),
      }),
      async ({ held, pending, up, down, lookedAt, reads, writes, capacityBytes, serverEndsFirst }) => {
        const options = () => ({ readBytes: cycle(reads), writeBytes: cycle(writes), capacityBytes });
        const [client, downstream] = MemoryConn.pair(options(), options());
        const [upstream, server] = MemoryConn.pair(options(), options());
        const first = handOver({
          chunks: [...held],
          pending: pending === undefined ? undefined : Promise.resolve(pending),
          opening: zerosTakenOut(lookedAt),
        });
        const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
        const counted = { upstream: 0, downstream: 0 };
        const running = new Relay(downstream, upstream, traffic, {
          upstream: () => counted.upstream++,
          downstream: () => counted.downstream++,
        }, turns()).run(first);
        const send = async (conn: MemoryConn, all: readonly Uint8Array[], after?: Promise<unknown>) => {
          for (const bytes of all) await writeAll(conn, bytes);
          await after;
          await conn.closeWrite();
        };
        const atServer = readAll(server), atClient = readAll(client);
        await Promise.all([
          send(client, up, serverEndsFirst ? atClient : undefined),
          send(server, down, serverEndsFirst ? undefined : atServer),
        ]);
        // Reads are looked at whole, so what follows the last of them in the same read is handed on as it is.
        const afterHold = concat([...(pending === undefined ? [] : [pending]), ...up]);
        const looked = afterHold.subarray(0, lookedAt), rest = afterHold.subarray(lookedAt);
        const wanted = concat([...held, looked.filter((byte) => byte !== 0), rest]);
        assert.deepEqual(await atServer, wanted);
        assert.deepEqual(await atClient, concat(down));
        assert.equal(await running, "completed");
        assert.deepEqual(traffic, {
          upstreamBytes: wanted.byteLength,
          downstreamBytes: concat(down).byteLength,
        });
        assert.deepEqual(counted, {
          upstream: wanted.byteLength > 0 ? 1 : 0,
          downstream: traffic.downstreamBytes > 0 ? 1 : 0,
        });
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("Relay ends, with both sides closed, at whatever moment either side resets", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        up: chunks,
        down: chunks,
        writes: slices,
        capacityBytes: capacity,
        side: fc.constantFrom("downstream" as const, "upstream" as const),
        microtasks: fc.integer({ min: 0, max: 200 }),
      }),
      async ({ up, down, writes, capacityBytes, side, microtasks }) => {
        const options = () => ({ writeBytes: cycle(writes), capacityBytes });
        const [client, downstream] = MemoryConn.pair(options(), options());
        const [upstream, server] = MemoryConn.pair(options(), options());
        const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
        const running = new Relay(downstream, upstream, traffic, {
          upstream: () => {},
          downstream: () => {},
        }, turns()).run(handOver());
        const send = async (conn: MemoryConn, all: readonly Uint8Array[]) => {
          for (const bytes of all) await writeAll(conn, bytes);
        };
        const ends = [send(client, up), send(server, down), readAll(client), readAll(server)];
        const settled = Promise.allSettled(ends);
        for (let i = 0; i < microtasks; i++) await Promise.resolve();
        ({ downstream, upstream })[side].reset();
        assert.equal(await running, `${side}_reset`);
        assert.ok(downstream.closed && upstream.closed);
        await settled;
        assert.ok(traffic.upstreamBytes <= concat(up).byteLength);
        assert.ok(traffic.downstreamBytes <= concat(down).byteLength);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("nextBufferBytes() stays between 16 and 256 KiB and is never smaller for a fuller read", () => {
  const sizeBytes = fc.constantFrom(16, 64, 256).map((kib) => kib * 1024);
  fc.assert(
    fc.property(sizeBytes, fc.double({ min: 0, max: 1, noNaN: true }), (size, share) => {
      const n = Math.max(1, Math.round(size * share));
      const next = nextBufferBytes(size, n);
      assert.ok(next >= 16 * 1024 && next <= 256 * 1024);
      assert.ok(Number.isInteger(Math.log2(next / 1024) / 2));
      if (n < size) assert.ok(nextBufferBytes(size, n + 1) >= next);
    }),
  );
});
