/**
 * The whole program in front of several builders: which of them serves which client.
 *
 * @module
 */
import assert from "node:assert/strict";
import { TOTAL_LIMIT_BYTES } from "../../../lib/proxy/hold.ts";
import { FRAME, frame } from "../../../lib/target/http2_frames.ts";
import { helloWith, records, serverNameExtension } from "../../support/client_hello.ts";
import { bytesOf } from "../../support/http2_client.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const THREE = ["b1", "b2", "b3"] as const;
const A = { authority: "team-a:8372" };

Deno.test("builders: a project goes back to its home, asleep or awake, and others stay asleep", async () => {
  await using program = new VirtualProgram({
    builders: [...THREE],
    settings: { idleTimeoutMs: "30s" },
  });
  await program.start();
  const homes: (string | undefined)[] = [];
  for (let i = 0; i < 3; i++) {
    const client = await program.call(A);
    await program.pass(2_000);
    homes.push(client.servedBy);
    assert.equal(awake(program), 1);
    client.close();
    await program.pass(60_000);
    assert.equal(awake(program), 0);
  }
  assert.ok(homes[0] !== undefined);
  assert.deepEqual(new Set(homes).size, 1);
  const lines = program.log.of("session_ended").map(({ fields }) => fields);
  assert.deepEqual(lines.map(({ routed, project }) => [routed, project]), [
    ["home", "team-a.default"],
    ["home", "team-a.default"],
    ["home", "team-a.default"],
  ]);
  assert.equal(`${lines[0]!["builder"]}-0`, homes[0]);
});

Deno.test("builders: all forms of a project's name have one home, and several projects have several", async () => {
  await using program = new VirtualProgram({ builders: [...THREE], settings: { sessionsPerReplica: "0" } });
  await program.start();
  const forms = [
    "team-a",
    "TEAM-A.default:1",
    "team-a.default.svc",
    "team-a.default.svc.cluster.local.:8372",
  ];
  const served = new Set<string | undefined>();
  for (const authority of forms) {
    const client = await program.call({ authority });
    await program.pass(2_000);
    served.add(client.servedBy);
  }
  assert.equal(served.size, 1);
  for (let i = 0; i < 12; i++) {
    const client = await program.call({ authority: `team-${i}` });
    await program.pass(2_000);
    served.add(client.servedBy);
  }
  assert.deepEqual([...served].sort(), ["b1-0", "b2-0", "b3-0"]);
});

Deno.test("builders: beyond the soft target a project overflows, and comes back home", async () => {
  await using program = new VirtualProgram({ builders: [...THREE], settings: { sessionsPerReplica: "2" } });
  await program.start();
  const clients = [];
  for (let i = 0; i < 3; i++) clients.push(await program.call(A));
  await program.pass(2_000);
  const [home, same, other] = clients.map(({ servedBy }) => servedBy);
  assert.ok(home !== undefined && home === same && other !== undefined && other !== home);
  clients[0]!.close();
  clients[2]!.close();
  await program.pass(1_000);
  const back = await program.call(A);
  await program.pass(1_000);
  assert.equal(back.servedBy, home);
  assert.equal(program.metrics.value("routed_total", { why: "overflow" }), 1);
  assert.equal(program.metrics.value("routed_total", { why: "home" }), 3);
});

Deno.test("builders: when all are full up to the target, sessions share the least loaded one", async () => {
  await using program = new VirtualProgram({ builders: ["b1", "b2"], settings: { sessionsPerReplica: "1" } });
  await program.start();
  const served = new Map<string | undefined, number>();
  for (let i = 0; i < 6; i++) {
    const client = await program.call(A);
    await program.pass(2_000);
    served.set(client.servedBy, 1 + (served.get(client.servedBy) ?? 0));
  }
  assert.deepEqual([...served].sort(), [["b1-0", 3], ["b2-0", 3]]);
  assert.equal(program.metrics.value("routed_total", { why: "shared" }), 4);
});

