/**
 * Tests of one session from accept to its line in the log: hold, seat, dial, relay, and every way in which it can end.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FRAME } from "../../../lib/demo/stub_http2.ts";
import { bytesOf, call, GOODBYE, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { BACKEND, type SessionOptions, TestSession } from "../../support/session.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/** A gRPC client's first call. */
const CALL = bytesOf(OPENING, SETTINGS_ACK, ...call(1));

/** The first bytes of a TLS client. */
const TLS = Uint8Array.of(0x16, 3, 1, 2, 0, 1);

/** A session that has begun, with what the client has sent so far. */
async function begun(sent: Uint8Array | string, options: SessionOptions = {}): Promise<TestSession> {
  const session = new TestSession(options);
  await session.start();
  await session.client.send(sent);
  await session.pass(0);
  return session;
}

/** The client has had what it wanted, and leaves, and then the daemon. */
async function finish(session: TestSession): Promise<void> {
  await session.client.end();
  await session.pass(0);
  await session.daemons.at(-1)!.end();
  await session.pass(0);
}

const held = (sent: Uint8Array | string = CALL, options: SessionOptions = {}) =>
  begun(sent, { ...options, ready: false });

Deno.test("runSession() serves a client at once when there is a pod, and says all of it in one line", async () => {
  const session = await begun("hello");
  const { clock, client, daemons: [daemon], placement } = session;
  assert.equal(daemon?.text, "hello");
  assert.equal(placement.usage.on(0), 1);
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
  assert.deepEqual(session.resets, [], "nothing is odd about it");
  assert.deepEqual(session.log.of("session opened")[0]?.fields, { session: 1, client: "192.0.2.1:2" });
  assert.deepEqual(session.dials, [{ atMs: clock.nowMs() - 2 * SECOND_MS, hostname: "192.0.2.1" }]);
});

