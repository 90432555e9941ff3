/**
 * A connection of which some bytes were read already.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn } from "../../../lib/base/network.ts";
import { PrefixedConn } from "../../../lib/base/prefixed_conn.ts";

const below: Conn = {
  remoteAddr: { hostname: "192.0.2.1", port: 1 },
  read: (buffer) => {
    buffer.set([9]);
    return Promise.resolve(1);
  },
  write: (bytes) => Promise.resolve(bytes.byteLength),
  closeWrite: () => Promise.resolve(),
  close: () => {},
  setNoDelay: () => {},
  setKeepAlive: () => {},
};

async function readTwo(conn: Conn): Promise<number[]> {
  const buffer = new Uint8Array(2);
  return [...buffer.subarray(0, (await conn.read(buffer))!)];
}

Deno.test("PrefixedConn gives the first bytes in the pieces that are asked for, and then those of the connection", async () => {
  const conn = new PrefixedConn(below, new Uint8Array([1, 2, 3]));
  assert.deepEqual(await readTwo(conn), [1, 2]);
  assert.deepEqual(await readTwo(conn), [3]);
  assert.deepEqual(await readTwo(conn), [9]);
});

Deno.test("PrefixedConn without first bytes reads from the connection at once: no empty read looks like an end", async () => {
  assert.deepEqual(await readTwo(new PrefixedConn(below, new Uint8Array())), [9]);
});

Deno.test("PrefixedConn has the address that it was given, else that of the connection", () => {
  const client = { hostname: "198.51.100.7", port: 2 };
  assert.equal(new PrefixedConn(below, new Uint8Array(), client).remoteAddr, client);
  assert.equal(new PrefixedConn(below, new Uint8Array()).remoteAddr, below.remoteAddr);
});

Deno.test("PrefixedConn gives the read that has begun before, then those of the connection", async () => {
  const conn = new PrefixedConn(
    below,
    new Uint8Array([1]),
    undefined,
    Promise.resolve(new Uint8Array([2, 3, 4])),
  );
  assert.deepEqual(await readTwo(conn), [1]);
  assert.deepEqual(await readTwo(conn), [2, 3]);
  assert.deepEqual(await readTwo(conn), [4]);
  assert.deepEqual(await readTwo(conn), [9]);
});

Deno.test("PrefixedConn passes on how a read that has begun before has ended", async () => {
  const ended = new PrefixedConn(below, new Uint8Array(), undefined, Promise.resolve(null));
  assert.equal(await ended.read(new Uint8Array(2)), null);
  const broken = new PrefixedConn(below, new Uint8Array(), undefined, Promise.reject(new Error("reset")));
  await assert.rejects(broken.read(new Uint8Array(2)), /reset/);
});
