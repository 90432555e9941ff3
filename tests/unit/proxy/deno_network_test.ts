/**
 * Tests of the network port on real sockets.
 *
 * @module
 */
import assert from "node:assert/strict";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { within } from "../../support/deadline.ts";
import { readAll, writeAll } from "../../support/memory_network.ts";

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };
const never = () => new AbortController().signal;

Deno.test("denoNetwork carries bytes between who connects and who listens, and says where that is", async () => {
  const listener = denoNetwork.listen(LOOPBACK);
  assert.equal(listener.addr.hostname, "127.0.0.1");
  assert.ok(listener.addr.port > 0);
  const [client, server] = await Promise.all([
    denoNetwork.connect(listener.addr, never()),
    listener.accept(),
  ]);
  await writeAll(client, new TextEncoder().encode("hello"));
  await client.closeWrite();
  assert.equal(new TextDecoder().decode(await readAll(server)), "hello");
  client.close();
  server.close();
  const accepting = assert.rejects(listener.accept(), Deno.errors.BadResource);
  listener.close();
  await accepting;
});

Deno.test("denoNetwork.connect() rejects with what went wrong, or with the signal's own reason", async () => {
  const listener = denoNetwork.listen(LOOPBACK);
  const { addr } = listener;
  await assert.rejects(denoNetwork.connect(addr, AbortSignal.abort(new Error("too late"))), /too late/);
  const stop = new AbortController();
  const connecting = assert.rejects(denoNetwork.connect(addr, stop.signal), /too late/);
  stop.abort(new Error("too late"));
  await connecting;
  listener.close();
  await assert.rejects(denoNetwork.connect(addr, never()), Deno.errors.ConnectionRefused);
});

Deno.test("denoNetwork.listen() lets 800 clients connect before it accepts one", async () => {
  const listener = denoNetwork.listen(LOOPBACK);
  // Beyond the runtime's own 511 the kernel answers none, for as long as nobody is accepted.
  const connecting = Array.from({ length: 800 }, () => denoNetwork.connect(listener.addr, never()));
  const conns = await within(Promise.all(connecting), "all clients connect");
  for (const conn of conns) conn.close();
  listener.close();
});
