/**
 * Properties of the HTTP/2 hold's parser, on what real clients send and on generated frames: however the bytes are cut,
 * and whenever the daemon is connected, the daemon gets what the client sent, less our acknowledgement and the pings that
 * were answered.
 *
 * @module
 */
import fc from "fast-check";
import assert from "node:assert/strict";
import { concat as join } from "../../lib/base/bytes.ts";
import { ERROR, goAway, grpcErrors } from "../../lib/proxy/http2_errors.ts";
import { Http2Opening } from "../../lib/proxy/http2_opening.ts";
import { OPEN_CALLS_LIMIT } from "../../lib/proxy/open_calls.ts";
import {
  EMPTY_SETTINGS,
  FLAG,
  FRAME,
  frame,
  FRAME_HEADER_BYTES,
  LARGEST_FRAME_BYTES,
  parseFrameHeader,
  PREFACE,
  SETTINGS_ACK,
} from "../../lib/target/http2_frames.ts";

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
    if (i === connectAfter) kept.push(...opening.connected());
    const step = opening.take(piece);
    kept.push(...step.kept);
    replies.push(...step.replies);
    malformed = step.malformed;
    if (malformed !== undefined) break;
  }
  if (malformed === undefined && connectAfter >= pieces.length) kept.push(...opening.connected());
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

/** What answers a PING. */
function pong(ping: Uint8Array): Uint8Array {
  return frame(FRAME.ping, FLAG.ack, 0, ping.subarray(FRAME_HEADER_BYTES));
}

/** What the daemon and the client are to see when the daemon is connected only after all of this: worked out frame by frame. */
function expected(frames: readonly Uint8Array[]): { kept: Uint8Array; replies: Uint8Array } {
  const kept: Uint8Array[] = [PREFACE];
  const replies: Uint8Array[] = [EMPTY_SETTINGS];
  let owed = true;
  for (const bytes of frames) {
    const { type, flags } = parseFrameHeader(bytes);
    const ack = (flags & FLAG.ack) !== 0;
    if (type === FRAME.settings && ack && owed) owed = false;
    else if (type === FRAME.ping && !ack) replies.push(pong(bytes));
    else kept.push(bytes);
  }
  return { kept: join(kept), replies: join(replies) };
}

