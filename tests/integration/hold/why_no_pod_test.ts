/**
 * The whole program: what is said of a hold that has failed, where the pod that is waited for is not the obvious one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { HealthDaemon } from "../../support/health_daemons.ts";
import { freePort, type Program, startProgram, type WorldOptions } from "../../support/program.ts";

/** The pod is created and nothing more happens to it. */
const NEVER = 3_600_000;

async function start(options: WorldOptions): Promise<Program> {
  const program = await startProgram({
    ...options,
    settings: { readyWaitTimeoutMs: "500ms", ...options.settings },
  });
  await program.settled();
  return program;
}

/** The reason of the hold of one more client. */
async function reasonOfHold(program: Program, sessions: number): Promise<string> {
  using client = await program.connect();
  await client.send("hello");
  await client.ending();
  const { outcome, reason } = await program.logged("session_ended", sessions);
  assert.equal(outcome, "timed_out");
  return String(reason).replace(/; it does not speak plaintext HTTP.*/, "");
}

Deno.test("hold: the pod that is asked for is the first of the StatefulSet, whatever its ordinals start at", async () => {
  await using program = await start({
    cluster: { startMs: () => NEVER },
    before: ({ cluster: { api: { registry } } }) => {
      const patch = { spec: { ordinals: { start: 5 } } };
      registry.patch(STATEFULSETS, "default", "buildkitd", "application/merge-patch+json", patch, {
        manager: "helm",
      });
    },
  });
  assert.equal(
    await reasonOfHold(program, 1),
    "buildkitd did not become ready in 500ms: pod buildkitd-5 has no address yet",
  );
});

Deno.test("hold: with several pods, the explanation is about the pod that clients wait for", async () => {
  await using program = await start({
    cluster: {
      replicas: 2,
      podManagementPolicy: "Parallel",
      startMs: ({ metadata }) => metadata.name === "buildkitd-0" ? NEVER : 0,
    },
  });
  await program.until("the second pod", () => program.cluster.pods[1]?.status?.phase === "Running");
  assert.equal(
    await reasonOfHold(program, 1),
    "buildkitd did not become ready in 500ms: pod buildkitd-0 has no address yet",
  );
});

Deno.test("hold: a missing StatefulSet is named before its consequences", async () => {
  await using program = await start({});
  await program.warm();
  program.cluster.api.registry.delete(STATEFULSETS, "default", "buildkitd", { gracePeriodSeconds: 0 });
  await program.logged("statefulset_not_found");
  await program.until("no pod", () => program.cluster.pods.length === 0);
  assert.equal(
    await reasonOfHold(program, 2),
    'buildkitd did not become ready in 500ms: StatefulSet "buildkitd" not found in namespace "default" ' +
      '(--sts-name, --sts-namespace); "kubectl get statefulsets --all-namespaces" shows where there is one',
  );
});

Deno.test("hold: without the right to get pods, the explanation states only known facts", async () => {
  const token = "token-of-the-proxy";
  await using program = await start({
    token,
    cluster: { startMs: () => NEVER },
    before: ({ cluster: { api: { access } } }) => {
      access.tokens.set(token, "proxy");
      access.rules.set("proxy", [
        { apiGroups: ["apps"], resources: ["statefulsets", "statefulsets/scale"], verbs: ["*"] },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["*"] },
        { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["*"] },
      ]);
    },
  });
  assert.equal(
    await reasonOfHold(program, 1),
    "buildkitd did not become ready in 500ms: pod buildkitd-0 has no address yet, or is still being deleted " +
      '("kubectl describe pod buildkitd-0" says why)',
  );
});

Deno.test("hold: for a pod that cannot be created, the explanation points to the events", async () => {
  await using program = await start({});
  program.cluster.controllers.pause();
  assert.equal(
    await reasonOfHold(program, 1),
    "buildkitd did not become ready in 500ms: pod buildkitd-0 does not exist yet; the events of the StatefulSet " +
      '"buildkitd" say why, if it is refused',
  );
});

Deno.test("hold: when the proxy itself cannot scale, the explanation says so instead of naming the pod", async () => {
  await using program = await startProgram({
    cluster: { replicas: 1 },
    settings: { readyWaitTimeoutMs: "500ms" },
    before: ({ cluster: { api: { faults } } }) =>
      faults.add({
        fault: { kind: "status", code: 422, message: "frozen until Monday" },
        matches: ({ verb, subresource }) => verb === "patch" && subresource === "scale",
      }),
  });
  await program.logged("join_failed");
  await program.until("the pod", () => program.cluster.pods[0]?.status?.phase === "Running");
  assert.equal(
    await reasonOfHold(program, 1),
    'buildkitd did not become ready in 500ms: Cannot patch statefulsets/scale "buildkitd" in namespace "default": ' +
      "HTTP 422 Unknown: frozen until Monday",
  );
});

Deno.test("hold: for a target port without a listener, the explanation lists the declared ports", async () => {
  const port = freePort();
  await using program = await start({
    cluster: { replicas: 1 },
    settings: { targetPort: String(port), readiness: "pod" },
    before: ({ cluster }) => {
      const { targetPort } = cluster;
      const containers = [{ name: "main", image: "buildkitd", ports: [{ containerPort: targetPort }] }];
      const patch = { spec: { template: { spec: { containers } } } };
      const type = "application/merge-patch+json";
      cluster.api.registry.patch(STATEFULSETS, cluster.namespace, cluster.name, type, patch, {
        manager: "kubectl",
      });
    },
  });
  assert.equal(
    await reasonOfHold(program, 1),
    "buildkitd did not become ready in 500ms: pod buildkitd-0 is ready, but connections to it fail: The containers " +
      `of StatefulSet "buildkitd" declare the port ${program.cluster.targetPort}, not ${port} (--target-port)`,
  );
});

Deno.test("hold: for a daemon that accepts connections and does not answer, the explanation says so", async () => {
  const daemon = new HealthDaemon("not_serving");
  await using program = await start({
    cluster: { replicas: 1 },
    settings: { readiness: "grpc" },
    serve: daemon.serve,
  });
  assert.equal(
    await reasonOfHold(program, 1),
    "buildkitd did not become ready in 500ms: pod buildkitd-0 is ready, but does not answer health checks",
  );
});
