/**
 * The whole program: the order of its shutdown. Signals themselves are in `process_test.ts`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type CancelTimer, type Clock, systemClock } from "../../../lib/base/clock.ts";
import { FRAME } from "../../../lib/miniature/stub_http2.ts";
import { within } from "../../support/deadline.ts";
import { call, Http2Client, literalFields, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { NOT_READY, type Program, startProgram } from "../../support/program.ts";

/** Resolves once the proxy's port is closed. */
async function untilRefused(program: Program): Promise<void> {
  for (;;) {
    try {
      (await program.connect()).close();
    } catch (error) {
      // What the kernel had taken when the port was closed is reset.
      if (error instanceof Deno.errors.ConnectionRefused) return;
      assert.ok(error instanceof Deno.errors.ConnectionReset, String(error));
    }
  }
}

Deno.test("program, told to drain: unready at once, alive, and new connections are served during the shutdown delay", async () => {
  await using program = await startProgram({ settings: { shutdownDelayMs: "1h" } });
  await program.settled();
  assert.deepEqual(await program.admin("/readyz"), { status: 200, text: "ok" });
  program.drain();
  assert.deepEqual(await program.admin("/readyz"), { status: 503, text: "shutdown: shutting down" });
  assert.equal((await program.admin("/livez")).status, 200);
  using client = await program.connect();
  assert.equal(await client.echo("in a cold start, too"), "in a cold start, too");
  const { sessions, shutdownDelayMs } = await program.logged("shutdown_started");
  assert.deepEqual({ sessions, shutdownDelayMs }, { sessions: 0, shutdownDelayMs: 3_600_000 });
});

Deno.test("program, told to drain: after the delay it takes no more, sessions go on to their end, and then it ends", async () => {
  await using program = await startProgram({ cluster: NOT_READY, settings: { shutdownDelayMs: "50ms" } });
  await program.settled();
  using held = await program.connect();
  await held.send("held");
  await program.held(1);
  program.drain();
  await within(untilRefused(program), "a refused connection");
  assert.equal((await program.admin("/livez")).status, 200);
  assert.equal((await program.admin("/readyz")).status, 503);
  assert.equal((await program.admin("/metrics")).status, 200);
  await program.makeReady();
  assert.equal(new TextDecoder().decode(await held.receive(4)), "held");
  for (let i = 0; i < 10; i++) assert.equal(await held.echo(`call ${i}`), `call ${i}`);
  assert.equal(program.log.of("program_ended").length, 0);
  held.close();
  await within(program.exited, "the end");
  assert.equal(program.metrics.value("sessions_ended_total", { outcome: "completed" }), 1);
  await program.logged("program_ended");
  await assert.rejects(program.admin("/livez"), "the admin port is closed");
});

Deno.test("program, draining: never lowers the count, but claims it for a held client", async () => {
  await using program = await startProgram({
    cluster: { replicas: 1 },
    settings: { shutdownDelayMs: "1h", idleTimeoutMs: "150ms" },
  });
  await program.settled();
  program.drain();
  const sinceMs = performance.now();
  while (performance.now() - sinceMs < 500) {
    using client = await program.connect();
    assert.equal(await client.echo("hello"), "hello");
    assert.equal(program.cluster.replicas, 1);
  }
  await program.until("no session", () => program.metrics.value("sessions_open") === 0);
  program.cluster.scale(0);
  await program.until("no pod", () => program.cluster.pods.length === 0);
  using client = await program.connect();
  assert.equal(await client.echo("cold"), "cold");
  assert.deepEqual(program.log.of("scaled").map(({ fields }) => fields["to"]), [1]);
});

Deno.test("program, told to drain: --drain-timeout cuts what still runs", async () => {
  await using program = await startProgram({
    cluster: { replicas: 1 },
    settings: { drainTimeoutMs: "100ms" },
  });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  const sinceMs = performance.now();
  program.drain();
  await client.ending();
  assert.ok(performance.now() - sinceMs >= 100, "not before the time was up");
  await within(program.exited, "the end");
  const { sessions, reason } = await program.logged("sessions_cut");
  assert.deepEqual({ sessions, reason }, { sessions: 1, reason: "The drain timeout has passed" });
  const ended = await program.logged("session_ended");
  assert.equal(ended["outcome"], "drain_timeout");
  assert.equal(ended["reason"], "The drain timeout has passed");
});

Deno.test("program, draining: held clients get the reason when --drain-timeout has passed", async () => {
  await using program = await startProgram({
    settings: { drainTimeoutMs: "100ms", shutdownDelayMs: "0s" },
    cluster: NOT_READY,
  });
  await program.settled();
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING, SETTINGS_ACK, ...call(1));
  assert.equal((await client.next())?.type, FRAME.settings);
  program.drain();
  const answer = await client.next();
  assert.equal(answer?.type, FRAME.headers);
  const fields = literalFields(answer.payload);
  assert.equal(fields["grpc-status"], "9");
  assert.match(
    decodeURIComponent(fields["grpc-message"]!),
    /^The drain timeout has passed: .*start the build again/,
  );
  client.close();
  await within(program.exited, "the end");
  const ended = await program.logged("session_ended");
  assert.equal(ended["outcome"], "drain_timeout");
});

for (
  const [when, shutdownDelayMs] of [["during the shutdown delay", "1h"], [
    "while sessions run",
    "0s",
  ]] as const
) {
  Deno.test(`program, told to stop at once ${when}: it cuts what runs and what is held, and ends`, async () => {
    await using program = await startProgram({ settings: { shutdownDelayMs }, cluster: { replicas: 1 } });
    await program.settled();
    using running = await program.connect();
    assert.equal(await running.echo("hello"), "hello");
    program.cluster.kubelet.setReady("buildkitd-0", false);
    using held = await program.connect();
    await held.send("hello");
    await program.until("two sessions", () => program.metrics.value("sessions_open") === 2);
    program.drain();
    await program.logged("shutdown_started");
    assert.equal(await running.echo("still here"), "still here");
    program.stopNow();
    await within(program.exited, "the end");
    await Promise.all([running.ending(), held.ending()]);
    assert.equal((await program.logged("sessions_cut"))["reason"], "The proxy was told to stop at once");
    assert.equal(program.metrics.value("sessions_ended_total", { outcome: "drain_timeout" }), 2);
    assert.equal(program.metrics.value("sessions_open"), 0);
  });
}

Deno.test("program, told to stop while the API server is frozen: it ends all the same", async () => {
  await using program = await startProgram({
    before: ({ cluster }) => void cluster.api.faults.add({ fault: { kind: "freeze" } }),
  });
  using client = await program.connect();
  await program.until("requests", () => program.metrics.value("api_requests_total") >= 3);
  program.stopNow();
  await within(program.exited, "the end");
  await client.ending();
});

Deno.test("program: leaves no timer and no connection behind when it ends", async () => {
  const timers = new Set<object>();
  const clock: Clock = {
    ...systemClock,
    setTimer(delayMs, callback): CancelTimer {
      const timer = {};
      timers.add(timer);
      const cancel = systemClock.setTimer(delayMs, () => {
        timers.delete(timer);
        callback();
      });
      return () => {
        timers.delete(timer);
        cancel();
      };
    },
  };
  await using program = await startProgram({ clock });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  program.drain();
  client.close();
  await within(program.exited, "the end");
  assert.equal(timers.size, 0);
});
