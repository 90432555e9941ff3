/** Tests of `ClientCalls`: how calls lie in frames, and what is too odd to go on. @module */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { ClientCalls, LONGEST_BLOCK_BYTES, MOST_STEPS } from "../../../lib/proxy/client_calls.ts";
import { FLAG, FRAME, frame, PREFACE } from "../../../lib/target/http2_frames.ts";
import { BEGIN, blockOf, callTo, headers, SOLVE, WATCH } from "../../support/calls.ts";
import { hex, hpackText, indexed, remembered } from "../../support/hpack.ts";

const { endHeaders, padded, priority } = FLAG;

/** What comes out when bytes come in one piece, which must be the same as byte by byte. */
function read(...parts: readonly Uint8Array[]) {
  const bytes = concat([BEGIN, ...parts]);
  const whole = new ClientCalls();
  const calls = whole.take(bytes);
  const slow = new ClientCalls();
  assert.deepEqual([...bytes].flatMap((byte) => slow.take(Uint8Array.of(byte))), calls);
  assert.equal(slow.over, whole.over);
  return { calls, over: whole.over };
}

Deno.test("ClientCalls reads calls between other frames", () => {
  const others = [
    frame(FRAME.settings, FLAG.ack, 0, new Uint8Array()),
    frame(FRAME.ping, 0, 0, new Uint8Array(8)),
    frame(FRAME.data, 0, 1, new Uint8Array(16_384)),
    frame(FRAME.data, 0, 1, new Uint8Array()),
    frame(0x8, 0, 0, new Uint8Array(4)),
    frame(0x77, 0xff, 1, new Uint8Array(100)),
    frame(FRAME.rstStream, 0, 1, new Uint8Array(4)),
  ];
  const { calls, over } = read(
    ...others.slice(0, 2),
    headers(1, blockOf(SOLVE)),
    ...others,
    headers(3, blockOf(WATCH)),
  );
  assert.deepEqual(calls, [callTo(SOLVE), callTo(WATCH)]);
  assert.equal(over, false);
});

Deno.test("ClientCalls reports a call as soon as its headers are complete", () => {
  const reader = new ClientCalls();
  const bytes = concat([BEGIN, headers(1, blockOf(SOLVE))]);
  assert.deepEqual(reader.take(bytes.subarray(0, -1)), []);
  assert.deepEqual(reader.take(bytes.subarray(-1)), [callTo(SOLVE)]);
});

Deno.test("ClientCalls remembers fields from one call to the next", () => {
  const first = concat([remembered(":path", SOLVE), remembered(":authority", "b")]);
  assert.deepEqual(read(headers(1, first), headers(3, concat([indexed(62), indexed(63)]))), {
    calls: [callTo(SOLVE, "b"), callTo(SOLVE, "b")],
    over: false,
  });
});

Deno.test("ClientCalls strips padding and priority", () => {
  const block = blockOf(SOLVE);
  const weight = new Uint8Array(5).fill(7);
  const fives = (count: number) => new Uint8Array(count).fill(5);
  const frames = [
    frame(FRAME.headers, endHeaders | priority, 1, concat([weight, block])),
    frame(FRAME.headers, endHeaders | padded, 3, concat([Uint8Array.of(9), block, fives(9)])),
    frame(FRAME.headers, endHeaders | padded, 5, concat([Uint8Array.of(0), block])),
    frame(
      FRAME.headers,
      endHeaders | padded | priority | FLAG.endStream,
      7,
      concat([Uint8Array.of(255), weight, block, fives(255)]),
    ),
  ];
  assert.deepEqual(read(...frames), { calls: Array(4).fill(callTo(SOLVE)), over: false });
});

Deno.test("ClientCalls takes HEADERS that have padding and nothing of their block", () => {
  const frames = [
    frame(FRAME.headers, padded, 1, Uint8Array.of(2, 0, 0)),
    frame(FRAME.continuation, endHeaders, 1, blockOf(SOLVE)),
  ];
  assert.deepEqual(read(...frames), { calls: [callTo(SOLVE)], over: false });
});

