/**
 * Tests of what a hold keeps bytes in.
 *
 * @module
 */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { Pieces } from "../../../lib/proxy/pieces.ts";

/** So many bytes, each different from its neighbours. */
function numbered(count: number, from = 0): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => (from + i) % 251);
}

Deno.test("Pieces gives back what was pushed, in order, however it was cut", () => {
  for (
    const sizes of [[], [0], [1], [511, 1, 1], [512], [513], [5, 0, 100_000, 3], Array(5_000).fill(1)]
  ) {
    const pieces = new Pieces();
    let at = 0;
    for (const size of sizes) {
      const bytes = numbered(size, at);
      pieces.push(bytes);
      // A copy is kept: the buffer is read into again.
      bytes.fill(255);
      at += size;
    }
    assert.deepEqual(concat(pieces.take()), numbered(at));
    assert.deepEqual(pieces.take(), [], "all of it was taken out");
    pieces.push(numbered(3));
    assert.deepEqual(concat(pieces.take()), numbered(3));
  }
});

Deno.test("Pieces keeps bytes that come one by one in few blocks, none of them much larger than needed", () => {
  const pieces = new Pieces();
  for (let i = 0; i < 100_000; i++) pieces.push(Uint8Array.of(i % 251));
  const blocks = pieces.take().map(({ buffer }) => buffer.byteLength);
  assert.deepEqual(blocks.slice(0, 6), [320, 640, 1280, 2560, 4096, 4096]);
  assert.equal(Math.max(...blocks), 4 * 1024);
  assert.ok(blocks.reduce((sum, bytes) => sum + bytes) < 100_000 + 4 * 1024, `${blocks}`);
});

Deno.test("Pieces begins with a small block again after all was taken out", () => {
  const pieces = new Pieces();
  for (let round = 0; round < 2; round++) {
    pieces.push(numbered(5_000));
    assert.equal(pieces.take()[0]?.buffer.byteLength, 320);
  }
});
