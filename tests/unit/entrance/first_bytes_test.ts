/**
 * Tests of the first bytes of a connection, before anything is known of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ClientLeft } from "../../../lib/entrance/arrivals.ts";
import { ClientNetworks } from "../../../lib/entrance/client_networks.ts";
import { readFirstBytes } from "../../../lib/entrance/first_bytes.ts";
import { TlsServer } from "../../../lib/entrance/tls_server.ts";
import { HandConn } from "../../support/hand_conn.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const OPEN = new AbortController().signal;

/** Reads until there are `wantedBytes`. */
function readWanted(conn: HandConn, wantedBytes: number, mostBytes: number) {
  return readFirstBytes(
    conn,
    mostBytes,
    OPEN,
    (bytes) => bytes.length < wantedBytes ? undefined : bytes.slice(),
  );
}

Deno.test("readFirstBytes() gives all bytes in order, in a buffer that grows with them", async () => {
  const conn = new HandConn();
  const sent = Uint8Array.from({ length: 5_000 }, (_, i) => i % 251);
  const reading = readWanted(conn, 5_000, 16_384);
  assert.equal(conn.roomBytes, 512, "a silent client takes little");
  for (let at = 0; at < sent.length;) {
    const n = Math.min(conn.roomBytes!, sent.length - at);
    await conn.bring(sent.subarray(at, at += n));
  }
  assert.deepEqual(await reading, sent);
});

Deno.test("readFirstBytes() reads no more than it may, and tells when a client has left", async () => {
  const conn = new HandConn();
  const reading = readWanted(conn, 2_000, 1_000);
  while (conn.reading > 0) await conn.bring(new Uint8Array(Math.min(100, conn.roomBytes!)));
  assert.equal(await reading, undefined);
  const silent = new HandConn();
  const left = assert.rejects(readWanted(silent, 1, 1), ClientLeft);
  await silent.end();
  await left;
  const partial = new HandConn();
  const undecided = readWanted(partial, 2, 2);
  await partial.bring(Uint8Array.of(1));
  await partial.end();
  assert.equal(await undecided, undefined);
});

for (
  const [what, bytes] of [
    ["no record of TLS", [0x47, 0x45, 0x54]],
    ["a record of another version", [0x16, 0x02]],
    ["a record that is too long", [0x16, 0x03, 0x01, 0x40, 0x01]],
  ] as const
) {
  Deno.test(`TlsServer.accept() ends a client with ${what}, and builds nothing for it`, async () => {
    const conn = new HandConn();
    const clock = new VirtualClock();
    const server = new TlsServer({ clock }, new ClientNetworks());
    // Credentials that would be looked at.
    const credentials = { pair: { cert: "none", key: "none" }, clientCa: undefined };
    const accepting = assert.rejects(server.accept(conn, credentials, OPEN), /the client does not speak TLS/);
    await settle();
    await conn.bring(Uint8Array.from(bytes));
    await accepting;
    assert.equal(clock.pending, 0);
  });
}

Deno.test("TlsServer.accept() builds nothing before the first record is whole", async () => {
  const conn = new HandConn();
  const clock = new VirtualClock();
  const server = new TlsServer({ clock }, new ClientNetworks());
  const credentials = {
    get pair(): never {
      throw new Error("it builds");
    },
    clientCa: undefined,
  };
  const accepting = assert.rejects(server.accept(conn, credentials, OPEN), /it builds/);
  for (const byte of [0x16, 0x03, 0x01, 0x00, 0x02, 0x01]) await conn.bring(Uint8Array.of(byte));
  await clock.advance(1_000);
  assert.equal(conn.reading, 1, "it still reads");
  await conn.bring(Uint8Array.of(0x00));
  await clock.advance(0);
  await accepting;
});
