/**
 * Tests of a session that only watches the history of builds, for as long as it does no more than that.
 *
 * @module
 */
import assert from "node:assert/strict";
import { EXPORT, LOOK_UP, SOLVE, WATCH } from "../../support/calls.ts";
import { bytesOf, call, framesOf, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { begun, finish, TestSession } from "../../support/session.ts";
import { FRAME } from "../../../lib/miniature/stub_http2.ts";

const HOUR_MS = 3_600_000;
const WATCHING = bytesOf(OPENING, SETTINGS_ACK, ...call(1, "", { path: WATCH }));
const BUILDING = bytesOf(...call(3, "build", { path: SOLVE }));

/** Calls that the daemon has got the whole headers of. */
function callsOf(bytes: Uint8Array): readonly number[] {
  const frames = framesOf(bytes.subarray(24));
  return frames.filter(({ type }) => type === FRAME.headers).map(({ stream }) => stream);
}

/** Sends bytes in pieces. */
async function send(session: TestSession, bytes: Uint8Array, size: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength && !session.over; at += size) {
    await session.client.send(bytes.subarray(at, at + size)).catch(() => {});
    await session.pass(0);
  }
}

for (const size of [1, 9, 10_000]) {
  Deno.test(`runSession() seats a watcher at once, and it counts for nothing once it is known, in pieces of ${size} bytes`, async () => {
    const session = new TestSession();
    await session.start();
    assert.equal(session.placement.usage.on(0), 1, "nothing is known of it");
    await send(session, WATCHING, size);
    assert.equal(session.placement.usage.on(0), 0);
    assert.equal(session.placement.usage.watches(1), true);
    assert.deepEqual(session.placement.usage.lastUsedMs, new Map());
    assert.deepEqual(callsOf(session.daemons[0]!.bytes), [1]);
    await finish(session);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "completed");
    assert.equal(session.line?.["watched"], true);
  });

  Deno.test(`runSession() counts a watcher again before its next call reaches the pod, in pieces of ${size} bytes`, async () => {
    const session = await begun(WATCHING);
    await send(session, BUILDING.subarray(0, 20), size);
    assert.equal(session.placement.usage.on(0), 0);
    await send(session, BUILDING.subarray(20), size);
    assert.equal(session.placement.usage.on(0), 1);
    assert.equal(session.placement.promise({ below: 0, version: "9" }), false, "nobody may scale down");
    assert.deepEqual(callsOf(session.daemons[0]!.bytes), [1, 3]);
    await finish(session);
    session.assertOver();
    assert.equal(session.line?.["watched"], undefined);
  });

  Deno.test(`runSession() ends a watcher that makes a call after its pod was given up, in pieces of ${size} bytes`, async () => {
    const session = await begun(WATCHING);
    assert.equal(session.placement.promise({ below: 0, version: "9" }), true);
    await send(session, BUILDING, size);
    assert.deepEqual(callsOf(session.daemons[0]!.bytes), [1], "the daemon never gets the call");
    session.resets[0]?.tell(undefined);
    await session.pass(0);
    session.assertOver();
    assert.match(String(session.line?.["reason"]), /^It only watched the history of builds/);
  });

  Deno.test(`runSession() holds a watcher for as long as it takes, until it builds, in pieces of ${size} bytes`, async () => {
    const session = await begun("", { ready: false });
    await send(session, WATCHING, size);
    await session.pass(10 * HOUR_MS);
    assert.ok(!session.over);
    assert.equal(session.placement.needed, 0);
    await send(session, BUILDING, size);
    assert.equal(session.placement.needed, 1);
    session.show({ ready: true });
    await session.pass(2_000);
    assert.deepEqual(callsOf(session.daemons[0]!.bytes), [1, 3]);
    assert.equal(session.placement.usage.on(0), 1);
    await finish(session);
    session.assertOver();
  });
}

Deno.test("runSession() gives a watcher that builds while it is held --ready-wait-timeout from then on", async () => {
  const session = await begun(WATCHING, { ready: false });
  await session.pass(10 * HOUR_MS);
  await send(session, BUILDING, 100);
  await session.pass(299_000);
  assert.ok(!session.client.frames.some(({ type }) => type === FRAME.headers));
  await session.pass(1_100);
  assert.equal(session.client.refusal?.status, "4");
  session.client.close();
  await session.pass(6_000);
  session.assertOver();
});

for (const [what, path] of [["watcher", WATCH], ["client that hands over traces", EXPORT]] as const) {
  Deno.test(`runSession() ends a held ${what} that sends more than a first call, unless it builds`, async () => {
    const opening = bytesOf(OPENING, SETTINGS_ACK, ...call(1, "", { path }));
    const data = bytesOf({ type: FRAME.data, flags: 0, stream: 1, payload: new Uint8Array(8 * 1024) });
    for (const builds of [false, true]) {
      const session = await begun(opening, { ready: false });
      if (builds) await send(session, BUILDING, 10_000);
      await send(session, data, 10_000);
      assert.ok(!session.over);
      await send(session, data, 10_000);
      await session.pass(0);
      assert.equal(session.over, !builds);
      if (!builds) assert.equal(session.line?.["outcome"], "watch_ended");
      session.client.close();
      await session.pass(10_000);
      session.assertOver();
    }
  });
}

