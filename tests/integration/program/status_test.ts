/**
 * The whole program: what its status page and `/status.json` say agrees with what has happened, and somebody who looks
 * disturbs nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusFacts } from "../../../lib/ops/status_facts.ts";
import { startProgram } from "../../support/program.ts";
import { TcpClient } from "../../support/tcp_client.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const SLOW_START = { startMs: () => 20_000, probeMs: () => 5_000 };

async function factsOf(program: Pick<VirtualProgram, "admin">): Promise<StatusFacts> {
  const { status, text } = await program.admin("/status.json");
  assert.equal(status, 200);
  return JSON.parse(text);
}

Deno.test("program /status.json: a cold start, a use, and a scale-down, with reasons and what they saved", async () => {
  await using program = new VirtualProgram({
    cluster: SLOW_START,
    settings: { idleTimeoutMs: "2m", pricePerHour: "3.6 EUR" },
  });
  await program.start();
  await program.pass(600_000);
  let facts = await factsOf(program);
  assert.ok(facts.ready);
  let [builder] = facts.builders;
  assert.deepEqual([builder!.state, builder!.replicas, builder!.scaleDownAt], ["asleep", 0, undefined]);

  const client = await program.connect();
  await program.pass(10_000);
  facts = await factsOf(program);
  [builder] = facts.builders;
  assert.deepEqual([builder!.state, builder!.held, builder!.because], ["starting", 1, "1 held session"]);
  assert.match(builder!.waitsBecause!, /^pod buildkitd-0/);
  assert.deepEqual(facts.waiting.map(({ waitsFor, builder }) => [waitsFor, builder]), [["pod", "buildkitd"]]);
  assert.equal(facts.waiting[0]!.client, "192.0.2.1:2");

  await program.pass(30_000);
  facts = await factsOf(program);
  [builder] = facts.builders;
  assert.deepEqual([builder!.state, builder!.sessions, facts.waiting], ["ready", 1, []]);
  assert.deepEqual(builder!.pods, [{ name: "buildkitd-0", ordinal: 0, phase: "ready", sessions: 1 }]);
  assert.equal(builder!.waitsBecause, undefined);

  client.close();
  await program.pass(1_000);
  facts = await factsOf(program);
  [builder] = facts.builders;
  const dueMs = Date.parse(builder!.scaleDownAt!) - Date.parse(facts.now);
  assert.ok(dueMs > 118_000 && dueMs <= 120_000, `${dueMs} ms`);

  await program.pass(600_000);
  facts = await factsOf(program);
  [builder] = facts.builders;
  assert.deepEqual(builder!.decisions.map(({ event, from, to, because }) => [event, from, to, because]), [
    ["scaled", 1, 0, "nothing has been in use for 2m0s"],
    ["scaled", 0, 1, "1 held session"],
  ]);
  assert.deepEqual(facts.lastSessions.map(({ pod, outcome }) => [pod, outcome]), [[
    "buildkitd-0",
    "completed",
  ]]);
  const { saved } = facts;
  assert.equal(saved.coldStarts, 1);
  assert.ok(saved.secondsWaited > 24 && saved.secondsWaited < 27, `${saved.secondsWaited} s`);
  assert.ok(saved.podSecondsAsleep > 1_070 && saved.podSecondsAsleep < 1_090, `${saved.podSecondsAsleep} s`);
  assert.equal(saved.money, Math.round(saved.podSecondsAsleep / 10) / 100);
  // What really happened is what the replay says of the timeout that is set.
  const set = builder!.whatIf.find(({ isSet }) => isSet)!;
  assert.ok(Math.abs(set.podSecondsAsleep - saved.podSecondsAsleep) < 2, JSON.stringify(set));
  assert.deepEqual(builder!.whatIf.map(({ coldStarts }) => coldStarts), [1, 1, 1, 1, 1]);
  const phases = builder!.timeline.map(({ pods }) => pods[0]);
  for (const phase of ["wanted", "starting", "ready"] as const) assert.ok(phases.includes(phase), phase);
  assert.deepEqual(builder!.timeline.at(-1)!.pods, []);
});

Deno.test("program /metrics: what was saved, as on the status page", async () => {
  await using program = new VirtualProgram({
    cluster: SLOW_START,
    settings: { idleTimeoutMs: "1m", pricePerHour: "0.5" },
  });
  await program.start();
  await program.pass(100_000);
  const client = await program.connect();
  await program.pass(60_000);
  client.close();
  await program.pass(300_000);
  for (let times = 0; times < 2; times++) {
    await program.admin("/metrics");
    const { saved } = await factsOf(program);
    const builder = "buildkitd";
    const value = (name: Parameters<typeof program.metrics.value>[0]) =>
      program.metrics.value(name, { builder });
    assert.ok(Math.abs(value("pod_asleep_seconds_total") - saved.podSecondsAsleep) < 0.1);
    assert.ok(Math.abs(value("waited_seconds_total") - saved.secondsWaited) < 0.1);
    assert.equal(value("cold_starts_total"), 1);
    await program.pass(50_000);
  }
  assert.equal(program.metrics.value("price_per_hour"), 0.5);
});

Deno.test("program /status.json: who waits for what behind the hard limit, and in which pool", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "arm64/b2"],
    settings: { sessionsPerReplica: "1", maxSessionsPerReplica: "1" },
  });
  await program.start();
  const clients = [];
  for (const authority of ["web", "api", "docs"]) {
    clients.push(await program.call({ authority }));
    await program.pass(5_000);
  }
  const facts = await factsOf(program);
  assert.deepEqual(facts.queues, [{ pool: "", waiting: 2, queued: 2 }, {
    pool: "arm64",
    waiting: 0,
    queued: 0,
  }]);
  assert.deepEqual(facts.waiting.map(({ project, waitsFor, pool }) => [project, waitsFor, pool]), [
    ["api.default", "room", ""],
    ["docs.default", "room", ""],
  ]);
  assert.deepEqual(facts.builders.map(({ name, pool, state }) => [name, pool, state]), [
    ["b1", "", "ready"],
    ["b2", "arm64", "asleep"],
  ]);
  assert.deepEqual(facts.builders[0]!.timeline.at(-1)!.queued, 2);
  for (const client of clients) client.close();
});

Deno.test("program /status.json: the other proxies, what they use, and who leads", async () => {
  await using first = new VirtualProgram({ cluster: { startMs: () => 1_000, probeMs: () => 1_000 } });
  await first.start();
  await using second = new VirtualProgram({ beside: first, at: { hostname: "127.0.0.1", port: 8373 } });
  await second.start();
  await first.pass(60_000);
  const client = await second.connect();
  await first.pass(60_000);
  const { proxies, builders } = await factsOf(first);
  assert.equal(proxies.length, 2);
  const other = proxies.find(({ isThis }) => !isThis)!;
  assert.deepEqual(other.uses, [{ builder: "buildkitd", text: "busy on 0" }]);
  assert.equal(proxies.filter(({ leads }) => leads).length, 1);
  // What the other one uses is in use: a replay must not have the pod go.
  assert.equal(builders[0]!.whatIf[0]!.podSecondsRunning > 50, true);
  client.close();
  await second.stopNow();
});

Deno.test("program: a page that is watched live sees a client come and go, and asks nothing while nobody waits", async () => {
  await using program = await startProgram({ settings: { idleTimeoutMs: "1h" } });
  await program.settled();
  const leave = new AbortController();
  const response = await fetch(`${program.adminUrl}/status.live`, { signal: leave.signal });
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  const until = async (pattern: RegExp) => {
    while (!pattern.test(seen)) {
      seen += (await reader.read()).value ?? assert.fail(`the stream ended: ${seen}`);
    }
    seen = "";
  };
  await until(/buildkitd is asleep; nobody waits/);
  const requests = program.world.requests.length;
  const again = await fetch(`${program.adminUrl}/status.json`);
  await again.text();
  assert.equal(program.world.requests.length, requests);
  using client = await program.connect();
  await client.echo("hello");
  await until(/buildkitd is ready; nobody waits/);
  client.close();
  await until(/Sessions that have ended/);
  leave.abort();
  await reader.cancel().catch(() => {});
});

Deno.test("program /status.json: a page's own name for a loopback address reads nothing, whatever is listened on", async () => {
  for (const adminAddr of [":0", "127.0.0.1:0"]) {
    await using program = await startProgram({ settings: { adminAddr } });
    const port = Number(new URL(program.adminUrl.replace("//:::", "//[::]:")).port);
    for (
      const [host, status] of [["evil.example", 403], ["localhost:8081", 200], ["127.0.0.1", 200]] as const
    ) {
      using client = await TcpClient.connect({ hostname: "127.0.0.1", port });
      await client.send(`GET /status.json HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      const head = new TextDecoder().decode(await client.receive(12));
      assert.equal(head, `HTTP/1.1 ${status}`, `${adminAddr} ${host}`);
    }
  }
});
