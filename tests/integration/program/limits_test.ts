/**
 * The whole program: the limits of time and number, and that the log says which was met.
 *
 * @module
 */
import assert from "node:assert/strict";
import { NOT_READY, startProgram } from "../../support/program.ts";

Deno.test("program: a client is closed when no pod became ready in time, and the log says why", async () => {
  await using program = await startProgram({ cluster: NOT_READY, settings: { readyWaitTimeoutMs: "250ms" } });
  await program.settled();
  const sinceMs = performance.now();
  using client = await program.connect();
  await client.send("hello");
  await client.ending();
  assert.ok(performance.now() - sinceMs >= 250, "not before the time was up");
  const { outcome, reason, heldMs } = await program.logged("session_ended");
  assert.equal(outcome, "timed_out");
  assert.match(
    String(reason),
    /^buildkitd did not become ready in 250ms: pod buildkitd-0 is Running: container main runs but is not ready; /,
  );
  assert.match(String(reason), /does not speak plaintext HTTP\/2/);
  assert.ok(Number(heldMs) >= 250);
  assert.equal(program.log.of("session_ended")[0]!.level, "warn");
  await program.held(0);
});

Deno.test("program: connections beyond --max-connections are refused until one ends", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 }, settings: { maxConnections: "2" } });
  await program.settled();
  using first = await program.connect();
  using second = await program.connect();
  assert.equal(await first.echo("1"), "1");
  assert.equal(await second.echo("2"), "2");
  using third = await program.connect();
  await third.ending();
  const { cause } = await program.logged("connection_limit_reached");
  assert.equal(cause, "The limit of 2 connections is reached (--max-connections)");
  assert.equal(program.metrics.value("sessions_ended_total", { outcome: "limited" }), 1);
  assert.equal(await second.echo("still there"), "still there");
  first.close();
  await program.until("room", () => program.metrics.value("sessions_open") === 1);
  using fourth = await program.connect();
  assert.equal(await fourth.echo("4"), "4");
  await program.logged("connection_limit_reached_recovered");
});

Deno.test("program: no session is held beyond --max-held; those that are held are served, and a warm pod takes any number", async () => {
  await using program = await startProgram({ cluster: NOT_READY, settings: { maxHeld: "2" } });
  await program.settled();
  using first = await program.connect();
  using second = await program.connect();
  await program.held(2);
  using third = await program.connect();
  await third.ending();
  const { cause } = await program.logged("held_limit_reached");
  assert.equal(cause, "The limit of 2 waiting sessions is reached (--max-held)");
  await program.held(2);
  await program.makeReady();
  assert.equal(await first.echo("1"), "1");
  assert.equal(await second.echo("2"), "2");
  const clients = await Promise.all(Array.from({ length: 10 }, () => program.connect()));
  for (const [i, client] of clients.entries()) {
    assert.equal(await client.echo(`warm ${i}`), `warm ${i}`);
    client.close();
  }
  assert.equal(program.metrics.value("sessions_ended_total", { outcome: "limited" }), 1);
});
