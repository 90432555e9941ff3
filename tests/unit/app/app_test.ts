/**
 * Tests of the program's start: what it says, when it is ready, which parts run, and what happens when it cannot listen.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FatalError, messageOf } from "../../../lib/base/errors.ts";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { ADMIN, PROXY, VirtualProgram } from "../../support/virtual_program.ts";

Deno.test("runApp() listens at once, and says where, in front of what, and by which settings", async () => {
  await using program = new VirtualProgram({ access: { source: "a kubeconfig" } });
  program.http.set("silent");
  await program.start();
  assert.deepEqual(program.listening, { proxy: PROXY, tls: undefined, admin: ADMIN });
  const [{ level, fields } = { level: "", fields: {} }] = program.log.of("listening");
  assert.equal(level, "info");
  assert.deepEqual(fields, {
    addr: "127.0.0.1:8372",
    tlsAddr: undefined,
    adminAddr: "127.0.0.1:8080",
    target: "default/buildkitd",
    cluster: "api.test (a kubeconfig)",
    version: "1.2.3-test",
  });
  assert.equal(program.log.of("settings_loaded")[0]?.fields["target-port"], "1234");
  assert.equal(program.metrics.value("build_info", { version: "1.2.3-test", deno: "9.9.9" }), 1);
  const page = program.admin("/");
  await program.pass(0);
  assert.match((await page).text, /Version 1\.2\.3-test/);
});

Deno.test("runApp() is alive from the start, and ready once it has joined; it says so once", async () => {
  await using program = new VirtualProgram();
  program.http.set("silent");
  await program.start();
  assert.equal((await program.admin("/livez")).status, 200);
  assert.equal((await program.admin("/readyz")).status, 503);
  program.http.set("open");
  await program.pass(100);
  assert.deepEqual(await program.admin("/readyz"), { status: 200, text: "ok" });
  await program.pass(60_000);
  assert.equal(program.log.of("ready").length, 1);
  assert.equal(await program.check("/livez", "scale"), "ok: replicas 0: nothing is in use");
  assert.match(await program.check("/livez", "proxies"), /^ok: this is \w+, joined; leader is this one$/);
  assert.deepEqual(program.log.records.filter(({ level }) => level === "warn" || level === "error"), []);
});

Deno.test("runApp() scales up for a client, shows its bytes, and scales down after the idle timeout", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "10m" } });
  await program.start();
  const client = await program.connect("hello");
  assert.equal(await program.check("/livez", "accept"), "ok: 1 sessions open, 1 held");
  await program.pass(1_000);
  assert.equal(client.text, "hello");
  assert.equal(program.cluster.replicas, 1);
  const { text } = await program.admin("/metrics");
  assert.match(
    text,
    /^buildkitd_autoscaler_bytes_total\{direction="upstream"\} 5$/m,
    "while the session runs",
  );
  await program.pass(20 * 60_000);
  assert.equal(program.cluster.replicas, 1, "a session is open");
  client.close();
  await program.pass(9 * 60_000);
  assert.equal(program.cluster.replicas, 1);
  await program.pass(2 * 60_000);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("runApp() keeps --min-replicas", async () => {
  await using program = new VirtualProgram({ settings: { minReplicas: "1", idleTimeoutMs: "1m" } });
  await program.start();
  await program.pass(10 * 60_000);
  assert.equal(program.cluster.replicas, 1);
});

Deno.test("runApp() checks the health of daemons unless readiness is only the pod's", async () => {
  for (const readiness of ["pod", "auto", "grpc"]) {
    await using program = new VirtualProgram({
      settings: { readiness },
      cluster: { probeMs: () => 3_600_000 },
    });
    await program.start();
    const client = await program.connect("hello");
    await program.pass(2_000);
    const served = readiness !== "pod";
    assert.equal(client.text, served ? "hello" : "", readiness);
    assert.equal(program.network.dialled.some((address) => address === "192.0.2.1:1234"), served, readiness);
  }
});

Deno.test("runApp() tells a client whose time is up why, and what keeps sessions from being placed", async () => {
  await using program = new VirtualProgram({ cluster: { probeMs: () => 3_600_000 } });
  await program.start();
  const client = await program.call();
  await program.pass(5 * 60_000 + 1_000);
  assert.equal(client.refusal?.status, "4");
  assert.match(client.refusal.message, /^buildkitd did not become ready in 5m0s: pod buildkitd-0 is /);
});

Deno.test("runApp() tells a client that has timed out if this proxy places no sessions although the pod is ready", async () => {
  await using program = new VirtualProgram({ cluster: { replicas: 1 }, settings: { whenCutOff: "hold" } });
  await program.start();
  program.cluster.api.access.rules.set("system:anonymous", [
    { apiGroups: ["apps", "discovery.k8s.io", ""], resources: ["*"], verbs: ["*"] },
  ]);
  await program.pass(10 * 60_000);
  const client = await program.call();
  await program.pass(5 * 60_000 + 1_000);
  assert.match(client.refusal?.message ?? "", /^buildkitd did not become ready in 5m0s: Cannot .*leases/);
});

Deno.test("runApp() waits for a StatefulSet that is missing, says so, and serves the one that is made anew later", async () => {
  await using program = new VirtualProgram();
  const { registry } = program.cluster.api;
  const remove = () => {
    const { metadata, spec } = program.cluster.statefulSet;
    registry.delete(STATEFULSETS, program.cluster.namespace, metadata.name, {});
    return () => {
      registry.create(STATEFULSETS, program.cluster.namespace, { metadata: { name: metadata.name }, spec }, {
        manager: "kubectl-create",
      });
      return program.cluster.statefulSet.metadata.uid;
    };
  };
  const create = remove();
  await program.start();
  await program.pass(60_000);
  assert.match((await program.admin("/readyz")).text, /^cluster: StatefulSet "buildkitd" not found/);
  assert.equal(program.log.of("rights_check_failed").length, 0, "that is said once");
  const ownerOf = () => program.leases("proxy").map(({ metadata }) => metadata.ownerReferences?.[0]?.uid);
  const uid = create();
  await program.pass(30_000);
  assert.equal((await program.admin("/readyz")).status, 200);
  assert.deepEqual(ownerOf(), [uid]);
  const createAgain = remove();
  await program.pass(1_000);
  const next = createAgain();
  await program.pass(60_000);
  assert.deepEqual(ownerOf().at(-1), next, "the record belongs to the StatefulSet that is there");
  const client = await program.connect("hello");
  await program.pass(5_000);
  assert.equal(client.text, "hello");
  client.close();
});

Deno.test("runApp() serves on when the API's data is restored from a backup, and scales down only when others had time to come back", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
  await program.start();
  await program.pass(60_000);
  await program.restore(1);
  // By the next renewal of its record.
  await program.pass(45_000);
  assert.equal(program.log.of("resource_versions_regressed").length, 1);
  const client = await program.connect("hello");
  await program.pass(20_000);
  assert.equal(client.text, "hello");
  client.close();
  await program.pass(3 * 60_000);
  assert.equal(program.cluster.replicas, 1, "a proxy that the backup does not know may have sessions");
  await program.pass(10 * 60_000);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("runApp() warns of a token that is too short to drain with", async () => {
  for (const [lifetimeMs, warnings] of [[3_607_000, 1], [1_000 * 3_600_000, 0]] as const) {
    await using program = new VirtualProgram({
      access: { tokenTimes: () => Promise.resolve({ issuedMs: 0, expiresMs: lifetimeMs }) },
    });
    await program.start();
    assert.equal(program.log.of("token_lifetime_short").length, warnings);
  }
});

Deno.test("runApp() does not start without credentials", async () => {
  await using program = new VirtualProgram({
    ports: { loadCluster: () => Promise.reject(new FatalError("no kubeconfig")) },
  });
  await program.start();
  assert.match(messageOf(program.outcome?.error), /no kubeconfig/);
  assert.equal(program.network.listensOn(PROXY), false);
});

/** A program that was started, and whose admin port cannot be opened. */
async function startedWithoutAdmin(error: Error): Promise<VirtualProgram> {
  const program = new VirtualProgram({
    ports: {
      serveAdmin: () => {
        throw error;
      },
    },
  });
  await program.start();
  return program;
}

