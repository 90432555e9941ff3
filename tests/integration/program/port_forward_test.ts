/**
 * The whole program on a machine without a way to the pods: sessions and health checks go through the API server.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn, Network } from "../../../lib/base/network.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { HealthDaemon } from "../../support/health_daemons.ts";
import { NOT_READY, startProgram, type WorldOptions } from "../../support/program.ts";
import { echo, type Serve } from "../../support/server_pods.ts";

/** Says hello first, as gRPC servers do, and then echoes. */
const greet: Serve = async (conn, pod, session) => {
  await conn.write(new TextEncoder().encode("hello"));
  await echo(conn, pod, session);
};

/** A network without a route to pods. */
const noRoute: Network = {
  ...denoNetwork,
  connect: () => Promise.reject(Object.assign(new Error("No route to host"), { code: "EHOSTUNREACH" })),
};

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function start(options: WorldOptions = {}) {
  return startProgram({
    network: noRoute,
    serve: greet,
    ...options,
    settings: { upstream: "auto", ...options.settings },
  });
}

Deno.test("program --upstream auto: without a route to the pods a session goes through the API server, and the log says why", async () => {
  await using program = await start();
  await program.settled();
  using client = await program.connect();
  assert.equal(text(await client.receive(5)), "hello");
  assert.equal(await client.echo("over the API server"), "over the API server");
  const { upstream, cause } = await program.logged("upstream_selected");
  assert.equal(upstream, "port-forward");
  assert.match(String(cause), /No route to host/);
  const forwards = program.cluster.api.requests.filter(({ subject }) => subject === "v1/pods/portforward");
  assert.equal(forwards.length, 1);
  client.close();
  const { outcome } = await program.logged("session_ended");
  assert.equal(outcome, "completed");
  await program.until("the end in the pod", () => program.pods.open === 0);
});

Deno.test("program --upstream port-forward: 32 MiB go through whole, in both directions at a time", async () => {
  const TOTAL = 32 * 1024 * 1024;
  await using program = await start({ settings: { upstream: "port-forward" } });
  await program.settled();
  const conn = await Deno.connect({ hostname: program.address.hostname, port: program.address.port });
  const sent = new Uint8Array(TOTAL);
  for (let at = 0; at < TOTAL; at += 4) sent[at] = at >> 8;
  const writing = (async () => {
    for (let at = 0; at < TOTAL;) at += await conn.write(sent.subarray(at, at + 256 * 1024));
  })();
  const got = new Uint8Array(TOTAL + 5);
  for (let at = 0; at < got.length;) at += (await (conn as Conn).read(got.subarray(at)))!;
  await writing;
  conn.close();
  assert.equal(text(got.subarray(0, 5)), "hello");
  assert.equal(
    new Uint8Array(await crypto.subtle.digest("SHA-256", got.subarray(5))).toHex(),
    new Uint8Array(await crypto.subtle.digest("SHA-256", sent)).toHex(),
  );
});

Deno.test("program --upstream auto: health checks go through the API server, too, and make a pod ready", async () => {
  const daemon = new HealthDaemon("serving");
  await using program = await start({
    cluster: NOT_READY,
    serve: daemon.serve,
    settings: { readiness: "auto" },
    before: (world) => daemon.onChange = () => world.changed(),
  });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("served"), "served");
  assert.ok(daemon.begun >= 1);
});

Deno.test("program --upstream auto: a session whose API server drops the stream ends, and the next one is served", async () => {
  await using program = await start();
  await program.settled();
  using client = await program.connect();
  assert.equal(text(await client.receive(5)), "hello");
  program.world.front.stop();
  const { outcome } = await program.logged("session_ended");
  assert.equal(outcome, "upstream_reset");
  const { cause } = await program.logged("port_forward_broken");
  assert.match(String(cause), /through the API server broke: The stream ended early/);
  program.world.front.restart();
  using next = await program.connect();
  assert.equal(text(await next.receive(5)), "hello");
});

Deno.test("program --upstream auto: a missing right is in the log with the rule that gives it, and the session waits until it is there", async () => {
  await using program = await start({
    before: ({ cluster }) =>
      cluster.api.access.rules.set("system:anonymous", [
        { apiGroups: ["apps", "discovery.k8s.io", "coordination.k8s.io"], resources: ["*"], verbs: ["*"] },
      ]),
  });
  await program.settled();
  using client = await program.connect();
  const { cause } = await program.logged("pod_connection_failed");
  assert.match(
    String(cause),
    /No route to host; nor by port-forward: no permission .*resources: \["pods\/portforward"\], verbs: \["get", "create"\]/,
  );
  program.cluster.api.access.rules.clear();
  assert.equal(text(await client.receive(5)), "hello");
});

Deno.test("program --upstream auto: a pod whose port is not open yet is dialled again until it is", async () => {
  await using program = await start({ before: ({ pods }) => pods.listens = false });
  await program.settled();
  using client = await program.connect();
  const { cause } = await program.logged("pod_connection_failed");
  assert.match(String(cause), /Cannot connect to port \d+ of pod "buildkitd-0": error forwarding port/);
  program.pods.listens = true;
  program.cluster.kubelet.crash("buildkitd-0");
  assert.equal(text(await client.receive(5)), "hello");
});

Deno.test("program --upstream port-forward: a client that leaves takes its session in the pod with it", async () => {
  await using program = await start({ settings: { upstream: "port-forward" } });
  await program.settled();
  const client = await program.connect();
  assert.equal(text(await client.receive(5)), "hello");
  client.close();
  await program.until(
    "the end in the pod",
    () => program.pods.sessions.length > 0 && program.pods.open === 0,
  );
  await program.until("the idle count", () => program.metrics.value("sessions_open") === 0);
});
