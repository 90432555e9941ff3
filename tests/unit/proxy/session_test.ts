/**
 * Tests of a session that is served: by a pod that is ready, or after a hold or a dial that has failed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FRAME } from "../../../lib/miniature/stub_http2.ts";
import { bytesOf, call, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { BACKEND, begun, finish, held, TestSession } from "../../support/session.ts";

const SECOND_MS = 1_000;

Deno.test("runSession() serves a client at once when there is a pod, and says all of it in one line", async () => {
  const session = await begun("hello");
  const { clock, client, daemons: [daemon], placement } = session;
  assert.equal(daemon?.text, "hello");
  assert.equal(placement.usage.on(0), 1);
  assert.equal(clock.pending, 1, "the time of its wait is over, and its silence is watched");
  await daemon.send("good day");
  await session.pass(2 * SECOND_MS);
  assert.equal(client.text, "good day");
  await client.end();
  await session.pass(0);
  assert.equal(daemon.ended, "fin", "the FIN is passed on");
  assert.ok(!session.over);
  await daemon.end();
  await session.pass(0);
  session.assertOver();
  assert.equal(session.level, "info");
  assert.deepEqual(session.line, {
    session: 1,
    client: "192.0.2.1:2",
    clientName: undefined,
    outcome: "completed",
    reason: undefined,
    pod: "buildkitd-0",
    ordinal: 0,
    heldMs: 0,
    durationMs: 2 * SECOND_MS,
    upstreamBytes: 5,
    downstreamBytes: 8,
  });
  assert.deepEqual(session.of("hold_seconds"), [{ value: 0, labels: {} }]);
  assert.deepEqual(session.of("sessions_ended_total"), [{ value: 1, labels: { outcome: "completed" } }]);
  assert.deepEqual(session.of("sessions_opened_total"), [{ value: 1, labels: {} }]);
  // The alert about idle builders asks for this counter, also where there is but one.
  assert.deepEqual(session.of("routed_total"), [{ value: 1, labels: { builder: "buildkitd", why: "home" } }]);
  assert.deepEqual(session.resets, [], "nothing is odd about it");
  assert.deepEqual(session.log.of("session_opened")[0]?.fields, {
    session: 1,
    client: "192.0.2.1:2",
    clientName: undefined,
  });
  assert.deepEqual(session.dials, [{ atMs: clock.nowMs() - 2 * SECOND_MS, hostname: "192.0.2.1" }]);
});

Deno.test("runSession() holds a client until there is a pod, keeps what it has sent, and measures the cold start", async () => {
  const session = await held("hello");
  assert.equal(session.placement.usage.held, 1);
  assert.deepEqual(session.dials, []);
  await session.pass(3_000);
  session.show();
  session.coldStart.look({ all: [BACKEND], isReady: () => true });
  await session.pass(500);
  assert.equal(session.daemons[0]?.text, "hello");
  await session.daemons[0].send("good day");
  await session.pass(0);
  assert.deepEqual(session.of("hold_seconds"), [{ value: 3, labels: {} }]);
  assert.deepEqual(session.of("cold_start_seconds"), [
    { value: 3, labels: { phase: "pod_address" } },
    { value: 3, labels: { phase: "ready" } },
    { value: 3.5, labels: { phase: "first_byte" } },
  ]);
  await finish(session);
  session.assertOver();
  assert.equal(session.line?.["heldMs"], 3_000);
  assert.equal(session.line["durationMs"], 3_500);
});

Deno.test("runSession() sends small packets at once and probes silent peers, on both connections, if they let it", async () => {
  for (const fails of [false, true]) {
    const session = new TestSession();
    const set: string[] = [];
    const watch = (name: string, conn: { setNoDelay: () => void; setKeepAlive: () => void }) => {
      conn.setNoDelay = () => {
        set.push(`${name} no delay`);
        if (fails) throw new Deno.errors.BadResource("Bad resource ID");
      };
      conn.setKeepAlive = () => void set.push(`${name} keep alive`);
    };
    watch("client", session.downstream);
    session.dial = () => {
      const conn = session.connected();
      watch("daemon", conn);
      return Promise.resolve(conn);
    };
    await session.start();
    assert.deepEqual(
      set,
      fails
        ? ["client no delay", "daemon no delay"]
        : ["client no delay", "client keep alive", "daemon no delay", "daemon keep alive"],
    );
    await finish(session);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "completed");
  }
});

/** A client that says nothing is taken for one that needs a pod after so long. */
const SILENT_MS = 200;

