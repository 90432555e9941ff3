/**
 * Tests of the accept loop: no error of accept ends it, each new cause is said once, and limits hold.
 *
 * @module
 */
import assert from "node:assert/strict";
import { MemoryConn } from "../../support/memory_network.ts";
import { setUp } from "../../support/scripted_proxy.ts";
import { VirtualClient } from "../../support/virtual_client.ts";

Deno.test("Proxy keeps accepting after it ran out of descriptors, with pauses, and logs each new cause once", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  for (let i = 0; i < 5; i++) {
    listener.fail("EMFILE");
    await clock.advance(0);
    assert.equal(listener.accepts, i + 1, "no busy loop");
    assert.match(proxy.fault ?? "", /EMFILE/);
    await clock.advance(100);
  }
  assert.equal(metrics.value("accept_errors_total", { cause: "exhausted" }), 5);
  assert.equal(log.of("accept_failed").filter(({ level }) => level === "warn").length, 1);
  const client = listener.connect();
  await clock.advance(0);
  assert.equal(proxy.open, 1);
  assert.equal(proxy.fault, undefined);
  assert.equal(log.of("accept_failed_recovered").length, 1);
  client.close();
  await clock.advance(0);
  assert.equal(proxy.open, 0);
  proxy.stopAccepting();
  await running;
  assert.equal(clock.pending, 0, "no timer is left");
});

for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) {
  Deno.test(`Proxy pauses after ${code}`, async () => {
    const { clock, listener, proxy, running } = setUp();
    listener.fail(code);
    await clock.advance(99);
    assert.equal(listener.accepts, 1);
    await clock.advance(1);
    assert.equal(listener.accepts, 2);
    proxy.stopAccepting();
    await running;
  });
}

Deno.test("Proxy accepts on at once after clients that have left before, and takes them for no fault", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  for (let i = 0; i < 99; i++) {
    listener.fail(["ENOTCONN", "ECONNABORTED", "ECONNRESET"][i % 3]!);
    await clock.advance(0);
    assert.equal(listener.accepts, i + 2, "it accepts again before any time has passed");
  }
  const client = listener.connect();
  await clock.advance(0);
  assert.equal(proxy.open, 1);
  assert.equal(metrics.value("accept_errors_total", { cause: "client" }), 99);
  assert.equal(metrics.value("accept_errors_total", { cause: "exhausted" }), 0);
  assert.deepEqual(log.of("accept_failed"), []);
  // The connection has ended the row: the next pause is 100 failures away.
  for (let i = 0; i < 99; i++) {
    listener.fail("ENOTCONN");
    await clock.advance(0);
  }
  assert.equal(listener.accepts, 200);
  listener.fail("ENOTCONN");
  await clock.advance(0);
  assert.equal(listener.accepts, 200, "no busy loop, whatever fails");
  await clock.advance(10);
  assert.equal(listener.accepts, 201);
  assert.deepEqual(log.of("accept_failed"), []);
  client.close();
  proxy.stopAccepting();
  await clock.advance(0);
  await running;
});

Deno.test("Proxy says what keeps all accepts from working, whatever it is", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  for (let i = 0; i < 99; i++) {
    listener.fail("EINVAL");
    await clock.advance(0);
  }
  assert.equal(proxy.fault, undefined);
  listener.fail("EINVAL");
  await clock.advance(0);
  assert.match(proxy.fault ?? "", /EINVAL/);
  assert.equal(metrics.value("accept_errors_total", { cause: "other" }), 100);
  assert.equal(log.of("accept_failed").length, 1);
  await clock.advance(10);
  proxy.stopAccepting();
  await running;
});

Deno.test("Proxy stops accepting without a fault, and its sessions go on", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  const client = listener.connect();
  await clock.advance(0);
  proxy.stopAccepting();
  proxy.stopAccepting();
  await running;
  assert.ok(listener.closed && !proxy.accepting);
  assert.equal(proxy.open, 1);
  assert.equal(log.of("accept_failed").length, 0);
  assert.equal(metrics.value("accept_errors_total"), 0);
  let drained = false;
  const draining = proxy.drained().then(() => drained = true);
  await clock.advance(0);
  assert.equal(drained, false);
  client.close();
  await clock.advance(0);
  await draining;
  assert.equal(log.of("session_ended").length, 1);
});