Deno.test("runApp() says which address it cannot listen on and by which flag, and leaves nothing open", async () => {
  const taken = new VirtualProgram();
  taken.network.listen(PROXY);
  await taken.start();
  assert.ok(taken.outcome?.error instanceof FatalError);
  assert.equal(
    messageOf(taken.outcome.error),
    'Cannot listen on "127.0.0.1:8372" (--listen-addr): Address already in use: found another process that ' +
      'listens there, end it or choose another address with "--listen-addr"',
  );

  const forbidden = await startedWithoutAdmin(new Deno.errors.PermissionDenied("Permission denied"));
  assert.equal(
    messageOf(forbidden.outcome?.error),
    'Cannot listen on "127.0.0.1:8080" (--admin-addr): Permission denied',
  );

  const adminTaken = await startedWithoutAdmin(new Deno.errors.AddrInUse("Address already in use"));
  assert.ok(adminTaken.outcome?.error instanceof FatalError);
  assert.equal(
    messageOf(adminTaken.outcome.error),
    'Cannot listen on "127.0.0.1:8080" (--admin-addr): Address already in use: found another process that ' +
      'listens there, end it or choose another address with "--admin-addr"',
  );
  assert.equal(adminTaken.network.listensOn(PROXY), false);
  for (const program of [taken, forbidden, adminTaken]) await program.cluster[Symbol.asyncDispose]();
});
