/** Tests of HTTP/2's wire format. @module */
import assert from "node:assert/strict";
import {
  EMPTY_SETTINGS,
  ERROR,
  FRAME,
  frame,
  goAway,
  grpcErrors,
  headerBlock,
  parseFrameHeader,
  PREFACE,
  SETTINGS_ACK,
} from "../../../lib/proxy/http2_frames.ts";
import { framesOf, literalFields } from "../../support/http2_client.ts";

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

Deno.test("grpcErrors() makes one frame a call, which ends it, with what gRPC wants in it", () => {
  const frames = framesOf(grpcErrors([1, 3], 8, "50 % of é"));
  // HEADERS with END_STREAM and END_HEADERS: "trailers-only" in gRPC's PROTOCOL-HTTP2.
  assert.deepEqual(frames.map(({ type, flags, stream }) => [type, flags, stream]), [[1, 5, 1], [1, 5, 3]]);
  for (const { payload } of frames) {
    assert.deepEqual(literalFields(payload), {
      ":status": "200",
      "content-type": "application/grpc",
      "grpc-status": "8",
      "grpc-message": "50 %25 of %C3%A9",
    });
  }
});

Deno.test("grpcErrors() sends every printable character as it is, but for the percent sign, and nothing else", () => {
  const all = Array.from({ length: 0x100 }, (_, code) => String.fromCharCode(code)).join("");
  const said = literalFields(framesOf(grpcErrors([1], 4, all))[0]!.payload)["grpc-message"]!;
  assert.equal(decodeURIComponent(said), all);
  assert.match(said, /^[ -~]*$/);
  const plain = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).filter((c) => c !== "%")
    .join("");
  assert.equal(literalFields(framesOf(grpcErrors([1], 4, plain))[0]!.payload)["grpc-message"], plain);
});

Deno.test("grpcErrors() cuts a message between characters", () => {
  for (const [one, encodedBytes] of [["x", 1], ["é", 6], ["😀", 12]] as const) {
    const said = literalFields(framesOf(grpcErrors([1], 4, one.repeat(10_000)))[0]!.payload)["grpc-message"]!;
    const count = Math.floor(8 * 1024 / encodedBytes);
    assert.equal(decodeURIComponent(said), one.repeat(Math.min(10_000, count)));
  }
});

Deno.test("the fixed frames are those of RFC 9113", () => {
  assert.equal(new TextDecoder().decode(PREFACE), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  assert.deepEqual([...EMPTY_SETTINGS], [0, 0, 0, 4, 0, 0, 0, 0, 0]);
  assert.deepEqual([...SETTINGS_ACK], [0, 0, 0, 4, 1, 0, 0, 0, 0]);
  assert.deepEqual([...goAway(ERROR.enhanceYourCalm)], [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb]);
});
