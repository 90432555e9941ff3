/**
 * When `Hold` reads, on a connection whose reads and writes end when the test says so.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  Hold,
  HoldBudget,
  type HoldEvents,
  SESSION_LIMIT_BYTES,
  TOTAL_LIMIT_BYTES,
} from "../../../lib/proxy/hold.ts";
import { FRAME, frame, PREFACE } from "../../../lib/target/http2_frames.ts";
import { HandConn } from "../../support/hand_conn.ts";
import { settle } from "../../support/virtual_clock.ts";

const OPENING = Uint8Array.from([...PREFACE, ...frame(FRAME.settings, 0, 0, new Uint8Array())]);
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
  const budget = new HoldBudget(9_000, () => {});
  const [greedy, late] = [new HandConn(), new HandConn()];
  const holds = [greedy, late].map((conn) => new Hold(conn, budget, SILENT)) as [Hold, Hold];
  holds[0].start();
  holds[0].startParsing();
  await greedy.fill();
  holds[1].start();
  holds[1].startParsing();
  assert.equal(late.reading, 0, "there is no room");
  holds[0].end();
  assert.equal(late.reading, 1, "there is");
  await late.bring(OPENING);
  assert.equal(holds[1].speaks, "http2");
});

Deno.test("Hold reads while there is room for one read, and not with less", () => {
  for (const [limitBytes, reads] of [[511, 0], [512, 1]] as const) {
    const conn = new HandConn();
    new Hold(conn, new HoldBudget(limitBytes, () => {}), SILENT).start();
    assert.equal(conn.reading, reads, `${limitBytes} bytes`);
  }
});

Deno.test("Hold does not read on once it is over", async () => {
  const budget = new HoldBudget(5_000, () => {});
  const [greedy, late] = [new HandConn(), new HandConn()];
  const holds = [greedy, late].map((conn) => new Hold(conn, budget, SILENT)) as [Hold, Hold];
  holds[0].start();
  holds[0].startParsing();
  await greedy.fill();
  holds[1].start();
  holds[1].startParsing();
  assert.deepEqual(holds[1].handOver().chunks, []);
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
