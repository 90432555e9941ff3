/**
 * Properties of the HTTP/2 hold's parser, on what real clients send and on generated frames: however the bytes are cut,
 * and whenever the daemon is connected, the daemon gets what the client sent, less our acknowledgement and the pings that
 * were answered.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { concat as join } from "../../lib/base/bytes.ts";
import {
  FLAG,
  FRAME,
  frame,
  FRAME_HEADER_BYTES,
  goAway,
  grpcError,
  LARGEST_FRAME_BYTES,
  parseFrameHeader,
  PREFACE,
  SETTINGS_ACK,
} from "../../lib/proxy/http2_frames.ts";
import { Http2Opening } from "../../lib/proxy/http2_opening.ts";

/** Inputs of the fuzz run; `FUZZ_INPUTS` asks for more. */
const FUZZ_INPUTS = Number(Deno.env.get("FUZZ_INPUTS") ?? 20_000);

const OPENINGS = [...Deno.readDirSync(new URL("openings/", import.meta.url))]
  .filter(({ name }) => name.endsWith(".bin"))
  .map(({ name }) => ({ name, bytes: Deno.readFileSync(new URL(`openings/${name}`, import.meta.url)) }));

/** What becomes of some pieces when the daemon is connected after `connectAfter` of them. */
function run(pieces: readonly Uint8Array[], connectAfter: number) {
  const opening = new Http2Opening();
  const kept: Uint8Array[] = [];
  const replies: Uint8Array[] = [];
  let malformed;
  for (const [i, piece] of pieces.entries()) {
    if (i === connectAfter) kept.push(...opening.connect());
    const step = opening.take(piece);
    kept.push(...step.kept);
    replies.push(...step.replies);
    malformed = step.malformed;
    if (malformed !== undefined) break;
  }
  if (malformed === undefined && connectAfter >= pieces.length) kept.push(...opening.connect());
  return { opening, malformed, kept: join(kept), replies: join(replies) };
}

function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set([0, ...cuts.map((c) => c % (bytes.byteLength + 1)), bytes.byteLength])].sort((
    a,
    b,
  ) => a - b);
  return at.slice(1).map((end, i) => bytes.slice(at[i], end));
}

/** The frames of a whole opening. */
function framesOf(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = PREFACE.byteLength; at < bytes.byteLength;) {
    const end = at + FRAME_HEADER_BYTES + parseFrameHeader(bytes.subarray(at)).lengthBytes;
    frames.push(bytes.slice(at, end));
    at = end;
  }
  return frames;
}

/** What the daemon is to see when it is connected only after all of this: worked out frame by frame. */
function expected(frames: readonly Uint8Array[]): { kept: Uint8Array; pings: number } {
  const kept: Uint8Array[] = [PREFACE];
  let owed = true;
  let pings = 0;
  for (const bytes of frames) {
    const { type, flags } = parseFrameHeader(bytes);
    const ack = (flags & FLAG.ack) !== 0;
    if (type === FRAME.settings && ack && owed) owed = false;
    else if (type === FRAME.ping && !ack) pings++;
    else kept.push(bytes);
  }
  return { kept: join(kept), pings };
}

for (const { name, bytes } of OPENINGS) {
  Deno.test(`Http2Opening gives the same for every cut of ${name} in two, wherever the daemon is connected`, () => {
    const frames = framesOf(bytes);
    const want = expected(frames);
    for (let at = 0; at <= bytes.byteLength; at++) {
      for (const connectAfter of [1, 2]) {
        const { kept, malformed, opening } = run([bytes.slice(0, at), bytes.slice(at)], connectAfter);
        assert.equal(malformed, undefined);
        // Connected before the preface was whole: nothing was said, so nothing is taken out.
        const early = connectAfter === 1 && at < PREFACE.byteLength;
        assert.deepEqual(kept, early ? bytes : want.kept);
        assert.equal(opening.kind, early ? "other" : "http2");
      }
    }
  });

  Deno.test(`Http2Opening gives the same for ${name} byte by byte`, () => {
    const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
    for (let connectAfter = PREFACE.byteLength; connectAfter <= pieces.length; connectAfter++) {
      assert.deepEqual(run(pieces, connectAfter).kept, expected(framesOf(bytes)).kept);
    }
  });
}

