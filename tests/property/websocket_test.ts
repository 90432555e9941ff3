/**
 * Properties of the WebSocket client: however frames, reads and writes are sliced the same messages come out, and bytes
 * that are no WebSocket end it with an error and nothing else.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { OPCODE } from "../../lib/kube/websocket_frames.ts";
import { concat, writeAll } from "../support/memory_network.ts";
import { serverFrame, webSocketPair } from "../support/websocket_peer.ts";

const slices = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 10 });
const frames = fc.array(fc.uint8Array({ maxLength: 3_000 }), { minLength: 1, maxLength: 4 });

function cycle(sizes: readonly number[]): () => number {
  let at = 0;
  return () => sizes[at++ % sizes.length]!;
}

Deno.test("WebSocketStream gives out each message as it was sent, whatever the slicing and the control frames between", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        messages: fc.array(frames, { maxLength: 8 }),
        pings: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
        reads: slices,
        writes: slices,
        capacityBytes: fc.integer({ min: 1, max: 20_000 }),
        bufferBytes: fc.integer({ min: 1, max: 20_000 }),
      }),
      async ({ messages, pings, reads, writes, capacityBytes, bufferBytes }) => {
        const options = { readBytes: cycle(reads), writeBytes: cycle(writes), capacityBytes };
        const { client, peer, sendRaw } = webSocketPair(options);
        let frame = 0;
        const wire = messages.flatMap((parts) =>
          parts.flatMap((part, at) => [
            serverFrame(at === 0 ? OPCODE.binary : OPCODE.continuation, part, at === parts.length - 1),
            ...(pings[frame++ % pings.length] ? [serverFrame(OPCODE.ping, Uint8Array.of(frame & 255))] : []),
          ])
        );
        const sending = sendRaw(concat([...wire, serverFrame(OPCODE.close, new Uint8Array())]));
        // Somebody has to take the Pongs.
        const draining = (async () => {
          const sink = new Uint8Array(1_000);
          while (await peer.read(sink) !== null);
        })().catch(() => {});
        const got: Uint8Array[] = [];
        const buffer = new Uint8Array(bufferBytes);
        for (let piece = await client.read(buffer); piece !== null; piece = await client.read(buffer)) {
          if (piece.begins) got.push(new Uint8Array());
          got.push(concat([got.pop()!, buffer.slice(0, piece.length)]));
        }
        assert.deepEqual(got, messages.map((parts) => concat(parts)));
        await sending;
        client.close();
        peer.close();
        await draining;
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("WebSocketStream ends with an error, or with the server's Close, whatever bytes come", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 10 }),
      fc.integer({ min: 1, max: 20_000 }),
      async (chunks, bufferBytes) => {
        const { client, peer } = webSocketPair();
        const sending = writeAll(peer, concat(chunks)).then(() => peer.closeWrite()).catch(() => {});
        const buffer = new Uint8Array(bufferBytes);
        let readBytes = 0;
        const end = await (async () => {
          for (;;) {
            const piece = await client.read(buffer);
            if (piece === null) return "closed";
            assert.ok(piece.length <= bufferBytes);
            readBytes += piece.length;
          }
        })().catch((error: unknown) => error);
        assert.ok(end === "closed" || end instanceof Error);
        assert.ok(readBytes <= concat(chunks).length);
        client.close();
        await sending;
      },
    ),
    { numRuns: 500 },
  );
});