for (const { name, bytes } of OPENINGS) {
  Deno.test(`Http2Opening gives the same for every cut of ${name} in two, wherever the daemon is connected`, () => {
    const frames = framesOf(bytes);
    const want = expected(frames);
    for (let at = 0; at <= bytes.byteLength; at++) {
      for (const connectAfter of [1, 2]) {
        const { kept, replies, malformed, opening } = run(
          [bytes.slice(0, at), bytes.slice(at)],
          connectAfter,
        );
        assert.equal(malformed, undefined);
        // Connected before the preface was whole: nothing was said, so nothing is taken out.
        const early = connectAfter === 1 && at < PREFACE.byteLength;
        assert.deepEqual(kept, early ? bytes : want.kept);
        assert.equal(opening.kind, early ? "other" : "http2");
        if (connectAfter === 2) assert.deepEqual(replies, want.replies);
      }
    }
  });

  Deno.test(`Http2Opening gives the same for ${name} byte by byte`, () => {
    const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
    for (let connectAfter = PREFACE.byteLength; connectAfter <= pieces.length; connectAfter++) {
      assert.deepEqual(run(pieces, connectAfter).kept, expected(framesOf(bytes)).kept);
    }
    assert.deepEqual(run(pieces, pieces.length).replies, expected(framesOf(bytes)).replies);
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
      assert.deepEqual(replies, want.replies);
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
        // Frames come out in order; what is missing are the answered pings before the connect, and one acknowledgement.
        const seen = framesOf(kept).map(String);
        const sent = frames.map(String);
        const answers = [EMPTY_SETTINGS];
        let missingAcks = 0, at = 0;
        for (const [i, one] of sent.entries()) {
          if (seen[at] === one) at++;
          else if (one === String(SETTINGS_ACK)) missingAcks++;
          else answers.push(pong(frames[i]!));
        }
        assert.equal(at, seen.length);
        assert.deepEqual(replies, join(answers));
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
  assert.deepEqual([...opening.refuse(refusal)], [...grpcErrors([1, 5], 4, "too late")]);
  const { kept, replies, answers = [] } = opening.take(
    join([call(7), frame(FRAME.data, 1, 7, new Uint8Array(5)), SETTINGS_ACK, call(9)]),
  );
  assert.deepEqual(kept, []);
  assert.deepEqual(replies, []);
  assert.deepEqual([...answers], [...grpcErrors([7, 9], 4, "too late")]);
});

const SETTINGS = frame(FRAME.settings, 0, 0, new Uint8Array());

Deno.test("Http2Opening takes HEADERS alone for a call", () => {
  const opening = new Http2Opening();
  const others = [
    SETTINGS,
    frame(FRAME.ping, FLAG.ack, 0, new Uint8Array(8)),
    frame(FRAME.data, 0, 5, new Uint8Array(5)),
    frame(FRAME.rstStream, 0, 7, new Uint8Array(4)),
    frame(0x8, 0, 9, new Uint8Array(4)), // WINDOW_UPDATE
  ];
  assert.equal(opening.take(join([PREFACE, ...others])).malformed, undefined);
  assert.deepEqual([...opening.refuse({ status: 4, message: "too late" })], []);
});

/** So many calls as short as can be, from the given stream on. */
function calls(count: number, from = 1): Uint8Array {
  return join(
    Array.from(
      { length: count },
      (_, i) => frame(FRAME.headers, FLAG.endHeaders, from + 2 * i, new Uint8Array()),
    ),
  );
}

Deno.test(`Http2Opening lets ${OPEN_CALLS_LIMIT} calls be open, and asks the client to calm down at one more`, () => {
  assert.equal(OPEN_CALLS_LIMIT, 1_000);
  const opening = new Http2Opening();
  assert.equal(opening.take(join([PREFACE, SETTINGS, calls(OPEN_CALLS_LIMIT)])).malformed, undefined);
  assert.equal(opening.take(calls(1, 7)).malformed, undefined, "HEADERS of an open call");
  const rst = frame(FRAME.rstStream, 0, 7, new Uint8Array(4));
  assert.equal(opening.take(join([rst, calls(1, 20_001)])).malformed, undefined, "one was given up");
  assert.equal(opening.streams.length, OPEN_CALLS_LIMIT);
  assert.deepEqual(opening.take(calls(1, 20_003)).malformed, {
    code: ERROR.enhanceYourCalm,
    why: "more than 1000 open calls",
  });
});

Deno.test("Http2Opening does not limit open calls once the daemon is connected", () => {
  const opening = new Http2Opening();
  opening.take(join([PREFACE, SETTINGS, calls(OPEN_CALLS_LIMIT)]));
  opening.connected();
  assert.equal(opening.take(calls(10, 20_001)).malformed, undefined);
});

Deno.test(`Http2Opening answers ${OPEN_CALLS_LIMIT} calls after it has refused, and then no more`, () => {
  const opening = new Http2Opening();
  opening.take(join([PREFACE, SETTINGS]));
  assert.deepEqual([...opening.refuse({ status: 4, message: "too late" })], []);
  const { answers = [], malformed } = opening.take(calls(OPEN_CALLS_LIMIT));
  assert.equal(malformed, undefined);
  assert.equal(framesOf(join([PREFACE, ...answers])).length, OPEN_CALLS_LIMIT);
  const last = opening.take(calls(1, 20_001));
  assert.equal(last.answers, undefined);
  assert.equal(last.malformed?.code, ERROR.enhanceYourCalm);
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

/** Where `part` begins in `bytes`, from `from` on; -1 if nowhere. */
function indexOf(bytes: Uint8Array, part: Uint8Array, from: number): number {
  for (let at = from; at + part.byteLength <= bytes.byteLength; at++) {
    if (part.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

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
    // What is said is SETTINGS, and then answers to pings that were sent, in their order.
    const said = framesOf(join([PREFACE, replies]));
    if (said.length > 0) assert.deepEqual(said[0], EMPTY_SETTINGS);
    let after = 0;
    for (const answer of said.slice(1)) {
      assert.deepEqual(answer, pong(answer));
      after = indexOf(input, answer.subarray(FRAME_HEADER_BYTES), after);
      assert.ok(after >= 0, `input ${i}: an answer to a ping that was not sent`);
      after += 8;
    }
    // What is kept is a subsequence of what was sent.
    let at = 0;
    for (const byte of input) if (at < kept.length && kept[at] === byte) at++;
    assert.equal(at, kept.length, `input ${i}`);
  }
});
