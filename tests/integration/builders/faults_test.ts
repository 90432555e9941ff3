/**
 * The whole program in front of several builders of which one cannot be used: others take its clients, and it takes them
 * again once it can.
 *
 * @module
 */
import assert from "node:assert/strict";
import { VirtualProgram } from "../../support/virtual_program.ts";

const NAMES = ["b1", "b2", "b3"] as const;

/** The home of a project, found out by a client that leaves before the pod is ready. */
async function homeOf(program: VirtualProgram, authority: string): Promise<string> {
  const client = await program.call({ authority });
  await program.pass(500);
  const text = (await program.admin(`/route?project=${authority}`)).text;
  client.close();
  await program.pass(500);
  return /1\. (b\d):/.exec(text)?.[1] ?? assert.fail(text);
}

/** A call of the project, and the builder that it is served by in so many ms. */
async function servedWithin(
  program: VirtualProgram,
  authority: string,
  ms: number,
): Promise<string | undefined> {
  const client = await program.call({ authority });
  await program.pass(ms);
  const served = client.servedBy?.slice(0, 2);
  client.close();
  await program.pass(500);
  return served;
}

Deno.test("builders: clients of an absent builder are served by others at once, and again by it once it is there", async () => {
  await using program = new VirtualProgram({ builders: [...NAMES] });
  await program.start();
  const home = await homeOf(program, "a");
  program.cluster.set(home).delete();
  await program.pass(1_000);
  const other = await servedWithin(program, "a", 3_000);
  assert.ok(other !== undefined && other !== home);
  assert.equal(program.metrics.value("routed_total", { builder: other, why: "moved" }), 1);
  assert.match((await program.admin("/route?project=a")).text, new RegExp(`${home}: missing`));
  assert.equal((await program.admin("/readyz")).status, 200);
  program.cluster.set(home).create();
  await program.pass(30_000);
  assert.equal(await servedWithin(program, "a", 5_000), home);
});

Deno.test("builders: clients that wait for a builder which is deleted move on", async () => {
  await using program = new VirtualProgram({ builders: [...NAMES], cluster: { probeMs: () => 20_000 } });
  await program.start();
  const home = await homeOf(program, "a");
  const client = await program.call({ authority: "a" });
  await program.pass(5_000);
  program.cluster.set(home).delete();
  await program.pass(25_000);
  assert.ok(client.servedBy !== undefined && !client.servedBy.startsWith(home));
  assert.equal(program.log.of("session_queued").length, 0);
});

Deno.test("builders: a forbidden builder gets nobody, and does not keep the program from getting ready", async () => {
  const program = new VirtualProgram({ builders: [...NAMES] });
  await using _program = program;
  const allow = NAMES.map((name) => [name, program.cluster.set(name).forbid()] as const);
  allow.slice(1).forEach(([, end]) => end());
  await program.start();
  assert.equal((await program.admin("/readyz")).status, 200);
  for (const authority of ["a", "b", "c", "d", "e", "f", undefined]) {
    const client = await program.call({ authority });
    await program.pass(3_000);
    assert.ok(client.servedBy !== undefined && !client.servedBy.startsWith("b1"), authority);
    client.close();
  }
});

Deno.test("builders: clients of a builder that does not start go elsewhere after half of --ready-wait-timeout", async () => {
  let stuck = "";
  await using program = new VirtualProgram({
    builders: [...NAMES],
    settings: { readyWaitTimeoutMs: "2m", idleTimeoutMs: "5m" },
    cluster: { startMs: ({ metadata }) => metadata.name.startsWith(stuck) ? 10 * 3_600_000 : 100 },
  });
  await program.start();
  stuck = await homeOf(program, "a");
  program.cluster.set(stuck).scale(0);
  await program.pass(1_000);
  const client = await program.call({ authority: "a" });
  await program.pass(59_000);
  assert.equal(client.frames.length, 1);
  await program.pass(5_000);
  assert.ok(client.servedBy !== undefined && !client.servedBy.startsWith(stuck));
  assert.match((await program.admin("/route?project=a")).text, new RegExp(`${stuck}: stuck`));
  // The next one need not find out anew.
  const next = await servedWithin(program, "a", 3_000);
  assert.equal(next, client.servedBy.slice(0, 2));
});

Deno.test("builders: clients of a builder whose ready pod refuses connections go elsewhere, and come back later", async () => {
  let refusing = "none";
  let dials = 0;
  await using program: VirtualProgram = new VirtualProgram({
    builders: ["b1", "b2"],
    settings: { readiness: "pod" },
    ports: {
      network: {
        listen: (address) => program.network.listen(address),
        connect(address, signal) {
          const pod = program.cluster.pods.find(({ status }) => status?.podIP === address.hostname);
          if (!pod?.metadata.name.startsWith(refusing)) return program.network.connect(address, signal);
          dials++;
          return Promise.reject(new Deno.errors.ConnectionRefused("Connection refused"));
        },
      },
    },
  });
  await program.start();
  refusing = await homeOf(program, "a");
  const client = await program.call({ authority: "a" });
  await program.pass(20_000);
  assert.ok(dials > 3 && dials < 40, `${dials}`);
  await program.pass(150_000);
  assert.ok(client.servedBy !== undefined && !client.servedBy.startsWith(refusing));
  assert.match((await program.admin("/route?project=a")).text, new RegExp(`${refusing}: stuck`));
  const home = refusing;
  refusing = "none";
  await program.pass(10_000);
  assert.equal(await servedWithin(program, "a", 1_000), home);
});

