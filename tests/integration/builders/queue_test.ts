/**
 * The whole program behind its hard limit: who waits, in which order, for how long, and what clients are told.
 *
 * @module
 */
import assert from "node:assert/strict";
import { rank } from "../../../lib/route/rank.ts";
import type { VirtualClient } from "../../support/virtual_client.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";
import { EXPORT } from "../../support/calls.ts";

const LIMITS = { sessionsPerReplica: "1", maxSessionsPerReplica: "1" };
const BUILDERS = ["b1", "b2"] as const;

/** A program whose builders are full, and the clients that fill them. */
async function full(settings = {}) {
  const program = new VirtualProgram({ builders: [...BUILDERS], settings: { ...LIMITS, ...settings } });
  await program.start();
  const running = [await program.call({ authority: "x" }), await program.call({ authority: "x" })];
  await program.pass(2_000);
  assert.ok(running.every(({ servedBy }) => servedBy !== undefined));
  return { program, running };
}

Deno.test("builders: clients queue behind the hard limit, first in, first out in a project, and projects take turns", async () => {
  const { program, running } = await full();
  await using _program = program;
  const queued = new Map<string, VirtualClient>();
  for (const name of ["a1", "a2", "a3", "b1", "b2", "c1"]) {
    queued.set(name, await program.call({ authority: name[0] }));
    await program.pass(100);
  }
  assert.equal(program.metrics.value("sessions_queued"), 6);
  assert.equal(program.metrics.value("sessions_held"), 6);
  const lines = program.log.of("session_queued").map(({ fields }) => [fields["project"], fields["queued"]]);
  assert.deepEqual(lines, [
    ["a.default", 1],
    ["a.default", 2],
    ["a.default", 3],
    ["b.default", 4],
    ["b.default", 5],
    ["c.default", 6],
  ]);
  const order: string[] = [];
  const seated = [...running];
  while (queued.size > 0) {
    seated.shift()!.close();
    await program.pass(1_000);
    for (const [name, client] of queued) {
      if (client.servedBy === undefined) continue;
      order.push(name);
      seated.push(client);
      queued.delete(name);
    }
  }
  assert.deepEqual(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
  assert.equal(program.metrics.value("sessions_queued"), 0);
  assert.equal(program.metrics.value("queue_seconds"), 6);
  for (const client of seated) client.close();
  await program.pass(1_000);
  const ended = program.log.of("session_ended").map(({ fields }) => fields);
  assert.equal(ended.length, 8, "one line a session");
  const [a1] = ended.filter(({ project }) => project === "a.default");
  assert.ok(Number(a1!["queuedMs"]) >= 600 && a1!["routed"] !== "queued", JSON.stringify(a1));
});

Deno.test("builders: a client that has queued for --queue-timeout is told so", async () => {
  const { program } = await full({ queueTimeoutMs: "45s", readyWaitTimeoutMs: "30s" });
  await using _program = program;
  const client = await program.call({ authority: "a" });
  await program.pass(44_900);
  assert.equal(client.ended, undefined);
  assert.equal(client.frames.length, 1, "only our SETTINGS");
  await program.pass(200);
  assert.deepEqual(client.refusal, {
    status: "8",
    message: "All 2 builders are full (1 session each); none had room in 45s (--queue-timeout)",
  });
  client.close();
  await program.pass(10_000);
  const [line] = program.log.of("session_ended").map(({ fields }) => fields);
  assert.deepEqual([line!["outcome"], line!["routed"], line!["builder"]], [
    "queue_timeout",
    "queued",
    undefined,
  ]);
  assert.equal(program.metrics.value("sessions_queued"), 0);
});

Deno.test("builders: the times for room and for a pod run one at a time, and moves restart neither", async () => {
  await using program = new VirtualProgram({
    builders: [...BUILDERS],
    settings: { ...LIMITS, queueTimeoutMs: "35s", readyWaitTimeoutMs: "40s" },
    cluster: { probeMs: () => 15_000 },
  });
  await program.start();
  const running = [await program.call({ authority: "x" }), await program.call({ authority: "x" })];
  await program.pass(18_000);
  assert.ok(running.every(({ servedBy }) => servedBy !== undefined));
  const client = await program.call({ authority: "x" });
  await program.pass(25_000);
  // Room, and no pod: it waits for that now.
  for (const { name } of program.cluster.sets) program.cluster.kubelet.setReady(`${name}-0`, false);
  await program.pass(1_000);
  running[0]!.close();
  await program.pass(37_000);
  assert.equal(client.frames.length, 1, "63 s, but only 25 s of them for room");
  await program.pass(3_000);
  assert.match(client.refusal?.message ?? "", /did not become ready in 40s/);
});

Deno.test("builders: trace exports do not queue", async () => {
  const { program } = await full();
  await using _program = program;
  const client = await program.call({ authority: "a", path: EXPORT });
  await program.pass(1_500);
  assert.ok(client.servedBy !== undefined);
  assert.equal(program.metrics.value("sessions_queued"), 0);
});

Deno.test("builders: a queued client that leaves gives its turn to the next one", async () => {
  const { program, running } = await full();
  await using _program = program;
  const [one, two] = [await program.call({ authority: "a" }), await program.call({ authority: "a" })];
  one.close();
  running[0]!.close();
  await program.pass(1_500);
  assert.ok(two.servedBy !== undefined);
  assert.equal(program.metrics.value("sessions_queued"), 0);
});

Deno.test("builders --max-replicas=2: a full pod brings the next one, and beyond both clients queue", async () => {
  await using program = new VirtualProgram({
    builders: ["b1"],
    settings: { ...LIMITS, maxReplicas: "2", idleTimeoutMs: "30s" },
  });
  await program.start();
  const clients = [];
  for (let i = 0; i < 3; i++) {
    clients.push(await program.call({ authority: "a" }));
    await program.pass(3_000);
  }
  assert.deepEqual(clients.map(({ servedBy }) => servedBy), ["b1-0", "b1-1", undefined]);
  assert.equal(program.cluster.replicas, 2);
  clients[0]!.close();
  await program.pass(2_000);
  assert.equal(clients[2]!.servedBy, "b1-0");
  clients[1]!.close();
  await program.pass(60_000);
  assert.equal(program.cluster.replicas, 1, "the highest pod goes");
  clients[2]!.close();
  await program.pass(60_000);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("builders: a full queue of one builder refuses no client of another that is awake and free (--max-held)", async () => {
  const names = ["b1", "b2"] as const;
  await using program = new VirtualProgram({
    builders: [...names],
    settings: { overflow: "never", sessionsPerReplica: "1", maxSessionsPerReplica: "1", maxHeld: "2" },
  });
  await program.start();
  const projects = ["a", "b", "c", "d", "e", "f"];
  const [full, free] = names.map((name) =>
    projects.find((project) => rank(names, `${project}.default`)[0] === name)!
  );
  const clients = [];
  for (let i = 0; i < 4; i++) {
    clients.push(await program.call({ authority: full! }));
    await program.pass(3_000);
  }
  assert.deepEqual(clients.map(({ refusal }) => refusal?.status), [undefined, undefined, undefined, "8"]);
  const other = await program.call({ authority: free! });
  await program.pass(3_000);
  assert.equal(other.servedBy, "b2-0");
  for (const client of [...clients, other]) client.close();
});
