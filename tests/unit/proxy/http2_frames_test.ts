/** Tests of HTTP/2's wire format. @module */
import assert from "node:assert/strict";
import { FRAME, frame, grpcErrors, headerBlock, parseFrameHeader } from "../../../lib/proxy/http2_frames.ts";

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

Deno.test("grpcErrors() percent-encodes its message and stays below the largest frame", () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.match(text(grpcErrors([1], 4, "50% of é\n")), /grpc-message.50%25 of %C3%A9%0A$/s);
  for (const message of ["é".repeat(100_000), "a".repeat(100_000), "%".repeat(16_384)]) {
    assert.ok(grpcErrors([1], 4, message).byteLength < 16_384);
  }
});

Deno.test("grpcErrors() answers each call as if it were the only one, while the message is short", () => {
  const streams = [1, 3, 99, 0x7fff_ffff];
  const one = streams.map((stream) => [...grpcErrors([stream], 4, "too late")]);
  assert.deepEqual([...grpcErrors(streams, 4, "too late")], one.flat());
  assert.equal(grpcErrors([], 4, "too late").byteLength, 0);
});

Deno.test("grpcErrors() cuts a long message the shorter the more calls it answers", () => {
  const message = "x".repeat(100_000);
  for (const calls of [1, 16, 17, 100, 1_000]) {
    const bytes = grpcErrors(Array.from({ length: calls }, (_, i) => 2 * i + 1), 4, message).byteLength;
    assert.ok(bytes <= 128 * 1024 + calls * 100, `${calls} calls: ${bytes} bytes`);
    assert.ok(bytes / calls > 130, `${calls} calls: ${bytes} bytes`);
  }
});
