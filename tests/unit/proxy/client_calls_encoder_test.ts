/**
 * Tests of `HpackDecoder` and `ClientCalls` on what the HTTP/2 client of `node:http2` sends: its encoder uses Huffman
 * coding, the dynamic table, and CONTINUATION.
 *
 * @module
 */
import assert from "node:assert/strict";
import { connect, type OutgoingHttpHeaders } from "node:http2";
import { createServer } from "node:net";
import { concat } from "../../../lib/base/bytes.ts";
import { ClientCalls } from "../../../lib/proxy/client_calls.ts";
import { HpackDecoder } from "../../../lib/proxy/hpack.ts";
import { EMPTY_SETTINGS, FRAME, PREFACE } from "../../../lib/target/http2_frames.ts";
import { within } from "../../support/deadline.ts";
import { framesOf } from "../../support/http2_client.ts";

/** What a client sends that makes these calls, up to the headers of the last one. Nothing is answered. */
async function recorded(calls: readonly OutgoingHttpHeaders[]): Promise<Uint8Array> {
  let bytes: Uint8Array = new Uint8Array();
  const all = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      bytes = concat([bytes, chunk]);
      if (blocksOf(bytes).length === calls.length) all.resolve();
    });
    socket.write(EMPTY_SETTINGS);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const client = connect(`http://127.0.0.1:${port}`);
  client.on("error", () => {});
  for (const headers of calls) client.request(headers).on("error", () => {});
  await within(all.promise, "all calls");
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
  return bytes;
}

/** The header blocks in a client's bytes that are whole. */
function blocksOf(bytes: Uint8Array): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  let open: Uint8Array[] = [];
  for (const { type, flags, payload } of framesOf(bytes.subarray(PREFACE.byteLength))) {
    if (type !== FRAME.headers && type !== FRAME.continuation) continue;
    open.push(payload);
    if ((flags & 4) === 0) continue;
    blocks.push(concat(open));
    open = [];
  }
  return blocks;
}

/** Printable characters, from one on. */
function printable(from: number, length: number): string {
  return Array.from({ length }, (_, i) => String.fromCharCode(33 + (from + 7 * i) % 94)).join("");
}

const CALLS = Array.from({ length: 60 }, (_, i) => ({
  ":method": "POST",
  ":scheme": "http",
  ":authority": `project-${i % 3}.example:8372`,
  ":path": `/service.${i % 7}/Method`,
  "content-type": "application/grpc",
  [`x-name-${i % 11}`]: printable(i, 5 + 13 * (i % 17)),
  "x-long": printable(i, 40 * (i % 20)),
}));

Deno.test("HpackDecoder decodes what another encoder sends, its table driven through many times", async () => {
  const blocks = blocksOf(await recorded(CALLS));
  const decoder = new HpackDecoder();
  let plainBytes = 0;
  for (const [i, block] of blocks.entries()) {
    const fields = decoder.decode(block) ?? [];
    const sent = Object.entries(CALLS[i]!).map(([name, value]) => `${name}: ${value}`);
    assert.deepEqual(fields.map(({ name, value }) => `${name}: ${value}`).sort(), sent.sort());
    plainBytes += sent.join("").length;
  }
  const encodedBytes = concat(blocks).byteLength;
  assert.ok(encodedBytes < plainBytes, `${encodedBytes} bytes for ${plainBytes}`);
});

Deno.test("ClientCalls reads the calls of another client, in pieces of 512 bytes and byte by byte", async () => {
  const bytes = await recorded(CALLS);
  const wanted = CALLS.map((headers) => ({
    path: headers[":path"],
    authority: headers[":authority"],
    traceId: undefined,
  }));
  for (const pieceBytes of [512, 1]) {
    const reader = new ClientCalls();
    const calls: unknown[] = [];
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      calls.push(...reader.take(bytes.subarray(at, at + pieceBytes)));
    }
    assert.deepEqual(calls, wanted);
    assert.equal(reader.over, false);
  }
});