Deno.test("runSession() wakes a backend by the connection, or only by its first bytes", async () => {
  for (const [wakeOn, after] of [["connect", 1], ["data", 0]] as const) {
    const session = new TestSession({ ready: false, settings: { wakeOn } });
    await session.start();
    await session.pass(SILENT_MS - 1);
    assert.equal(session.placement.usage.needing, 0, "it may be one that only watches");
    await session.pass(1);
    assert.equal(session.placement.usage.needing, after, wakeOn);
    await session.pass(2 * SECOND_MS - SILENT_MS);
    await session.client.send("hello");
    await session.pass(0);
    assert.equal(session.placement.usage.needing, 1, wakeOn);
    assert.equal(session.placement.usage.held, 1);
    await session.pass(SECOND_MS);
    await session.client.send("more");
    await session.pass(SECOND_MS);
    session.coldStart.look({ all: [BACKEND], isReady: () => true });
    const sinceMs = 4 * SECOND_MS - (wakeOn === "connect" ? SILENT_MS : 2 * SECOND_MS);
    assert.equal(
      session.of("cold_start_seconds")[0]?.value,
      sinceMs / 1000,
      `${wakeOn}: the cold start began with the wish`,
    );
    session.client.close();
    await session.pass(0);
    session.assertOver();
  }
});

Deno.test("runSession() counts a silent client on a warm pod as one that uses it once it sends something", async () => {
  const session = new TestSession({ settings: { wakeOn: "data" } });
  await session.start();
  assert.equal(session.daemons.length, 1);
  assert.equal(session.ports.seats.needs(1), false);
  await session.client.send("hello");
  await session.pass(0);
  assert.equal(session.ports.seats.needs(1), true);
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() does not take a session for silent that was held for long, and has just got its pod", async () => {
  const session = new TestSession({ ready: false });
  await session.start();
  await session.pass(59_000);
  session.show({ ready: true });
  await session.pass(59_000);
  assert.deepEqual(session.silences, []);
  await session.pass(16_000);
  assert.deepEqual(session.silences, [true], "by then it has been silent there");
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() says nothing of its own to a client that sends its first bytes during the dial", async () => {
  const session = await held("");
  const connecting = Promise.withResolvers<void>();
  session.dial = async () => {
    await connecting.promise;
    return session.connected();
  };
  session.show();
  await session.client.send(bytesOf(OPENING, ...call(1)));
  await session.pass(0);
  assert.deepEqual(session.client.frames, []);
  connecting.resolve();
  await session.pass(0);
  assert.equal(session.daemons[0]?.text, new TextDecoder().decode(bytesOf(OPENING, ...call(1))));
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() dials again until it works, doubts the pod, and says why once", async () => {
  const session = new TestSession();
  session.dial = () => Promise.reject(new Deno.errors.ConnectionRefused("refused"));
  await session.start();
  await session.client.send("hello");
  assert.ok(session.placement.pods.healthOf("pod-1").unhealthy);
  // The daemon's condition decides again.
  for (let i = 0; i < 8; i++) {
    await session.pass(SECOND_MS);
    session.show({ ready: false });
    session.show({ ready: true });
  }
  await session.pass(0);
  const times = session.dials.map(({ atMs }) => atMs);
  assert.ok(times.length >= 5, `${times}`);
  assert.equal(session.of("dial_errors_total").length, times.length);
  assert.equal(session.placement.usage.on(0), 0);
  const faults = session.log.of("pod_connection_failed");
  assert.deepEqual(faults.filter(({ level }) => level === "warn").length, 1);
  assert.equal(faults[0]?.fields["pod"], "buildkitd-0");
  session.dial = () => Promise.resolve(session.connected());
  await session.pass(SECOND_MS);
  session.show({ ready: false });
  session.show({ ready: true });
  await session.pass(SECOND_MS);
  assert.equal(session.daemons[0]?.text, "hello", "nothing is lost, nothing is sent twice");
  assert.equal(session.log.of("pod_connection_failed_recovered").length, 1);
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() does not doubt a pod that this machine cannot even dial, and pauses longer and longer", async () => {
  const session = new TestSession();
  session.dial = () => Promise.reject(Object.assign(new Error("EMFILE"), { code: "EMFILE" }));
  await session.start();
  await session.pass(5_500);
  assert.ok(!session.placement.pods.healthOf("pod-1").unhealthy);
  const times = session.dials.map(({ atMs }) => atMs);
  const pauses = times.slice(1).map((ms, i) => ms - times[i]!);
  assert.deepEqual(pauses.slice(0, 7), [50, 100, 200, 400, 800, 1_000, 1_000]);
  session.client.close();
  await session.pass(0);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "client_left");
});

