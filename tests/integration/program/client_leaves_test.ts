/**
 * The whole program: clients that leave while they are held.
 *
 * @module
 */
import assert from "node:assert/strict";
import { NOT_READY, startProgram } from "../../support/program.ts";
import { resettable } from "../../support/tcp_client.ts";

const IDLE_MS = 200;

for (const sends of ["", "some bytes"]) {
  const having = sends === "" ? "nothing" : "something";
  Deno.test(`program: a held client that has sent ${having} and leaves by FIN is gone at once, and so is its pod after one idle timeout`, async () => {
    await using program = await startProgram({
      cluster: NOT_READY,
      settings: { idleTimeoutMs: `${IDLE_MS}ms` },
    });
    await program.settled();
    using client = await program.connect();
    await client.send(sends);
    await program.held(1);
    await program.until("a pod", () => program.cluster.pods.length === 1);
    const leftMs = performance.now();
    client.close();
    const { outcome, reason } = await program.logged("session_ended");
    assert.equal(outcome, "client_left");
    assert.match(String(reason), /closed its connection while it waited/);
    await program.held(0);
    await program.until("no replica", () => program.cluster.replicas === 0);
    assert.ok(performance.now() - leftMs >= IDLE_MS, "not before the idle timeout");
    await program.until("no pod", () => program.cluster.pods.length === 0);
    assert.equal(program.pods.sessions.length, 0);
    assert.equal(program.metrics.value("hold_bytes"), 0);
  });
}

Deno.test("program: a held client that leaves by RST is gone at once", async () => {
  await using program = await startProgram({
    cluster: NOT_READY,
    settings: { idleTimeoutMs: `${IDLE_MS}ms` },
  });
  await program.settled();
  const client = await resettable(program.address);
  await client.send("some bytes");
  await program.held(1);
  await client.reset();
  const { outcome, reason } = await program.logged("session_ended");
  assert.equal(outcome, "client_left");
  assert.match(String(reason), /reset its connection while it waited/);
  await program.held(0);
  await program.until("no replica", () => program.cluster.replicas === 0);
});

Deno.test("program: when some of many held clients leave, the others are served", async () => {
  await using program = await startProgram({ cluster: NOT_READY });
  await program.settled();
  const clients = await Promise.all(Array.from({ length: 20 }, () => program.connect()));
  for (const [i, client] of clients.entries()) await client.send(`I am ${i}`);
  await program.held(20);
  for (const [i, client] of clients.entries()) if (i % 2 === 0) client.close();
  await program.held(10);
  await program.makeReady();
  for (const [i, client] of clients.entries()) {
    if (i % 2 === 0) continue;
    const text = `I am ${i}`;
    assert.equal(new TextDecoder().decode(await client.receive(text.length)), text);
    client.close();
  }
  await program.logged("session_ended", 20);
  assert.equal(program.metrics.value("sessions_ended_total", { outcome: "client_left" }), 10);
  assert.equal(program.metrics.value("sessions_ended_total", { outcome: "completed" }), 10);
  assert.equal(program.pods.sessions.length, 10, "no pod was troubled with those who left");
});
