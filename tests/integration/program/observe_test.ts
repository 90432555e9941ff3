/**
 * The whole program with `--observe`, in front of a builder that runs all the time: it writes no count, consents to nothing,
 * carries sessions, and tells what it would have done.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusFacts } from "../../../lib/ops/status_facts.ts";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const MINUTE_MS = 60_000;
const AT = { hostname: "127.0.0.2", port: 8372 };

function observing(options: ConstructorParameters<typeof VirtualProgram>[0] = {}): VirtualProgram {
  return new VirtualProgram({
    cluster: { replicas: 1 },
    ...options,
    settings: { observe: "true", idleTimeoutMs: "2m", ...options.settings },
  });
}

async function factsOf(program: VirtualProgram): Promise<StatusFacts> {
  return JSON.parse((await program.admin("/status.json")).text);
}

/** Writes of the count that the API server was asked for, by whomever. */
function writes({ cluster: { api } }: VirtualProgram): string[] {
  return api.requests.filter(({ verb, subject }) => /\/scale$/.test(subject) && verb !== "get")
    .map(({ verb, client }) => `${client}: ${verb}`);
}

/** What it would have done. */
function would({ log }: VirtualProgram): unknown[] {
  return log.of("would_scale").map(({ fields: { from, to, reason, because } }) => [
    from,
    to,
    reason,
    because,
  ]);
}

Deno.test("program --observe: sessions are carried, no count is written, and what would have been done is told", async () => {
  await using program = observing({ settings: { pricePerHour: "3.6 EUR" } });
  await program.start();
  assert.equal((await program.admin("/readyz")).status, 200);
  assert.equal(program.log.of("observing").length, 1);
  await program.pass(10 * MINUTE_MS);
  const client = await program.connect("hello");
  await program.pass(1_000);
  assert.equal(program.metrics.value("sessions_held"), 0, "it is carried at once");
  assert.match((await factsOf(program)).builders[0]!.because, /^observe mode; without it 1: sessions are/);
  client.close();
  await program.pass(10 * MINUTE_MS);
  assert.deepEqual(would(program), [
    [1, 0, "idle", "nothing has been in use for 2m0s"],
    [0, 1, "held_session", "1 session would wait"],
    [1, 0, "idle", "nothing has been in use for 2m0s"],
  ]);
  assert.deepEqual([writes(program), program.cluster.replicas], [[], 1]);
  assert.equal(program.log.of("scaled").length, 0);
  assert.equal(program.log.of("session_ended")[0]!.fields["outcome"], "completed");

  const facts = await factsOf(program);
  const [builder] = facts.builders;
  assert.deepEqual([facts.observes, builder!.replicas, builder!.observed!.replicas], [true, 1, 0]);
  assert.deepEqual(builder!.decisions.map(({ event, from, to }) => [event, from, to]), [
    ["would_scale", 1, 0],
    ["would_scale", 0, 1],
    ["would_scale", 1, 0],
  ]);
  // Of some 20 minutes, it would have run for two idle timeouts and the session.
  const { podSecondsAsleep, coldStarts, money } = facts.wouldSave!;
  assert.ok(podSecondsAsleep > 950 && podSecondsAsleep < 965, `${podSecondsAsleep} s`);
  assert.deepEqual([coldStarts, money], [1, Math.round(podSecondsAsleep / 10) / 100]);
  assert.equal(facts.saved.podSecondsAsleep, 0, "nothing was saved really");
  const set = builder!.whatIf.find(({ isSet }) => isSet)!;
  assert.ok(Math.abs(set.podSecondsAsleep - podSecondsAsleep) < 125, JSON.stringify(set));
  assert.equal(set.secondsWaited, builder!.observed!.startSeconds);
  assert.deepEqual(
    [...new Set(builder!.timeline.map(({ replicas, virtualReplicas }) => `${replicas} ${virtualReplicas}`))]
      .filter((text) => text.startsWith("1")).sort(),
    ["1 0", "1 1"],
  );
});