Deno.test("runSession() keeps a gRPC client patient while a dial has failed, and takes what it says meanwhile out", async () => {
  const session = new TestSession();
  session.dial = () => Promise.reject(new Deno.errors.ConnectionRefused("refused"));
  await session.start();
  await session.client.send(bytesOf(OPENING, ...call(1)));
  await session.pass(0);
  assert.equal(session.client.frames[0]?.type, FRAME.settings);
  assert.equal(session.placement.usage.needing, 1, "it calls for a pod as before");
  await session.client.send(bytesOf(SETTINGS_ACK));
  session.dial = () => Promise.resolve(session.connected());
  session.show({ ready: false });
  session.show({ ready: true });
  await session.pass(SECOND_MS);
  assert.equal(session.daemons[0]?.text, new TextDecoder().decode(bytesOf(OPENING, ...call(1))));
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() does not use a connection whose seat was lost meanwhile: no byte goes there", async () => {
  const session = new TestSession();
  const connecting = Promise.withResolvers<void>();
  session.dial = async () => {
    await connecting.promise;
    return session.connected();
  };
  await session.start();
  await session.client.send("hello");
  session.show({ ready: false, terminating: true });
  connecting.resolve();
  await session.pass(10);
  assert.equal(session.daemons[0]?.text, "");
  assert.notEqual(session.daemons[0].ended, undefined);
  assert.ok(session.upstreams[0]?.closed);
  assert.equal(session.placement.usage.held, 1);
  session.show({ uid: "pod-2" });
  await session.pass(SECOND_MS);
  assert.equal(session.daemons[1]?.text, "hello");
  assert.equal(session.of("dial_errors_total").length, 0, "that is no error");
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() passes on the FIN of a client that sends it during the dial", async () => {
  const session = new TestSession();
  const connecting = Promise.withResolvers<void>();
  session.dial = async () => {
    await connecting.promise;
    return session.connected();
  };
  await session.start();
  await session.client.send("hello");
  await session.client.end();
  await session.pass(SECOND_MS);
  assert.ok(!session.over);
  connecting.resolve();
  await session.pass(0);
  assert.equal(session.daemons[0]?.text, "hello");
  assert.equal(session.daemons[0].ended, "fin");
  await session.daemons[0].send("good day");
  await session.daemons[0].end();
  await session.pass(0);
  assert.equal(session.client.text, "good day");
  session.assertOver();
  assert.equal(session.line?.["outcome"], "completed");
  assert.deepEqual(session.resets, []);
});