Deno.test("builders: while others fill their holds, a newcomer is heard and served by its own builder within half a second", async () => {
  await using program = new VirtualProgram({
    builders: [...THREE],
    settings: { maxSessionsPerReplica: "1", overflow: "never", maxHeld: "2000", queueTimeoutMs: "1h" },
  });
  await program.start();
  const homeOf = async (authority: string) => {
    const client = await program.call({ authority });
    await program.pass(2_000);
    client.close();
    await program.pass(1_000);
    return client.servedBy;
  };
  const home = await homeOf("team-a");
  let greedy = 0;
  while (await homeOf(`greedy-${greedy}`) === home) greedy++;
  const frames = bytesOf(...Array(16).fill(frame(FRAME.data, 0, 1, new Uint8Array(16_384))));
  for (let i = 0; i < 1_001; i++) {
    const client = await program.call({ authority: `greedy-${greedy}` });
    client.send(frames).catch(() => {});
  }
  await program.pass(1_000);
  assert.ok(program.metrics.value("hold_bytes", {})! > 0.9 * TOTAL_LIMIT_BYTES, "the holds are full");
  const honest = await program.call(A);
  assert.ok(honest.bytes.byteLength > 0, "it has got SETTINGS");
  await program.pass(500);
  assert.ok(home !== undefined && honest.servedBy === home);
});

Deno.test("builders --overflow=never: a project stays with its home, however full that is", async () => {
  await using program = new VirtualProgram({
    builders: [...THREE],
    settings: { sessionsPerReplica: "1", maxSessionsPerReplica: "2", overflow: "never" },
  });
  await program.start();
  const clients = [];
  for (let i = 0; i < 3; i++) clients.push(await program.call(A));
  await program.pass(2_000);
  const [first, second, third] = clients;
  assert.ok(first!.servedBy !== undefined && first!.servedBy === second!.servedBy);
  assert.equal(third!.servedBy, undefined);
  assert.equal(awake(program), 1);
  first!.close();
  await program.pass(1_000);
  assert.equal(third!.servedBy, second!.servedBy);
});

Deno.test("builders: connections of one trace that run together are served by one builder, even above its limits", async () => {
  await using program = new VirtualProgram({
    builders: [...THREE],
    settings: { sessionsPerReplica: "1", maxSessionsPerReplica: "1" },
  });
  await program.start();
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const clients = [];
  for (let i = 0; i < 4; i++) {
    clients.push(await program.call({ ...A, traceId }));
    await program.pass(i === 0 ? 2_000 : 0);
  }
  assert.ok(clients[0]!.servedBy !== undefined);
  assert.equal(new Set(clients.map(({ servedBy }) => servedBy)).size, 1);
  for (const client of clients) client.close();
  await program.pass(30_000);
  const filler = await program.call({ authority: "team-a" });
  await program.pass(1_000);
  assert.equal(filler.servedBy, clients[0]!.servedBy);
  const late = await program.call({ ...A, traceId });
  await program.pass(1_000);
  await program.pass(1_000);
  assert.ok(
    late.servedBy !== undefined && late.servedBy !== clients[0]!.servedBy,
    "nobody waits for anybody",
  );
});

Deno.test("builders: a client waits for its home to wake though another is awake, one whose TLS passes does not", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b2"],
    cluster: { probeMs: () => 30_000 },
  });
  await program.start();
  const patient = await program.call(A);
  await program.pass(1_000);
  const home = program.cluster.set("b1").replicas === 1 ? "b1" : "b2";
  const other = home === "b1" ? "b2" : "b1";
  patient.close();
  program.cluster.set(other).scale(1);
  await program.pass(40_000);
  program.cluster.set(home).scale(0);
  await program.pass(10_000);
  const again = await program.call(A);
  const hello = records(helloWith(serverNameExtension("team-a")));
  const impatient = await program.connect(String.fromCharCode(...hello));
  await program.pass(10_000);
  assert.equal(again.servedBy, undefined);
  assert.ok(impatient.bytes.byteLength > 0, "it was served at once");
  assert.equal(program.metrics.value("routed_total", { builder: other, why: "moved" }), 1);
  await program.pass(30_000);
  assert.equal(again.servedBy, `${home}-0`);
});

/** How many StatefulSets have replicas. */
function awake({ cluster }: VirtualProgram): number {
  return cluster.sets.filter(({ replicas }) => replicas > 0).length;
}
