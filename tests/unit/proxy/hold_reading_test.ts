/**
 * When `Hold` reads, on a connection whose reads and writes end when the test says so.
 *
 * @module
 */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import {
  FIRST_BYTES,
  Hold,
  HoldBudget,
  type HoldEvents,
  SESSION_LIMIT_BYTES,
  TOTAL_LIMIT_BYTES,
} from "../../../lib/proxy/hold.ts";
import { AT_ONCE, ReadTurns } from "../../../lib/proxy/read_turns.ts";
import { FRAME, frame, PREFACE } from "../../../lib/target/http2_frames.ts";
import { HandConn } from "../../support/hand_conn.ts";
import { HandTurns, settle } from "../../support/virtual_clock.ts";

const OPENING = Uint8Array.from([...PREFACE, ...frame(FRAME.settings, 0, 0, new Uint8Array())]);
const FRAMES = concat(Array(1_000).fill(frame(FRAME.data, 0, 1, new Uint8Array(500))));
const SILENT: HoldEvents = { bytes: () => {}, left: () => {}, malformed: () => {} };

Deno.test("Hold reads one read at a time when it refuses while a reply is under way", async () => {
  const conn = new HandConn();
  const hold = new Hold(conn, new HoldBudget(1_000_000, () => {}), SILENT);
  hold.start();
  hold.startParsing();
  conn.stuck = true;
  await conn.bring(OPENING);
  assert.equal(conn.reading, 0, "a client that does not read is not read from");
  hold.refuse({ status: 4, message: "too late" });
  await conn.release();
  assert.equal(conn.reading, 1);
});

Deno.test("Hold.refuse() reads on where its own bound or that of all had stopped it", async () => {
  for (const limitBytes of [5_000, 1_000_000]) {
    const conn = new HandConn();
    const hold = new Hold(conn, new HoldBudget(limitBytes, () => {}), SILENT);
    hold.start();
    hold.startParsing();
    await conn.fill();
    assert.equal(conn.reading, 0);
    hold.refuse({ status: 4, message: "too late" });
    assert.equal(conn.reading, 1, `${limitBytes} bytes`);
  }
});

Deno.test("Hold reads on when others have given back what it may keep", async () => {
  const budget = new HoldBudget(100_000, () => {});
  const [greedy, late] = [new HandConn(), new HandConn()];
  const holds = [greedy, late].map((conn) => new Hold(conn, budget, SILENT)) as [Hold, Hold];
  for (const [i, conn] of [greedy, late].entries()) {
    holds[i]!.start();
    holds[i]!.startParsing();
    await conn.fill();
  }
  assert.equal(late.reading, 0, "there is no room");
  holds[0].end();
  assert.equal(late.reading, 1, "there is");
});

Deno.test("Hold reads a client's first call, whatever others keep, and more as long as they keep little", async () => {
  const budget = new HoldBudget(4 * 1024 * 1024, () => {});
  const keptBytes: number[] = [];
  for (let i = 0; i < 200; i++) {
    const conn = new HandConn();
    const hold = new Hold(conn, budget, SILENT);
    hold.start();
    hold.startParsing();
    await conn.bring(OPENING);
    assert.equal(conn.written.length, 1, "it has its SETTINGS");
    for (let at = 0; conn.reading > 0;) {
      await conn.bring(FRAMES.subarray(at, at += Math.min(500, conn.roomBytes!)));
    }
    keptBytes.push(hold.keptBytes);
  }
  assert.ok(keptBytes[0]! > 4 * FIRST_BYTES, `the first one keeps ${keptBytes[0]} bytes`);
  assert.ok(keptBytes.every((bytes, i) => i === 0 || bytes <= keptBytes[i - 1]!), "the first ones keep most");
  assert.ok(keptBytes[20]! > 2 * FIRST_BYTES, "later ones have room beyond their first bytes");
});

Deno.test("Hold does not read on once it is over", async () => {
  const budget = new HoldBudget(5_000, () => {});
  const [greedy, late] = [new HandConn(), new HandConn()];
  const holds = [greedy, late].map((conn) => new Hold(conn, budget, SILENT)) as [Hold, Hold];
  for (const [i, conn] of [greedy, late].entries()) {
    holds[i]!.start();
    holds[i]!.startParsing();
    await conn.fill();
  }
  assert.equal(late.reading, 0, "there is no room");
  holds[1].handOver();
  holds[0].end();
  await settle();
  assert.equal(late.reading, 0, "the relay reads");
});