Deno.test("runSession() holds a client until there is a pod, keeps what it has sent, and measures the cold start", async () => {
  const session = await held("hello");
  assert.equal(session.placement.usage.held, 1);
  assert.deepEqual(session.dials, []);
  await session.pass(3_000);
  session.show();
  session.ports.coldStart.look({ backends: [BACKEND], isReady: () => true });
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

Deno.test("runSession() wakes a backend by the connection, or only by its first bytes", async () => {
  for (const [wakeOn, before] of [["connect", 1], ["data", 0]] as const) {
    const session = new TestSession({ ready: false, settings: { wakeOn } });
    await session.start();
    assert.equal(session.placement.usage.needing, before, wakeOn);
    await session.pass(2 * SECOND_MS);
    await session.client.send("hello");
    await session.pass(0);
    assert.equal(session.placement.usage.needing, 1, wakeOn);
    assert.equal(session.placement.usage.held, 1);
    await session.pass(SECOND_MS);
    await session.client.send("more");
    await session.pass(SECOND_MS);
    session.ports.coldStart.look({ backends: [BACKEND], isReady: () => true });
    const sinceMs = wakeOn === "connect" ? 4 : 2;
    assert.equal(
      session.of("cold_start_seconds")[0]?.value,
      sinceMs,
      `${wakeOn}: the cold start began with the wish`,
    );
    session.client.close();
    await session.pass(0);
    session.assertOver();
  }
});

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
      reason: "said goodbye",
    },
  ].map((row) => ({ more: false, ...row })).map((row) => ({
    ...row,
    reason: `The client ${row.reason} while it waited for buildkitd` +
      (row.more
        ? "; it does not speak plain HTTP/2 (with TLS its bytes cannot be read), so that its own limit for a new " +
          "connection holds, which is 20s in gRPC clients"
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
    /^buildkitd did not become ready in 5m0s: pod buildkitd-0 is Pending; it does not speak plain HTTP\/2 /,
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
  for (const id of [11, 12]) session.placement.open(id, true);
  await session.start();
  await session.client.send(CALL);
  await session.pass(0);
  const message = "The limit of 2 waiting sessions is reached (--max-held)";
  assert.deepEqual(session.client.refusal, { status: "8", message });
  assert.equal(session.placement.usage.held, 2);
  session.client.close();
  await session.pass(0);
  assert.ok(session.over);
  assert.equal(session.line?.["outcome"], "limited");
  assert.equal(session.level, "debug", "there may be thousands");
  assert.deepEqual(session.log.of("sessions are refused").map(({ level }) => level), ["warn"]);
  assert.equal(session.clock.pending, 0);
});

Deno.test("runSession() holds a client up to --max-held, and says that refusals are over", async () => {
  const session = new TestSession({ ready: false, settings: { maxHeld: 2 } });
  session.placement.open(11, true);
  session.ports.heldLimit.failed("The limit is reached");
  await session.start();
  assert.equal(session.placement.usage.held, 2);
  assert.equal(session.log.of("sessions are refused is over").length, 1);
  session.placement.end(11);
  session.client.close();
  await session.pass(0);
  session.assertOver();
});

Deno.test("runSession() dials again until it works, doubts the pod, and says why once", async () => {
  const session = new TestSession();
  session.dial = () => Promise.reject(new Deno.errors.ConnectionRefused("refused"));
  await session.start();
  await session.client.send("hello");
  assert.ok(session.placement.healthOf("pod-1").doubted);
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
  const faults = session.log.of("cannot connect to a ready pod");
  assert.deepEqual(faults.filter(({ level }) => level === "warn").length, 1);
  assert.equal(faults[0]?.fields["pod"], "buildkitd-0");
  session.dial = () => Promise.resolve(session.connected());
  await session.pass(SECOND_MS);
  session.show({ ready: false });
  session.show({ ready: true });
  await session.pass(SECOND_MS);
  assert.equal(session.daemons[0]?.text, "hello", "nothing is lost, nothing is sent twice");
  assert.equal(session.log.of("cannot connect to a ready pod is over").length, 1);
  await finish(session);
  session.assertOver();
});

Deno.test("runSession() does not doubt a pod that this machine cannot even dial, and pauses longer and longer", async () => {
  const session = new TestSession();
  session.dial = () => Promise.reject(Object.assign(new Error("EMFILE"), { code: "EMFILE" }));
  await session.start();
  await session.pass(5_500);
  assert.ok(!session.placement.healthOf("pod-1").doubted);
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

for (
  const { when, options, prepare } of [
    { when: "while it is held", options: { ready: false }, prepare: () => {} },
    {
      when: "during the dial",
      options: {},
      prepare: (session: TestSession) => session.dial = () => new Promise(() => {}),
    },
    { when: "while it is relayed", options: {}, prepare: () => {} },
    {
      when: "before it begins",
      options: {},
      prepare: ({ cut }: TestSession) => cut.abort(new Error("The end")),
    },
    {
      when: "before it begins, without a pod",
      options: { ready: false },
      prepare: ({ cut }: TestSession) => cut.abort(new Error("The end")),
    },
  ]
) {
  Deno.test(`runSession() is cut at once ${when}`, async () => {
    const session = new TestSession(options);
    prepare(session);
    await session.start();
    await session.client.send(CALL).catch(() => {}); // it may be closed already
    await session.pass(0);
    session.cut.abort(new Error("The end"));
    await session.pass(0);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "drain_timeout");
    assert.equal(session.line["reason"], "The end");
    assert.equal(session.client.refusal, undefined);
    assert.equal(session.log.of("session failed").length, 0);
  });
}

Deno.test("runSession() is cut at once while a refused client is given its time", async () => {
  const session = await held();
  await session.pass(5 * MINUTE_MS + SECOND_MS);
  assert.ok(!session.over);
  session.cut.abort(new Error("The end"));
  await session.pass(0);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "drain_timeout");
});

Deno.test("runSession() tells a held client that no backend is going to come, now or later, and lets others go on", async () => {
  const early = new TestSession({ ready: false });
  await early.giveUp();
  await early.start();
  await early.client.send(CALL);
  await early.pass(0);
  const late = await held();
  await late.giveUp();
  for (const session of [early, late]) {
    assert.deepEqual(session.client.refusal, { status: "9", message: "The proxy has failed" });
    session.client.close();
    await session.pass(0);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "failed");
    assert.equal(session.line["reason"], "The proxy has failed");
    assert.equal(session.log.of("session failed").length, 0);
  }
  const running = await begun("hello");
  await running.giveUp();
  await running.daemons[0]!.send("good day");
  await running.pass(0);
  assert.equal(running.client.text, "good day");
  await finish(running);
  running.assertOver();
  assert.equal(running.line?.["outcome"], "completed");
});

Deno.test("runSession() closes a session that is silent both ways for --session-idle-timeout", async () => {
  const session = await begun("hello", { settings: { sessionIdleTimeoutMs: 10 * MINUTE_MS } });
  for (let i = 0; i < 3; i++) {
    await session.pass(8 * MINUTE_MS);
    await session.daemons[0]!.send("still here");
  }
  await session.pass(9 * MINUTE_MS);
  assert.ok(!session.over);
  await session.pass(3 * MINUTE_MS);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "idle_timeout");
  assert.equal(session.line["reason"], "Silent for 10m0s (--session-idle-timeout)");
});