Deno.test("runSession() wakes a pod for a client that looks around, and for no longer than until it only watches", async () => {
  const session = await begun(bytesOf(OPENING, SETTINGS_ACK, ...call(1, "", { path: LOOK_UP })), {
    ready: false,
  });
  assert.equal(session.placement.needed, 1);
  await send(session, bytesOf(...call(3, "", { path: WATCH })), 7);
  assert.equal(session.placement.needed, 0);
  await session.pass(HOUR_MS);
  assert.ok(!session.over);
  session.show({ ready: true });
  await session.pass(1_000);
  assert.equal(session.placement.usage.on(0), 0);
  assert.deepEqual(callsOf(session.daemons[0]!.bytes), [1, 3]);
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() dials for a watcher, and holds it again when that fails, without a call for a pod", async () => {
  const session = new TestSession({ ready: false });
  session.dial = () => Promise.reject(new Error("refused"));
  await session.start();
  await session.client.send(WATCHING);
  await session.pass(1_000);
  session.show({ ready: true });
  await session.pass(1_000);
  assert.ok(session.dials.length >= 1);
  assert.equal(session.placement.needed, 0);
  assert.equal(session.placement.usage.on(0), 0);
  session.client.close();
  await session.pass(2_000);
  session.assertOver();
});

Deno.test("runSession() serves a watcher that builds while its pod is dialled and lost", async () => {
  const session = await begun(WATCHING, { ready: false });
  const dialling = Promise.withResolvers<void>();
  session.dial = () => dialling.promise.then(() => session.connected());
  session.show({ ready: true });
  await session.pass(100);
  assert.equal(session.dials.length, 1);
  assert.equal(session.placement.promise({ below: 0, version: "9" }), true);
  await send(session, BUILDING, 100);
  assert.equal(session.placement.usage.on(0), 0);
  dialling.resolve();
  await session.pass(5_000);
  assert.deepEqual(callsOf(session.daemons[0]!.bytes), [], "no byte to the daemon of a lost seat");
  assert.ok(session.placement.isClaiming, "it calls for a pod");
  session.placement.see({ version: "10", replicas: 1 }, "watch");
  await session.pass(2_000);
  assert.deepEqual(callsOf(session.daemons.at(-1)!.bytes), [1, 3]);
  assert.equal(session.placement.usage.on(0), 1);
  await finish(session);
  session.assertOver();
});

for (const [what, path] of [["delivers traces", EXPORT], ["watches", WATCH]] as const) {
  Deno.test(`runSession() counts a client that ${what} while it is held, and builds on the pod of somebody else`, async () => {
    const session = await begun(bytesOf(OPENING, SETTINGS_ACK, ...call(1, "", { path })), { ready: false });
    await session.pass(1_000);
    session.show({ ready: true });
    await session.pass(3_000);
    assert.equal(session.placement.usage.on(0), 0);
    await session.client.send(BUILDING);
    await session.pass(0);
    assert.deepEqual(callsOf(session.daemons[0]!.bytes), [1, 3]);
    assert.equal(session.placement.usage.on(0), 1);
    assert.equal(session.placement.promise({ below: 0, version: "9" }), false, "nobody may scale down");
    await finish(session);
    session.assertOver();
  });
}

for (const ready of [true, false]) {
  Deno.test(`runSession() ends a watcher that shall end, when it is ${ready ? "relayed" : "held"}`, async () => {
    const session = await begun(WATCHING, { ready });
    session.ports.seats.endWatchers("The proxy is shutting down");
    await session.pass(6_000);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "watch_ended");
    assert.equal(session.line["reason"], "The proxy is shutting down");
  });
}

Deno.test("runSession() ends a watcher that shall end, whenever exactly that is after the dial", async () => {
  for (let turns = 0; turns < 26; turns++) {
    const session = await begun(WATCHING, { ready: false });
    session.dial = () => {
      void (async () => {
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        session.ports.seats.endWatchers("The proxy is shutting down");
      })();
      return Promise.resolve(session.connected());
    };
    session.show({ ready: true });
    await session.pass(6_000);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "watch_ended", `${turns} turns`);
  }
});

Deno.test("runSession() logs unexpected errors while it is relayed, and ends", async () => {
  const session = await begun(WATCHING);
  session.ports.seats.identify = () => {
    throw new Error("a bug");
  };
  await session.client.send(BUILDING);
  await session.pass(0);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "failed");
  assert.equal(session.line["reason"], "a bug");
  assert.equal(session.log.of("session_failed").length, 1);
});
