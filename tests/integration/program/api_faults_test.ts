/**
 * The whole program: an API server that is away, frozen, or breaks its answers, in every phase.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { FaultKind } from "../../../lib/miniature/faults.ts";
import { fastClock } from "../../support/fast_clock.ts";
import { NOT_READY, type Program, startProgram } from "../../support/program.ts";

/** A request's deadline of 10 s takes a quarter of a second on it. */
const clock = fastClock(40);
/** On that clock. */
const idleTimeoutMs = "4s";

async function untilReplicas(program: Program, replicas: number): Promise<void> {
  await program.until(`${replicas} replicas`, () => program.cluster.replicas === replicas);
}

Deno.test("program: with the API server down, sessions to a ready pod continue and new ones are served", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 } });
  await program.settled();
  using old = await program.connect();
  assert.equal(await old.echo("before"), "before");
  program.world.front.stop();
  await program.until(
    "the watches are lost",
    () => program.metrics.value("watch_restarts_total", { cause: "failed" }) >= 2,
  );
  program.cluster.api.requests.length = 0;
  for (let i = 0; i < 20; i++) {
    using client = await program.connect();
    assert.equal(await client.echo(`call ${i}`), `call ${i}`);
    assert.equal(await old.echo(`and ${i}`), `and ${i}`);
  }
  assert.deepEqual(program.world.requests, []);
  assert.equal((await program.admin("/livez")).status, 200);
  assert.deepEqual(await program.admin("/readyz"), { status: 200, text: "ok" });
  program.world.front.restart();
});

Deno.test("program: a client that comes while the API server is down is held, and served when it is back", async () => {
  await using program = await startProgram();
  await program.settled();
  program.world.front.stop();
  using client = await program.connect();
  await client.send("hello");
  const { cause } = await program.logged("api_access_failed");
  assert.match(String(cause), /^Cannot reach the API server "http:.*": the connection was refused/);
  await program.held(1);
  program.world.front.restart();
  assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
  await program.logged("api_access_failed_recovered");
});

Deno.test("program: an API server that is killed between claim and pod does not lose the held client", async () => {
  await using program = await startProgram({ cluster: NOT_READY });
  await program.settled();
  using client = await program.connect();
  await client.send("hello");
  await program.until("a pod", () => program.cluster.pods[0]?.status?.phase === "Running");
  program.world.front.stop();
  await program.makeReady();
  await program.until(
    "the watches are lost",
    () => program.metrics.value("watch_restarts_total", { cause: "failed" }) >= 2,
  );
  await program.held(1);
  program.world.front.restart();
  assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
});

Deno.test("program: a scale-down that fails because the API server is down is retried", async () => {
  await using program = await startProgram({ settings: { idleTimeoutMs: "100ms" } });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  program.world.front.stop();
  client.close();
  await program.until(
    "a failed try",
    () => program.metrics.value("api_errors_total", { verb: "get", code: "none" }) >= 1,
  );
  assert.equal(program.cluster.replicas, 1);
  program.world.front.restart();
  await untilReplicas(program, 0);
});

Deno.test("program: an API outage is logged once for all its users, and its end once", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 } });
  await program.settled();
  await program.logged("leader_changed");
  const before = program.log.records.length;
  const since = () => program.log.records.slice(before).map(({ code, level }) => `${level} ${code}`);
  program.world.front.stop();
  await program.until(
    "failures of watches, records and election",
    () =>
      program.metrics.value("watch_restarts_total", { cause: "failed" }) >= 6 &&
      program.metrics.value("api_errors_total", { verb: "update", code: "none" }) >= 1,
  );
  assert.deepEqual(since(), ["warn api_access_failed"]);
  program.world.front.restart();
  await program.logged("api_access_failed_recovered");
  assert.deepEqual(since(), [
    "warn api_access_failed",
    "info api_access_failed_recovered",
  ]);
});

