/** Tests of the bounds on a JSON text that arrives in pieces. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import { JsonText } from "../../../lib/kube/json_text.ts";

const encoder = new TextEncoder();

Deno.test("JsonText gives back each text, however its bytes are cut", () => {
  const piece = fc.uint8Array({ maxLength: 5 });
  const texts = fc.array(fc.string({ unit: "binary", maxLength: 40 }), { maxLength: 4 });
  fc.assert(fc.property(texts, piece, (texts, sizes) => {
    const text = new JsonText(1_000);
    for (const whole of texts) {
      let rest = encoder.encode(whole);
      for (const size of sizes) {
        text.add(rest.subarray(0, size));
        rest = rest.subarray(size);
      }
      text.add(rest);
      assert.equal(text.take(), new TextDecoder().decode(encoder.encode(whole)));
    }
  }));
});

Deno.test("JsonText takes as many bytes and values as it may, and no more; each text counts by itself", () => {
  const text = new JsonText(400_000);
  for (let round = 0; round < 2; round++) {
    text.add(encoder.encode("[{".repeat(100_000)));
    text.add(encoder.encode(",".repeat(200_000)));
    assert.throws(() => text.add(encoder.encode(" ")), /it is longer than 400000 bytes$/);
    assert.equal(text.take().length, 400_000);
  }
  const long = new JsonText(1_000_000);
  long.add(encoder.encode(`["${"a".repeat(100_000)}"]`.repeat(5)));
  assert.throws(() => long.add(encoder.encode(",".repeat(400_000))), /it has more than 400000 values$/);
});

Deno.test("JsonText gives back long texts, whose blocks end within characters", () => {
  const text = new JsonText(1_000_000);
  for (const length of [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3 * 64 * 1024, 0, 5]) {
    const whole = `${"x".repeat(length % 3)}${"€".repeat(length)}`;
    text.add(encoder.encode(whole));
    assert.equal(text.take(), whole);
  }
});