Deno.test("ClientCalls appends what CONTINUATION brings", () => {
  const block = blockOf(SOLVE);
  const [a, b, c] = [block.subarray(0, 3), block.subarray(3, 20), block.subarray(20)];
  const continued = [
    frame(FRAME.headers, padded, 1, concat([Uint8Array.of(2), a, Uint8Array.of(1, 1)])),
    // These flags mean something for HEADERS only.
    frame(FRAME.continuation, padded | priority, 1, b),
    frame(FRAME.continuation, 0, 1, new Uint8Array()),
    frame(FRAME.continuation, endHeaders, 1, c),
  ];
  const { calls, over } = read(...continued, headers(3, blockOf(WATCH)));
  assert.deepEqual(calls, [callTo(SOLVE), callTo(WATCH)]);
  assert.equal(over, false);
});

/** A block of just so many bytes. */
function blockOfBytes(bytes: number): Uint8Array {
  const empty = blockOf(SOLVE, "").byteLength;
  // A length takes two bytes more from 255 on.
  return blockOf(SOLVE, "a".repeat(bytes - empty - 2));
}

Deno.test("ClientCalls reads blocks of up to 8 KiB, in one frame or in several", () => {
  assert.equal(LONGEST_BLOCK_BYTES, 8_192);
  for (const [bytes, over] of [[8_192, false], [8_193, true]] as const) {
    const block = blockOfBytes(bytes);
    assert.equal(block.byteLength, bytes);
    const start = frame(FRAME.headers, 0, 1, block.subarray(0, 5_000));
    const rest = frame(FRAME.continuation, endHeaders, 1, block.subarray(5_000));
    for (const frames of [[headers(1, block)], [start, rest]]) {
      const result = read(...frames);
      assert.equal(result.over, over);
      assert.equal(result.calls.length, over ? 0 : 1);
    }
  }
});

const PING = frame(FRAME.ping, 0, 0, new Uint8Array(8));

/** An empty field that must be remembered, in two bytes: its name is number 19. */
const SHORTEST_FIELD = Uint8Array.of(0x40 | 19, 0);

/** In which of up to `most` such reads `ClientCalls` gives up; undefined if it does not. */
function overInRead(bytes: Uint8Array, most: number): number | undefined {
  const reader = new ClientCalls();
  reader.take(BEGIN);
  for (let read = 1; read <= most; read++) {
    reader.take(bytes);
    if (reader.over) return read;
  }
  return undefined;
}

Deno.test("ClientCalls reads a watcher's calls and small frames for as long as its connection lasts", () => {
  const fields = [[":path", WATCH], [":authority", "a:8372"], ["te", "trailers"], [
    "user-agent",
    "grpc-go/1",
  ]];
  const first = concat(fields.map(([name, value]) => remembered(name!, value!)));
  const trace = hpackText("00-0d57d8f49cf953dd97dedaa6e0bce611-00f067aa0ba902b7-01");
  const later = concat([...[3, 6, 65, 64, 63, 62].map(indexed), hex("00"), hpackText("traceparent"), trace]);
  const call = concat([headers(3, later), frame(FRAME.data, FLAG.endStream, 3, new Uint8Array(5))]);
  // What grpc-go sends for an event that it has received.
  const acknowledged = concat([0, 1].map((stream) => frame(0x8, 0, stream, new Uint8Array(4))).concat(PING));
  const reader = new ClientCalls();
  reader.take(concat([BEGIN, headers(1, first)]));
  for (let i = 0; i < 10_000; i++) {
    assert.equal(reader.take(call).length, 1);
    for (let event = 0; event < 10; event++) reader.take(acknowledged);
  }
  assert.equal(reader.over, false);
});

Deno.test("ClientCalls reads any number of large frames", () => {
  const data = frame(FRAME.data, 0, 1, new Uint8Array(16_384));
  assert.equal(overInRead(concat(Array<Uint8Array>(16).fill(data)), 10_000), undefined);
});

const manyFields = concat([blockOf(WATCH), ...Array<Uint8Array>(200).fill(SHORTEST_FIELD)]);
const LITTLE: Readonly<Record<string, Uint8Array>> = {
  "PINGs": PING,
  "empty DATA": frame(FRAME.data, 0, 1, new Uint8Array()),
  "unknown frames": frame(0xfe, 0, 0, new Uint8Array()),
  "calls": headers(1, blockOf(WATCH)),
  "calls of 200 fields": headers(1, manyFields),
  "calls of 4 KiB": headers(1, blockOfBytes(4_096)),
  "CONTINUATION without content": frame(FRAME.continuation, 0, 1, new Uint8Array()),
};

