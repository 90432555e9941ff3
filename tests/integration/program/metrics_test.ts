/**
 * The whole program: what `/metrics` and the log say agrees with what has happened.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startProgram } from "../../support/program.ts";

function parse(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ");
    if (!line.startsWith("#") && at > 0) {
      values.set(line.slice(0, at).replace("buildkitd_autoscaler_", ""), Number(line.slice(at + 1)));
    }
  }
  return values;
}

Deno.test("program /metrics: a cold start of three, a warm session, one that left, one that was refused, and a scale-down", async () => {
  await using program = await startProgram({
    cluster: { startMs: () => 60, probeMs: () => 60 },
    settings: { idleTimeoutMs: "300ms", maxConnections: "4" },
  });
  await program.settled();
  const release = program.cluster.kubelet.keepPending("buildkitd", {
    kind: "unschedulable",
    message: "not yet",
  });
  const clients = await Promise.all(Array.from({ length: 4 }, () => program.connect()));
  await program.held(4);
  using _refused = await program.connect();
  await program.logged("connection_limit_reached");
  await program.until("a wish for a pod", () => program.metrics.value("replicas_desired") === 1);
  let metrics = parse((await program.admin("/metrics")).text);
  const now = (name: string) => metrics.get(name);
  assert.equal(now("sessions_open"), 4);
  assert.equal(now("sessions_held"), 4);
  assert.equal(now('replicas_desired{builder="buildkitd"}'), 1);
  clients.pop()!.close();
  await program.held(3);
  release();
  for (const client of clients) await client.echo("hello");
  metrics = parse((await program.admin("/metrics")).text);
  assert.equal(now("sessions_open"), 3);
  assert.equal(now("sessions_held"), 0);
  assert.equal(now('replicas_observed{builder="buildkitd"}'), 1);
  for (const client of clients) client.close();
  await program.logged("session_ended", 4);
  await program.warm();
  await program.until("no replica", () => program.cluster.replicas === 0);
  await program.until("and it is known", () => program.metrics.value("replicas_observed") === 0);
  metrics = parse((await program.admin("/metrics")).text);
  const expected = {
    "sessions_opened_total": 6,
    'sessions_ended_total{outcome="completed"}': 4,
    'sessions_ended_total{outcome="client_left"}': 1,
    'sessions_ended_total{outcome="limited"}': 1,
    'sessions_ended_total{outcome="failed"}': 0,
    "sessions_open": 0,
    "sessions_held": 0,
    "hold_bytes": 0,
    "hold_seconds_count": 4,
    'cold_start_seconds_count{builder="buildkitd",phase="scale_write"}': 1,
    'cold_start_seconds_count{builder="buildkitd",phase="pod_address"}': 1,
    'cold_start_seconds_count{builder="buildkitd",phase="ready"}': 1,
    'cold_start_seconds_count{builder="buildkitd",phase="first_byte"}': 1,
    'bytes_total{direction="upstream"}': 3 * 5 + 4,
    'bytes_total{direction="downstream"}': 3 * 5 + 4,
    'dial_errors_total{builder="buildkitd"}': 0,
    'accept_errors_total{cause="exhausted"}': 0,
    "sessions_limit": 4,
    "descriptors_free": 0,
    'scale_writes_total{builder="buildkitd",direction="up",reason="held_session"}': 1,
    'scale_writes_total{builder="buildkitd",direction="down",reason="idle"}': 1,
    'scale_writes_total{builder="buildkitd",direction="same",reason="closed_by_scale_down"}': 0,
    'replicas_desired{builder="buildkitd"}': 0,
    'replicas_observed{builder="buildkitd"}': 0,
  };
  const found = Object.fromEntries(Object.keys(expected).map((name) => [name, metrics.get(name)]));
  assert.deepEqual(found, expected);
  for (const verb of ["get", "list", "watch", "create", "update", "patch"]) {
    assert.ok(now(`api_requests_total{verb="${verb}"}`)! >= 1, verb);
  }
  assert.ok(now('cold_start_seconds_sum{builder="buildkitd",phase="ready"}')! >= 0.12, "the pod took 120 ms");
  const errors = [...metrics].filter(([name, value]) => name.startsWith("api_errors_total") && value > 0);
  assert.deepEqual(errors, []);
});

Deno.test("program: one log line a session says who, how long, where, how much and how it ended", async () => {
  await using program = await startProgram();
  await program.settled();
  using client = await program.connect();
  await client.echo("hello");
  client.close();
  const { client: who, heldMs, durationMs, ...rest } = await program.logged("session_ended");
  assert.match(String(who), /^127\.0\.0\.1:\d+$/);
  assert.ok(Number(durationMs) >= Number(heldMs));
  assert.deepEqual(rest, {
    session: 1,
    clientName: undefined,
    outcome: "completed",
    reason: undefined,
    pod: "buildkitd-0",
    ordinal: 0,
    upstreamBytes: 5,
    downstreamBytes: 5,
  });
});
