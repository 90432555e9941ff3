/**
 * Tests of what `Hold` says to an HTTP/2 client, write by write, and of what it keeps back from the daemon.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { concat } from "../../../lib/base/bytes.ts";
import { Hold, HoldBudget, SESSION_LIMIT_BYTES, TOTAL_LIMIT_BYTES } from "../../../lib/proxy/hold.ts";
import { ERROR, goAway, grpcErrors } from "../../../lib/proxy/http2_errors.ts";
import { OPEN_CALLS_LIMIT } from "../../../lib/proxy/open_calls.ts";
import {
  EMPTY_SETTINGS,
  FLAG,
  FRAME,
  frame,
  PREFACE,
  SETTINGS_ACK,
} from "../../../lib/target/http2_frames.ts";
import { HandConn } from "../../support/hand_conn.ts";
import { settle } from "../../support/virtual_clock.ts";

const OPENING = concat([PREFACE, frame(FRAME.settings, 0, 0, new Uint8Array())]);
const PING = frame(FRAME.ping, 0, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const PONG = frame(FRAME.ping, FLAG.ack, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const REFUSAL = { status: 4, message: "too late" };

/** A call as short as can be. */
function call(stream: number): Uint8Array {
  return frame(FRAME.headers, FLAG.endHeaders, stream, new Uint8Array());
}

const streams = (count: number) => Array.from({ length: count }, (_, i) => 2 * i + 1);

function setUp() {
  const conn = new HandConn();
  const budget = new HoldBudget(TOTAL_LIMIT_BYTES, () => {});
  const faults: string[] = [];
  const hold = new Hold(conn, budget, {
    bytes: () => {},
    left: () => {},
    malformed: ({ why }) => faults.push(why),
  });
  hold.start();
  return { conn, budget, hold, faults };
}

Deno.test("Hold answers all open calls in few writes when it fails", async () => {
  const { conn, hold } = setUp();
  hold.startParsing();
  await conn.bringAll(concat([OPENING, ...streams(OPEN_CALLS_LIMIT).map(call)]));
  assert.deepEqual(conn.written, [EMPTY_SETTINGS]);
  hold.refuse(REFUSAL);
  await settle();
  const answers = conn.written.slice(1);
  assert.ok(answers.length <= 10, `${answers.length} writes`);
  assert.deepEqual(concat(answers), concat([...grpcErrors(streams(OPEN_CALLS_LIMIT), 4, "too late")]));
});

for (const when of ["before", "after"]) {
  Deno.test(`Hold makes a few KiB of answers at a time for calls that came ${when} its end`, async () => {
    const { conn, hold } = setUp();
    const refusal = { status: 4, message: "x".repeat(8 * 1024) };
    const some = concat(streams(50).map(call));
    hold.startParsing();
    await conn.bring(OPENING);
    if (when === "before") await conn.bring(some);
    conn.stuck = true;
    hold.refuse(refusal);
    await settle();
    if (when === "after") await conn.bring(some);
    const [, first] = conn.written;
    assert.equal(conn.written.length, 2);
    assert.ok(first!.byteLength <= 24 * 1024, `${first!.byteLength} bytes`);
    await conn.release();
    assert.deepEqual(
      concat(conn.written.slice(1)),
      concat([...grpcErrors(streams(50), refusal.status, refusal.message)]),
    );
  });
}

Deno.test("Hold sends SETTINGS before its answers to a client that speaks after its end", async () => {
  const { conn, hold } = setUp();
  hold.refuse(REFUSAL);
  await conn.bring(concat([OPENING, call(1), PING]));
  assert.deepEqual(concat(conn.written), concat([EMPTY_SETTINGS, PONG, ...grpcErrors([1], 4, "too late")]));
});

Deno.test("900 clients of 1,000 calls each that are refused and take nothing cost less than 64 MB", async () => {
  const script = fileURLToPath(new URL("../../support/refused_holds.ts", import.meta.url));
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc", script],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const megabytes = Number(new TextDecoder().decode(stdout));
  assert.ok(megabytes > 1 && megabytes < 64, `${megabytes} MB`);
});

Deno.test("Hold answers all that came in one read in one write, and what came before it waited, too", async () => {
  const { conn, hold } = setUp();
  await conn.bringAll(concat([OPENING, ...Array(500).fill(PING)]));
  assert.deepEqual(conn.written, []);
  hold.startParsing();
  await settle();
  assert.deepEqual(conn.written, [concat([EMPTY_SETTINGS, ...Array(500).fill(PONG)])]);
  await conn.bring(concat([PING, PING, PING]));
  assert.deepEqual(conn.written[1], concat([PONG, PONG, PONG]));
});

