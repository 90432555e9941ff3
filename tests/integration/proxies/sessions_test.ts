/**
 * Several whole programs: sessions on any of them keep the pod, and what none of them needs goes away.
 *
 * @module
 */
import assert from "node:assert/strict";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import type { Program } from "../../support/program.ts";
import { IDLE_MS, Stage } from "./stage.ts";

const MINUTE_MS = 60_000;

Deno.test("two programs: a session on the follower keeps the pod, and once all are idle it goes after one idle timeout", async () => {
  await using stage = new Stage();
  const leader = await stage.start("a");
  await stage.leads(leader);
  const follower = await stage.start("b");
  await stage.acquainted(leader, follower);
  using client = await follower.connect();
  assert.equal(await client.echo("hello"), "hello");
  await stage.pass(2 * IDLE_MS, "a", "b");
  assert.equal(stage.world.cluster.replicas, 1);
  assert.equal(await client.echo("still"), "still");
  client.close();
  await follower.until("no session", () => follower.metrics.value("sessions_open") === 0);
  await stage.pass(IDLE_MS - MINUTE_MS, "a", "b");
  assert.equal(stage.world.cluster.replicas, 1);
  // The way of the follower's record to the leader may cost a step of the clock.
  await stage.pass(MINUTE_MS + 10_000, "a", "b");
  await leader.until("no pod", () => stage.world.cluster.replicas === 0);
  assert.deepEqual(leader.log.of("scaled").map(({ fields }) => fields["to"]), [0]);
  assert.equal(follower.log.of("scaled").length, 0);
  assert.equal(stage.interrupted, false);
});

Deno.test("three programs: the pod stays until the last session of any of them has ended", async () => {
  await using stage = new Stage();
  const programs = [await stage.start("a"), await stage.start("b"), await stage.start("c")];
  await stage.acquainted(...programs);
  const clients = await Promise.all(programs.map((program) => program.connect()));
  for (const client of clients) assert.equal(await client.echo("hello"), "hello");
  while (clients.length > 0) {
    await stage.pass(IDLE_MS + MINUTE_MS, "a", "b", "c");
    assert.equal(stage.world.cluster.replicas, 1);
    for (const client of clients) assert.equal(await client.echo("still"), "still");
    clients.pop()!.close();
  }
  await stage.pass(IDLE_MS + MINUTE_MS, "a", "b", "c");
  await programs[0]!.until("no pod", () => stage.world.cluster.replicas === 0);
  assert.equal(stage.interrupted, false);
});

Deno.test("two programs: the follower raises the count itself for a session that it holds", async () => {
  await using stage = new Stage({ cluster: { replicas: 0 } });
  const leader = await stage.start("a");
  await stage.leads(leader);
  const follower = await stage.start("b");
  await stage.acquainted(leader, follower);
  // The leader could not, whatever it heard.
  stage.world.cluster.api.faults.add({
    fault: { kind: "status", code: 500 },
    matches: ({ subresource, verb }, client) => client === "a" && subresource === "scale" && verb === "patch",
  });
  using client = await follower.connect();
  assert.equal(await client.echo("hello"), "hello");
  const { to, reason } = await follower.logged("scaled");
  assert.deepEqual({ to, reason }, { to: 1, reason: "held_session" });
});

Deno.test("two programs: neither logs the other's writes of the count as external changes", async () => {
  await using stage = new Stage({ cluster: { replicas: 0 } });
  const leader = await stage.start("a");
  await stage.leads(leader);
  const follower = await stage.start("b");
  await stage.acquainted(leader, follower);
  const changes = (program: Program) =>
    program.log.of("replicas_changed_externally").map(({ fields: { from, to } }) => [from, to]);
  const seen = (program: Program, replicas: number) =>
    program.until(
      `${replicas} replicas`,
      () =>
        program.metrics.value("replicas_observed") === replicas && stage.world.cluster.replicas === replicas,
    );
  using client = await follower.connect();
  assert.equal(await client.echo("hello"), "hello");
  await seen(leader, 1);
  client.close();
  await follower.until("no session", () => follower.metrics.value("sessions_open") === 0);
  await stage.pass(IDLE_MS + MINUTE_MS, "a", "b");
  await seen(leader, 0);
  await seen(follower, 0);
  assert.deepEqual([changes(leader), changes(follower)], [[], []]);
  stage.world.cluster.scale(1);
  await seen(leader, 1);
  await seen(follower, 1);
  assert.deepEqual([changes(leader), changes(follower)], [[[0, 1]], [[0, 1]]]);
});

Deno.test("two programs: clients that come to both in the middle of a scale-down are all served, and none is cut", async () => {
  await using stage = new Stage();
  const leader = await stage.start("a");
  await stage.leads(leader);
  const follower = await stage.start("b");
  await stage.acquainted(leader, follower);
  for (const fault of ["freeze", "freeze_answer"] as const) {
    await leader.until(
      "a pod",
      () => stage.world.cluster.replicas === 1 && stage.world.cluster.pods.length === 1,
    );
    const lift = stage.world.cluster.api.faults.add({
      fault: { kind: fault },
      times: 1,
      matches: ({ subresource, verb }, client) =>
        client === "a" && subresource === "scale" && verb === "update",
    });
    const before = stage.world.requests.filter((request) => request === "update statefulsets/scale").length;
    const updates = () =>
      stage.world.requests.filter((request) => request === "update statefulsets/scale").length;
    await stage.pass(IDLE_MS + MINUTE_MS, "a", "b");
    await leader.until("the write is under way", () => updates() > before);
    const clients = await Promise.all([leader.connect(), follower.connect()]);
    const echoes = clients.map((client) => client.echo("hello"));
    lift();
    assert.deepEqual(await Promise.all(echoes), ["hello", "hello"]);
    await stage.pass(MINUTE_MS, "a", "b");
    for (const client of clients) {
      assert.equal(await client.echo("still"), "still");
      client.close();
    }
  }
  assert.equal(stage.interrupted, false);
});

Deno.test("two releases with different names in one namespace do not affect each other", async () => {
  await using stage = new Stage({
    before: ({ cluster }) =>
      void cluster.api.registry.create(STATEFULSETS, cluster.namespace, {
        ...cluster.statefulSet,
        metadata: { name: "other" },
        spec: { ...cluster.statefulSet.spec, serviceName: "other-headless" },
      }, { manager: "kubectl-create" }),
  });
  const one = await stage.start("a");
  const two = await stage.startOnly("b", {
    settings: { stsName: "other", headlessServiceName: "other-headless" },
  });
  await two.logged("ready");
  await stage.leads(one);
  await stage.leads(two);
  using client = await two.connect();
  assert.equal(await client.echo("hello"), "hello");
  await stage.pass(IDLE_MS + MINUTE_MS, "a", "b");
  await one.until("no pod of the first", () => stage.world.cluster.replicas === 0);
  assert.equal(await client.echo("still"), "still");
  for (const program of [one, two]) assert.equal(program.metrics.value("proxies_alive") <= 1, true);
  const { registry } = stage.world.cluster.api;
  assert.equal(registry.get(STATEFULSETS, stage.world.cluster.namespace, "other").spec.replicas, 1);
  assert.equal(stage.interrupted, false);
});