Deno.test("Hold keeps no more than its bound when it looks at what it has only now", async () => {
  const conn = new HandConn();
  let mostBytes = 0;
  const budget = new HoldBudget(TOTAL_LIMIT_BYTES, (bytes) => mostBytes = Math.max(mostBytes, bytes));
  const hold = new Hold(conn, budget, SILENT);
  hold.start();
  await conn.fill();
  hold.startParsing();
  assert.equal(conn.reading, 0);
  assert.ok(mostBytes > SESSION_LIMIT_BYTES - 4_096 && mostBytes <= SESSION_LIMIT_BYTES, `${mostBytes}`);
});

Deno.test("Hold needs few reads for a client that sends much, and keeps exactly as much as it may", async () => {
  const conn = new HandConn();
  const hold = new Hold(conn, new HoldBudget(TOTAL_LIMIT_BYTES, () => {}), SILENT);
  hold.start();
  hold.startParsing();
  let reads = 0;
  for (let at = 0; conn.reading > 0; reads++) await conn.bring(FRAMES.subarray(at, at += conn.roomBytes!));
  assert.equal(hold.keptBytes, SESSION_LIMIT_BYTES);
  assert.ok(reads < 40, `${reads} reads`);
});

Deno.test("Holds of clients that send much read some at a time, in order, and new clients need no turn", async () => {
  const turns = new HandTurns();
  const budget = new HoldBudget(TOTAL_LIMIT_BYTES, () => {}, new ReadTurns(turns));
  const begin = () => {
    const conn = new HandConn();
    const hold = new Hold(conn, budget, SILENT);
    hold.start();
    hold.startParsing();
    return { conn, hold };
  };
  const crowd = Array.from({ length: 3 * AT_ONCE }, begin);
  const reading = () => crowd.flatMap(({ conn }, i) => conn.reading > 0 ? [i] : []);
  const [first, second, third] = [0, 1, 2].map((part) =>
    Array.from({ length: AT_ONCE }, (_, i) => part * AT_ONCE + i)
  ) as [number[], number[], number[]];
  for (const { conn } of crowd) await conn.bring(FRAMES.subarray(0, conn.roomBytes));
  assert.deepEqual(reading(), first);
  assert.equal(begin().conn.reading, 1, "a new client is heard at once");
  crowd[second[0]!]!.hold.end();
  crowd[second[1]!]!.hold.handOver();
  await turns.take();
  assert.deepEqual(reading(), [...first, ...second.slice(2), ...third.slice(0, 2)]);
  await crowd[0]!.conn.bring(FRAMES.subarray(0, 10));
  assert.deepEqual(reading().slice(0, 2), [1, 2], "it is the last again");
  await turns.take();
  assert.deepEqual(reading(), [...first, ...second.slice(2), ...third]);
  await turns.take();
  assert.equal(turns.asked, 0);
});

for (const [speaks, first] of [["HTTP/2", OPENING], ["something else", Uint8Array.of(0x16)]] as const) {
  Deno.test(`Hold keeps the bytes of a client that speaks ${speaks} and sends them one by one in few pieces`, async () => {
    const sent = [...first];
    // Frames without content are the shortest there are.
    while (sent.length < 32 * 1024) sent.push(...frame(FRAME.data, 0, 1, new Uint8Array()));
    let at = 0;
    const conn = new HandConn();
    conn.read = (buffer) => {
      if (at === sent.length) return new Promise(() => {});
      buffer[0] = sent[at++]!;
      return Promise.resolve(1);
    };
    const budget = new HoldBudget(TOTAL_LIMIT_BYTES, () => {});
    const hold = new Hold(conn, budget, SILENT);
    hold.start();
    hold.startParsing();
    while (at < sent.length) await settle();
    await settle();
    const { chunks } = hold.handOver();
    assert.ok(chunks.flatMap((chunk) => [...chunk]).every((byte, i) => byte === sent[i]));
    assert.equal(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0), sent.length);
    assert.ok(chunks.length <= 64, `${chunks.length} pieces`);
  });
}
