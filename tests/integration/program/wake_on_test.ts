/**
 * The whole program: what wakes a pod and what keeps it, a connection or its first byte.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startProgram } from "../../support/program.ts";

Deno.test("program: by default a bare connection wakes a pod", async () => {
  await using program = await startProgram();
  await program.settled();
  using client = await program.connect();
  client.close();
  await program.until("a replica", () => program.cluster.replicas === 1);
});

Deno.test("program --wake-on=data: bare connections wake nothing, a byte does", async () => {
  await using program = await startProgram({ settings: { wakeOn: "data" } });
  await program.settled();
  program.cluster.api.requests.length = 0;
  for (let i = 1; i <= 10; i++) {
    using client = await program.connect();
    client.close();
    await program.logged("session_ended", i);
  }
  using silent = await program.connect();
  await program.held(1);
  assert.deepEqual(program.world.requests, []);
  assert.equal(program.cluster.replicas, 0);
  assert.equal(await silent.echo("now"), "now");
  assert.deepEqual(program.world.requests, ["patch statefulsets/scale"]);
});

Deno.test("program --wake-on=data: a silent client is served, too, once another has woken the pod", async () => {
  await using program = await startProgram({
    settings: { wakeOn: "data" },
    serve: async (conn) => {
      await conn.write(new TextEncoder().encode("first"));
      await conn.read(new Uint8Array(1));
    },
  });
  await program.settled();
  using silent = await program.connect();
  await program.held(1);
  using talking = await program.connect();
  await talking.send("x");
  assert.equal(new TextDecoder().decode(await silent.receive(5)), "first");
});

Deno.test("program --wake-on=data: bare connections do not keep a pod", async () => {
  await using program = await startProgram({
    cluster: { replicas: 1 },
    settings: { wakeOn: "data", idleTimeoutMs: "300ms" },
  });
  await program.settled();
  // As a load balancer's check does, if often. If they kept the pod, this would never end.
  for (const sinceMs = performance.now(); program.cluster.replicas > 0;) {
    assert.ok(performance.now() - sinceMs < 30_000, "bare connections keep the pod");
    using client = await program.connect();
    client.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await program.logged("scaled");
  assert.deepEqual(program.log.of("scaled").map(({ fields }) => fields["to"]), [0]);
});

Deno.test("program --wake-on=data: sessions with bytes keep the pod for one idle timeout", async () => {
  await using program = await startProgram({ settings: { wakeOn: "data", idleTimeoutMs: "300ms" } });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  const endedMs = performance.now();
  client.close();
  await program.until("no replica", () => program.cluster.replicas === 0);
  assert.ok(performance.now() - endedMs >= 300);
});

Deno.test("program --wake-on=data: a silent connection does not count as timed out", async () => {
  await using program = await startProgram({ settings: { wakeOn: "data", readyWaitTimeoutMs: "250ms" } });
  await program.settled();
  using silent = await program.connect();
  await silent.ending();
  const { outcome, reason } = await program.logged("session_ended");
  assert.deepEqual([outcome, reason], [
    "idle_timeout",
    "Silent for 250ms while held (--wake-on=data, --ready-wait-timeout)",
  ]);
  assert.equal(program.log.of("session_ended")[0]!.level, "info");
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("program --wake-on=data: a cold start is measured from the first byte, not from a bare connection", async () => {
  await using program = await startProgram({ settings: { wakeOn: "data" } });
  await program.settled();
  using silent = await program.connect();
  await program.held(1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const sinceMs = performance.now();
  assert.equal(await silent.echo("hello"), "hello");
  const tookSeconds = (performance.now() - sinceMs) / 1000;
  const { text } = await program.admin("/metrics");
  const phases = [...text.matchAll(/cold_start_seconds_sum\{builder="buildkitd",phase="(\w+)"\} (.+)/g)];
  assert.equal(phases.length, 4);
  for (const [, phase, seconds] of phases) {
    assert.ok(
      Number(seconds) > 0 && Number(seconds) <= tookSeconds,
      `${phase}: ${seconds} s of ${tookSeconds}`,
    );
  }
});
