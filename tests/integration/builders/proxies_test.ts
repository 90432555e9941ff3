/**
 * Two whole programs in front of the same builders: each knows what the other one has there.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { SettingKey } from "../../../lib/config/settings.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const OTHER = { hostname: "127.0.0.1", port: 8373 };

/** Two programs that know each other. Dispose of the second one first. */
async function two(settings: Partial<Record<SettingKey, string>>, builders: [string, ...string[]]) {
  const first = new VirtualProgram({ builders, settings });
  await first.start();
  const second = new VirtualProgram({ beside: first, at: OTHER, settings });
  await second.start();
  await second.pass(5_000);
  return { first, second };
}

Deno.test("two programs: each takes the sessions of the other into account", async () => {
  const { first, second } = await two({ sessionsPerReplica: "1" }, ["b1", "b2", "b3"]);
  await using _first = first;
  await using _second = second;
  const served = new Set<string | undefined>();
  for (const program of [first, second, first]) {
    const client = await program.call({ authority: "a" });
    await program.pass(5_000);
    served.add(client.servedBy);
  }
  assert.deepEqual([...served].sort(), ["b1-0", "b2-0", "b3-0"]);
});

Deno.test("two programs: freed room goes to the client that has queued for longer, in either of them", async () => {
  for (const later of [0, 1]) {
    const { first, second } = await two({ sessionsPerReplica: "1", maxSessionsPerReplica: "1" }, ["b1"]);
    await using _first = first;
    await using _second = second;
    const programs = later === 1 ? [first, second] : [second, first];
    // The builder is full with a session of the one whose own client came later.
    const running = await programs[1]!.call({ authority: "a" });
    await first.pass(5_000);
    assert.ok(running.servedBy !== undefined);
    const older = await programs[0]!.call({ authority: "b" });
    await first.pass(5_000);
    const younger = await programs[1]!.call({ authority: "c" });
    await first.pass(5_000);
    assert.deepEqual([older.servedBy, younger.servedBy], [undefined, undefined]);
    running.close();
    await first.pass(2_000);
    assert.equal(older.servedBy, "b1-0", `${later}`);
    await first.pass(10_000);
    assert.equal(younger.servedBy, undefined);
    older.close();
    await first.pass(5_000);
    assert.equal(younger.servedBy, "b1-0");
  }
});

Deno.test("two programs: room is not lost when the program whose client has queued for longer is gone", async () => {
  const { first, second } = await two({ sessionsPerReplica: "1", maxSessionsPerReplica: "1" }, ["b1"]);
  await using _first = first;
  await using _second = second;
  const running = await first.call({ authority: "a" });
  await first.pass(5_000);
  await second.call({ authority: "b" });
  await first.pass(5_000);
  const younger = await first.call({ authority: "c" });
  await first.pass(2_000);
  second.http.set("silent");
  running.close();
  await first.pass(2_500);
  assert.ok(younger.servedBy !== undefined);
});

const MINUTE_MS = 60_000;

/** A leader that names `b1` alone, and programs that place on `b2`, which runs. Dispose of the last one first. */
async function unled(...others: Partial<Record<SettingKey, string>>[]) {
  const settings = { idleTimeoutMs: "2m" };
  const leader = new VirtualProgram({ builders: ["b1", "b2"], settings: { ...settings, builders: "b1" } });
  await leader.start();
  await leader.pass(5_000);
  const programs = others.map((own, i) =>
    new VirtualProgram({
      beside: leader,
      at: { ...OTHER, port: OTHER.port + i },
      settings: { ...settings, cordoned: "b1", ...own },
      ports: { random: () => 0.9 - i / 10 },
    })
  );
  for (const program of programs) await program.start();
  return { leader, programs, replicas: () => leader.cluster.sets.map(({ replicas }) => replicas) };
}