Deno.test("program --observe: metrics, the page and the checks say what the log says", async () => {
  await using program = observing();
  await program.start();
  await program.pass(5 * MINUTE_MS);
  (await program.connect()).close();
  await program.pass(5 * MINUTE_MS);
  await program.admin("/metrics");
  const { wouldSave } = await factsOf(program);
  const builder = "buildkitd";
  const { metrics } = program;
  assert.deepEqual([
    metrics.value("observes"),
    metrics.value("replicas_observed", { builder }),
    metrics.value("observe_replicas", { builder }),
    metrics.value("observe_scalings_total", { builder, direction: "down", reason: "idle" }),
    metrics.value("observe_scalings_total", { builder, direction: "up", reason: "held_session" }),
    metrics.value("observe_cold_starts_total", { builder }),
    metrics.value("scale_writes_total", { builder }),
  ], [1, 1, 0, 2, 1, 1, 0]);
  assert.ok(
    Math.abs(metrics.value("observe_pod_asleep_seconds_total", { builder }) - wouldSave!.podSecondsAsleep) <
      1,
  );
  assert.equal(metrics.value("observe_waited_seconds", { builder }), wouldSave!.secondsWaited);
  assert.ok(wouldSave!.secondsWaited > 0);
  const page = program.admin("/");
  await program.pass(1_000);
  const { text } = await page;
  assert.match(text, /<strong>Observe mode:<\/strong> this proxy writes no replica count and wakes nothing/);
  assert.match(text, /would scale <span class="change">1 → 0<\/span>/);
  assert.match(text, /Without observe mode, pods would have slept for <strong>/);
  assert.match(text, /<rect class="virtual"/);
  assert.match(
    await program.check("/livez", "scale"),
    /replicas 1: observe mode; without it 0: nothing is in/,
  );
});

Deno.test("program --observe: what it has no right to write it does not ask for", async () => {
  await using program = observing();
  const { access } = program.cluster.api;
  access.deny(({ subresource, verb }) => subresource === "scale" && verb !== "get");
  await program.start();
  await program.pass(MINUTE_MS);
  assert.equal((await program.admin("/readyz")).status, 200);
  assert.equal(program.log.records.filter(({ level }) => level === "warn" || level === "error").length, 0);
});

Deno.test("program --observe: a client of a builder that was scaled to 0 is held, told what to do, and served once it runs", async () => {
  await using program = observing({ settings: { readyWaitTimeoutMs: "3m" } });
  await program.start();
  program.cluster.scale(0);
  await program.pass(MINUTE_MS);
  const first = await program.connect();
  await program.pass(MINUTE_MS);
  const text =
    'this proxy only observes (--observe) and wakes nothing: scale StatefulSet "buildkitd" up by hand, ' +
    "or run without --observe";
  assert.equal(program.log.of("wake_withheld")[0]!.fields["cause"], text);
  assert.ok((await program.check("/livez", "scale")).endsWith(text));
  const [builder] = (await factsOf(program)).builders;
  assert.deepEqual([builder!.faults, builder!.held, builder!.waitsBecause], [[text], 1, text]);
  await program.pass(3 * MINUTE_MS);
  assert.match(String(program.log.of("session_ended")[0]!.fields["reason"]), /--observe/);
  assert.equal(program.log.of("session_ended")[0]!.fields["outcome"], "timed_out");
  first.close();
  const second = await program.connect();
  program.cluster.scale(1);
  await program.pass(MINUTE_MS);
  assert.equal(program.metrics.value("sessions_held"), 0);
  assert.equal(program.log.of("wake_withheld").filter(({ level }) => level === "warn").length, 1);
  assert.equal(program.log.of("wake_withheld_recovered").length, 1, "clients that try again are one call");
  second.close();
  assert.deepEqual(writes(program), []);
});