Deno.test("program: started while the API server is down, it becomes ready when it is there", async () => {
  await using program = await startProgram({ before: ({ front }) => front.stop() });
  const { cause } = await program.logged("api_access_failed");
  assert.match(String(cause), /^Cannot reach the API server "http:/);
  await program.until(
    "more than one try",
    () => program.metrics.value("api_errors_total", { verb: "list", code: "none" }) >= 4,
  );
  const { status, text } = await program.admin("/readyz");
  assert.equal(status, 503);
  assert.match(text, /^cluster: /);
  const { builders: [builder] } = JSON.parse((await program.admin("/status.json")).text);
  assert.deepEqual([builder.state, builder.replicas], ["unknown", undefined]);
  assert.match(builder.faults[0], /^Cannot reach the API server/);
  assert.match((await program.admin("/")).text, /<span class="badge unknown">Not known yet</);
  using client = await program.connect();
  program.world.front.restart();
  assert.equal(await client.echo("hello"), "hello");
  await program.logged("ready");
});

Deno.test("program --observe: before anything was read, nobody is told to scale up by hand", async () => {
  await using program = await startProgram({
    before: ({ front }) => front.stop(),
    settings: { observe: "true" },
  });
  await program.logged("api_access_failed");
  const { hostname, port } = program.address;
  const response = await fetch(`http://${hostname}:${port}/wake`, { method: "POST" });
  assert.equal(response.status, 503);
  assert.match(await response.text(), /only observes \(--observe\), and has not read the StatefulSet yet\n$/);
});

const KINDS: readonly FaultKind[] = [
  { kind: "freeze" },
  { kind: "freeze_answer" },
  { kind: "lose_answer" },
  { kind: "reset_peer" },
  { kind: "latency", delayMs: 50 },
  { kind: "status", code: 500 },
  { kind: "status", code: 503, retryAfterSeconds: 1 },
  { kind: "status", code: 429, retryAfterSeconds: 1 },
  { kind: "status", code: 409 },
  { kind: "status", code: 410 },
];
const VERBS = ["list", "watch", "get", "patch", "update"] as const;

for (const verb of VERBS) {
  for (const fault of KINDS) {
    const name = fault.kind === "status" ? `status ${fault.code}` : fault.kind;
    Deno.test(`program: it comes through ${name} of ${verb}, from start to scale-down and back`, async () => {
      let met = 0;
      await using program = await startProgram({
        clock,
        settings: { idleTimeoutMs },
        before: ({ cluster }) =>
          cluster.api.faults.add({
            fault,
            matches: (info) => info.verb === verb && ++met > 0,
            times: 2,
          }),
      });
      for (let round = 0; round < 2; round++) {
        using client = await program.connect();
        assert.equal(await client.echo(`round ${round}`), `round ${round}`);
        client.close();
        await untilReplicas(program, 0);
      }
      await program.until("no pod", () => program.cluster.pods.length === 0);
      await program.logged("ready");
      assert.ok(met >= 2, "the fault was met");
      assert.ok(program.pods.sessions.every(({ state }) => state === "closed"), "no session was cut");
    });
  }
}

for (const kind of ["freeze_answer", "lose_answer", "freeze"] as const) {
  Deno.test(`program: a client that comes while a scale-down meets ${kind} is served`, async () => {
    await using program = await startProgram({
      clock,
      cluster: { replicas: 1 },
      settings: { idleTimeoutMs: "40s" },
    });
    await program.settled();
    await program.warm();
    program.cluster.api.faults.add({ fault: { kind }, matches: ({ verb }) => verb === "update", times: 1 });
    // The first was the trial at the start.
    await program.until(
      "the scale-down's write",
      () => program.metrics.value("api_requests_total", { verb: "update" }) >= 2,
    );
    using client = await program.connect();
    assert.equal(await client.echo("hello"), "hello");
    assert.equal(program.cluster.replicas, 1);
    assert.equal(await client.echo("still here"), "still here");
  });
}

for (const how of ["end", "drop", "cut", "expire", "garbage"] as const) {
  Deno.test(`program: watches that ${how} during a hold do not keep the client from its pod`, async () => {
    await using program = await startProgram({ cluster: NOT_READY });
    await program.settled();
    using client = await program.connect();
    await client.send("hello");
    await program.until("a pod", () => program.cluster.pods[0]?.status?.phase === "Running");
    const { api } = program.cluster;
    const breakThem = {
      end: () => api.watches.end(),
      drop: () => api.watches.drop(),
      cut: () => api.watches.cut(),
      garbage: () => api.watches.inject("<html>\n"),
      expire: () => {
        // What happens while events are withheld is forgotten before they are delivered.
        const deliver = api.watches.withhold();
        program.cluster.kubelet.setReady("buildkitd-0", true);
        api.compact();
        deliver();
        api.watches.end();
      },
    };
    breakThem[how]();
    await program.makeReady();
    assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
    const wanted = how === "expire" ? "expired" : undefined;
    await program.until(
      "watches that start again",
      () => program.metrics.value("watch_restarts_total", wanted === undefined ? {} : { cause: wanted }) >= 1,
    );
  });
}

Deno.test("program: a watch that falls silent during a hold is started again within seconds", async () => {
  // So slow that a busy machine makes no difference.
  const clock = fastClock(10);
  await using program = await startProgram({ clock, cluster: NOT_READY });
  await program.settled();
  using client = await program.connect();
  await client.send("hello");
  await program.until("a pod", () => program.cluster.pods[0]?.status?.phase === "Running");
  await program.held(1);
  const deliver = program.cluster.api.watches.withhold();
  await program.makeReady();
  const sinceMs = clock.nowMs();
  await program.until(
    "both watches are given up",
    () => program.metrics.value("watch_restarts_total", { cause: "silent" }) >= 2,
  );
  assert.ok(clock.nowMs() - sinceMs < 60_000, "sooner than a calm watch would be");
  deliver();
  assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
});
