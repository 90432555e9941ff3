/** Tests of what reads binary formats. @module */
import assert from "node:assert/strict";
import { ByteReader, FormatError, Gathered, parsed } from "../../../lib/proxy/byte_reader.ts";

Deno.test("parsed() returns the result, or undefined when the format is wrong, and lets other errors through", () => {
  assert.equal(parsed(() => 7), 7);
  assert.equal(parsed(() => new ByteReader(new Uint8Array()).number()), undefined);
  assert.throws(() =>
    parsed(() => {
      throw new TypeError("a mistake of ours");
    }), TypeError);
});

Deno.test("ByteReader reads numbers with their highest byte first, and what comes after its length", () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4, 5, 6, 0, 2, 7, 8, 9));
  assert.equal(reader.number(), 1);
  assert.equal(reader.number(2), 0x203);
  assert.equal(reader.number(3), 0x40506);
  assert.deepEqual(reader.prefixed(2).take(2), Uint8Array.of(7, 8));
  assert.equal(reader.leftBytes, 1);
  assert.deepEqual(reader.take(1), Uint8Array.of(9));
});

Deno.test("ByteReader never reads beyond its bytes, nor does a part of it", () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3));
  assert.throws(() => reader.take(4), FormatError);
  assert.equal(reader.leftBytes, 3, "nothing was read");
  const part = reader.prefixed(1);
  assert.throws(() => part.take(2), FormatError);
  assert.throws(() => reader.prefixed(1), FormatError);
});

Deno.test("Gathered takes no more than it wants, and begins anew", () => {
  const gathered = new Gathered(3);
  assert.equal(gathered.take(Uint8Array.of(1, 2)), 2);
  assert.equal(gathered.isWhole, false);
  assert.equal(gathered.take(Uint8Array.of(3, 4)), 1);
  assert.equal(gathered.isWhole, true);
  assert.deepEqual(gathered.bytes, Uint8Array.of(1, 2, 3));
  gathered.clear();
  assert.equal(gathered.isWhole, false);
  assert.equal(gathered.take(Uint8Array.of(5, 6, 7, 8)), 3);
  assert.deepEqual(gathered.bytes, Uint8Array.of(5, 6, 7));
});
