/**
 * Tests of the program's end: the order in which it lets go of things, what it waits for and how long, and what a part that
 * has failed changes in that.
 *
 * @module
 */
import assert from "node:assert/strict";
import { messageOf } from "../../../lib/base/errors.ts";
import type { MetricName } from "../../../lib/base/metrics.ts";
import { PROXY, type VirtualOptions, VirtualProgram } from "../../support/virtual_program.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** A program in front of a pod that is ready. */
async function warm(settings: VirtualOptions["settings"] = {}): Promise<VirtualProgram> {
  const program = new VirtualProgram({ settings, cluster: { replicas: 1 } });
  await program.pass(SECOND_MS);
  await program.start();
  assert.equal((await program.admin("/readyz")).status, 200);
  return program;
}

/** A client that runs, and one that is held since the pod is not ready any more. */
async function withClients(program: VirtualProgram) {
  const running = await program.connect("hello");
  await program.pass(10);
  assert.equal(running.text, "hello");
  program.cluster.kubelet.setReady("buildkitd-0", false);
  await program.pass(SECOND_MS);
  const held = await program.call();
  assert.equal(program.metrics.value("sessions_held"), 1);
  return { running, held };
}

/** The next turn of the scaler throws, as a bug would. */
function sabotageScaler({ metrics }: VirtualProgram): void {
  const { record } = metrics;
  metrics.record = (name: MetricName, ...rest: never[]) => {
    if (name === "replicas_desired") throw new Error("a bug");
    Reflect.apply(record, metrics, [name, ...rest]);
  };
}

/** The same, and there is something for the scaler to look at. */
async function breakScaler(program: VirtualProgram): Promise<void> {
  sabotageScaler(program);
  const { cluster } = program;
  cluster.kubelet.setReady("buildkitd-0", false);
  await program.pass(SECOND_MS);
  cluster.kubelet.setReady("buildkitd-0", true);
  await program.pass(SECOND_MS);
}

const holderOf = (program: VirtualProgram) => program.leases("leader")[0]?.spec?.holderIdentity;
const isOver = (program: VirtualProgram) => program.outcome !== undefined;

Deno.test("runApp(), told to stop: unready at once and alive, the lead is free, and clients are served until the delay is over", async () => {
  await using program = await warm({ shutdownDelayMs: "30s" });
  assert.notEqual(holderOf(program), "");
  await program.stop();
  assert.deepEqual(await program.admin("/readyz"), { status: 503, text: "shutdown: shutting down" });
  assert.deepEqual(program.log.of("shutdown_started").map(({ fields }) => fields), [
    { sessions: 0, shutdownDelayMs: 30_000 },
  ]);
  assert.equal(holderOf(program), "");
  assert.equal(program.leases("proxy").length, 1, "its record stays");
  await program.pass(29 * SECOND_MS);
  const client = await program.connect("hello");
  await program.pass(10);
  assert.equal(client.text, "hello");
  await program.pass(2 * SECOND_MS);
  assert.equal(program.network.listensOn(PROXY), false);
  assert.equal((await program.admin("/livez")).status, 200);
  assert.equal(program.leases("proxy").length, 1);
  assert.ok(!isOver(program));
  client.close();
  await program.pass(SECOND_MS);
  assert.deepEqual(program.outcome, {});
  assert.equal(program.leases("proxy").length, 0, "nobody need ask it any more");
  assert.deepEqual(program.closed, ["admin", "http"]);
  assert.equal(program.log.records.at(-1)?.code, "program_ended");
  assert.equal(program.log.of("sessions_cut").length, 0);
  assert.deepEqual(program.log.records.filter(({ level }) => level === "warn" || level === "error"), []);
  assert.equal(program.clock.pending, 0, "no timer is left");
});

Deno.test("runApp(), told to stop without sessions and without a delay, ends at once", async () => {
  await using program = await warm();
  await program.stop();
  assert.deepEqual(program.outcome, {});
});

Deno.test("runApp(), told to stop before it has started, starts and ends", async () => {
  await using program = new VirtualProgram();
  program.drain.abort(new Error("Asked to stop"));
  await program.start();
  assert.deepEqual(program.outcome, {});
  assert.equal(program.log.records.at(-1)?.code, "program_ended");
});

Deno.test("runApp(), told to stop: without a drain timeout a session may last for ever", async () => {
  await using program = await warm({ drainTimeoutMs: "0s" });
  const client = await program.connect("hello");
  await program.stop();
  await program.pass(1.5 * HOUR_MS);
  await client.send(" and more");
  await program.pass(0);
  assert.equal(client.text, "hello and more");
  assert.equal(program.cluster.replicas, 1);
  client.close();
  await program.pass(SECOND_MS);
  assert.deepEqual(program.outcome, {});
});