const anyPayload = fc.uint8Array({ maxLength: 64 });
const odd = fc.integer({ min: 0, max: 50 }).map((n) => 2 * n + 1);
const anyFrame = fc.oneof(
  fc.constant(SETTINGS_ACK),
  fc.uint8Array({ minLength: 8, maxLength: 8 }).map((data) => frame(FRAME.ping, 0, 0, data)),
  fc.uint8Array({ minLength: 8, maxLength: 8 }).map((data) => frame(FRAME.ping, FLAG.ack, 0, data)),
  fc.tuple(odd, anyPayload).map(([stream, data]) => frame(FRAME.headers, FLAG.endHeaders, stream, data)),
  fc.tuple(odd, anyPayload).map(([stream, data]) => frame(FRAME.data, 0, stream, data)),
  odd.map((stream) => frame(FRAME.rstStream, 0, stream, new Uint8Array(4))),
  fc.tuple(odd, anyPayload).map(([stream, data]) => frame(0x8, 0, stream, data)),
  fc.constant(goAway(0)),
);
const anyFrames = fc.array(anyFrame, { maxLength: 20 }).map((frames) => [
  frame(FRAME.settings, 0, 0, new Uint8Array(6)),
  ...frames,
]);

Deno.test("Http2Opening keeps and answers the same for generated frames, however they are cut", () => {
  fc.assert(
    fc.property(anyFrames, fc.array(fc.nat({ max: 5_000 })), (frames, cuts) => {
      const pieces = cut(join([PREFACE, ...frames]), cuts);
      const { kept, replies, malformed } = run(pieces, pieces.length);
      const want = expected(frames);
      assert.equal(malformed, undefined);
      assert.deepEqual(kept, want.kept);
      assert.equal(replies.byteLength, FRAME_HEADER_BYTES + want.pings * (FRAME_HEADER_BYTES + 8));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("Http2Opening takes nothing but one acknowledgement out once the daemon is connected, wherever that is", () => {
  fc.assert(
    fc.property(
      anyFrames,
      fc.array(fc.nat({ max: 5_000 })),
      fc.nat({ max: 30 }),
      (frames, cuts, connectAfter) => {
        const bytes = join([PREFACE, ...frames]);
        const pieces = [PREFACE, ...cut(bytes.slice(PREFACE.byteLength), cuts)];
        const { kept, replies } = run(pieces, 1 + connectAfter);
        const pings = (replies.byteLength - FRAME_HEADER_BYTES) / (FRAME_HEADER_BYTES + 8);
        // Frames come out in order; what is missing are the answered pings before the connect, and one acknowledgement.
        const seen = framesOf(kept).map(String);
        const sent = frames.map(String);
        let missingPings = 0, missingAcks = 0, at = 0;
        for (const one of sent) {
          if (seen[at] === one) at++;
          else if (one === String(SETTINGS_ACK)) missingAcks++;
          else missingPings++;
        }
        assert.equal(at, seen.length);
        assert.equal(missingPings, pings);
        assert.equal(missingAcks, sent.includes(String(SETTINGS_ACK)) ? 1 : 0);
      },
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("Http2Opening passes everything that is no HTTP/2 untouched", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat({ max: 200 })), (bytes, cuts) => {
    fc.pre(join([bytes, PREFACE]).subarray(0, PREFACE.byteLength).some((byte, i) => byte !== PREFACE[i]));
    const pieces = cut(bytes, cuts);
    const { kept, replies, opening } = run(pieces, pieces.length);
    assert.deepEqual(kept, bytes);
    assert.equal(replies.byteLength, 0);
    assert.notEqual(opening.kind, "http2");
  }));
});

Deno.test("Http2Opening answers every call with the error once it refuses, and keeps nothing more", () => {
  const opening = new Http2Opening();
  const call = (stream: number) => frame(FRAME.headers, FLAG.endHeaders, stream, Uint8Array.of(0x82));
  opening.take(join([PREFACE, frame(FRAME.settings, 0, 0, new Uint8Array()), call(1), call(3), call(5)]));
  opening.take(frame(FRAME.rstStream, 0, 3, new Uint8Array(4)));
  const refusal = { status: 4, message: "too late" };
  assert.deepEqual(join(opening.refuse(refusal)), join([1, 5].map((id) => grpcError(id, 4, "too late"))));
  const { kept, replies } = opening.take(
    join([call(7), frame(FRAME.data, 1, 7, new Uint8Array(5)), SETTINGS_ACK]),
  );
  assert.deepEqual(kept, []);
  assert.deepEqual(join(replies), grpcError(7, 4, "too late"));
});

Deno.test("Http2Opening names what breaks the protocol", () => {
  const settings = frame(FRAME.settings, 0, 0, new Uint8Array());
  const cases: [string, readonly Uint8Array[]][] = [
    ["the first frame has type 0", [frame(FRAME.data, 0, 1, new Uint8Array())]],
    ["the first frame has type 4", [SETTINGS_ACK]],
    ["a frame of 16385 bytes", [settings, frame(FRAME.data, 0, 1, new Uint8Array(LARGEST_FRAME_BYTES + 1))]],
    ["SETTINGS of 5 bytes", [frame(FRAME.settings, 0, 0, new Uint8Array(5))]],
    ["SETTINGS of 6 bytes", [settings, frame(FRAME.settings, FLAG.ack, 0, new Uint8Array(6))]],
    ["SETTINGS on stream 1", [frame(FRAME.settings, 0, 1, new Uint8Array())]],
    ["PING of 7 bytes", [settings, frame(FRAME.ping, 0, 0, new Uint8Array(7))]],
    ["PING on stream 1", [settings, frame(FRAME.ping, 0, 1, new Uint8Array(8))]],
    ["GOAWAY on stream 1", [settings, frame(FRAME.goAway, 0, 1, new Uint8Array(8))]],
    ["HEADERS on stream 2", [settings, frame(FRAME.headers, 0, 2, new Uint8Array())]],
    ["HEADERS on stream 0", [settings, frame(FRAME.headers, 0, 0, new Uint8Array())]],
    ["DATA on stream 0", [settings, frame(FRAME.data, 0, 0, new Uint8Array())]],
    ["RST_STREAM on stream 0", [settings, frame(FRAME.rstStream, 0, 0, new Uint8Array(4))]],
    ["RST_STREAM of 3 bytes", [settings, frame(FRAME.rstStream, 0, 1, new Uint8Array(3))]],
  ];
  for (const [why, frames] of cases) {
    assert.equal(run([join([PREFACE, ...frames])], 1).malformed?.why, why);
  }
});

Deno.test(`Http2Opening survives ${FUZZ_INPUTS} broken inputs: no crash, no reordering, nothing kept twice`, () => {
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const base = OPENINGS.filter(({ name }) => name.includes("settings")).map(({ bytes }) => bytes);
  for (let i = 0; i < FUZZ_INPUTS; i++) {
    const bytes = base[random(base.length)]!.slice();
    for (let flips = random(6); flips > 0; flips--) bytes[random(bytes.length)] = random(256);
    const input = bytes.subarray(0, random(bytes.length + 1));
    const pieces = cut(input, [random(1e6), random(1e6), random(1e6)]);
    const { kept, replies } = run(pieces, random(5));
    assert.ok(kept.byteLength <= input.byteLength);
    assert.ok(replies.byteLength <= input.byteLength + FRAME_HEADER_BYTES);
    // What is kept is a subsequence of what was sent.
    let at = 0;
    for (const byte of input) if (at < kept.length && kept[at] === byte) at++;
    assert.equal(at, kept.length, `input ${i}`);
  }
});