Deno.test("Proxy cuts all sessions when told to, and says why", async () => {
  const { clock, log, listener, proxy, running } = setUp();
  for (let i = 0; i < 3; i++) {
    listener.connect();
    await clock.advance(0);
  }
  assert.equal(proxy.open, 3);
  proxy.stopAccepting();
  proxy.cutAll("The time is up");
  await clock.advance(0);
  await proxy.drained();
  await running;
  const ended = log.of("session_ended").map(({ fields: { outcome, reason } }) => `${outcome}: ${reason}`);
  assert.deepEqual(ended, Array(3).fill("drain_timeout: The time is up"));
  assert.deepEqual(log.of("session_ended").map(({ fields: { session } }) => session).toSorted(), [1, 2, 3]);
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("Proxy closes connections beyond its limit", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp({ maxConnections: 2 });
  const clients: MemoryConn[] = [];
  for (let i = 0; i < 4; i++) {
    clients.push(listener.connect());
    await clock.advance(0);
  }
  assert.equal(proxy.open, 2);
  assert.equal(metrics.value("sessions_opened_total"), 4);
  assert.equal(metrics.value("sessions_ended_total", { outcome: "limited" }), 2);
  assert.equal(log.of("connection_limit_reached").filter(({ level }) => level === "warn").length, 1);
  await clock.advance(10_000);
  for (const client of clients.slice(2)) assert.equal(await client.read(new Uint8Array(1)), null);
  for (const client of clients) client.close();
  proxy.stopAccepting();
  await clock.advance(0);
  await proxy.drained();
  await running;
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("Proxy tells as many refused clients as it may; the oldest of them gives way", async () => {
  const { clock, listener, proxy, running } = setUp({ descriptors: 8 });
  const clients: MemoryConn[] = [];
  const connect = async () => {
    clients.push(listener.connect());
    await clock.advance(0);
  };
  for (let i = 0; i < 5; i++) await connect();
  assert.equal(proxy.open, 2);
  assert.equal(await clients[2]!.read(new Uint8Array(1)), null, "the oldest is let go");
  const isOver = async (client: MemoryConn) => {
    let over = false;
    client.read(new Uint8Array(1)).then(() => over = true, () => {}); // closed by the test
    await clock.advance(0);
    return over;
  };
  assert.equal(await isOver(clients[3]!), false);
  assert.equal(await isOver(clients[4]!), false);
  // One that has left makes room for the next.
  clients[4]!.close();
  await clock.advance(0);
  await connect();
  assert.equal(await isOver(clients[3]!), false);
  await connect();
  assert.equal(await isOver(clients[3]!), true);
  proxy.stopAccepting();
  proxy.cutAll("The time is up");
  await clock.advance(0);
  await proxy.drained();
  await running;
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("Proxy tells no more refused clients than it may, also when many come at the same moment", async () => {
  const { clock, listener, proxy, running } = setUp({ descriptors: 8 });
  const clients = listener.burst(12).map((conn) => new VirtualClient(conn));
  await clock.advance(0);
  assert.equal(proxy.open, 2);
  // The first two are held, and the last two are told.
  assert.deepEqual(clients.map(({ ended }) => ended === undefined), [
    ...[true, true],
    ...Array(8).fill(false),
    ...[true, true],
  ]);
  proxy.stopAccepting();
  proxy.cutAll("The time is up");
  await clock.advance(0);
  await proxy.drained();
  await running;
});

Deno.test("Proxy tells held and later clients that a component has failed, and is drained once they have left", async () => {
  const { clock, listener, proxy, log, running } = setUp();
  const clients = [listener.connect()];
  await clock.advance(0);
  proxy.refuseHeld("failed", "The proxy has failed");
  clients.push(listener.connect());
  await clock.advance(0);
  assert.equal(proxy.open, 2);
  for (const client of clients) client.close();
  await clock.advance(0);
  await proxy.drained();
  assert.deepEqual(
    log.of("session_ended").map(({ fields: { outcome, reason } }) => `${outcome}: ${reason}`),
    [
      "failed: The proxy has failed",
      "failed: The proxy has failed",
    ],
  );
  proxy.stopAccepting();
  await running;
});

Deno.test("Proxy is drained only when clients that are refused have been told as well", async () => {
  const { clock, listener, proxy, running } = setUp({ maxConnections: 1 });
  const first = listener.connect();
  await clock.advance(0);
  listener.connect();
  await clock.advance(0);
  first.close();
  await clock.advance(0);
  assert.equal(proxy.open, 0);
  let drained = false;
  const draining = proxy.drained().then(() => drained = true);
  await clock.advance(4_999);
  assert.equal(drained, false);
  await clock.advance(1);
  await draining;
  proxy.stopAccepting();
  await running;
});
