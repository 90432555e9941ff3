/**
 * Several whole programs: one leaves, crashes, is replaced, or loses its record, and no session notices.
 *
 * @module
 */
import assert from "node:assert/strict";
import { LEASES } from "../../../lib/miniature/objects.ts";
import { within } from "../../support/deadline.ts";
import { EXPIRY_MS, IDLE_MS, LEASE_MS, Stage } from "./stage.ts";

const MINUTE_MS = 60_000;

Deno.test("two programs: the leader ends, the other leads at once, and the idle time survives", async () => {
  await using stage = new Stage();
  const first = await stage.start("a");
  await stage.leads(first);
  await stage.pass(2 * MINUTE_MS, "a");
  await first.warm();
  const second = await stage.start("b");
  await stage.acquainted(first, second);
  await stage.pass(IDLE_MS / 2, "a", "b");
  first.drain();
  await within(first.exited, "the end of the first");
  assert.equal(stage.records.length, 1, "its record is deleted");
  await stage.pass(5_000, "b");
  await stage.leads(second);
  await stage.pass(IDLE_MS / 2 - MINUTE_MS, "b");
  assert.equal(stage.world.cluster.replicas, 1);
  await stage.pass(MINUTE_MS, "b");
  await second.until("no pod", () => stage.world.cluster.replicas === 0);
});

Deno.test("two programs: the leader crashes, the other leads after the lease, and the pod stays until the dead one's record has expired", async () => {
  await using stage = new Stage();
  const first = await stage.start("a");
  await stage.leads(first);
  const second = await stage.start("b");
  await stage.acquainted(first, second);
  using client = await first.connect();
  assert.equal(await client.echo("hello"), "hello");
  await stage.pass(MINUTE_MS, "a", "b");
  await stage.crash("a");
  assert.equal(second.metrics.value("leader"), 0);
  await stage.pass(LEASE_MS + 5_000, "b");
  await stage.leads(second);
  await stage.pass(EXPIRY_MS - 2 * MINUTE_MS, "b");
  assert.equal(stage.records.length, 2, "nobody knows yet that it is dead");
  await stage.pass(3 * MINUTE_MS, "b");
  await second.until("one record", () => stage.records.length === 1);
  await second.logged("stale_record_deleted");
  assert.equal(stage.world.cluster.replicas, 1, "it was busy when it was last heard of");
  await stage.pass(IDLE_MS + MINUTE_MS, "b");
  await second.until("no pod", () => stage.world.cluster.replicas === 0);
});

Deno.test("rolling update, one replaced by one: the old one's session is never cut, and new ones go on", async () => {
  await using stage = new Stage();
  const old = await stage.start("old");
  await stage.leads(old);
  using client = await old.connect();
  assert.equal(await client.echo("hello"), "hello");
  const fresh = await stage.start("new");
  await stage.acquainted(old, fresh);
  old.drain();
  await old.logged("shutdown_started");
  await stage.pass(5_000, "new");
  await stage.leads(fresh);
  assert.equal((await old.admin("/readyz")).status, 503);
  await stage.pass(2 * IDLE_MS, "new");
  assert.equal(await client.echo("still"), "still");
  assert.equal(stage.world.cluster.replicas, 1);
  assert.equal(stage.records.length, 2, "the old one keeps its record until its last session has ended");
  using another = await fresh.connect();
  assert.equal(await another.echo("new"), "new");
  another.close();
  client.close();
  await within(old.exited, "the end of the old one");
  assert.equal(stage.records.length, 1);
  await stage.pass(IDLE_MS + MINUTE_MS, "new");
  await fresh.until("no pod", () => stage.world.cluster.replicas === 0);
  assert.equal(stage.interrupted, false);
  assert.equal(stage.leases.length, 2, "one record, one election");
});

Deno.test("two programs: Leases deleted by hand are recreated, and no session is affected", async () => {
  await using stage = new Stage();
  const [first, second] = [await stage.start("a"), await stage.start("b")];
  await stage.acquainted(first, second);
  const clients = [await first.connect(), await second.connect()];
  for (const client of clients) assert.equal(await client.echo("hello"), "hello");
  for (let round = 1; round <= 3; round++) {
    const { registry } = stage.world.cluster.api;
    for (const { metadata } of stage.leases) {
      registry.delete(LEASES, stage.world.cluster.namespace, metadata.name, {});
    }
    await stage.pass(MINUTE_MS, "a", "b");
    for (const program of [first, second]) await program.logged("own_record_deleted", round);
    await stage.acquainted(first, second);
    for (const client of clients) assert.equal(await client.echo("still"), "still");
    assert.equal(stage.leases.length, 3);
  }
  await stage.pass(2 * IDLE_MS, "a", "b");
  assert.equal(stage.world.cluster.replicas, 1);
  for (const client of clients) client.close();
  await stage.pass(IDLE_MS + MINUTE_MS, "a", "b");
  await first.until("no pod", () => stage.world.cluster.replicas === 0);
  assert.equal(stage.interrupted, false);
});

