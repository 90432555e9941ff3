/**
 * Tests of the signs of life that held clients are sent.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Hold, HoldBudget, TOTAL_LIMIT_BYTES } from "../../../lib/proxy/hold.ts";
import { SignsOfLife } from "../../../lib/proxy/signs_of_life.ts";
import { EMPTY_SETTINGS, MEANINGLESS, PREFACE } from "../../../lib/target/http2_frames.ts";
import { HandConn } from "../../support/hand_conn.ts";
import { CALL, held, TLS } from "../../support/session.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

Deno.test("SignsOfLife give all that wait a sign every 20 s with one timer, and need none when nobody waits", async () => {
  const clock = new VirtualClock();
  const signs = new SignsOfLife(clock);
  const given: string[] = [];
  const [a, b] = ["a", "b"].map((name) => ({ giveSign: () => void given.push(name) }));
  signs.add(a!);
  signs.add(a!);
  await clock.advance(10_000);
  signs.add(b!);
  assert.equal(clock.pending, 1);
  await clock.advance(10_000);
  assert.deepEqual(given.splice(0), ["a", "b"]);
  signs.remove(a!);
  await clock.advance(20_000);
  assert.deepEqual(given, ["b"]);
  signs.remove(b!);
  signs.remove(b!);
  assert.equal(clock.pending, 0);
});

Deno.test("SignsOfLife give thousands their signs in several turns, and none to those who have left between two", async () => {
  const clock = new VirtualClock();
  const signs = new SignsOfLife(clock);
  let given = 0;
  const all = Array.from({ length: 300 }, () => ({ giveSign: () => void given++ }));
  for (const each of all) signs.add(each);
  clock.setTimer(20_000, () => {
    assert.equal(given, 128, "in the first turn");
    for (const each of all.slice(200)) signs.remove(each);
  });
  await clock.advance(20_000);
  assert.equal(given, 200);
  assert.equal(clock.pending, 1);
});

function hold() {
  const conn = new HandConn();
  const held = new Hold(conn, new HoldBudget(TOTAL_LIMIT_BYTES, () => {}), {
    bytes: () => {},
    left: () => {},
    malformed: () => {},
  });
  held.start();
  held.startParsing();
  return { conn, held };
}

Deno.test("Hold.giveSign() says nothing to a client of which it is not known that it speaks HTTP/2, or that does not", async () => {
  for (const bytes of [PREFACE.subarray(0, 10), Uint8Array.of(22, 3, 1)]) {
    const { conn, held } = hold();
    held.giveSign();
    await conn.bring(bytes);
    held.giveSign();
    await settle();
    assert.deepEqual(conn.written, []);
  }
});

Deno.test("Hold.giveSign() lets nothing pile up in front of a client that takes no bytes, and says nothing after the hold", async () => {
  const { conn, held } = hold();
  await conn.bring(PREFACE);
  held.giveSign();
  await settle();
  assert.deepEqual(conn.written, [EMPTY_SETTINGS, MEANINGLESS]);
  conn.stuck = true;
  for (let i = 0; i < 100; i++) {
    held.giveSign();
    await settle();
  }
  await conn.release();
  await settle();
  assert.equal(conn.written.length, 3);
  held.end();
  held.giveSign();
  await settle();
  assert.equal(conn.written.length, 3);
});

Deno.test("a held HTTP/2 client gets a sign every 20 s, and none once it has its pod; one with TLS gets none", async () => {
  const session = await held(CALL);
  const before = session.client.bytes.byteLength;
  await session.pass(60_000);
  assert.equal(session.client.bytes.byteLength - before, 3 * MEANINGLESS.byteLength);
  session.show({ ready: true });
  await session.pass(0);
  await session.pass(3_600_000);
  assert.equal(session.client.bytes.byteLength - before, 3 * MEANINGLESS.byteLength);
  await session.client.end();
  await session.daemons[0]!.end();
  await session.pass(0);
  session.assertOver();
  const other = await held(TLS);
  await other.pass(60_000);
  assert.equal(other.client.bytes.byteLength, 0);
  await other.client.end();
  await other.pass(0);
  other.assertOver();
});