Deno.test("runApp(), told to stop: never lowers the count, but raises it for a client", async () => {
  await using program = await warm({ idleTimeoutMs: "1m", shutdownDelayMs: "1h" });
  await program.stop();
  await program.pass(10 * MINUTE_MS);
  assert.equal(program.cluster.replicas, 1);
  program.cluster.scale(0);
  await program.pass(10 * SECOND_MS);
  const client = await program.connect("hello");
  await program.pass(10 * SECOND_MS);
  assert.equal(client.text, "hello");
});

Deno.test("runApp(), told to stop: a proxy without a right to Leases, which leads always, lowers the count no more either", async () => {
  for (const stops of [true, false]) {
    await using program = new VirtualProgram({
      cluster: { replicas: 1 },
      settings: { idleTimeoutMs: "1m", shutdownDelayMs: "1h" },
    });
    program.cluster.api.access.rules.set("system:anonymous", [
      { apiGroups: ["apps", "discovery.k8s.io"], resources: ["*"], verbs: ["*"] },
    ]);
    await program.start();
    await program.pass(30 * SECOND_MS);
    assert.match(await program.check("/livez", "proxies"), /, alone/);
    if (stops) await program.stop();
    await program.pass(10 * MINUTE_MS);
    assert.equal(program.cluster.replicas, stops ? 1 : 0);
  }
});

Deno.test("runApp() cuts sessions when the drain timeout has passed, with no delay where nobody can be told", async () => {
  await using program = await warm({ drainTimeoutMs: "10m", shutdownDelayMs: "1m" });
  const client = await program.connect("hello");
  await program.stop();
  await program.pass(11 * MINUTE_MS - SECOND_MS);
  assert.equal(client.ended, undefined);
  await program.pass(2 * SECOND_MS);
  assert.notEqual(client.ended, undefined);
  assert.deepEqual(program.outcome, {});
  assert.deepEqual(program.log.of("sessions_cut").map(({ fields }) => fields), [
    { sessions: 1, reason: "The drain timeout has passed" },
  ]);
  const [ended] = program.log.of("session_ended");
  assert.equal(ended?.fields["outcome"], "drain_timeout");
  assert.equal(ended.fields["reason"], "The drain timeout has passed");
});

Deno.test("runApp() tells clients that are held that the drain timeout has passed, and gives them a moment to hear it", async () => {
  await using program = await warm({ drainTimeoutMs: "1m" });
  const { running, held } = await withClients(program);
  await program.stop();
  await program.pass(MINUTE_MS);
  assert.deepEqual(held.refusal, {
    status: "9",
    message:
      "The drain timeout has passed: the proxy in front of buildkitd is shutting down, start the build again",
  });
  await program.pass(4 * SECOND_MS);
  assert.equal(running.ended, undefined, "it goes on meanwhile");
  assert.equal(held.ended, undefined);
  await program.pass(2 * SECOND_MS);
  assert.notEqual(held.ended, undefined);
  assert.notEqual(running.ended, undefined);
  assert.deepEqual(program.outcome, {});
  assert.equal(program.metrics.value("sessions_ended_total", { outcome: "drain_timeout" }), 2);
});

Deno.test("runApp(), told to stop: it ends once the held clients have got the reason and left", async () => {
  await using program = await warm({ drainTimeoutMs: "1m" });
  const { running, held } = await withClients(program);
  running.close();
  await program.stop();
  await program.pass(MINUTE_MS);
  held.close();
  await program.pass(0);
  assert.deepEqual(program.outcome, {});
});

for (
  const [when, settings] of [
    ["during the delay", { shutdownDelayMs: "1h" }],
    ["while sessions run", {}],
    ["while sessions run without a limit", { drainTimeoutMs: "0s" }],
  ] as const
) {
  Deno.test(`runApp(), told to stop at once ${when}, cuts all and ends`, async () => {
    await using program = await warm(settings);
    const { running, held } = await withClients(program);
    await program.stop();
    await program.pass(MINUTE_MS);
    assert.ok(!isOver(program));
    await program.stopNow();
    assert.deepEqual(program.outcome, {});
    assert.ok(running.ended !== undefined && held.ended !== undefined);
    assert.deepEqual(program.log.of("sessions_cut").map(({ fields }) => fields), [
      { sessions: 2, reason: "The proxy was told to stop at once" },
    ]);
    assert.equal(program.clock.pending, 0, "no timer is left");
  });
}

Deno.test("runApp(), told to stop at once without a first signal, ends", async () => {
  await using program = await warm();
  const client = await program.connect("hello");
  program.now.abort(new Error("Asked to stop at once"));
  await program.pass(0);
  assert.deepEqual(program.outcome, {});
  assert.notEqual(client.ended, undefined);
});

