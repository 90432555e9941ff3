/**
 * Tests of one health check on a connection in memory: what it asks, and what it makes of every kind of answer.
 *
 * @module
 */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  type Frame,
  headerBlock,
} from "../../../lib/miniature/stub_http2.ts";
import type { HealthAnswer } from "../../../lib/scaler/readiness.ts";
import { checkHealth } from "../../../lib/target/health_check.ts";
import { LARGEST_FRAME_BYTES, PREFACE } from "../../../lib/target/http2_frames.ts";
import { bytesOf, framesOf, literalFields, ping, SETTINGS_ACK } from "../../support/http2_client.ts";
import { MemoryConn, type MemoryOptions, readAll } from "../../support/memory_network.ts";
import { VirtualClient } from "../../support/virtual_client.ts";
import { settle } from "../../support/virtual_clock.ts";

const NO_BYTES = new Uint8Array();
const SETTINGS: Frame = { type: FRAME.settings, flags: 0, stream: 0, payload: NO_BYTES };
const HEADERS: Frame = {
  type: FRAME.headers,
  flags: END_HEADERS,
  stream: 1,
  payload: headerBlock([[":status", "200"], ["content-type", "application/grpc"]]),
};
const GOAWAY: Frame = { type: FRAME.goAway, flags: 0, stream: 0, payload: new Uint8Array(8) };

function data(bytes: readonly number[], { flags = 0, stream = 1 } = {}): Frame {
  return { type: FRAME.data, flags, stream, payload: Uint8Array.from(bytes) };
}

/** `HealthCheckResponse` with a status: a gRPC message. */
const message = (status: number) => [0, 0, 0, 0, 2, 8, status];

/** A check under way, with the daemon in the test's hand. */
async function begin(options: MemoryOptions = {}) {
  const [conn, theirs] = MemoryConn.pair(options);
  const daemon = new VirtualClient(theirs);
  const stop = new AbortController();
  const state: { answer?: HealthAnswer | "closed" } = {};
  const checking = checkHealth(conn, stop.signal).then((answer) => {
    state.answer = answer;
    assert.ok(conn.closed, "the connection is closed");
    assert.equal(getEventListeners(stop.signal, "abort").length, 0, "nothing is left at the signal");
  });
  await settle();
  return { conn, daemon, stop, state, checking };
}

Deno.test("checkHealth() asks what a gRPC client would ask, for the whole server", async () => {
  const { conn, daemon, checking } = await begin();
  assert.ok(daemon.text.startsWith(new TextDecoder().decode(PREFACE)));
  const frames = framesOf(daemon.bytes.subarray(PREFACE.byteLength));
  assert.deepEqual(frames.map(({ type, flags, stream }) => [type, flags, stream]), [
    [FRAME.settings, 0, 0],
    [FRAME.headers, END_HEADERS, 1],
    [FRAME.data, END_STREAM, 1],
  ]);
  // Sources: PROTOCOL-HTTP2.md and health-checking.md of gRPC.
  assert.deepEqual(literalFields(frames[1]!.payload), {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/grpc.health.v1.Health/Check",
    ":authority": "buildkitd",
    "content-type": "application/grpc",
    te: "trailers",
    "user-agent": "buildkitd-autoscaler",
  });
  assert.deepEqual([...frames[2]!.payload], [0, 0, 0, 0, 0], "an empty message, not compressed");
  daemon.close();
  await checking;
  assert.ok(conn.closed);
});

const BIG = LARGEST_FRAME_BYTES;