Deno.test("runSession() keeps a silent session for ever without that timeout, but a half-closed one for 15 minutes", async () => {
  const session = await begun("hello");
  await session.pass(100 * MINUTE_MS);
  assert.ok(!session.over);
  await session.client.end();
  for (let i = 0; i < 3; i++) {
    await session.pass(10 * MINUTE_MS);
    await session.daemons[0]!.send("still here");
  }
  await session.pass(14 * MINUTE_MS);
  assert.ok(!session.over);
  await session.pass(4 * MINUTE_MS);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "idle_timeout");
  assert.equal(session.line["reason"], "Silent for 15m0s after one side had ended");
});

Deno.test("runSession() finds out how a pod ended that has reset a session, and writes its line then, with the sockets closed", async () => {
  const session = await held("hello");
  await session.pass(2 * SECOND_MS);
  session.show();
  await session.pass(7 * SECOND_MS);
  session.daemons[0]!.break();
  await session.pass(0);
  assert.deepEqual(session.resets.map(({ pod, connectedForMs }) => [pod, connectedForMs]), [[
    "buildkitd-0",
    7_000,
  ]]);
  assert.ok(session.over && session.downstream.closed);
  assert.equal(session.line, undefined);
  session.resets[0]!.tell("container buildkitd was OOMKilled");
  session.assertOver();
  assert.equal(session.line?.["outcome"], "upstream_reset");
  assert.equal(session.line["reason"], "container buildkitd was OOMKilled");
  assert.equal(session.line["durationMs"], 9_000);
});

Deno.test("runSession() finds that out of a daemon that has left first, and of none that was left", async () => {
  const left = await begun("hello");
  await left.daemons[0]!.end();
  await left.pass(0);
  await left.client.end();
  await left.pass(0);
  assert.equal(left.resets.length, 1);
  left.resets[0]!.tell(undefined);
  left.assertOver();
  assert.equal(left.line?.["outcome"], "completed");
  assert.equal(left.line["reason"], undefined);

  for (const leave of ["end", "break"] as const) {
    const leaving = await begun("hello");
    await leaving.client[leave]();
    await leaving.pass(0);
    await leaving.daemons[0]!.end().catch(() => {}); // closed by the reset
    await leaving.pass(0);
    leaving.assertOver();
    assert.deepEqual(leaving.resets, []);
    assert.equal(leaving.line?.["outcome"], leave === "end" ? "completed" : "downstream_reset");
  }

  const silent = await begun("hello");
  await silent.daemons[0]!.end();
  await silent.pass(20 * MINUTE_MS);
  silent.assertOver();
  assert.deepEqual(silent.resets, [], "the proxy has ended it");
});

Deno.test("runSession() says what has failed that should not, and ends", async () => {
  const session = await held();
  session.why = () => Promise.reject(new Error("a bug"));
  await session.pass(5 * MINUTE_MS);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "failed");
  assert.equal(session.line["reason"], "a bug");
  assert.deepEqual(session.log.of("session failed").map(({ level, fields }) => [level, fields]), [
    ["error", { session: 1, client: "192.0.2.1:2", cause: "a bug" }],
  ]);
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