Deno.test("two programs: a follower that is cut off from the API still serves; the pod stays until its record expires", async () => {
  await using stage = new Stage();
  const leader = await stage.start("a");
  await stage.leads(leader);
  const follower = await stage.start("b");
  await stage.acquainted(leader, follower);
  using client = await follower.connect();
  assert.equal(await client.echo("hello"), "hello");
  await stage.pass(MINUTE_MS, "a", "b");
  const lift = stage.cutOff("b");
  await stage.pass(EXPIRY_MS - 2 * MINUTE_MS, "a");
  assert.equal(stage.world.cluster.replicas, 1);
  using another = await follower.connect();
  assert.equal(await another.echo("new"), "new");
  lift();
  await stage.pass(MINUTE_MS, "a", "b");
  await stage.pass(2 * IDLE_MS, "a", "b");
  assert.equal(await client.echo("still"), "still");
  assert.equal(await another.echo("still"), "still");
  assert.equal(stage.interrupted, false);
});

Deno.test("a record that is deleted by hand is recreated at once, not at the next renewal", async () => {
  await using stage = new Stage();
  const [first, second] = [await stage.start("a"), await stage.start("b")];
  await stage.acquainted(first, second);
  using client = await second.connect();
  assert.equal(await client.echo("hello"), "hello");
  const { registry, requests } = stage.world.cluster.api;
  const before = stage.records.map(({ metadata }) => metadata.uid);
  const sent = requests.length;
  for (const { metadata } of stage.records) {
    registry.delete(LEASES, stage.world.cluster.namespace, metadata.name, {});
  }
  // No time passes for the programs: the next renewal is half a minute away.
  await second.until("both records", () => stage.records.length === 2);
  for (const { metadata } of stage.records) assert.equal(before.includes(metadata.uid), false);
  for (const name of ["a", "b"]) {
    // A create names no object yet; what else is written there is for the election.
    const own = requests.slice(sent).find(({ client, verb, name: lease }) =>
      client === name && (verb === "create" || lease?.includes("-proxy-"))
    );
    assert.equal(own?.verb, "create", "one round trip");
  }
  for (const program of [first, second]) await program.logged("own_record_deleted");
  await stage.acquainted(first, second);
  assert.equal(await client.echo("still"), "still");
});

for (const whenCutOff of ["serve", "hold"]) {
  Deno.test(`a program that is cut off for longer than its record is good for, with \`${whenCutOff}\`: is it ready, and does it serve?`, async () => {
    await using stage = new Stage();
    const program = await stage.start("a", { whenCutOff });
    const probes = async () => {
      const answers = await Promise.all(["/readyz", "/livez", "/healthz"].map((path) => program.admin(path)));
      return answers.map(({ status }) => status);
    };
    using client = await program.connect();
    assert.equal(await client.echo("hello"), "hello");
    assert.deepEqual(await probes(), [200, 200, 200]);
    const lift = stage.cutOff("a");
    await stage.pass(EXPIRY_MS);
    await program.logged("proxy_cut_off");
    assert.equal(await client.echo("still"), "still", "what runs goes on");
    using late = await program.connect();
    const echo = late.echo("late");
    // Awaited below; a failure before must show as itself.
    echo.catch(() => {});
    if (whenCutOff === "serve") {
      assert.equal(await echo, "late");
      assert.deepEqual(await probes(), [200, 200, 200]);
    } else {
      await program.held(1);
      assert.deepEqual(await probes(), [503, 200, 200]);
      const { text } = await program.admin("/readyz");
      assert.match(
        text,
        /^cluster: New sessions are held \(--when-cut-off=hold\): Cannot reach the API server/,
      );
    }
    lift();
    await stage.pass(30_000, "a");
    await program.until("its return", () => program.metrics.value("member_state", { state: "joined" }) === 1);
    assert.equal(await echo, "late");
    assert.deepEqual(await probes(), [200, 200, 200]);
  });
}

Deno.test("a restarted container deletes the record of its predecessor instead of waiting for its expiry", async () => {
  await using stage = new Stage();
  const other = await stage.start("other");
  const before = await stage.startOnly("before", { podUid: "pod-1" });
  await before.settled();
  await stage.acquainted(other, before);
  await stage.crash("before");
  assert.equal(stage.records.length, 2);
  const after = await stage.startOnly("after", { podUid: "pod-1" });
  await after.settled();
  await after.logged("predecessor_record_deleted");
  await stage.acquainted(other, after);
  assert.equal(stage.records.length, 2);
});
