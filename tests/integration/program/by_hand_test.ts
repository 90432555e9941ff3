/**
 * The whole program: what people do to the count, what it finds at its start, and a StatefulSet that is not there.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ENDPOINT_SLICES, STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { fastClock } from "../../support/fast_clock.ts";
import { type Program, startProgram, type World } from "../../support/program.ts";

const IDLE_MS = 250;
const settings = { idleTimeoutMs: `${IDLE_MS}ms` };

async function untilReplicas(program: Program, replicas: number): Promise<void> {
  await program.until(`${replicas} replicas`, () => program.cluster.replicas === replicas);
}

for (const [replicas, minReplicas, want] of [[1, 0, 0], [3, 0, 0], [3, 1, 1]] as const) {
  Deno.test(`program --min-replicas=${minReplicas}: started at ${replicas} replicas without a session, it takes them down to ${want} after one idle timeout`, async () => {
    const sinceMs = performance.now();
    await using program = await startProgram({
      cluster: { replicas },
      settings: { ...settings, minReplicas: String(minReplicas) },
    });
    await untilReplicas(program, want);
    assert.ok(performance.now() - sinceMs >= IDLE_MS, "not before the idle timeout");
    await program.until("the pods", () => program.cluster.pods.length === want);
  });
}

Deno.test("program --min-replicas=1: a replica is there without any client, and stays", async () => {
  await using program = await startProgram({ settings: { ...settings, minReplicas: "1" } });
  await untilReplicas(program, 1);
  await program.warm();
  const sinceMs = performance.now();
  while (performance.now() - sinceMs < 3 * IDLE_MS) {
    await program.warm();
    assert.equal(program.cluster.replicas, 1);
  }
  const scaled = program.log.of("scaled").map(({ fields }) => [fields["to"], fields["reason"]]);
  assert.deepEqual(scaled, [[1, "min_replicas"]]);
});

Deno.test("program: what was scaled up by hand stays for one idle timeout, then goes", async () => {
  await using program = await startProgram({ settings });
  await program.settled();
  const sinceMs = performance.now();
  program.cluster.scale(1);
  const { from, to } = await program.logged("replicas_changed_externally");
  assert.deepEqual([from, to], [0, 1]);
  await untilReplicas(program, 0);
  assert.ok(performance.now() - sinceMs >= IDLE_MS, "not before the idle timeout");
  await program.until("no pod", () => program.cluster.pods.length === 0);
  assert.equal(program.log.of("replicas_changed_externally").length, 1, "and not by ourselves");
});

Deno.test("program: replicas above the maximum get no sessions and are removed, the one in use stays", async () => {
  await using program = await startProgram({ settings });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  program.cluster.scale(3);
  await program.cluster.untilReady(3, AbortSignal.timeout(30_000));
  await untilReplicas(program, 1);
  await program.until("one pod", () => program.cluster.pods.length === 1);
  assert.equal(await client.echo("still here"), "still here");
  assert.equal(program.cluster.replicas, 1);
  assert.deepEqual(program.pods.sessions.map(({ pod, state }) => [pod.name, state]), [[
    "buildkitd-0",
    "open",
  ]]);
});

Deno.test("program: a count that somebody lowers during a session is raised again before the session is lost", async () => {
  // The controller gives the program time; were it quicker, the pod would terminate and its session end in peace.
  await using program = await startProgram({ cluster: { reactionMs: () => 300 } });
  await program.settled();
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  program.cluster.scale(0);
  await untilReplicas(program, 1);
  await program.until("the controller has looked", () => {
    const { metadata, status } = program.cluster.statefulSet;
    return status?.observedGeneration === metadata.generation;
  });
  assert.equal(await client.echo("still here"), "still here");
  assert.equal(program.pods.started.length, 1);
});

Deno.test("program: without its StatefulSet it stays up, unready, holds clients, and serves them once it is created", async () => {
  let set: ReturnType<World["cluster"]["api"]["registry"]["get"]> | undefined;
  await using program = await startProgram({
    home: "somewhere-else",
    before: ({ cluster }) => {
      set = cluster.statefulSet;
      cluster.api.registry.delete(STATEFULSETS, cluster.namespace, cluster.name, { gracePeriodSeconds: 0 });
    },
  });
  const { cause } = await program.logged("statefulset_not_found");
  assert.equal(
    cause,
    'StatefulSet "buildkitd" not found in namespace "default" (--sts-name, --sts-namespace); ' +
      'the namespace of the kubeconfig\'s context is "somewhere-else"; ' +
      '"kubectl get statefulsets --all-namespaces" shows where there is one',
  );
  await program.until(
    "the rights were asked for",
    () => program.metrics.value("api_errors_total", { verb: "get", code: "404" }) >= 2,
  );
  assert.deepEqual(program.log.records.filter(({ level }) => level === "warn").length, 1, "it is said once");
  const { status, text } = await program.admin("/readyz");
  assert.equal(status, 503);
  assert.match(text, /^cluster: StatefulSet "buildkitd" not found in namespace "default"/);
  assert.equal((await program.admin("/livez")).status, 200);
  using client = await program.connect();
  await program.until("an open session", () => program.metrics.value("sessions_open") === 1);
  const { metadata: { name }, spec } = set!;
  program.cluster.api.registry.create(STATEFULSETS, "default", { metadata: { name }, spec }, {
    manager: "helm",
  });
  assert.equal(await client.echo("hello"), "hello");
  await program.logged("statefulset_not_found_recovered");
  await program.logged("ready");
  assert.deepEqual(await program.admin("/readyz"), { status: 200, text: "ok" });
});

Deno.test("program: a recreated StatefulSet is scaled as before", async () => {
  await using program = await startProgram();
  await program.settled();
  await program.warm();
  const { metadata: { name }, spec } = program.cluster.statefulSet;
  program.cluster.api.registry.delete(STATEFULSETS, "default", name, { gracePeriodSeconds: 0 });
  await program.logged("statefulset_not_found");
  program.cluster.api.registry.create(
    STATEFULSETS,
    "default",
    { metadata: { name }, spec: { ...spec, replicas: 0 } },
    { manager: "helm" },
  );
  await program.logged("statefulset_not_found_recovered");
  await program.until("no pod of the old one", () => program.cluster.pods.length === 0);
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
});

Deno.test("program: a headless Service that does not exist is named at the start, with the right one", async () => {
  await using program = await startProgram({
    clock: fastClock(40),
    settings: { headlessServiceName: "builder-headless" },
  });
  const { cause } = await program.logged("endpointslice_not_found");
  assert.equal(
    cause,
    'No EndpointSlice of a Service "builder-headless" in namespace "default" (--headless-service-name), so no pod ' +
      'will be found; the Service of the StatefulSet "buildkitd" is "buildkitd-headless"',
  );
  assert.match(
    (await program.admin("/healthz?verbose")).text,
    /No EndpointSlice of a Service "builder-headless"/,
  );
  const unready = await program.admin("/readyz");
  assert.deepEqual(unready, { status: 503, text: `cluster: ${cause}` });
  assert.equal((await program.admin("/livez")).status, 200);
  program.cluster.api.registry.create(ENDPOINT_SLICES, "default", {
    metadata: { name: "x", labels: { "kubernetes.io/service-name": "builder-headless" } },
    addressType: "IPv4",
    endpoints: [],
    ports: [],
  }, { manager: "endpointslice-controller" });
  await program.logged("endpointslice_not_found_recovered");
  await program.logged("ready");
  assert.deepEqual(await program.admin("/readyz"), { status: 200, text: "ok" });
});

Deno.test("program: a target port that no container declares is named, and the program is ready all the same", async () => {
  await using program = await startProgram({
    before: ({ cluster }) => {
      const ports = [{ containerPort: 1 }, { containerPort: 2 }];
      const containers = [{ name: "main", image: "buildkitd", ports: [ports[0]] }, {
        name: "other",
        image: "other",
        ports: [ports[1]],
      }];
      const patch = { spec: { template: { spec: { containers } } } };
      const type = "application/merge-patch+json";
      cluster.api.registry.patch(STATEFULSETS, cluster.namespace, cluster.name, type, patch, {
        manager: "kubectl",
      });
    },
  });
  const doubt = `The containers of StatefulSet "buildkitd" declare the ports 1, 2, not ` +
    `${program.cluster.targetPort} (--target-port)`;
  assert.equal((await program.logged("target_port_undeclared")).cause, doubt);
  await program.settled();
  const { status, text } = await program.admin("/readyz?verbose");
  assert.deepEqual([status, text.split("\n")[0]], [200, `[+]cluster ok: ${doubt}`]);
  // A declaration is only information: the pod may listen all the same.
  using client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
});