Deno.test("builders: a cordoned builder takes nobody new, and a pool of one that is left serves all", async () => {
  await using program = new VirtualProgram({ builders: ["b1", "b2"], settings: { cordoned: "b1" } });
  program.cluster.set("b1").scale(1);
  await program.start();
  await program.pass(3_000);
  for (const authority of ["a", "b", "c", "d", undefined]) {
    assert.equal(await servedWithin(program, authority ?? "localhost", 3_000), "b2", authority);
  }
  assert.deepEqual(program.log.of("pool_cordoned"), []);
});

Deno.test("builders: a pod that is awaited is asked for only where clients have another builder to go to", async () => {
  for (const builders of [["b1"], ["b1", "b2"]] as const) {
    await using program = new VirtualProgram({
      builders: [...builders],
      cluster: { startMs: () => 60_000 },
    });
    await program.start();
    const client = await program.call();
    await program.pass(20_000);
    const asked = program.cluster.api.requests.filter(({ verb, subject }) =>
      verb === "get" && subject === "v1/pods"
    );
    assert.equal(
      asked.length > 0,
      builders.length > 1,
      `${asked.length} times with ${builders.length} builders`,
    );
    client.close();
  }
});

Deno.test("builders: a build whose home is cordoned and that may use no other is refused at once, and the log warns", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b2"],
    settings: { cordoned: "b1", overflow: "never" },
  });
  await program.start();
  assert.deepEqual(program.log.of("home_cordoned").map(({ level, fields }) => [level, fields["builders"]]), [
    ["warn", ["b1"]],
  ]);
  // A session without a project belongs to the first builder.
  const client = await program.call({ authority: "localhost" });
  await program.pass(0);
  assert.deepEqual(client.refusal, {
    status: "9",
    message:
      'Cannot build: the builder "b1" takes no new sessions (--cordoned), and this build may use no other ' +
      "(--overflow never)",
  });
  client.close();
  await program.pass(0);
  assert.equal(program.log.of("session_ended")[0]?.fields["outcome"], "cordoned");
  assert.equal(program.metrics.value("sessions_held"), 0);
});

Deno.test("builders: a client of a cordoned builder waits for the other one, however slowly that starts", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b2"],
    // A start takes longer than half of the time, after which a builder counts as stuck.
    settings: { cordoned: "b1", readyWaitTimeoutMs: "2m", idleTimeoutMs: "5s" },
    cluster: { startMs: () => 90_000 },
  });
  await program.start();
  for (const authority of ["a", "b", "c", "localhost"]) {
    assert.equal(await servedWithin(program, authority, 95_000), "b2", authority);
    // Its failure is still remembered when the next client comes.
    const early = await program.call({ authority });
    await program.pass(70_000);
    early.close();
    await program.pass(30_000);
    assert.equal(
      await servedWithin(program, authority, 95_000),
      "b2",
      `${authority}, while b2 counts as stuck`,
    );
    await program.pass(60_000);
  }
});

Deno.test("builders: the log says at start that a pool has no builder that takes sessions", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "arm64/b2"],
    settings: { cordoned: "b2" },
  });
  await program.start();
  assert.deepEqual(program.log.of("pool_cordoned").map(({ fields }) => fields["pool"]), ["arm64"]);
});

Deno.test("builders: while all are absent a client is held, and is told why at the end of its time", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b2"],
    settings: { readyWaitTimeoutMs: "60s" },
  });
  await program.start();
  for (const set of program.cluster.sets) set.delete();
  await program.pass(1_000);
  const client = await program.call({ authority: "a" });
  const saved = await program.call({ authority: "b" });
  await program.pass(59_000);
  assert.equal(client.frames.length, 1);
  await program.pass(2_000);
  assert.equal(client.refusal?.status, "4");
  assert.match(client.refusal.message, /did not become ready in 1m0s: .*b[12]/);
  assert.ok(saved.refusal !== undefined);
  const last = await program.call({ authority: "a" });
  await program.pass(20_000);
  program.cluster.set("b2").create();
  await program.pass(35_000);
  assert.equal(last.servedBy, "b2-0");
});

Deno.test("builders: each builder sleeps on its own while another one builds", async () => {
  await using program = new VirtualProgram({
    builders: [...NAMES],
    settings: { idleTimeoutMs: "60s", sessionsPerReplica: "1" },
  });
  await program.start();
  const clients = [];
  for (let i = 0; i < 3; i++) clients.push(await program.call({ authority: "a" }));
  await program.pass(3_000);
  const counts = () => program.cluster.sets.map(({ replicas }) => replicas);
  assert.deepEqual(counts(), [1, 1, 1]);
  for (const client of clients) {
    const at = NAMES.findIndex((name) => client.servedBy!.startsWith(name));
    client.close();
    await program.pass(90_000);
    assert.equal(counts()[at], 0);
    assert.equal(
      counts().filter((count) => count === 1).length,
      clients.length - 1 - clients.indexOf(client),
    );
  }
  assert.ok(program.log.of("session_ended").every(({ fields }) => fields["outcome"] !== "upstream_reset"));
});