Deno.test("program --observe: POST /wake wakes nothing and says so, and says ready where a pod runs", async () => {
  await using program = observing();
  await program.start();
  const wake = async () => {
    const client = await program.connect("POST /wake HTTP/1.1\r\nHost: builder:8372\r\n\r\n");
    await program.pass(5_000);
    return client.text;
  };
  const ready = await wake();
  assert.match(ready, /^HTTP\/1\.1 200 /);
  assert.match(ready, /ready after/);
  program.cluster.scale(0);
  await program.pass(MINUTE_MS);
  const refused = await wake();
  assert.match(refused, /^HTTP\/1\.1 503 /);
  assert.match(refused, /Cannot wake the builder: this proxy only observes \(--observe\) and wakes nothing/);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("two programs, both --observe: each knows the other's sessions, and neither waits for the other", async () => {
  await using program = observing();
  await using other = observing({ beside: program, at: AT });
  await program.start();
  await other.start();
  assert.equal((await other.admin("/readyz")).status, 200);
  assert.equal(other.log.of("observer_waits").length, 0);
  await program.pass(5 * MINUTE_MS);
  const client = await other.connect();
  await program.pass(5_000);
  assert.deepEqual(would(program).map((each) => (each as unknown[]).slice(0, 2)), [[1, 0], [0, 1]]);
  await program.pass(5 * MINUTE_MS);
  assert.equal(would(program).length, 2, "the other's session keeps the pod");
  client.close();
  await program.pass(5 * MINUTE_MS);
  assert.deepEqual(would(program).length, 3);
  assert.deepEqual(writes(program), []);
});

Deno.test("an observer beside a program that scales: the count is not lowered until the observer has gone", async () => {
  await using program = observing();
  await using scaling = new VirtualProgram({ beside: program, at: AT, settings: { idleTimeoutMs: "2m" } });
  await program.start();
  await scaling.start();
  assert.equal((await scaling.admin("/readyz")).status, 200);
  const client = await program.connect();
  await program.pass(10 * MINUTE_MS);
  client.close();
  await program.pass(10 * MINUTE_MS);
  assert.equal(program.cluster.replicas, 1, "nobody has consented");
  assert.match(
    await scaling.check("/livez", "proxies"),
    /only observes, so nothing is scaled down beside it/,
  );
  assert.ok(writes(program).every((write) => write.startsWith("other: ")), writes(program).join());
  await program.stop();
  await program.pass(5 * MINUTE_MS);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("an observer that comes to a program that scales places nothing before that has gone", async () => {
  await using scaling = new VirtualProgram({ cluster: { replicas: 1 }, settings: { idleTimeoutMs: "1h" } });
  await using program = observing({ beside: scaling, at: AT });
  await scaling.start();
  await scaling.pass(MINUTE_MS);
  await program.start();
  await program.pass(MINUTE_MS);
  assert.equal((await program.admin("/readyz")).status, 503);
  assert.equal(program.log.of("observer_waits").length, 1);
  const client = await program.connect();
  await program.pass(MINUTE_MS);
  assert.equal(program.metrics.value("sessions_held"), 1);
  await scaling.stop();
  await program.pass(10_000);
  assert.equal((await program.admin("/readyz")).status, 200);
  assert.equal(program.metrics.value("sessions_held"), 0);
  client.close();
});

Deno.test("an observer that comes to a program that scales and stays places something after the expiry of a record", async () => {
  await using scaling = new VirtualProgram({ cluster: { replicas: 1 }, settings: { idleTimeoutMs: "1h" } });
  await using program = observing({ beside: scaling, at: AT, settings: { recordExpiryMs: "1m" } });
  await scaling.start();
  await scaling.pass(MINUTE_MS);
  await program.start();
  await program.pass(5 * MINUTE_MS - 5_000);
  assert.equal((await program.admin("/readyz")).status, 503);
  await program.pass(15_000);
  assert.equal((await program.admin("/readyz")).status, 200);
});

Deno.test("an observer that comes while a scale-down is under way: it places no session under a late write, with the shortest expiry, too", async () => {
  const settings = { recordExpiryMs: "10s" };
  await using scaling = new VirtualProgram({ cluster: { replicas: 1 }, settings });
  await using program = observing({ beside: scaling, at: AT, settings });
  await scaling.start();
  await scaling.pass(MINUTE_MS);
  const { cluster } = scaling;
  const { registry } = cluster.api;
  const before = registry.get(STATEFULSETS, cluster.namespace, cluster.name);
  await program.start();
  const client = await program.connect("hello");
  await program.pass(MINUTE_MS - 5_000);
  assert.equal(program.metrics.value("sessions_held"), 1, "the write below is not ruled out yet");
  // The scaler has sent this before the observer came.
  const lower = { ...before, spec: { ...before.spec, replicas: 0 } };
  registry.replace(STATEFULSETS, cluster.namespace, cluster.name, lower, { manager: "proxy" });
  await program.pass(MINUTE_MS);
  assert.deepEqual(program.log.of("session_ended"), []);
  assert.equal(
    program.metrics.value("sessions_held"),
    0,
    "the proxy that scales has raised the count for it",
  );
  client.close();
});
