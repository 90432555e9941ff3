/** Tests of what HTTP/2 clients are told when there is no daemon. @module */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { ERROR, goAway, grpcErrors } from "../../../lib/proxy/http2_errors.ts";
import { framesOf, literalFields } from "../../support/http2_client.ts";

const answers = (...call: Parameters<typeof grpcErrors>) => concat([...grpcErrors(...call)]);

Deno.test("grpcErrors() percent-encodes its message and stays below the largest frame", () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.match(text(answers([1], 4, "50% of é\n")), /grpc-message.50%25 of %C3%A9%0A$/s);
  for (const message of ["é".repeat(100_000), "a".repeat(100_000), "%".repeat(16_384)]) {
    assert.ok(answers([1], 4, message).byteLength < 16_384);
  }
});

Deno.test("grpcErrors() answers each call as if it were the only one, while the message is short", () => {
  const streams = [1, 3, 99, 0x7fff_ffff];
  const one = streams.map((stream) => [...answers([stream], 4, "too late")]);
  assert.deepEqual([...answers(streams, 4, "too late")], one.flat());
  assert.equal(answers([], 4, "too late").byteLength, 0);
});

Deno.test("grpcErrors() cuts a long message the shorter the more calls it answers", () => {
  const message = "x".repeat(100_000);
  for (const calls of [1, 16, 17, 100, 1_000]) {
    const bytes = answers(Array.from({ length: calls }, (_, i) => 2 * i + 1), 4, message).byteLength;
    assert.ok(bytes <= 128 * 1024 + calls * 100, `${calls} calls: ${bytes} bytes`);
    assert.ok(bytes / calls > 130, `${calls} calls: ${bytes} bytes`);
  }
});

Deno.test("grpcErrors() makes one frame a call, which ends it, with what gRPC wants in it", () => {
  const frames = framesOf(answers([1, 3], 8, "50 % of é"));
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
  const said = literalFields(framesOf(answers([1], 4, all))[0]!.payload)["grpc-message"]!;
  assert.equal(decodeURIComponent(said), all);
  assert.match(said, /^[ -~]*$/);
  const plain = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).filter((c) => c !== "%")
    .join("");
  assert.equal(literalFields(framesOf(answers([1], 4, plain))[0]!.payload)["grpc-message"], plain);
});

Deno.test("grpcErrors() cuts a message between characters", () => {
  for (const [one, encodedBytes] of [["x", 1], ["é", 6], ["😀", 12]] as const) {
    const said = literalFields(framesOf(answers([1], 4, one.repeat(10_000)))[0]!.payload)["grpc-message"]!;
    const count = Math.floor(8 * 1024 / encodedBytes);
    assert.equal(decodeURIComponent(said), one.repeat(Math.min(10_000, count)));
  }
});

Deno.test("goAway() is the frame of RFC 9113, with the code of the error", () => {
  assert.deepEqual([...goAway(ERROR.enhanceYourCalm)], [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb]);
});
