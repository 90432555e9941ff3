/** Tests of HTTP/2's wire format. @module */
import assert from "node:assert/strict";
import {
  EMPTY_SETTINGS,
  FRAME,
  frame,
  headerBlock,
  parseFrameHeader,
  PREFACE,
  SETTINGS_ACK,
} from "../../../lib/target/http2_frames.ts";
import { literalFields } from "../../support/http2_client.ts";

Deno.test("frame() and parseFrameHeader() are each other's inverse", () => {
  const header = { lengthBytes: 16_000, type: FRAME.headers, flags: 5, stream: 0x7fff_ffff };
  const bytes = frame(header.type, header.flags, header.stream, new Uint8Array(header.lengthBytes));
  assert.deepEqual(parseFrameHeader(bytes), header);
});

Deno.test("parseFrameHeader() ignores the reserved bit", () => {
  const bytes = frame(FRAME.data, 0, 1, new Uint8Array());
  bytes[5] = 0x80;
  assert.equal(parseFrameHeader(bytes).stream, 1);
});

Deno.test("headerBlock() writes lengths as RFC 7541 wants them, long ones too", () => {
  assert.deepEqual(headerBlock([["a", "bc"]]), Uint8Array.of(0, 1, 97, 2, 98, 99));
  // The example of RFC 7541, appendix C.1.2, for a 7-bit prefix: 1337 - 127 = 1210 = 0b1001_0111010.
  const long = headerBlock([["a", "x".repeat(1337)]]);
  assert.deepEqual(long.slice(0, 6), Uint8Array.of(0, 1, 97, 127, 0b1011_1010, 0b1001));
});

Deno.test("headerBlock() can be read again, whatever the length of a value", () => {
  for (const length of [0, 1, 126, 127, 128, 254, 255, 256, 127 + 128, 127 + 128 ** 2, 100_000]) {
    const value = "x".repeat(length);
    assert.deepEqual(
      literalFields(headerBlock([["a", value], ["b", "c"]])),
      { a: value, b: "c" },
      `${length}`,
    );
  }
});

Deno.test("the fixed frames are those of RFC 9113", () => {
  assert.equal(new TextDecoder().decode(PREFACE), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  assert.deepEqual([...EMPTY_SETTINGS], [0, 0, 0, 4, 0, 0, 0, 0, 0]);
  assert.deepEqual([...SETTINGS_ACK], [0, 0, 0, 4, 1, 0, 0, 0, 0]);
});
