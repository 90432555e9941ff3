/**
 * A hold that ends without a daemon is told to the client as a gRPC error, and both clients print why and leave at once.
 *
 * With another status than those that are used, `docker buildx` would try again for 20 s and hide the message.
 *
 * @module
 */

import assert from "node:assert/strict";
import { CLIENT_NAMES, type ClientName } from "./build_clients.ts";
import { noted } from "./kubelet.ts";
import type { Program } from "./program.ts";
import { type Cluster, DOCUMENTED_RULES, GET_PODS, scenario } from "./scenario.ts";
import { until } from "./waiting.ts";

/** A client that tries again does so for 20 s: one that leaves in half of that took the answer for final. */
const AT_ONCE_MS = 10_000;

/** As the scheduler says it. */
const UNSCHEDULABLE = {
  type: "PodScheduled",
  status: "False",
  reason: "Unschedulable",
  message: "0/3 nodes are available: 3 Insufficient cpu.",
};

/** Runs a build that is to fail, and shows that the client printed `message` and left at once when it was told. */
async function refused(
  cluster: Cluster,
  program: Program,
  client: ClientName,
  message: string,
): Promise<void> {
  const startedMs = performance.now();
  const build = await cluster.build(program, { client });
  const { code, output } = await build.result();
  await until("all but the one that waits to have ended", async () => {
    return await program.metric("buildkitd_autoscaler_sessions_open") <= 1;
  });
  // A session whose hold failed ends when its client has left.
  const tookMs = program.ended.some(({ outcome }) => outcome === "timed_out")
    ? Math.max(...program.ended.map(({ heldMs, durationMs }) => Number(durationMs) - Number(heldMs)))
    : performance.now() - startedMs;
  const lines = output.split("\n").map((line) => `    ${line}`);
  report(`${client} left with ${code}, ${tookMs.toFixed(0)} ms after it was told:\n${lines.join("\n")}`);
  assert.notEqual(code, 0, output);
  assert.ok(output.includes(message), `want "${message}" in what it printed:\n${output}`);
  assert.ok(tookMs < AT_ONCE_MS, `it left only ${tookMs} ms after it was told`);
}

for (const permitted of [true, false]) {
  const what = permitted ? "what the API says of the pod" : "what is known without the right to read pods";
  for (const client of CLIENT_NAMES) {
    scenario(`${client} prints that no daemon was ready in time, with ${what}`, {}, async (cluster) => {
      if (permitted) await cluster.setRules([...DOCUMENTED_RULES, GET_PODS], { allowed: true });
      await untilMayReadPods(cluster, permitted);
      const program = await (await cluster.startProgram({ "ready-wait-timeout": "4s" }))
        .untilReady();
      cluster.kubelet.behaviour.start.shut();
      noted(cluster.kubelet, "bound").then(() =>
        cluster.api.patch(`/api/v1/namespaces/${cluster.namespace}/pods/buildkitd-0/status`, {
          status: { conditions: [UNSCHEDULABLE] },
        })
      ).catch(() => {});
      const why = permitted
        ? "pod buildkitd-0 is Pending: Unschedulable: 0/3 nodes are available: 3 Insufficient cpu"
        : 'pod buildkitd-0 has no address yet, or is still being deleted ("kubectl describe pod buildkitd-0" says why)';
      const message = `buildkitd did not become ready in 4s: ${why}`;
      await refused(cluster, program, client, message);
      await program.waitForRecord("the session's end", ({ outcome }) => outcome === "timed_out");
      await cluster.timeline.settle([0, 1]);
      assert.equal(await program.stop(), 0);
    });
  }
}

async function untilMayReadPods(cluster: Cluster, wanted: boolean): Promise<void> {
  const { namespace, programUser } = cluster;
  await until("the right to read pods to be as wanted", async () => {
    const review = await cluster.api.create<{ status: { allowed: boolean } }>(
      "/apis/authorization.k8s.io/v1/subjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: {
          user: programUser,
          resourceAttributes: { namespace, verb: "get", group: "", resource: "pods" },
        },
      },
    );
    return review.status.allowed === wanted;
  });
}

for (const limit of ["max-held", "max-connections"]) {
  scenario(
    `both clients print that --${limit} is reached, and the one that waits is served`,
    {},
    async (cluster) => {
      const program = await (await cluster.startProgram({ [limit]: "1" })).untilReady();
      cluster.kubelet.behaviour.start.shut();
      const first = await cluster.build(program);
      await program.untilHeld(1);
      const message = limit === "max-held"
        ? "The limit of 1 waiting sessions is reached (--max-held)"
        : "The limit of 1 connections is reached (--max-connections)";
      for (const client of CLIENT_NAMES) await refused(cluster, program, client, message);
      await program.untilHeld(1);
      cluster.kubelet.behaviour.start.open();
      await first.finish();
      assert.equal(await program.stop(), 0);
    },
  );
}

/** Something for whoever reads the run's output. */
function report(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`\n${line}\n`));
}