Deno.test("a builder that the leader does not name is lowered by one that does, when nobody needs it", async () => {
  const { leader, programs: [program], replicas } = await unled({});
  await using _leader = leader;
  await using _program = program!;
  const client = await program!.call();
  await leader.pass(5 * MINUTE_MS);
  assert.equal(client.servedBy, "b2-0");
  assert.deepEqual(replicas(), [0, 1]);
  client.close();
  await leader.pass(3 * MINUTE_MS);
  assert.deepEqual(replicas(), [0, 0]);
  assert.deepEqual(program!.log.of("builder_led_apart").map(({ fields }) => fields["builder"]), ["b2"]);
  assert.match(await program!.check("/livez", "proxies:b1"), /leader iiiiiiiiiiii/);
  assert.match(await program!.check("/livez", "proxies:b2"), /leader is this one/);
  assert.equal(leader.metrics.value("leader"), 1, "the election is as it was");
  assert.equal(program!.metrics.value("leader"), 0);
});

Deno.test("a builder that the leader does not name: no scale-down under a session of another proxy, and two that lead it settle", async () => {
  const { leader, programs: [one, two], replicas } = await unled({}, {});
  await using _leader = leader;
  await using _one = one!;
  await using _two = two!;
  for (const busy of [one!, two!]) {
    const client = await busy.call();
    await leader.pass(5 * MINUTE_MS);
    assert.equal(client.servedBy, "b2-0");
    assert.deepEqual(replicas(), [0, 1]);
    client.close();
    await leader.pass(3 * MINUTE_MS);
    assert.deepEqual(replicas(), [0, 0]);
  }
  for (const program of [one!, two!]) {
    assert.equal(program.log.of("builder_led_apart").length, 1);
    assert.deepEqual(program.log.of("scaling_failed"), []);
  }
});

Deno.test("a builder that the leader only observes keeps its warm minimum by a proxy that scales it", async () => {
  const leader = new VirtualProgram({ cluster: { replicas: 1 }, settings: { observe: "true" } });
  await using _leader = leader;
  await leader.start();
  await leader.pass(5_000);
  await using program = new VirtualProgram({ beside: leader, at: OTHER, settings: { minReplicas: "1" } });
  await program.start();
  leader.cluster.scale(0);
  await leader.pass(MINUTE_MS);
  assert.equal(leader.metrics.value("leader"), 1);
  assert.equal(leader.cluster.replicas, 1);
});

Deno.test("a builder that the leader does not name is lowered by a proxy that stays, not by one that drains", async () => {
  const { leader, programs: [stays, drains], replicas } = await unled({}, { cordoned: "b2" });
  await using _leader = leader;
  await using _stays = stays!;
  await using _drains = drains!;
  const running = await drains!.call();
  const client = await stays!.call();
  await leader.pass(MINUTE_MS);
  assert.deepEqual([running.servedBy, client.servedBy], ["b1-0", "b2-0"]);
  assert.match(await drains!.check("/livez", "proxies:b2"), /leader is this one/);
  await drains!.stop();
  assert.match(await drains!.check("/livez", "proxies:b2"), /leader iiiiiiiiiiii/);
  client.close();
  await leader.pass(3 * MINUTE_MS);
  assert.deepEqual(replicas(), [1, 0]);
  assert.match(await drains!.check("/livez", "proxies:b2"), /leader iiiiiiiiiiii/);
  running.close();
});

Deno.test("a program that was killed: the one that follows with fewer builders deletes all of its records", async () => {
  await using killed = new VirtualProgram({ builders: ["b1", "b2"] });
  await killed.start();
  await killed.pass(5_000);
  killed.http.set("refused");
  await killed.stopNow();
  await killed.pass(10_000);
  assert.equal(killed.leases("proxy").length, 2);
  await using program = new VirtualProgram({ beside: killed, at: OTHER, settings: { builders: "b1" } });
  await program.start();
  await killed.pass(15 * MINUTE_MS);
  assert.deepEqual(killed.leases("proxy").map(({ spec }) => spec.holderIdentity), ["rrrrrrrrrrrr"]);
});
