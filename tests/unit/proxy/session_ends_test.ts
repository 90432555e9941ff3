/**
 * Tests of what ends a session before its time, or makes its end worth a closer look.
 *
 * @module
 */
import assert from "node:assert/strict";
import { begun, CALL, finish, held, TestSession } from "../../support/session.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

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
    assert.equal(session.log.of("session_failed").length, 0);
  });
}

Deno.test("runSession() is cut at once between the dial and the first byte, whenever exactly", async () => {
  for (let turns = 0; turns < 30; turns++) {
    const session = new TestSession();
    session.dial = () => {
      void (async () => {
        for (let i = 0; i < turns; i++) await Promise.resolve();
        session.cut.abort(new Error("The end"));
      })();
      return Promise.resolve(session.connected());
    };
    await session.start();
    assert.equal(session.over, true, `after ${turns} turns`);
    session.assertOver();
    assert.equal(session.line?.["outcome"], "drain_timeout");
  }
});

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
    assert.equal(session.log.of("session_failed").length, 0);
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
  assert.equal(session.of("sessions_broken_total").length, 1);
  assert.equal(session.line?.["outcome"], "upstream_reset");
  assert.equal(session.line["reason"], "container buildkitd was OOMKilled");
  assert.equal(session.line["durationMs"], 9_000);
});

Deno.test("runSession() finds that out of a daemon that has left first, and of none that was left", async () => {
  for (const how of [undefined, "container buildkitd was OOMKilled"]) {
    const left = await begun("hello");
    await left.daemons[0]!.end();
    await left.pass(0);
    await left.client.end();
    await left.pass(0);
    assert.equal(left.resets.length, 1);
    assert.equal(left.of("sessions_broken_total").length, 0, "it may have ended as it should");
    left.resets[0]!.tell(how);
    left.assertOver();
    assert.equal(left.line?.["outcome"], "completed");
    assert.equal(left.line["reason"], how);
    assert.equal(left.of("sessions_broken_total").length, how === undefined ? 0 : 1);
  }

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

Deno.test("runSession() logs unexpected errors, and ends", async () => {
  const session = await held();
  session.why = () => Promise.reject(new Error("a bug"));
  await session.pass(5 * MINUTE_MS);
  session.assertOver();
  assert.equal(session.line?.["outcome"], "failed");
  assert.equal(session.line["reason"], "a bug");
  assert.deepEqual(session.log.of("session_failed").map(({ level, fields }) => [level, fields]), [
    ["error", { session: 1, client: "192.0.2.1:2", clientName: undefined, cause: "a bug" }],
  ]);
});