for (const [what, one] of Object.entries(LITTLE)) {
  Deno.test(`ClientCalls gives up on a client that sends many ${what} at a time`, () => {
    const begin = what.startsWith("CONTINUATION") ? [frame(FRAME.headers, 0, 1, new Uint8Array())] : [];
    const some = concat([...begin, ...Array<Uint8Array>(Math.ceil(4_096 / one.byteLength)).fill(one)]);
    assert.ok((overInRead(some, 20) ?? Infinity) <= 10, "reads of 4 KiB");
    const many = concat([...begin, ...Array<Uint8Array>(MOST_STEPS + 1).fill(one)]);
    assert.equal(overInRead(many, 1), 1, "one large read");
  });
}

Deno.test("ClientCalls decodes no header block once it may parse no more of a read", () => {
  const reader = new ClientCalls();
  const pings = Array<Uint8Array>(MOST_STEPS - 10).fill(PING);
  assert.equal(reader.take(concat([BEGIN, ...pings, headers(1, blockOfBytes(4_096))])).length, 0);
  assert.equal(reader.over, true);
});

/** What must end the reading, each for one reason only. */
const ODD: readonly (readonly [what: string, frames: readonly Uint8Array[]])[] = [
  ["another frame between those of a block", [
    frame(FRAME.headers, 0, 1, blockOf(WATCH)),
    frame(FRAME.ping, 0, 0, new Uint8Array(8)),
  ]],
  ["HEADERS between the frames of a block", [
    frame(FRAME.headers, 0, 1, blockOf(WATCH)),
    headers(1, blockOf(WATCH)),
  ]],
  ["CONTINUATION of another stream", [
    frame(FRAME.headers, 0, 1, blockOf(WATCH)),
    frame(FRAME.continuation, endHeaders, 3, new Uint8Array()),
  ]],
  ["CONTINUATION of nothing", [frame(FRAME.continuation, endHeaders, 1, blockOf(WATCH))]],
  ["padding longer than its frame", [
    frame(FRAME.headers, endHeaders | padded, 1, concat([Uint8Array.of(250), blockOf(WATCH)])),
  ]],
  ["padding longer than its frame, before the block", [
    frame(FRAME.headers, padded, 1, Uint8Array.of(1)),
    frame(FRAME.continuation, endHeaders, 1, blockOf(WATCH)),
  ]],
  ["padding without its length", [frame(FRAME.headers, endHeaders | padded, 1, new Uint8Array())]],
  ["a priority that is cut short", [frame(FRAME.headers, endHeaders | priority, 1, new Uint8Array(4))]],
  ["a block that HPACK does not allow", [headers(1, concat([blockOf(WATCH), indexed(62)]))]],
  ["headers without a path", [headers(1, indexed(3))]],
  ["a frame that breaks HTTP/2", [frame(FRAME.ping, 0, 0, new Uint8Array(7))]],
  ["a second preface", [PREFACE]],
];

for (const [what, frames] of ODD) {
  Deno.test(`ClientCalls reads no more after ${what}`, () => {
    const call = headers(1, blockOf(SOLVE));
    const after = headers(5, blockOf(SOLVE));
    assert.deepEqual(read(call, ...frames, after), { calls: [callTo(SOLVE)], over: true });
    for (const rest of [[], [after]]) {
      assert.deepEqual(read(...frames, ...rest), { calls: [], over: true });
    }
  });
}

Deno.test("ClientCalls is over with the frame's header or the block's last byte that is odd, not later", () => {
  const reader = new ClientCalls();
  reader.take(BEGIN);
  reader.take(frame(FRAME.ping, 0, 0, new Uint8Array(7)).subarray(0, 8));
  assert.equal(reader.over, false);
  reader.take(Uint8Array.of(0));
  assert.equal(reader.over, true);
});

Deno.test("ClientCalls is over at the first byte that is not HTTP/2's", () => {
  for (let at = 0; at < PREFACE.byteLength; at++) {
    const bytes = PREFACE.slice();
    bytes[at]! ^= 1;
    const reader = new ClientCalls();
    reader.take(bytes.subarray(0, at));
    assert.equal(reader.over, false);
    reader.take(bytes.subarray(at, at + 1));
    assert.equal(reader.over, true);
    assert.deepEqual(reader.take(concat([BEGIN, headers(1, blockOf(SOLVE))])), []);
  }
});

Deno.test("ClientCalls wants SETTINGS first", () => {
  const reader = new ClientCalls();
  assert.deepEqual(reader.take(concat([PREFACE, headers(1, blockOf(SOLVE))])), []);
  assert.equal(reader.over, true);
});
