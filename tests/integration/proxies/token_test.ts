/**
 * Whole programs whose token ends while they drain, as the kubelet lets it: the others wait for their sessions as long as
 * those may run, and for the pod no longer than that.
 *
 * @module
 */
import assert from "node:assert/strict";
import { within } from "../../support/deadline.ts";
import { Stage } from "./stage.ts";

const MINUTE_MS = 60_000;

/** Short, so that it takes few steps of the clock. */
const TIMES = { idleTimeoutMs: "1m", recordExpiryMs: "1m", drainTimeoutMs: "10m" };

/** Two programs, of which the second is told to stop with a session, and loses its token three minutes later. */
async function lostToken(stage: Stage) {
  const { tokens } = stage.world.cluster.api.access;
  tokens.set("a", "a").set("b", "b");
  const times = { issuedMs: stage.clock.wallMs(), expiresMs: stage.clock.wallMs() + 100 * MINUTE_MS };
  const a = await stage.startOnly("a", { token: "a", settings: TIMES });
  await a.settled();
  await stage.leads(a);
  const b = await stage.startOnly("b", {
    token: "b",
    settings: TIMES,
    tokenTimes: () => Promise.resolve({ ...times }),
  });
  await b.settled();
  await stage.acquainted(a, b);
  const client = await b.connect();
  assert.equal(await client.echo("hello"), "hello");
  times.expiresMs = stage.clock.wallMs() + 3 * MINUTE_MS;
  b.drain();
  await b.logged("shutdown_started");
  await stage.pass(3 * MINUTE_MS - 5_000, "a");
  await b.until(
    "a record that outlives the token",
    () => stage.records.some(({ spec }) => spec.leaseDurationSeconds > 60),
  );
  tokens.delete("b");
  stage.world.cluster.api.watches.drop("b");
  return { a, b, client };
}

Deno.test("a program that drains and loses its token keeps its sessions; the pod goes when its record has expired", async () => {
  await using stage = new Stage();
  const { a, b, client } = await lostToken(stage);
  using _ = client;
  assert.equal(b.log.of("token_expires_in_drain").length, 1);
  // The record that it would else have written last has expired, and nobody else has used the pod for long.
  await stage.pass(3 * MINUTE_MS, "a");
  await b.logged("api_access_failed");
  assert.equal(a.metrics.value("proxies_alive"), 2);
  assert.equal(stage.world.cluster.replicas, 1);
  assert.equal(await client.echo("still"), "still");
  client.close();
  await within(b.exited, "the end of the program without a token");
  stage.forget("b");
  await b.logged("own_record_deletion_failed");
  assert.equal(stage.world.cluster.replicas, 1, "nobody can know that the session has ended");
  // Until then it could have had sessions, and a minute later its record expires; then the idle timeout.
  await stage.pass(5 * MINUTE_MS + MINUTE_MS + MINUTE_MS + 15_000, "a");
  await a.until("no pod", () => stage.world.cluster.replicas === 0);
  assert.equal(stage.interrupted, false);
  assert.equal(stage.records.length, 1);
});

Deno.test("a program whose token a drain may outlast says so at its start, and serves all the same", async () => {
  await using stage = new Stage();
  const issuedMs = stage.clock.wallMs();
  const withToken = (name: string, lifetimeMs: number) =>
    stage.startOnly(name, {
      tokenTimes: () => Promise.resolve({ issuedMs, expiresMs: issuedMs + lifetimeMs }),
    });
  // The defaults: 1 h to drain, and 5 min for the record.
  const short = await withToken("a", 60 * MINUTE_MS);
  const long = await withToken("b", 6 * 60 * MINUTE_MS);
  await short.settled();
  await long.settled();
  assert.equal(short.log.of("token_lifetime_short").length, 1);
  assert.equal(long.log.of("token_lifetime_short").length, 0);
});
