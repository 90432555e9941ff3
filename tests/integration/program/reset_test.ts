/**
 * The whole program: what the line of a session says whose daemon has died. Reads of the pod come sooner than they would.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fastClock } from "../../support/fast_clock.ts";
import { type Program, startProgram, type WorldOptions } from "../../support/program.ts";
import type { Serve } from "../../support/server_pods.ts";
import type { TcpClient } from "../../support/tcp_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** Reads come 1, 3 and 6 s after the reset. */
const FASTER = 20;
const TOKEN = "token-of-the-proxy";
const SAID = "container main of pod buildkitd-0 ended with exit code 137: OOMKilled";

async function start(options: WorldOptions = {}): Promise<Program> {
  const program = await startProgram({
    ...options,
    clock: fastClock(FASTER),
    cluster: { replicas: 1, restartMs: () => 10, ...options.cluster },
  });
  await program.settled();
  return program;
}

/** Crashes the daemon, out of memory, and gives the number of reads of its pod from then on. */
function crash({ cluster }: Program): () => number {
  const reads = () =>
    cluster.api.requests.filter(({ verb, subject }) => verb === "get" && /\bpods$/.test(subject)).length;
  const before = reads();
  cluster.kubelet.crash("buildkitd-0", { exitCode: 137, reason: "OOMKilled" });
  return () => reads() - before;
}

/** A client of a daemon that is gone, whose bytes nobody takes any more: that is how a reset shows. */
async function breakOff(client: TcpClient): Promise<void> {
  await client.ending();
  await client.send("more").catch(() => {});
}

/** Leaves bytes unread, so that its end is a reset. */
const deaf: Serve = async (conn) => {
  await conn.read(new Uint8Array(1));
  await new Promise(() => {});
};

Deno.test("program: sessions that a killed daemon has reset say how its container ended, by one read of the pod", async () => {
  await using program = await start({ serve: deaf });
  const clients = await Promise.all(Array.from({ length: 5 }, () => program.connect()));
  for (const client of clients) await client.send("hello");
  await program.until("five sessions at the pod", () => program.pods.open === 5);
  const reads = crash(program);
  for (const client of clients) {
    await breakOff(client);
    client.close();
  }
  await program.logged("session_ended", 5);
  for (const { level, fields } of program.log.of("session_ended")) {
    assert.deepEqual([level, fields["outcome"], fields["reason"], fields["pod"]], [
      "info",
      "upstream_reset",
      SAID,
      "buildkitd-0",
    ]);
  }
  assert.equal(reads(), 1);
});

Deno.test("program: a session whose daemon died after all bytes were read also names the cause", async () => {
  await using program = await start();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  crash(program);
  await client.ending();
  client.close();
  assert.equal((await program.logged("session_ended"))["reason"], SAID);
});

Deno.test("program: while the cause of a reset is looked up, only the session's log line is pending", async () => {
  const clock = new VirtualClock();
  await using program = await startProgram({
    clock,
    cluster: { replicas: 1 },
    serve: deaf,
  });
  await program.settled();
  using client = await program.connect();
  await client.send("hello");
  await program.until("a session at the pod", () => program.pods.open === 1);
  program.cluster.api.faults.add({
    fault: { kind: "freeze" },
    matches: ({ resource }) => resource?.plural === "pods",
  });
  const reads = crash(program);
  await breakOff(client);
  await program.until("no session", () => program.metrics.value("sessions_open") === 0);
  assert.equal(program.metrics.value("sessions_ended_total", { outcome: "upstream_reset" }), 1);
  await clock.advance(1_000);
  await program.until("a read of the pod", () => reads() === 1);
  assert.deepEqual(program.log.of("session_ended"), []);
  program.drain();
  await clock.advance(1);
  const { outcome, reason } = await program.logged("session_ended");
  assert.deepEqual([outcome, reason], ["upstream_reset", undefined], "written when draining ends");
});

Deno.test("program: without the right to get pods, a reset is logged as it is, and nothing else", async () => {
  await using program = await start({
    serve: deaf,
    token: TOKEN,
    before: ({ cluster: { api: { access } } }) => {
      access.tokens.set(TOKEN, "proxy");
      access.rules.set("proxy", [
        { apiGroups: ["apps"], resources: ["statefulsets", "statefulsets/scale"], verbs: ["*"] },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["*"] },
        { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["*"] },
      ]);
    },
  });
  using client = await program.connect();
  await client.send("hello");
  await program.until("a session at the pod", () => program.pods.open === 1);
  const reads = crash(program);
  await breakOff(client);
  const { outcome, reason } = await program.logged("session_ended");
  assert.deepEqual([outcome, reason], ["upstream_reset", undefined]);
  assert.equal(reads(), 1);
  assert.deepEqual(program.log.records.filter(({ level }) => level !== "debug" && level !== "info"), []);
});

Deno.test("program: the line of a session that the client ended is written at once", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 } });
  await program.settled();
  await program.warm();
  assert.deepEqual(program.log.of("session_ended").map(({ fields }) => fields["outcome"]), ["completed"]);
});
