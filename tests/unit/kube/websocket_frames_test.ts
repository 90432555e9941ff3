/** Tests of the frames of RFC 6455, byte by byte. @module */
import assert from "node:assert/strict";
import {
  clientFrame,
  FrameError,
  OPCODE,
  parseClose,
  parseFrameHeader,
} from "../../../lib/kube/websocket_frames.ts";

const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));

Deno.test("clientFrame() masks as the example of RFC 6455, 5.7 does", () => {
  const hello = new TextEncoder().encode("Hello");
  assert.deepEqual(clientFrame(OPCODE.text, 0x37fa213d, [], hello), hex("81 85 37 fa 21 3d 7f 9f 4d 51 58"));
});

for (const [bytes, header] of [[0, 2], [125, 2], [126, 4], [65_535, 4], [65_536, 10]] as const) {
  Deno.test(`clientFrame() says the length of ${bytes} bytes in a header of ${header} bytes, and the mask undoes itself`, () => {
    const rest = Uint8Array.from({ length: bytes }, (_, at) => at * 7 % 251);
    const frame = clientFrame(OPCODE.binary, 0x01020304, [], rest);
    assert.equal(frame.length, header + 4 + bytes);
    const unmasked = frame.slice();
    unmasked[1]! &= 0x7f;
    const parsed = parseFrameHeader(unmasked);
    assert.deepEqual(parsed, { opcode: 2, isFinal: true, payloadBytes: bytes, headerBytes: header });
    const mask = frame.subarray(header, header + 4);
    assert.deepEqual(mask, Uint8Array.of(1, 2, 3, 4));
    const payload = frame.slice(header + 4).map((byte, at) => byte ^ mask[at % 4]!);
    assert.deepEqual(payload, rest);
  });
}

Deno.test("parseFrameHeader() waits for all bytes of a header", () => {
  for (const whole of ["82 05", "82 7e 01 00", "82 7f 00 00 00 00 00 01 00 00"].map(hex)) {
    for (let length = 0; length < whole.length; length++) {
      assert.equal(parseFrameHeader(whole.subarray(0, length)), undefined, `${length} bytes`);
    }
    assert.equal(parseFrameHeader(whole)?.headerBytes, whole.length);
  }
});

const BAD = {
  "a masked frame": "82 85 01 02 03 04",
  "RSV1": "c2 00",
  "RSV2": "a2 00",
  "RSV3": "92 00",
  "opcode 3": "83 00",
  "opcode 7": "87 00",
  "opcode 11": "8b 00",
  "opcode 15": "8f 00",
  "a Ping in parts": "09 00",
  "a Close in parts": "08 00",
  "a Ping of 126 bytes": "89 7e 00 7e",
  "a Close with a length of 64 bits": "88 7f 00 00 00 00 00 00 00 01",
  "a length of 125 in two bytes": "82 7e 00 7d",
  "a length of 65,535 in eight bytes": "82 7f 00 00 00 00 00 00 ff ff",
  "a length of 2^63": "82 7f 80 00 00 00 00 00 00 00",
  "a length of 2^53": "82 7f 00 20 00 00 00 00 00 00",
};
for (const [what, bytes] of Object.entries(BAD)) {
  Deno.test(`parseFrameHeader() refuses ${what}`, () => {
    assert.throws(() => parseFrameHeader(hex(bytes)), FrameError);
  });
}

Deno.test("parseClose() gives code and reason, and 1005 where there is none", () => {
  assert.deepEqual(parseClose(hex("03 e9 62 79 65")), { code: 1001, reason: "bye" });
  assert.deepEqual(parseClose(hex("")), { code: 1005, reason: "" });
  assert.deepEqual(parseClose(hex("03")), { code: 1005, reason: "" });
});