Deno.test("runApp() ends although the API server does not answer: 5 s each for the lead and for its record", async () => {
  await using program = await warm();
  program.http.set("silent");
  await program.stop();
  await program.pass(9 * SECOND_MS);
  assert.ok(!isOver(program));
  assert.deepEqual(program.closed, [], "the admin port answers to the end");
  await program.pass(2 * SECOND_MS);
  assert.deepEqual(program.outcome, {});
  const [failed] = program.log.of("own_record_deletion_failed");
  assert.equal(failed?.level, "warn");
  assert.match(String(failed.fields["cause"]), /does not answer/);
  assert.equal(program.clock.pending, 0, "no timer is left");
});

Deno.test("runApp(), told to stop at once, does not wait for an API server that does not answer", async () => {
  await using program = await warm();
  program.http.set("silent");
  await program.stopNow();
  assert.deepEqual(program.outcome, {});
});

Deno.test("runApp() writes how a pod ended before it ends itself, but does not wait to find out", async () => {
  await using program = await warm();
  const client = await program.connect("hello");
  await program.pass(10);
  await program.stop();
  program.cluster.kubelet.crash("buildkitd-0");
  await program.pass(0);
  client.close();
  // The first look at the pod would come after a second.
  await program.pass(SECOND_MS / 2);
  assert.deepEqual(program.outcome, {});
  const codes = program.log.records.map(({ code }) => code);
  assert.ok(codes.includes("session_ended"));
  assert.ok(codes.indexOf("session_ended") < codes.indexOf("program_ended"));
});

Deno.test("runApp() rejects with the error of a failed component, after its sessions have ended", async () => {
  await using program = await warm();
  const running = await program.connect("hello");
  await program.pass(10);
  await breakScaler(program);
  const [failed] = program.log.of("component_failed");
  assert.equal(failed?.level, "error");
  assert.match(String(failed.fields["cause"]), /a bug/);
  assert.match((await program.admin("/readyz")).text, /^shutdown: shutting down$/m);
  assert.equal((await program.admin("/livez")).status, 200);
  const renewedAt = () => program.leases("proxy")[0]?.metadata.resourceVersion;
  const before = renewedAt();
  await program.pass(5 * MINUTE_MS);
  assert.notEqual(renewedAt(), before, "the others have to know of its session");
  await running.send(" and more");
  await program.pass(0);
  assert.equal(running.text, "hello and more");
  running.close();
  await program.pass(SECOND_MS);
  assert.match(messageOf(program.outcome?.error), /Task "scaler" failed.*a bug/);
  assert.equal(program.leases("proxy").length, 0);
  assert.deepEqual(program.closed, ["admin", "http"]);
  assert.equal(program.log.records.at(-1)?.code, "program_ended");
  assert.equal(program.clock.pending, 0, "no timer is left");
});

Deno.test("runApp() tells held clients that a component has failed", async () => {
  await using program = await warm({ shutdownDelayMs: "1h" });
  const { running, held } = await withClients(program);
  sabotageScaler(program);
  running.close();
  await program.pass(SECOND_MS);
  const refusal = {
    status: "9",
    message: "The proxy in front of buildkitd has failed, start the build again: a bug",
  };
  assert.deepEqual(held.refusal, refusal);
  held.close();
  await program.pass(SECOND_MS);
  assert.deepEqual(
    program.log.of("session_ended").map(({ fields }) => fields["outcome"]).toSorted(),
    ["completed", "failed"],
  );
  assert.match(messageOf(program.outcome?.error), /a bug/, "it does not wait for a load balancer");
});

Deno.test("runApp() keeps a running session and its record to the end if a component fails during a drain", async () => {
  await using program = await warm();
  const running = await program.connect("hello");
  await program.pass(10);
  await program.stop();
  assert.equal(program.log.of("component_failed").length, 0);
  await breakScaler(program);
  assert.equal(program.log.of("component_failed").length, 1);
  const before = program.leases("proxy")[0]?.metadata.resourceVersion;
  await program.pass(5 * MINUTE_MS);
  assert.notEqual(program.leases("proxy")[0]?.metadata.resourceVersion, before);
  await running.send(" and more");
  await program.pass(0);
  assert.equal(running.text, "hello and more");
  running.close();
  await program.pass(SECOND_MS);
  assert.match(messageOf(program.outcome?.error), /a bug/);
  assert.equal(program.leases("proxy").length, 0, "nobody writes it again after it was deleted");
});

Deno.test("runApp() logs no component failure when it was told to stop", async () => {
  await using program = await warm();
  await program.stop();
  assert.deepEqual(program.outcome, {});
  assert.equal(program.log.of("component_failed").length, 0);
});