Deno.test("Hold writes nothing more to a client once a write has failed", async () => {
  const { conn, hold } = setUp();
  hold.startParsing();
  conn.stuck = true;
  await conn.bring(concat([OPENING, call(1)]));
  conn.broken = true;
  hold.refuse(REFUSAL);
  await conn.release();
  assert.equal(conn.written.length, 2, "the one under way, and the one that fails");
  assert.equal(conn.reading, 1, "a read says that the client has left");
  await conn.bring(concat([call(3), PING]));
  assert.equal(conn.written.length, 2);
});

Deno.test(`Hold sends a client with more than ${OPEN_CALLS_LIMIT} open calls away, and reads no more of it`, async () => {
  const { conn, hold, faults } = setUp();
  hold.startParsing();
  await conn.bringAll(concat([OPENING, ...streams(OPEN_CALLS_LIMIT).map(call)]));
  assert.deepEqual(faults, []);
  await conn.bring(call(20_001));
  assert.deepEqual(faults, ["more than 1000 open calls"]);
  assert.deepEqual(conn.written, [EMPTY_SETTINGS, goAway(ERROR.enhanceYourCalm)]);
  assert.equal(conn.reading, 0);
});

Deno.test("Hold sees the same when that many calls came before it looked", async () => {
  const { conn, hold, faults } = setUp();
  await conn.bringAll(concat([OPENING, ...streams(OPEN_CALLS_LIMIT + 1).map(call)]));
  hold.startParsing();
  await settle();
  assert.deepEqual(faults, ["more than 1000 open calls"]);
  assert.deepEqual(conn.written, [concat([EMPTY_SETTINGS, goAway(ERROR.enhanceYourCalm)])]);
});

Deno.test("Hold goes on looking at the frames of an HTTP/2 client while a pod is dialled", async () => {
  const { conn, hold, faults } = setUp();
  hold.startParsing();
  await conn.bring(OPENING);
  hold.stopParsing();
  await conn.bring(concat([SETTINGS_ACK, PING, call(1)]));
  assert.deepEqual(conn.written, [EMPTY_SETTINGS, PONG], "the client is answered");
  assert.deepEqual(faults, []);
  const { chunks, opening } = hold.handOver();
  assert.deepEqual(
    concat(chunks),
    concat([OPENING, call(1)]),
    "the daemon never sent the SETTINGS acknowledged",
  );
  assert.ok(opening.blind);
});

Deno.test("Hold does not parse bytes during the first dial, and parses them when it fails", async () => {
  const { conn, hold } = setUp();
  hold.stopParsing();
  await conn.bring(concat([OPENING, PING]));
  assert.deepEqual(conn.written, []);
  hold.startParsing();
  await settle();
  assert.deepEqual(conn.written, [concat([EMPTY_SETTINGS, PONG])]);
  assert.deepEqual(concat(hold.handOver().chunks), OPENING);
});

Deno.test("Hold says nothing to a client that says its first words while a pod is dialled, also after a wait", async () => {
  const { conn, hold } = setUp();
  hold.startParsing();
  hold.stopParsing();
  await conn.bring(concat([OPENING, PING]));
  assert.deepEqual(conn.written, [], "the daemon answers, as it would have without a proxy");
  const { chunks, opening } = hold.handOver();
  assert.deepEqual(concat(chunks), concat([OPENING, PING]));
  assert.ok(opening.blind);
});

Deno.test("Hold does not notify others about free room while it scans its buffer", async () => {
  const budget = new HoldBudget(10_000, () => {});
  const conns = [new HandConn(), new HandConn()];
  const holds = conns.map((conn) =>
    new Hold(conn, budget, { bytes: () => {}, left: () => {}, malformed: () => {} })
  ) as [Hold, Hold];
  for (const [i, conn] of conns.entries()) {
    holds[i]!.start();
    await conn.fill();
  }
  assert.equal(conns[1]!.reading, 0, "there is no room");
  holds[0].startParsing();
  await settle();
  assert.equal(conns[1]!.reading, 0, "there is none now");
});

Deno.test("Hold does not wait for the room of others when it is full by itself", async () => {
  let waits = 0;
  const budget = new class extends HoldBudget {
    override onRoom(look: () => void): void {
      waits++;
      super.onRoom(look);
    }
  }(TOTAL_LIMIT_BYTES, () => {});
  const conn = new HandConn();
  const hold = new Hold(conn, budget, { bytes: () => {}, left: () => {}, malformed: () => {} });
  hold.start();
  hold.startParsing();
  await conn.fill();
  assert.ok(budget.leftBytes > SESSION_LIMIT_BYTES);
  assert.equal(conn.reading, 0);
  assert.equal(waits, 0, "each time others gave something back it would look in vain");
});
