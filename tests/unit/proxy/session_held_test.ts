/**
 * Tests of a session that ends while it is held: the client leaves, its time is up, or there is no room for it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FRAME } from "../../../lib/miniature/stub_http2.ts";
import { bytesOf, call, GOODBYE, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { CALL, held, TestSession, TLS } from "../../support/session.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

Deno.test("runSession() closes a client that was silent while held, which is no fault of anybody's", async () => {
  const session = new TestSession({ ready: false, settings: { wakeOn: "data" } });
  await session.start();
  await session.pass(5 * MINUTE_MS - 1);
  assert.ok(!session.over);
  await session.pass(1);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "idle_timeout");
  assert.equal(session.level, "info");
  assert.equal(session.line["reason"], "Silent for 5m0s while held (--wake-on=data, --ready-wait-timeout)");
});

for (
  const { what, sent, leave, afterMs = 0, reason } of [
    { what: "a FIN", sent: CALL, leave: "end", reason: "closed its connection" },
    { what: "a RST", sent: CALL, leave: "break", reason: "reset its connection" },
    {
      what: "a FIN, after its limit",
      sent: CALL,
      leave: "end",
      afterMs: 20_000,
      reason: "closed its connection",
    },
    { what: "a FIN, with TLS", sent: TLS, leave: "end", afterMs: 14_999, reason: "closed its connection" },
    {
      what: "a FIN, with TLS, after its limit",
      sent: TLS,
      leave: "end",
      afterMs: 15_000,
      reason: "closed its connection",
      more: true,
    },
    {
      what: "a goodbye",
      sent: bytesOf(CALL, GOODBYE),
      leave: "end",
      afterMs: 20_000,
      reason: "sent GOAWAY",
    },
  ].map((row) => ({ more: false, ...row })).map((row) => ({
    ...row,
    reason: `The client ${row.reason} while it waited for buildkitd` +
      (row.more
        ? "; it does not speak plaintext HTTP/2 (with TLS its bytes cannot be read), so its own limit for a new " +
          "connection applies, which is 20s in gRPC clients"
        : ""),
  }))
) {
  Deno.test(`runSession() ends at once when a held client leaves by ${what}`, async () => {
    const session = await held(sent);
    await session.pass(afterMs);
    assert.ok(!session.over);
    if (leave === "end") await session.client.end();
    else session.client.break();
    await session.pass(0);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "client_left");
    assert.equal(session.level, "info");
    assert.equal(session.line["reason"], reason);
    assert.equal(session.line["heldMs"], afterMs);
    assert.equal(session.line["pod"], undefined);
  });
}

Deno.test("runSession() tells a client whose time is up why, and closes it when it has heard that", async () => {
  const session = await held();
  let asked = 0;
  session.why = () => Promise.resolve(`pod buildkitd-0 is Pending ${++asked}`);
  await session.pass(5 * MINUTE_MS - 1);
  assert.equal(session.client.refusal, undefined);
  await session.pass(1);
  const message = "buildkitd did not become ready in 5m0s: pod buildkitd-0 is Pending 1";
  assert.deepEqual(session.client.refusal, { status: "4", message });
  assert.equal(session.placement.usage.held, 0, "it waits no more");
  assert.ok(!session.over, "a client makes another call before it exits");
  await session.pass(4_999);
  assert.ok(!session.over);
  await session.pass(1);
  session.assertOver();
  assert.equal(session.level, "warn");
  assert.equal(session.line?.["outcome"], "timed_out");
  assert.equal(session.line["reason"], message);
  assert.equal(session.line["heldMs"], 5 * MINUTE_MS);
  assert.equal(session.line["durationMs"], 5 * MINUTE_MS + 5_000);
});

Deno.test("runSession() waits no longer for a refused client than it stays", async () => {
  const session = await held();
  await session.pass(5 * MINUTE_MS);
  session.client.close();
  await session.pass(0);
  session.assertOver();
});

Deno.test("runSession() closes a client at once that cannot be told, and says why it could not be kept patient", async () => {
  const session = await held(TLS);
  await session.pass(5 * MINUTE_MS);
  session.assertOver();
  assert.match(
    String(session.line?.["reason"]),
    /^buildkitd did not become ready in 5m0s: pod buildkitd-0 is Pending; it does not speak plaintext HTTP\/2 /,
  );
});

Deno.test("runSession() says GOAWAY to a client that breaks HTTP/2, and closes it once that is written", async () => {
  const broken = bytesOf(OPENING, SETTINGS_ACK, { ...call(1)[0]!, stream: 2 });
  const session = await held(broken);
  assert.equal(session.client.frames.at(-1)?.type, FRAME.goAway);
  session.assertOver();
  assert.equal(session.level, "warn");
  assert.equal(session.line?.["outcome"], "protocol_error");
  assert.equal(session.line["reason"], "The client breaks the HTTP/2 protocol: HEADERS on stream 2");
});

Deno.test("runSession() waits 5 s at most until a client takes its GOAWAY", async () => {
  const session = new TestSession({ ready: false });
  session.downstream.write = () => new Promise(() => {});
  await session.start();
  await session.client.send(bytesOf(OPENING, { ...call(1)[0]!, stream: 2 }));
  await session.pass(4_999);
  assert.ok(!session.over);
  await session.pass(1);
  assert.ok(session.over);
  assert.equal(session.line?.["outcome"], "protocol_error");
  assert.equal(session.clock.pending, 0);
});

Deno.test("runSession() refuses a client beyond --max-held, tells it, and warns once", async () => {
  const session = new TestSession({ ready: false, settings: { maxHeld: 2 } });
  for (const id of [11, 12]) session.holdOther(id);
  await session.start();
  await session.client.send(CALL);
  await session.pass(0);
  const message = "The limit of 2 waiting sessions is reached (--max-held)";
  assert.deepEqual(session.client.refusal, { status: "8", message });
  assert.equal(session.ports.seats.held, 2);
  session.client.close();
  await session.pass(0);
  assert.ok(session.over);
  assert.equal(session.line?.["outcome"], "limited");
  assert.equal(session.level, "debug", "there may be thousands");
  assert.deepEqual(session.log.of("held_limit_reached").map(({ level }) => level), ["warn"]);
  assert.equal(session.clock.pending, 0);
});

Deno.test("runSession() holds a client up to --max-held, and says that refusals are over", async () => {
  const session = new TestSession({ ready: false, settings: { maxHeld: 2 } });
  for (const id of [11, 12, 13]) session.holdOther(id);
  assert.equal(session.log.of("held_limit_reached").length, 1);
  for (const id of [12, 13]) session.ports.seats.end(id);
  await session.start();
  await session.client.send(CALL);
  await session.pass(0);
  assert.equal(session.ports.seats.held, 2);
  assert.equal(session.log.of("held_limit_reached_recovered").length, 1);
  session.ports.seats.end(11);
  session.client.close();
  await session.pass(0);
  session.assertOver();
});

Deno.test("refuseSession() tells a gRPC client why there is no room, and closes when it has left or after 5 s", async () => {
  for (const leaves of [true, false]) {
    const session = new TestSession();
    await session.startRefusing("The limit of 5 connections is reached");
    await session.client.send(CALL);
    await session.pass(0);
    assert.deepEqual(session.client.refusal, {
      status: "8",
      message: "The limit of 5 connections is reached",
    });
    await session.pass(4_999);
    assert.ok(!session.over);
    if (leaves) session.client.close();
    await session.pass(leaves ? 0 : 1);
    assert.ok(session.over && session.downstream.closed);
    assert.equal(session.clock.pending, 0);
    assert.deepEqual(session.dials, []);
  }
});

Deno.test("refuseSession() closes a client that cannot be told at once", async () => {
  const session = new TestSession();
  await session.startRefusing("The limit of 5 connections is reached");
  await session.client.send(TLS);
  await session.pass(0);
  assert.ok(session.over && session.downstream.closed);
});

Deno.test("refuseSession() ends at once when all is cut", async () => {
  const session = new TestSession();
  await session.startRefusing("The limit of 5 connections is reached");
  session.cut.abort(new Error("The end"));
  await session.pass(0);
  assert.ok(session.over && session.downstream.closed);
  assert.equal(session.clock.pending, 0);
});
