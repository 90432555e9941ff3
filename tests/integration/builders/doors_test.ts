/**
 * The whole program with pools, and with listeners of projects and pools; and what it says of them on its admin port.
 *
 * @module
 */
import assert from "node:assert/strict";
import { VirtualProgram } from "../../support/virtual_program.ts";

const at = (port: number) => ({ hostname: "127.0.0.1", port });

Deno.test("builders --listeners: a listener's project and pool beat what clients say", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b2", "b3", "arm64/b4", "arm64/b5"],
    settings: {
      listeners:
        "project team-a=127.0.0.1:8401, pool arm64=127.0.0.1:8402, project team-b@arm64=127.0.0.1:8403",
      sessionsPerReplica: "0",
    },
  });
  await program.start();
  const home = await program.call({ authority: "team-a" });
  await program.pass(3_000);
  assert.match(home.servedBy ?? "", /^b[123]-0$/);
  for (const authority of ["localhost", "team-z", undefined]) {
    const client = await program.call({ authority }, at(8401));
    await program.pass(3_000);
    assert.equal(client.servedBy, home.servedBy, authority);
  }
  const arm = await program.call({ authority: "team-a" }, at(8402));
  await program.pass(3_000);
  assert.match(arm.servedBy ?? "", /^b[45]-0$/);
  const b = await program.call({ authority: "team-b" }, at(8402));
  const b2 = await program.call({ authority: "localhost" }, at(8403));
  await program.pass(3_000);
  assert.ok(b.servedBy !== undefined && b.servedBy === b2.servedBy);
});

Deno.test("builders: a pool that is full does not use the builders of another one", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "arm64/b2"],
    settings: {
      listeners: "pool arm64=127.0.0.1:8402",
      sessionsPerReplica: "1",
      maxSessionsPerReplica: "1",
      queueTimeoutMs: "1h, arm64=30s",
    },
  });
  await program.start();
  const [one, two] = [await program.call({}, at(8402)), await program.call({}, at(8402))];
  await program.pass(3_000);
  assert.deepEqual([one.servedBy, two.servedBy], ["b2-0", undefined]);
  assert.equal(program.cluster.set("b1").replicas, 0);
  assert.match(await program.check("/livez", "sessions:arm64"), /1 waiting \(1 of no project\); 1 queued/);
  assert.match(await program.check("/livez", "sessions"), /0 waiting/);
  await program.pass(28_000);
  assert.deepEqual(two.refusal, {
    status: "8",
    message: 'The builder of the pool "arm64" is full (1 session); it had no room in 30s (--queue-timeout)',
  });
});

Deno.test("builders: the admin port says where a project goes, and how each builder is", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b3", "arm64/b2"],
    settings: { listeners: "pool arm64=127.0.0.1:8402" },
  });
  await program.start();
  program.cluster.set("b2").delete();
  const client = await program.call({ authority: "localhost" });
  await program.pass(3_000);
  assert.ok(client.servedBy !== undefined);
  const { text } = await program.admin("/route?project=team-a");
  assert.match(text, /Project: team-a\.default\n/);
  assert.match(text, /\d\. b1: ready; 1 session; /);
  assert.match(text, /Pool arm64\n[^]*1\. b2: missing/);
  const { text: verbose } = await program.admin("/healthz?verbose");
  for (const name of ["scale:b1", "scale:b2", "proxies:b1", "proxies:b2", "sessions", "sessions:arm64"]) {
    assert.ok(verbose.includes(`[+]${name} ok: `), verbose);
  }
  assert.match(verbose, /scale:b2 ok: missing/);
  assert.match(verbose, /session 1 of no project: b1, home/);
});

Deno.test("builders --min-replicas and --warm: pools are filled in declared order, and cool down after the window", async () => {
  // The clock begins on Monday, the 1st of January 2024, at midnight.
  await using program = new VirtualProgram({
    builders: ["b1", "b2", "b3"],
    settings: { minReplicas: "1", warm: "Mon 01:00-02:00 UTC=2", idleTimeoutMs: "60s" },
  });
  const counts = () => program.cluster.sets.map(({ replicas }) => replicas).join();
  await program.start();
  await program.pass(120_000);
  assert.equal(counts(), "1,0,0");
  await program.pass(60 * 60_000);
  assert.equal(counts(), "1,1,0");
  await program.pass(50 * 60_000);
  assert.equal(counts(), "1,1,0");
  await program.pass(20 * 60_000);
  assert.equal(counts(), "1,0,0");
});

Deno.test("builders: the program ends with all its records and its place in the election gone, and no timer", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b2", "b3"],
    settings: { affinityPatienceMs: "1h" },
  });
  await program.start();
  const client = await program.call({ authority: "a" });
  await program.pass(3_000);
  assert.equal(program.leases("proxy").length, 3);
  await program.stop();
  await program.pass(60_000);
  assert.equal(program.outcome, undefined, "a build runs");
  assert.equal((await program.admin("/readyz")).status, 503);
  assert.equal(client.ended, undefined);
  client.close();
  await program.pass(10_000);
  assert.deepEqual(program.outcome, {});
  assert.equal(program.leases("proxy").length, 0);
  assert.ok(!program.leases("leader")[0]?.spec?.["holderIdentity"]);
});
