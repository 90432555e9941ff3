/**
 * The whole program: pods that are not ready, go away, crash, or cannot be reached.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Network } from "../../../lib/base/network.ts";
import { PODS } from "../../../lib/miniature/objects.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { HealthDaemon } from "../../support/health_daemons.ts";
import { NOT_READY, startProgram } from "../../support/program.ts";
import { TcpClient } from "../../support/tcp_client.ts";

Deno.test("program: a pod that is not ready is not dialled, though it listens", async () => {
  await using program = await startProgram({ cluster: NOT_READY, debug: true });
  await program.settled();
  using client = await program.connect();
  await program.held(1);
  await program.until(
    "the program sees the pod",
    () => program.log.of("pod_observed").some(({ fields }) => String(fields["addresses"]) !== ""),
  );
  assert.equal(program.pods.sessions.length, 0);
  await program.makeReady();
  assert.equal(await client.echo("hello"), "hello");
  assert.equal(program.pods.sessions.length, 1);
  assert.equal(program.metrics.value("dial_errors_total"), 0);
});

Deno.test("program: a pod that is not ready any more gets no new session and keeps those it has", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 }, debug: true });
  await program.settled();
  using first = await program.connect();
  assert.equal(await first.echo("hello"), "hello");
  program.cluster.kubelet.setReady("buildkitd-0", false);
  await program.until(
    "the program sees it",
    () => program.log.of("pod_observed").at(-1)?.fields["ready"] === false,
  );
  using second = await program.connect();
  await program.held(1);
  assert.equal(await first.echo("still here"), "still here");
  assert.equal(program.pods.sessions.length, 1);
  program.cluster.kubelet.setReady("buildkitd-0", true);
  assert.equal(await second.echo("me too"), "me too");
});

Deno.test("program: a client that arrives while the pod terminates is held and served by the next pod", async () => {
  await using program = await startProgram({
    cluster: { replicas: 1 },
    settings: { idleTimeoutMs: "50ms" },
    debug: true,
  });
  await program.settled();
  // Past the proxy: it keeps the pod from ending, and the proxy knows nothing of it.
  await program.until("a process", () => program.pods.started.length === 1);
  using direct = await TcpClient.connect(program.pods.started[0]!.address);
  assert.equal(await direct.echo("direct"), "direct");
  await program.until(
    "the program sees the pod go",
    () => program.log.of("pod_observed").at(-1)?.fields["terminating"] === true,
  );
  using late = await program.connect();
  await late.send("late");
  await program.until("the count is raised again", () => program.cluster.replicas === 1);
  await program.held(1);
  assert.equal(await direct.echo("still here"), "still here");
  direct.close();
  assert.equal(new TextDecoder().decode(await late.receive(4)), "late");
  const [old, young] = program.pods.started;
  assert.notEqual(old!.uid, young!.uid);
  assert.deepEqual(program.pods.sessions.map(({ pod: { uid }, state }) => [uid, state]), [
    [old!.uid, "closed"],
    [young!.uid, "open"],
  ]);
  assert.equal(program.metrics.value("dial_errors_total"), 0, "the pod that goes was not dialled");
});

Deno.test("program: a pod that somebody deletes keeps its session to its end, and newcomers wait for the next pod", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 }, debug: true });
  await program.settled();
  using busy = await program.connect();
  assert.equal(await busy.echo("building"), "building");
  program.cluster.api.registry.delete(PODS, "default", "buildkitd-0", {});
  await program.until(
    "the program sees the pod go",
    () => program.log.of("pod_observed").at(-1)?.fields["terminating"] === true,
  );
  using late = await program.connect();
  await late.send("late");
  await program.held(1);
  assert.equal(await busy.echo("still building"), "still building");
  busy.close();
  assert.equal(new TextDecoder().decode(await late.receive(4)), "late");
  assert.deepEqual(program.pods.sessions.map(({ state }) => state), ["closed", "open"]);
  assert.equal(program.pods.started.length, 2);
  assert.equal(program.metrics.value("dial_errors_total"), 0, "the pod that goes was not dialled");
});

Deno.test("program: a pod that is ready and refuses connections is dialled again until it takes them", async () => {
  await using program = await startProgram({
    before: ({ pods }) => pods.listens = false,
  });
  await program.settled();
  using client = await program.connect();
  await client.send("hello");
  await program.until("three dials", () => program.metrics.value("dial_errors_total") >= 3);
  const { cause, pod } = await program.logged("pod_connection_failed");
  assert.match(String(cause), /^Cannot connect to ready pod "buildkitd-0": 127\.0\.1\.1:\d+: .*refused/i);
  assert.equal(pod, "buildkitd-0");
  assert.equal(program.metrics.value("sessions_held"), 1);
  program.pods.listen();
  assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
  await program.logged("pod_connection_failed_recovered");
  assert.equal(program.log.of("pod_connection_failed").length, 1, "each cause is said once");
});

Deno.test("program: dials that fail go on no longer than --ready-wait-timeout", async () => {
  await using program = await startProgram({
    settings: { readyWaitTimeoutMs: "300ms" },
    before: ({ pods }) => pods.listens = false,
  });
  await program.settled();
  using client = await program.connect();
  await client.ending();
  assert.equal((await program.logged("session_ended"))["outcome"], "timed_out");
  assert.ok(program.metrics.value("dial_errors_total") >= 1);
});

Deno.test("program: a client that leaves while its dials fail is gone", async () => {
  await using program = await startProgram({ before: ({ pods }) => pods.listens = false });
  await program.settled();
  using client = await program.connect();
  await program.until("a dial", () => program.metrics.value("dial_errors_total") >= 1);
  client.close();
  assert.equal((await program.logged("session_ended"))["outcome"], "client_left");
  await program.held(0);
});

for (const how of ["crash", "evict"] as const) {
  Deno.test(`program: a pod that is lost by ${how} ends its session, and the next one is served by what comes after`, async () => {
    await using program = await startProgram({ cluster: { replicas: 1, restartMs: () => 20 } });
    await program.settled();
    using first = await program.connect();
    assert.equal(await first.echo("hello"), "hello");
    program.cluster.kubelet[how]("buildkitd-0");
    await first.ending();
    first.close();
    const { outcome } = await program.logged("session_ended");
    assert.match(String(outcome), /^(completed|upstream_reset)$/);
    using second = await program.connect();
    assert.equal(await second.echo("again"), "again");
    const uids = program.pods.started.map(({ uid }) => uid);
    assert.equal(uids.length, 2);
    assert.equal(uids[0] === uids[1], how === "crash");
  });
}

Deno.test("program: clients of a crashing pod are held and served in the end", async () => {
  await using program = await startProgram({ cluster: { restartMs: () => 5 } });
  await program.settled();
  for (let i = 0; i < 20; i++) {
    using client = await program.connect();
    assert.equal(await client.echo(`call ${i}`), `call ${i}`);
    program.cluster.kubelet.crash("buildkitd-0");
  }
  await program.until("no session", () => program.metrics.value("sessions_open") === 0);
});

Deno.test("program: a dial that fails for local reasons does not mark the pod as failed", async () => {
  // Its condition is ready and its daemon never says SERVING: a pod that is doubted would get no session.
  const daemon = new HealthDaemon("silent");
  let failing = true;
  const network: Network = {
    ...denoNetwork,
    connect(address, signal) {
      if (!failing) return denoNetwork.connect(address, signal);
      return Promise.reject(Object.assign(new Error("Too many open files"), { code: "EMFILE" }));
    },
  };
  await using program = await startProgram({
    network,
    cluster: { replicas: 1 },
    settings: { readiness: "auto" },
    serve: daemon.serve,
  });
  await program.settled();
  using client = await program.connect();
  await client.send("hello");
  await program.until("a dial that fails", () => program.metrics.value("dial_errors_total") >= 1);
  failing = false;
  await program.held(0);
  assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
});

Deno.test("program --upstream dns: the pod's name is dialled", async () => {
  const names: string[] = [];
  const network: Network = {
    ...denoNetwork,
    connect({ hostname, port }, signal) {
      names.push(hostname);
      return denoNetwork.connect({ hostname: "127.0.1.1", port }, signal);
    },
  };
  await using program = await startProgram({
    network,
    cluster: { name: "bk", namespace: "builds", serviceName: "bk-pods" },
    settings: {
      upstream: "dns",
      stsName: "bk",
      stsNamespace: "builds",
      headlessServiceName: "bk-pods",
      clusterDomain: "corp.example",
    },
  });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  assert.deepEqual(names, ["bk-0.bk-pods.builds.svc.corp.example"]);
});

Deno.test("program --upstream dns: a name that does not resolve is logged with the cure", async () => {
  const network: Network = {
    ...denoNetwork,
    connect: ({ hostname }) =>
      Promise.reject(
        new Error(`failed to lookup address information: ${hostname}: Name or service not known`),
      ),
  };
  await using program = await startProgram({ network, settings: { upstream: "dns" } });
  await program.settled();
  using _client = await program.connect();
  const { cause } = await program.logged("pod_connection_failed");
  assert.match(
    String(cause),
    /check --headless-service-name and --cluster-domain, or use --upstream slices$/,
  );
});

Deno.test("program: a pod network without a route is logged with the cure", async () => {
  const network: Network = {
    ...denoNetwork,
    connect: () => Promise.reject(Object.assign(new Error("No route to host"), { code: "EHOSTUNREACH" })),
  };
  await using program = await startProgram({ network });
  await program.settled();
  using _client = await program.connect();
  const { cause } = await program.logged("pod_connection_failed");
  assert.match(
    String(cause),
    /run the proxy inside the cluster, use --upstream auto or port-forward, or give this machine a route to the pod network/,
  );
});