/** What the daemon sends, and what that means; `undefined` while it may still answer. */
const ANSWERS:
  readonly (readonly [what: string, sent: readonly (Frame | Uint8Array)[], HealthAnswer | undefined])[] = [
    ["SERVING", [SETTINGS, SETTINGS_ACK, HEADERS, data(message(1))], "serving"],
    ["SERVING, and the end", [SETTINGS, HEADERS, data(message(1), { flags: END_STREAM })], "serving"],
    ["SERVING in two frames", [SETTINGS, HEADERS, data([0, 0, 0]), data([0, 2, 8, 1])], "serving"],
    [
      "SERVING in two frames, cut after its length",
      [HEADERS, data([0, 0, 0, 0, 2]), data([8, 1])],
      "serving",
    ],
    ["SERVING after a large frame of another stream", [
      data(Array(BIG).fill(0), { stream: 3 }),
      data(message(1)),
    ], "serving"],
    [
      "SERVING after 48 KiB",
      [...Array(3).fill(data(Array(BIG).fill(0), { stream: 3 })), data(message(1))],
      "serving",
    ],
    ["NOT_SERVING", [SETTINGS, HEADERS, data(message(2))], "not_serving"],
    ["UNKNOWN, an empty message", [SETTINGS, HEADERS, data([0, 0, 0, 0, 0])], "not_serving"],
    ["a compressed message", [SETTINGS, HEADERS, data([1, 0, 0, 0, 2, 8, 1])], "not_serving"],
    [
      "an error without a message",
      [SETTINGS, { ...HEADERS, flags: END_HEADERS | END_STREAM }],
      "unsupported",
    ],
    [
      "the end within a message",
      [SETTINGS, HEADERS, data([0, 0, 0, 0, 2, 8], { flags: END_STREAM })],
      "unsupported",
    ],
    [
      "RST_STREAM",
      [SETTINGS, { type: FRAME.rstStream, flags: 0, stream: 1, payload: new Uint8Array(4) }],
      "unsupported",
    ],
    ["TLS", [Uint8Array.of(0x15, 3, 3, 0, 2, 2, 10, 0, 0)], "unsupported"],
    ["HTTP/1", [new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")], "unsupported"],
    ["a frame that is too large", [SETTINGS, data(Array(BIG + 1).fill(0), { stream: 3 })], "unsupported"],
    ["more than 64 KiB", Array(5).fill(data(Array(BIG).fill(0), { stream: 3 })), "unsupported"],
    ["GOAWAY", [SETTINGS, GOAWAY], "missed"],
    ["nothing", [], undefined],
    ["HEADERS only", [SETTINGS, HEADERS], undefined],
    ["a part of a message", [SETTINGS, HEADERS, data([0, 0, 0, 0, 2, 8])], undefined],
    ["a part of a frame", [bytesOf(HEADERS, data(message(1))).slice(0, -1)], undefined],
    ["the end of another call", [SETTINGS, data(message(1), { flags: END_STREAM, stream: 3 })], undefined],
  ];

Deno.test("checkHealth() knows what each answer means, however its bytes arrive", async () => {
  for (const readBytes of [undefined, () => 1]) {
    for (const [what, sent, want] of ANSWERS) {
      const bytes = bytesOf(...sent);
      if (readBytes !== undefined && bytes.byteLength > 1_000) continue;
      const { daemon, state, stop, checking } = await begin({
        capacityBytes: 1024 * 1024,
        ...readBytes && { readBytes },
      });
      await daemon.send(bytes).catch(() => {}); // it has its answer before the end
      for (let i = 0; i < (readBytes === undefined ? 3 : bytes.byteLength); i++) await settle();
      assert.equal(state.answer, want, what);
      stop.abort();
      await checking;
    }
  }
});

Deno.test("checkHealth() reports no health service if the connection ends without an answer", async () => {
  for (const sent of [[], [SETTINGS], [SETTINGS, HEADERS]]) {
    for (const how of ["close", "break"] as const) {
      const { daemon, state, checking } = await begin();
      await daemon.send(bytesOf(...sent));
      await settle();
      daemon[how]();
      await checking;
      assert.equal(state.answer, sent.length === 0 ? "closed" : "unsupported");
    }
  }
});

Deno.test("checkHealth() takes a check that is stopped for missed, and closes its connection at once", async () => {
  const { conn, state, stop, checking } = await begin();
  stop.abort(new Error("too late"));
  assert.ok(conn.closed);
  await checking;
  assert.equal(state.answer, "missed");
});

Deno.test("checkHealth() does not begin a check that was stopped before, and closes its connection", async () => {
  const [conn, theirs] = MemoryConn.pair();
  assert.equal(await checkHealth(conn, AbortSignal.abort(new Error("too late"))), "missed");
  assert.ok(conn.closed);
  assert.equal((await readAll(theirs)).byteLength, 0);
});

Deno.test("checkHealth() acknowledges SETTINGS and answers a PING, and no acknowledgement of either", async () => {
  const { daemon, state, checking } = await begin();
  let heard = daemon.bytes.byteLength;
  for (
    const [sent, want] of [
      [SETTINGS, [SETTINGS_ACK]],
      [SETTINGS_ACK, []],
      [ping(7), [ping(7, 1)]],
      [ping(8, 1), []],
    ] as const
  ) {
    await daemon.send(bytesOf(sent));
    await settle();
    assert.deepEqual(daemon.bytes.subarray(heard), bytesOf(...want));
    heard = daemon.bytes.byteLength;
  }
  await daemon.send(bytesOf(HEADERS, data(message(1))));
  await checking;
  assert.equal(state.answer, "serving");
});
