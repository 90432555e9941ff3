/**
 * The whole program: a cold start, of one client and of many.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startProgram } from "../../support/program.ts";

Deno.test("program: one client wakes a pod, is held until it is ready, and is served", async () => {
  await using program = await startProgram();
  await program.settled();
  assert.equal(program.cluster.replicas, 0);
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  assert.equal(program.cluster.replicas, 1);
  client.close();
  const { outcome, pod, upstreamBytes, downstreamBytes } = await program.logged("session_ended");
  assert.deepEqual({ outcome, pod, upstreamBytes, downstreamBytes }, {
    outcome: "completed",
    pod: "buildkitd-0",
    upstreamBytes: 5,
    downstreamBytes: 5,
  });
});

Deno.test("program: every client of a cold start is held and served, for one write and no other request", async () => {
  await using program = await startProgram({ cluster: { startMs: () => 100, probeMs: () => 50 } });
  await program.settled();
  program.cluster.api.requests.length = 0;
  const clients = await Promise.all(Array.from({ length: 32 }, () => program.connect()));
  await program.held(32);
  const echoes = await Promise.all(clients.map((client, i) => client.echo(`client ${i}`)));
  assert.deepEqual(echoes, clients.map((_, i) => `client ${i}`));
  assert.deepEqual(
    program.world.requests,
    ["patch statefulsets/scale"],
    "released by the watch, not by asking",
  );
  assert.equal(program.pods.started.length, 1);
  assert.deepEqual(program.log.of("replicas_changed_externally"), []);
  for (const client of clients) client.close();
  await program.logged("session_ended", 32);
});

Deno.test("program: 300 sessions to a ready pod cost no API request", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 } });
  await program.settled();
  await program.warm();
  program.cluster.api.requests.length = 0;
  for (let i = 0; i < 300; i += 10) {
    const clients = await Promise.all(Array.from({ length: 10 }, () => program.connect()));
    for (const client of clients) {
      assert.equal(await client.echo(`call ${i}`), `call ${i}`);
      client.close();
    }
  }
  await program.logged("session_ended", 301);
  assert.deepEqual(program.world.requests, []);
});

Deno.test("program: an idle pod goes one idle timeout after the last session, and not before", async () => {
  await using program = await startProgram({ settings: { idleTimeoutMs: "300ms" } });
  await program.settled();
  const idleMs = 300;
  using client = await program.connect();
  await client.echo("hello");
  const endedMs = performance.now();
  client.close();
  await program.until("no replica", () => program.cluster.replicas === 0);
  assert.ok(performance.now() - endedMs >= idleMs, "not before the idle timeout");
  await program.until("no pod", () => program.cluster.pods.length === 0);
  assert.deepEqual(program.pods.sessions.map(({ state }) => state), ["closed"]);
  await program.logged("scaled", 2);
  const scaled = program.log.of("scaled").map(({ fields: { from, to, reason } }) => [from, to, reason]);
  assert.deepEqual(scaled, [[0, 1, "held_session"], [1, 0, "idle"]]);
});

Deno.test("program: a session that outlasts many idle timeouts keeps its pod", async () => {
  await using program = await startProgram({ settings: { idleTimeoutMs: "20ms" } });
  await program.settled();
  using client = await program.connect();
  const sinceMs = performance.now();
  for (let i = 0; performance.now() - sinceMs < 400; i++) {
    assert.equal(await client.echo(`call ${i}`), `call ${i}`);
    assert.equal(program.cluster.replicas, 1);
  }
});
